"""What the events of one run add up to, ready to be drawn. Pure: events in, numbers out."""

import math
from array import array
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rnn_tui.safetext import safe_text
from rnn_tui.tui.looks import Forecast, Sample, Transcription, newest, read_look

if TYPE_CHECKING:
    from rnn_tui.runs.events import Event

_LOOKS = 40
_NOTES = 200


@dataclass
class Track:
    """One measured quantity over steps; compact, since a long run has a million points."""

    steps: "array[float]" = field(default_factory=lambda: array("d"))
    values: "array[float]" = field(default_factory=lambda: array("d"))

    def add(self, step: float, value: float) -> None:
        """Append a point, in the place of the last one if that is of the same step."""
        if self.steps and self.steps[-1] == step:
            self.values[-1] = value
            return
        self.steps.append(step)
        self.values.append(value)

    def cut(self, step: float) -> None:
        """Drop the points after `step`."""
        keep = len(self.steps)
        while keep and self.steps[keep - 1] > step:
            keep -= 1
        del self.steps[keep:], self.values[keep:]

    @property
    def last(self) -> float | None:
        """The newest value, if there is one."""
        return self.values[-1] if self.values else None

    def __len__(self) -> int:
        return len(self.steps)


TRAIN_KEYS = ("loss", "lr", "grad_norm", "tokens_per_second")


@dataclass(frozen=True)
class Note:
    """Something that was said: by the worker, or by a command to it."""

    step: int
    kind: str
    """note, warning, error, divergence, rollback, command, checkpoint or end"""
    text: str
    """Safe to show."""


