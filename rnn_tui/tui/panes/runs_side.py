"""The run under the cursor at a glance: a panel beside the table on wide screens, two rows below it on others."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from textual import work
from textual.timer import Timer

from rnn_tui.errors import RnnTuiError
from rnn_tui.runs.layout import RunFolder
from rnn_tui.safetext import SafeStream, safe_text
from rnn_tui.tui import format as f
from rnn_tui.tui.figures import evaluation, state_span, value_style
from rnn_tui.tui.history import History
from rnn_tui.tui.looks import Sample, Transcription
from rnn_tui.tui.panes.runs_figures import wrapped
from rnn_tui.tui.widgets.lines import Line, Lines

if TYPE_CHECKING:
    from rnn_tui.runs.listing import RunSummary

WHOLE = 16 << 20
"""Bytes of a log that is read whole for its curve, 0.2 s; of a longer one the last quarter of it."""
REST_SECONDS = 0.15
"""How long the cursor stays on a run before its log is read."""
_SETTINGS = {
    "corpus.source": "corpus", "task.name": "task", "tokenizer.name": "tokenizer", "model.arch": "architecture",
    "model.num_layers": "layers", "model.hidden_size": "hidden size", "model.dropout": "dropout",
    "data.batch_size": "batch size", "data.seq_len": "seq len", "data.sampling": "sampling",
    "optim.optimizer": "optimiser", "optim.lr": "rate", "budget.epochs": "epochs", "budget.minutes": "minutes",
    "runtime.seed": "seed",
}  # fmt: skip
"""Setting → what the panel calls it; those that are not set are left out."""
GOOD = frozenset({"running", "finished", "starting"})


@dataclass(frozen=True)
class Known:
    """What the files of a run say beside its summary."""

    history: History = field(default_factory=History)
    config: Mapping[str, Any] = field(default_factory=dict)
    whole: bool = True
    """Whether the history is that of the whole log."""


def read_run(path: Path) -> Known:
    """Read settings and log of a run; what is damaged is left out."""
    from rnn_tui.runs.events import EventReader

    run = RunFolder(path)
    try:
        config: Mapping[str, Any] = run.read_config()
    except RnnTuiError:
        config = {}
    try:
        whole = run.events_path.stat().st_size <= WHOLE
    except OSError:
        whole = True
    reader, history = EventReader(run.events_path, tail=None if whole else WHOLE // 4), History()
    while events := reader.poll(1 << 20):
        history.add(events)
    return Known(history, config, whole)


def panel(run: "RunSummary", known: Known, width: int, *, ascii: bool = False) -> list[Line]:
    """Return the rows of the panel."""
    history = known.history
    lines: list[Line] = [((f.one_line(run.name, 64), "strong"),), (state_span(run.state, ascii=ascii),)]
    lines += _said(run, width)
    if run.tags:
        lines += [((part, "accent"),) for part in wrapped(safe_text(" ".join(run.tags)), width)]
    lines += [((part, "plain"),) for part in wrapped(safe_text(run.note), width)]
    lines += [(), *_curve(known, width, ascii=ascii)]
    best = history.best[1] if history.best else run.best_loss
    at = f"  at step {f.count(history.best[0])}" if history.best else ""
    bits = history.per_character(best) if history.in_tokens else None
    rows = [
        ("best loss", f.loss(best), at, value_style(best)),
        ("bpc", f.loss(bits), "", "plain"),
        ("parameters", f.short(run.parameters), "", "plain"),
        ("steps", f.count(run.step), f" of {f.count(run.total_steps)}" if run.total_steps else "", "plain"),
        ("time", f.duration(history.number("elapsed", history.point)), "", "plain"),
        *(
            (name, f.loss(value), f"  {what}", value_style(value))
            for name, value, what in evaluation(history)
        ),
    ]
    lines += [
        ((f"{f.one_line(name, 12):<13}", "muted"), (value, style), (more, "muted"))
        for name, value, more, style in rows
        if value != "-"
    ]
    lines += [(), *_settings(known.config, width)]
    look = history.samples[-1] if history.samples else None
    if look is not None:
        lines += [(), ((f"newest sample, step {f.count(look.step)}", "muted"),), *_look(look, width)]
    lines += [(), *(((part, "muted"),) for part in wrapped(safe_text(run.path), width))]
    return lines


def _said(run: "RunSummary", width: int) -> list[Line]:
    """Return what the worker, or what is wrong with the folder, says; at most four rows."""
    style = "muted" if run.state in GOOD else "warn"
    return [((part, style),) for part in wrapped(f.one_line(run.message, 400), width)[:4]]


def _curve(known: Known, width: int, *, ascii: bool) -> list[Line]:
    history = known.history
    track = history.validation if len(history.validation) > 1 else history.loss
    if not len(track):
        return []
    name = "validation loss" if track is history.validation else "training loss"
    name += "" if known.whole else ", newest part"
    return [
        ((f"{name}, {f.one_line(history.unit, 40)}" if history.unit else name, "muted"),),
        ((f.sparkline(track.values, width, ascii=ascii), "first"),),
        ((f"{f.loss(track.values[0])} to {f.loss(track.last)}", "muted"),),
    ]


def _settings(config: Mapping[str, Any], width: int) -> list[Line]:
    lines: list[Line] = []
    for path, label in _SETTINGS.items():
        section, _, key = path.partition(".")
        table = config.get(section)
        value = table.get(key) if isinstance(table, Mapping) else None
        if value not in (None, "", 0, 0.0):
            first, *rest = wrapped(safe_text(value, limit=200), max(8, width - 13)) or [""]
            lines.append(((f"{label:<13}", "muted"), (first, "plain")))
            lines += [((" " * 13 + part, "plain"),) for part in rest]
    return lines


def _look(look: Sample | Transcription, width: int) -> list[Line]:
    """Return up to six rows of a sample or transcription."""
    text = look.prompt + look.text if isinstance(look, Sample) else f"{look.source}\n{look.text}"
    rows = SafeStream().clean(text[:2000]).split("\n")
    lines: list[Line] = [((safe_text(part), "plain"),) for row in rows if row for part in wrapped(row, width)]
    return lines[:6]


def two_rows(run: "RunSummary", width: int) -> list[Line]:
    """Return what the table has no room for: what is wrong, or tags and note or what it is; and where the run lies."""
    tags: Line = ((f.one_line(" ".join(run.tags), 200) + "  ", "accent"),) if run.tags else ()
    if run.message and run.state not in (*GOOD, "stopped"):
        first: Line = ((f.one_line(run.message, max(width, 2)), "warn"),)
    else:
        size = f"{f.short(run.parameters)} parameters" if run.parameters else ""
        tokens = "" if run.task == "series" else run.tokenizer
        what = ", ".join(filter(None, (run.arch, size, tokens, PurePath(run.corpus).name)))
        waits = run.message if run.state == "starting" else ""
        first = (*tags, (f.one_line(run.note or waits or what, 400), "plain"))
    return [first, ((f.one_line(run.path, max(width, 2)), "muted"),)]


class Side(Lines):
    """The panel. It reads a run's files in a thread, once the cursor rests on it, and again when they grew."""

    DEFAULT_CSS = """
    Side { height: 1fr; }
    """

    def __init__(self, *, ascii: bool) -> None:
        super().__init__(id="side")
        self._ascii = ascii
        self._run: RunSummary | None = None
        self._known: tuple[Path | None, float, Known] = (None, 0.0, Known())
        self._timer: Timer | None = None

    def show(self, run: "RunSummary | None") -> None:
        """Show this run: what is known of it at once, the rest when it has been read."""
        self._run = run
        self.draw()
        if self._timer is not None:
            self._timer.stop()
        path, updated, _ = self._known
        if run is not None and (path, updated) != (run.path, run.updated):
            self._timer = self.set_timer(REST_SECONDS, lambda: self._read(run.path, run.updated))

    @work(thread=True, exclusive=True, group="side")
    def _read(self, path: Path, updated: float) -> None:
        known = read_run(path)
        self.app.call_from_thread(self._take, path, updated, known)

    def _take(self, path: Path, updated: float, known: Known) -> None:
        self._known = path, updated, known
        self.draw()

    def draw(self) -> None:
        """Bring the rows up to date."""
        run = self._run
        path, _, known = self._known
        if run is None or not self.content_size.width:
            self.set_lines([])
            return
        known = known if path == run.path else Known()
        self.set_lines(panel(run, known, self.content_size.width, ascii=self._ascii))

    def on_resize(self) -> None:
        self.draw()
