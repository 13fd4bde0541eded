"""What a run shows of its model beside figures: samples of a text, transcriptions of lines, a forecast. From events."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import dropwhile
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rnn_tui.corpus.copied import Copied
    from rnn_tui.runs.events import Event


@dataclass(frozen=True)
class Sample:
    """A text that the model wrote; texts as they came, not yet safe."""

    step: int
    prompt: str
    text: str
    temperature: float
    copied: "Copied | None" = None
    """How much of it stands in the training text, where that was measured."""


@dataclass(frozen=True)
class Transcription:
    """The labels that the model gives to a line; texts as they came, not yet safe."""

    step: int
    source: str
    text: str


@dataclass(frozen=True)
class Forecast:
    """What the model forecast of the rows of a series, beside the truth.

    Attributes:
        column: what the numbers are; as it came, not yet safe.
        rows: of the points of `truth`.
        forecasts: by horizon, rows and values; rows that no forecast reached are left out at the beginning.
        errors, persistence: by horizon, mean squared errors of the model and of staying at the last known row.
    """

    step: int
    column: str
    rows: tuple[float, ...]
    truth: tuple[float, ...]
    forecasts: dict[int, tuple[tuple[float, ...], tuple[float, ...]]]
    errors: dict[int, float]
    persistence: dict[int, float]


def read_look(event: "Event") -> Sample | Transcription | Forecast | None:
    """Return what an event of kind sample, transcription or forecast shows; None where it holds something else."""
    data = event.data
    match event.kind:
        case "sample":
            return _sample(event.step, data)
        case "transcription":
            return Transcription(event.step, str(data.get("source", "")), str(data.get("text", "")))
        case "forecast":
            try:
                return _forecast(event.step, data)
            except (TypeError, ValueError, AttributeError, OverflowError):
                return None
    return None


def _sample(step: int, data: dict[str, Any]) -> Sample:
    from rnn_tui.corpus.copied import read_copied
    from rnn_tui.runs.events import number

    copied = read_copied(data)
    return Sample(
        step,
        str(data.get("prompt", "")),
        str(data.get("text", "")),
        number(data.get("temperature")),
        copied if copied and copied.chars > 0 else None,
    )


def _forecast(step: int, data: dict[str, Any]) -> Forecast:
    truth = _values(data.get("truth") or ())
    begin, every = int(data.get("begin") or 0), int(data.get("every") or 1)
    rows = tuple(float(begin + every * i) for i in range(len(truth)))
    forecasts = {}
    for horizon, line in (data.get("forecasts") or {}).items():
        known = tuple(dropwhile(math.isnan, _values(line)))
        forecasts[int(horizon)] = (rows[len(rows) - len(known) :], known)
    return Forecast(
        step,
        str(next(iter(data.get("columns") or ()), "")),
        rows,
        truth,
        forecasts,
        _by_horizon(data.get("errors")),
        _by_horizon(data.get("persistence")),
    )


def _values(line: Iterable[Any]) -> tuple[float, ...]:
    return tuple(math.nan if value is None else float(value) for value in line)


def _by_horizon(errors: dict[str, Any] | None) -> dict[int, float]:
    return {int(k): math.nan if error is None else float(error) for k, error in (errors or {}).items()}


def steps_of(looks: Iterable[Sample | Transcription | Forecast]) -> list[int]:
    """Return the steps at which something was shown, each once."""
    return list(dict.fromkeys(look.step for look in looks))


def newest(looks: Iterable[Sample | Transcription]) -> list[Sample | Transcription]:
    """Return those of the newest step, in the order in which they were taken."""
    found = list(looks)
    return [look for look in found if look.step == found[-1].step]