class History:
    """The run so far.

    A resume from step k, or a rollback to it, drops the points after k: what was computed again counts, as in
    `runs.events.effective`, but without keeping the events.
    """

    def __init__(self) -> None:
        self.tracks = {key: Track() for key in TRAIN_KEYS}
        self.validation = Track()
        self.start: dict[str, Any] = {}
        self.point: dict[str, Any] = {}
        """The data of the newest train event."""
        self.check: dict[str, Any] = {}
        """The data of the newest validation event."""
        self.end: dict[str, Any] = {}
        self.step = 0
        self.best: tuple[int, float] | None = None
        self.samples: deque[Sample | Transcription] = deque(maxlen=_LOOKS)
        self.forecast: Forecast | None = None
        """The newest, of a run on a series."""
        self.evaluation: dict[str, Any] = {}
        """What was measured of the model when the run was complete."""
        self.notes: deque[Note] = deque(maxlen=_NOTES)
        self.checkpoint: int | None = None
        self._looked = (-1, 0)
        self.events = 0

    @property
    def loss(self) -> Track:
        """The training loss."""
        return self.tracks["loss"]

    def add(self, events: "Iterable[Event]") -> None:
        """Take in events, in order."""
        from rnn_tui.runs.events import number
        from rnn_tui.runs.switches import in_force, switch_line

        for event in events:
            self.events += 1
            data, step = event.data, event.step
            self.step = max(self.step, step)
            match event.kind:
                case "train":
                    self.point = data
                    for key, track in self.tracks.items():
                        if key in data:
                            track.add(step, number(data[key]))
                case "validation":
                    self.check = data
                    value = number(data.get("loss"))
                    self.validation.add(step, value)
                    if math.isfinite(value) and (self.best is None or value < self.best[1]):
                        self.best = (step, value)
                case "sample" | "transcription" | "forecast":
                    match read_look(event):
                        case Forecast() as forecast:
                            self.forecast = forecast
                        case Sample() | Transcription() as sample:
                            if self._looked != (step, event.attempt):
                                self._drop_samples(step - 1)  # another attempt at this step wrote the same
                            self._looked = (step, event.attempt)
                            self.samples.append(sample)
                case "evaluation":
                    self.evaluation = data
                case "start" | "resume":
                    # Attempts are followed from their start: what an earlier one wrote beyond it is computed anew.
                    from_step = number(data.get("from_step", step)) if event.kind == "resume" else -1
                    self._rewind(int(from_step) if math.isfinite(from_step) else step)
                    self.start = data
                    self.end = {}
                    if event.kind == "resume":
                        self._note(event, "note", f"resumed from step {from_step:.0f}")
                case "rollback":
                    to_step = number(data.get("to_step", step))
                    self._rewind(int(to_step) if math.isfinite(to_step) else step)
                    if self.checkpoint is not None:
                        self.checkpoint = min(self.checkpoint, self.step)
                    self._note(event, "rollback", str(data.get("message", "")))
                case "state":
                    if data.get("message"):
                        self._note(event, "warning", f"{data.get('state')}: {data['message']}")
                case "engine" | "threads":
                    self.start = in_force(self.start, event)
                    self._note(event, "note", switch_line(event))
                case "checkpoint":
                    self.checkpoint = step
                    if data.get("reason") in ("request", "stop", "pause", "end"):
                        self._note(event, "checkpoint", f"checkpoint ({data.get('reason')})")
                case "command":
                    arguments = data.get("args")
                    given = arguments.items() if isinstance(arguments, dict) else ()
                    what = " ".join(f"{key}={value}" for key, value in given)
                    self._note(event, "command", f"{data.get('command')} {what}".strip())
                case "note" | "warning" | "error" | "divergence":
                    self._note(event, event.kind, str(data.get("message", "")))
                case "end":
                    self.end = data
                    message = str(data.get("message") or "")
                    reason = str(data.get("reason", "ended"))
                    self._note(event, "end", f"{reason}: {message}" if message else reason)

    def _note(self, event: "Event", kind: str, text: str) -> None:
        self.notes.append(Note(event.step, kind, safe_text(text, limit=500)))

    def _rewind(self, step: int) -> None:
        for track in (*self.tracks.values(), self.validation):
            track.cut(step)
        self.step = max(step, 0)
        points = zip(self.validation.values, self.validation.steps, strict=True)
        lowest = min(((value, at) for value, at in points if math.isfinite(value)), default=None)
        self.best = (int(lowest[1]), lowest[0]) if lowest else None
        self._drop_samples(step)
        if self.forecast is not None and self.forecast.step > step:
            self.forecast = None
        self.evaluation = {}

    def _drop_samples(self, step: int) -> None:
        """Drop those after `step`."""
        while self.samples and self.samples[-1].step > step:
            self.samples.pop()

    # -- figures --------------------------------------------------------------------------------------------------

    def number(self, key: str, *sources: dict[str, Any]) -> float | None:
        """Return a figure from the first of `sources` (start, point and check if none are given) that has it."""
        from rnn_tui.runs.events import number

        for source in sources or (self.point, self.check, self.start):
            if source.get(key) is not None:
                return number(source[key])
        return None

    @property
    def total(self) -> int | None:
        """Steps of the whole run, where the budget says so."""
        value = self.number("total_steps", self.start)
        return int(value) if value and math.isfinite(value) and value > 0 else None

    @property
    def share(self) -> float | None:
        """How much of the budget is spent, 0 to 1; None while unknown."""
        if self.end.get("reason") == "finished":
            return 1.0
        if self.total:
            return min(1.0, self.step / self.total)
        minutes, elapsed = self.number("minutes", self.start), self.number("elapsed", self.point)
        if minutes and elapsed is not None and math.isfinite(elapsed):
            return min(1.0, elapsed / (60 * minutes))
        return None

    @property
    def unit(self) -> str:
        """What the losses are in, as the task names it; as it came, not yet safe."""
        return str(self.start.get("unit") or "")

    @property
    def in_tokens(self) -> bool:
        """Whether a loss is in nats per token of a text, so that perplexity and bits mean something."""
        return self.unit.startswith("nats per token")

    def baselines(self) -> list[tuple[str, float]]:
        """Return name and loss of the simple models that the run is measured against; names not yet safe."""
        from rnn_tui.runs.events import number

        known = self.start.get("baselines")
        pairs = (
            [(str(name), number(value)) for name, value in known.items()] if isinstance(known, dict) else []
        )
        return [(name, value) for name, value in pairs if math.isfinite(value)]

    def measures(self) -> list[tuple[str, float | None]]:
        """Return the figures that the task makes of the validation split, or None for those not known; not yet safe.

        Without a validation split, those that follow from the loss of training.
        """
        named = self.start.get("measures")
        found = (
            [(str(name), self.number(str(name), self.check)) for name in named]
            if isinstance(named, list)
            else []
        )
        if self.check or not self.in_tokens:
            return found
        derived = {"perplexity": self.perplexity(self.loss.last), "bpc": self.per_character(self.loss.last)}
        return [(name, derived.get(name)) for name, _ in found]

    def perplexity(self, nats: float | None) -> float | None:
        """Return the perplexity for a loss in nats per token."""
        from rnn_tui.tasks.metrics import perplexity

        return None if nats is None else perplexity(nats)

    def per_character(self, nats: float | None) -> float | None:
        """Return bits per character for a loss in nats per token."""
        ratio = self.number("chars_per_token", self.start)
        return None if nats is None or not ratio else nats / math.log(2) / ratio

    def memorised(self) -> tuple[float | None, float | None]:
        """Return what says that the model knows its training text by heart.

        That is the loss of training in bits per character, and the largest share of a newest sample that stands in long
        copies; each None where it does not say so.
        """
        from rnn_tui.corpus.copied import knows_by_heart

        bits = self.per_character(self.loss.last) if self.in_tokens else None
        known = bits is not None and knows_by_heart(bits, self.per_character(self.validation.last))
        shares = [
            look.copied.share
            for look in (newest(self.samples) if self.samples else ())
            if isinstance(look, Sample) and look.copied is not None and look.copied.memorised
        ]
        return bits if known else None, max(shares, default=None)
