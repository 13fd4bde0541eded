"""What the events of one run add up to, ready to be drawn. Pure: events in, numbers out."""

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rnn_tui.safetext import safe_text
from rnn_tui.tui.happenings import Happening, after_going_back, happening
from rnn_tui.tui.looks import Forecast, Sample, Transcription, newest, read_look
from rnn_tui.tui.track import Clock, Track

if TYPE_CHECKING:
    from rnn_tui.runs.events import Event

_LOOKS = 400
_NOTES = 200


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
        self.forecasts: deque[Forecast] = deque(maxlen=_LOOKS)
        """Of a run on a series."""
        self.clock = Clock()
        self.happened: list[Happening] = []
        self.asked_by: dict[str, str] = {}
        """Command → who gave it last: "app", "cli" or another's word; not yet safe."""
        self.evaluation: dict[str, Any] = {}
        """What was measured of the model when the run was complete."""
        self.notes: deque[Note] = deque(maxlen=_NOTES)
        self.checkpoint: int | None = None
        self.checkpoints: dict[int, str] = {}
        """Step → name of what was saved; not yet safe."""
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
            told = happening(event)
            match event.kind:
                case "train":
                    self.point = data
                    self.clock.add(step, data)
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
                            self._drop_forecasts(step - 1)
                            self.forecasts.append(forecast)
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
                    self._rewind(
                        int(from_step) if math.isfinite(from_step) else step, resumed=event.kind == "resume"
                    )
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
                    self.checkpoints[step] = str(data.get("name", ""))
                    if data.get("reason") in ("request", "stop", "pause", "end"):
                        self._note(event, "checkpoint", f"checkpoint ({data.get('reason')})")
                case "command":
                    arguments = data.get("args")
                    given = arguments.items() if isinstance(arguments, dict) else ()
                    what = " ".join(f"{key}={value}" for key, value in given)
                    self.asked_by[str(data.get("command"))] = str(data.get("origin", ""))
                    self._note(event, "command", f"{data.get('command')} {what}".strip())
                case "note" | "warning" | "error" | "divergence":
                    self._note(event, event.kind, str(data.get("message", "")))
                case "end":
                    self.end = data
                    message = str(data.get("message") or "")
                    reason = str(data.get("reason", "ended"))
                    self._note(event, "end", f"{reason}: {message}" if message else reason)
            if told is not None:
                self.happened.append(told)

    def _note(self, event: "Event", kind: str, text: str) -> None:
        self.notes.append(Note(event.step, kind, safe_text(text, limit=500)))

    def _rewind(self, step: int, *, resumed: bool = False) -> None:
        for track in (*self.tracks.values(), self.validation):
            track.cut(step)
        self.clock.cut(step)
        self.happened = after_going_back(self.happened, step, resumed=resumed)
        self.checkpoints = {at: name for at, name in self.checkpoints.items() if at <= step}
        self.step = max(step, 0)
        points = zip(self.validation.values, self.validation.steps, strict=True)
        lowest = min(((value, at) for value, at in points if math.isfinite(value)), default=None)
        self.best = (int(lowest[1]), lowest[0]) if lowest else None
        self._drop_samples(step)
        self._drop_forecasts(step)
        self.evaluation = {}

    def _drop_samples(self, step: int) -> None:
        """Drop those after `step`."""
        while self.samples and self.samples[-1].step > step:
            self.samples.pop()

    def _drop_forecasts(self, step: int) -> None:
        while self.forecasts and self.forecasts[-1].step > step:
            self.forecasts.pop()

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

    def total_on(self, axis: str) -> float | None:
        """Return where the run will end on an axis of `AXES`, where the budget says so."""
        total = self.total
        if axis == "time":
            minutes = self.number("minutes", self.start)
            return 60 * minutes if minutes and math.isfinite(minutes) and minutes > 0 else None
        if total is None or axis == "step":
            return total
        if axis == "epoch":
            size = self.number("steps_per_epoch", self.start)
            return total / size if size and size > 0 else None
        a_step = self.clock.pace(axis)
        return (
            total * a_step if a_step.is_integer() and a_step > 0 else None
        )  # else they differ from step to step

    @property
    def forecast(self) -> Forecast | None:
        """The newest forecast of a run on a series."""
        return self.forecasts[-1] if self.forecasts else None

    @property
    def counted(self) -> str:
        """What the task counts as tokens, in the word that fits it."""
        return "rows" if self.start.get("task") == "series" else "tokens"

    @property
    def complete(self) -> bool:
        """Whether the run has done all that it was to do."""
        return self.end.get("reason") in ("finished", "early-stop")

    @property
    def share(self) -> float | None:
        """How much of the budget is spent, 0 to 1; None while unknown."""
        if self.complete:
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
        nats = self.loss.last
        derived = {
            "perplexity": self.perplexity(nats),
            "bpc": self.per_character(nats),
            "bpb": self._bits_per("bytes_per_token", nats),
        }
        return [(name, derived.get(name)) for name, _ in found]

    def perplexity(self, nats: float | None) -> float | None:
        """Return the perplexity for a loss in nats per token."""
        from rnn_tui.tasks.metrics import perplexity

        return None if nats is None else perplexity(nats)

    def per_character(self, nats: float | None) -> float | None:
        """Return bits per character for a loss in nats per token."""
        return self._bits_per("chars_per_token", nats)

    def _bits_per(self, key: str, nats: float | None) -> float | None:
        ratio = self.number(key, self.start)
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
