"""Which units of a model tell the tokens of a pattern from the others. Free of torch.

The score of a unit is the correlation of its values with the pattern over all tokens:

    r = mean((v - mean v) (p - mean p)) / (std v std p)

For a pattern of numbers that is Pearson's coefficient; for one of yes and no, p in {0, 1}, it is the point-biserial one
(R. F. Tate, "Correlation between a discrete and a continuous variable", Annals of Mathematical Statistics 25, 1954),
the distance of the two means in standard deviations times sqrt(share (1 - share)). It is one product of matrices for
all units. Of the best units of a yes-no pattern two more figures are told: the area under the ROC curve, which asks
only for the order of the values, and the threshold with the largest share found minus share of false alarms (W. J.
Youden, "Index for rating diagnostic tests", Cancer 3, 1950).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rnn_tui.inference.parts import Part
from rnn_tui.inference.patterns import Marks

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Found:
    """A unit and how it goes with a pattern.

    Attributes:
        part, layer, unit: where it is; units count from 0.
        score: the correlation, -1 to 1.
        mean_in, mean_out: its mean over the tokens that have the pattern and over the others; of a pattern of numbers,
            over those above the pattern's mean and over the others.
        threshold: the value that tells the two kinds of token apart best; None for a pattern of numbers.
        auc: the probability that a token with the pattern has a higher value than one without; None likewise.
    """

    part: str
    layer: int
    unit: int
    score: float
    mean_in: float
    mean_out: float
    threshold: float | None
    auc: float | None


def scores(part: Part, patterns: Sequence[Marks]) -> Doubles:
    """Return the score of each unit with each pattern (units, patterns); 0 where either is constant."""
    mean, deviation = part.moments
    wanted = np.stack([marks.values for marks in patterns], 1).astype(np.float64)  # (T, P)
    wanted -= wanted.mean(0)
    spread = wanted.std(0)
    wanted /= np.where(spread > 0, spread, 1)
    together = part.values.T @ wanted.astype(np.float32) / len(wanted)  # (units, P)
    # what rounding leaves of a constant is no deviation
    moves = deviation > 1e-6 * np.maximum(np.abs(mean), 1e-30)
    found = np.where(moves, together.T / np.where(moves, deviation, 1), 0.0).T
    clipped: Doubles = np.clip(np.nan_to_num(found), -1.0, 1.0)
    return clipped


def best_units(parts: Sequence[Part], patterns: Sequence[Marks], top: int) -> list[list[Found]]:
    """Return for each pattern the units with the highest absolute scores, the best first.

    Units that do not go with the pattern at all are left out, so that a pattern without variation finds none.
    """
    table = np.concatenate([scores(part, patterns) for part in parts])  # (all units, P)
    begins = np.cumsum([0, *(part.units for part in parts)])
    found = []
    for column, marks in enumerate(patterns):
        order = np.argsort(-np.abs(table[:, column]), kind="stable")[: max(0, top)].tolist()
        chosen = [row for row in order if table[row, column]]
        places = [(row, int(np.searchsorted(begins, row, "right")) - 1) for row in chosen]
        found.append(
            [
                _describe(parts[place], row - int(begins[place]), float(table[row, column]), marks)
                for row, place in places
            ]
        )
    return found


def _describe(part: Part, unit: int, score: float, marks: Marks) -> Found:
    values = part.values[:, unit].astype(np.float64)
    yes_no = marks.kind == "yes-no"
    inside = marks.values > (0 if yes_no else marks.values.mean())
    return Found(
        part=part.name,
        layer=part.layer,
        unit=unit,
        score=score,
        mean_in=float(values[inside].mean()),
        mean_out=float(values[~inside].mean()),
        threshold=best_threshold(values, inside) if yes_no else None,
        auc=area(values, inside) if yes_no else None,
    )


def area(values: npt.NDArray[Any], inside: npt.NDArray[np.bool_]) -> float:
    """Return the probability that a value inside is higher than one outside, where equal ones count half.

    The area under the ROC curve, by the ranks of the values (Mann and Whitney's U). Both kinds must be there.
    """
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]  # the mean rank of equal values
    found = int(inside.sum())
    return float((ranks[inside].sum() - found * (found + 1) / 2) / (found * (len(values) - found)))


def best_threshold(values: npt.NDArray[Any], inside: npt.NDArray[np.bool_]) -> float:
    """Return the value, midway between two neighbours, that tells inside from outside best, on whichever side it is.

    It has the largest |share of inside above it - share of outside above it|; the lowest one of equals.
    """
    distinct, place = np.unique(values, return_inverse=True)
    if len(distinct) == 1:
        return float(distinct[0])
    yes = np.cumsum(np.bincount(place, inside, len(distinct))) / inside.sum()
    no = np.cumsum(np.bincount(place, ~inside, len(distinct))) / (~inside).sum()
    best = int(np.abs(yes - no)[:-1].argmax())
    return float((distinct[best] + distinct[best + 1]) / 2)
