"""Forecasts some steps ahead, each from the truth up to its own origin.

The forecast of row t at horizon k is made at row t - k: the model has read the truth up to and including that row and
goes on from there on its own outputs. One pass over the truth keeps the state at every origin; all origins then go
ahead side by side, one batch.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rnn_tui.corpus.series import Floats, PreparedSeries
from rnn_tui.model.recurrent_model import RecurrentModel
from rnn_tui.model.state import map_state
from rnn_tui.plugin.core import State
from rnn_tui.tasks.evaluation import evaluation_mode
from rnn_tui.tasks.series import WARM

EVENT_POINTS = 400
EVENT_BYTES = 3500
"""What the lists of an event may take; a line of the event log has 4 KiB."""

_BLOCK = 2000  # rows forecast at a time: what bounds the states that are held


@dataclass(frozen=True)
class Forecast:
    """The rows from `begin` on and what was forecast of them, in the units of the data.

    Attributes:
        truth: (m, C).
        forecasts: by horizon, (m, C); NaN where the origin would lie before the first row.
        errors: by horizon, the mean squared error over rows and columns; NaN where nothing was forecast.
        persistence: the same for forecasting that the row at the origin repeats, over the same rows.
    """

    columns: tuple[str, ...]
    begin: int
    truth: Floats
    forecasts: dict[int, Floats]
    errors: dict[int, float]
    persistence: dict[int, float]


def forecast(
    model: RecurrentModel,
    series: PreparedSeries,
    *,
    split: str = "validation",
    horizons: Sequence[int] = (1, 4, 16, 64),
    limit: int = _BLOCK,
) -> Forecast:
    """Forecast the first `limit` rows of a split at each horizon. The model's mode is left as it was.

    Raises:
        UsageError: for a split that is not there, or a model that is bidirectional.
    """
    part = series.split(split)
    end = min(part.end, part.begin + limit)
    forecasts = _forecasts(model, series, part.begin, end, horizons)
    scores = {k: _score(k, _squares(series, part.begin, end, k, made)) for k, made in forecasts.items()}
    return Forecast(
        columns=series.scaling.columns,
        begin=part.begin,
        truth=series.values[part.begin : end],
        forecasts=forecasts,
        errors={k: score.mse for k, score in scores.items()},
        persistence={k: score.persistence for k, score in scores.items()},
    )


@dataclass(frozen=True)
class HorizonReport:
    """Mean squared errors over the rows of a split that can be forecast at one horizon, in the units of the data.

    Attributes:
        mse: of the model.
        persistence: of the row at the origin.
        mean: of the mean of the series' training rows.
        rows: how many rows that is; the errors are NaN if there is none.
    """

    horizon: int
    mse: float
    persistence: float
    mean: float
    rows: int

    @property
    def rmse(self) -> float:
        return math.sqrt(self.mse)


def evaluate_series(
    model: RecurrentModel,
    series: PreparedSeries,
    *,
    split: str = "validation",
    horizons: Sequence[int] = (1, 4, 16, 64),
) -> list[HorizonReport]:
    """Measure a model on all rows of a split, at each horizon. Raises as `forecast`."""
    part = series.split(split)
    sums = {k: np.zeros(4) for k in sorted(set(horizons))}
    for begin in range(part.begin, part.end, _BLOCK):
        end = min(part.end, begin + _BLOCK)
        for k, made in _forecasts(model, series, begin, end, horizons).items():
            sums[k] += _squares(series, begin, end, k, made)
    return [_score(k, total) for k, total in sums.items()]


def forecast_event(made: Forecast) -> dict[str, Any]:
    """Return what a forecast's event holds: its first column, thinned out so that it fits in a line of the event log.

    Every `every`-th row from `begin` on is kept, at most `EVENT_POINTS`, rounded to a 200th of the range of the truth
    or finer; None where there is no forecast. `errors` and `persistence` are of all rows and columns.
    """
    span = float(np.ptp(made.truth[:, 0])) or 1.0
    digits = math.ceil(math.log10(200 / span))
    every = max(1, math.ceil(len(made.truth) / EVENT_POINTS))

    def line(values: Floats) -> list[float | None]:
        return [
            round(value, digits) if math.isfinite(value) else None for value in values[::every, 0].tolist()
        ]

    while True:
        lines = {str(k): line(values) for k, values in made.forecasts.items()}
        truth = line(made.truth)
        if len(json.dumps([truth, lines], separators=(",", ":"))) <= EVENT_BYTES or len(truth) < 2:
            break
        every += 1
    return {
        "columns": [made.columns[0][:60]],
        "begin": made.begin,
        "every": every,
        "truth": truth,
        "forecasts": lines,
        "errors": {str(k): _finite(error) for k, error in made.errors.items()},
        "persistence": {str(k): _finite(error) for k, error in made.persistence.items()},
    }


@torch.inference_mode()
def _forecasts(
    model: RecurrentModel, series: PreparedSeries, begin: int, end: int, horizons: Sequence[int]
) -> dict[int, Floats]:
    """Return, by horizon, the forecasts (m, C) of the rows from `begin` to before `end`, in the units of the data."""
    left = sorted(set(horizons))
    made = {k: np.full((end - begin, len(series.scaling.columns)), np.nan) for k in left}
    first = max(0, begin - left[-1])
    with evaluation_mode(model):
        origins = np.arange(first, end - left[0])
        if len(origins):
            outputs, state = _read(model, series, first, len(origins))
        ahead = 1  # `outputs` are the forecasts of the rows `origins + ahead`
        while len(origins):
            if ahead == left[0]:
                rows = origins + ahead - begin
                inside = (rows >= 0) & (rows < end - begin)
                made[ahead][rows[inside]] = series.scaling.invert(outputs.cpu().numpy()[inside])
                left = left[1:]
                # the origins from which some horizon that is left reaches a row that is asked for
                wanted = np.zeros(len(origins), bool)
                for k in left:
                    wanted |= (origins + k >= begin) & (origins + k < end)
                origins, keep = origins[wanted], torch.from_numpy(wanted).to(model.device)
                outputs, state = outputs[keep], map_state(lambda leaf, keep=keep: leaf[keep], state)
            if len(origins):
                outputs, state = model.step(outputs, state)
                ahead += 1
    return made


def _read(model: RecurrentModel, series: PreparedSeries, first: int, count: int) -> tuple[Tensor, State]:
    """Read the truth; return the outputs (count, C) and the states after each of `count` rows from `first` on."""
    start = max(0, first - WARM)
    rows = torch.from_numpy(series.scaling.apply(series.values[start : first + count])).to(model.device)
    state = model.initial_state(1)
    if first > start:
        _, state = model(rows[None, : first - start], state)
    outputs, states = [], []
    for row in rows[first - start :]:
        output, state = model.step(row[None], state)
        outputs.append(output)
        states.append(state)
    return torch.cat(outputs), map_state(lambda *leaves: torch.cat(leaves), *states)


def _squares(series: PreparedSeries, begin: int, end: int, k: int, made: Floats) -> Floats:
    """Return the sums over rows of the squared errors of model, persistence and mean, and the number of rows, (4,)."""
    rows = np.arange(max(begin, k), end)  # those whose origin is there
    truth = series.values[rows]
    with np.errstate(over="ignore"):  # numbers near the largest one have an infinite error
        mean = series.values[: series.splits["train"].end].mean(0)
        rivals = (made[rows - begin], series.values[rows - k], mean)
        return np.array([*(((rival - truth) ** 2).mean(1).sum() for rival in rivals), len(rows)])


def _score(horizon: int, sums: Floats) -> HorizonReport:
    *squares, rows = sums.tolist()
    mse, persistence, mean = (total / rows if rows else math.nan for total in squares)
    return HorizonReport(horizon, mse, persistence, mean, int(rows))


def _finite(error: float) -> float | None:
    return float(f"{error:.6g}") if math.isfinite(error) else None
