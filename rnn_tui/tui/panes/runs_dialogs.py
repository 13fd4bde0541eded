"""The dialogs of the Runs pane: a run's settings and checkpoints, its evaluation, the trash."""

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from rnn_tui.errors import RnnTuiError
from rnn_tui.runs.layout import checkpoint_key
from rnn_tui.safetext import safe_text
from rnn_tui.tui import format as f
from rnn_tui.tui.dialogs import BOX, Dialog
from rnn_tui.tui.figures import evaluation
from rnn_tui.tui.keys import bind
from rnn_tui.tui.panes.runs_side import GOOD, Known, read_run

if TYPE_CHECKING:
    from rnn_tui.runs.listing import RunSummary


class View(Dialog):
    """The settings of a run as its config.toml has them, and its checkpoints; nothing can be changed."""

    DEFAULT_CSS = f"""
    View {{ {BOX}
        & > .box {{ width: 90; height: 90%; }}
    }}
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("q,v", "leave", "Close", "Close the settings", footer=True),
        bind("j", "scroll_view(1)", "Down", "Scroll down"),
        bind("k", "scroll_view(-1)", "Up", "Scroll up"),
    ]

    def __init__(self, run: "RunSummary") -> None:
        super().__init__()
        self.summary = run

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="box"):
            yield Static(Content("Reading"), id="view")

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one(VerticalScroll).focus()
        self._read()

    @work(thread=True)
    def _read(self) -> None:
        known = read_run(self.summary.path)
        try:
            names = [path.name for path in (self.summary.path / "checkpoints").iterdir()]
        except OSError:
            names = []
        names = sorted(
            (name for name in names if checkpoint_key(name)), key=lambda name: checkpoint_key(name) or (0, 0)
        )
        self.app.call_from_thread(self._show, known, names)

    def _show(self, known: Known, checkpoints: list[str]) -> None:
        if self.is_attached:
            self.query_one("#view", Static).update(Content.assemble(*view(self.summary, known, checkpoints)))

    def action_scroll_view(self, direction: int) -> None:
        self.query_one(VerticalScroll).scroll_relative(y=3 * direction, animate=False)


def view(run: "RunSummary", known: Known, checkpoints: Sequence[str]) -> list[tuple[str, str]]:
    """Return the parts of the page."""
    quiet = "$foreground 60%"
    parts = [(f"{safe_text(run.name)}\n", "bold $primary"), (f"{safe_text(run.path)}\n", quiet)]
    if run.message:
        parts.append((f"{safe_text(run.message)}\n", quiet if run.state in GOOD else "$text-warning"))
    parts += [(f"{safe_text(run.note)}\n", "")] if run.note else []
    for section, table in known.config.items():
        parts.append((f"\n{safe_text(section, limit=60)}\n", "bold"))
        for key, value in table.items() if isinstance(table, Mapping) else [("", table)]:
            shown = _shown(value)
            parts += [(f"  {safe_text(key, limit=60):<22}", quiet), (f"{safe_text(shown, limit=1000)}\n", "")]
    parts.append(("\ncheckpoints\n", "bold"))
    parts += [(f"  {safe_text(name)}\n", "") for name in checkpoints] or [("  none yet\n", quiet)]
    return parts


def _shown(value: object) -> str:
    """Return a setting as a person writes it; not yet safe."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_shown(inner)}" for key, inner in value.items()) or "-"
    if isinstance(value, list):
        return ", ".join(map(_shown, value)) or "-"
    return str(value) or "-"


def evaluation_command(path: Path) -> list[str]:
    """Return the command line that measures the model of a run and prints one JSON document."""
    return [sys.executable, "-P", "-m", "rnn_tui", "eval", str(path), "--json"]


class Evaluation(Dialog):
    """What was measured when the run was complete; enter measures the best model again, in a process of its own."""

    DEFAULT_CSS = f"Evaluation {{ {BOX} Static {{ height: auto; }} }}"
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("enter", "measure", "Measure", "Measure the best model on its validation split", footer=True)
    ]

    def __init__(self, run: "RunSummary") -> None:
        super().__init__()
        self.summary = run
        self._busy = False

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="box"):
            yield Static(Content.styled(f"Evaluation of {safe_text(self.summary.name)}", "bold"))
            yield Static("", id="figures")
            yield Static("", id="state", classes="hint")

    def on_mount(self) -> None:
        super().on_mount()
        self._say("enter measures the best model so far    esc closes")
        self._read()

    def _say(self, text: str) -> None:
        self.query_one("#state", Static).update(Content(safe_text(text)))

    @work(thread=True)
    def _read(self) -> None:
        known = read_run(self.summary.path)
        self.app.call_from_thread(self._show_last, known)

    def _show_last(self, known: Known) -> None:
        if not self.is_attached:
            return
        rows = [(name, f"{f.loss(value)}  {what}") for name, value, what in evaluation(known.history)]
        if not rows:
            rows = [("none yet", "a run is measured when it is complete")]
        self._show(rows)

    def _show(self, rows: Sequence[tuple[str, str]]) -> None:
        text = "\n".join(
            f"{safe_text(name, limit=28):<30}{safe_text(value, limit=80)}" for name, value in rows
        )
        self.query_one("#figures", Static).update(Content(f"\n{safe_text(text, newlines=True)}\n"))

    @work
    async def action_measure(self) -> None:
        if self._busy:
            return
        self._busy = True
        self._say("measuring in a process of its own, which may take minutes    esc stops it")
        child = await asyncio.create_subprocess_exec(
            *evaluation_command(self.summary.path),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            out, err = await child.communicate()
        finally:
            self._busy = False
            if child.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    child.kill()
                await child.wait()
        try:
            rows = report_rows(json.loads(out))
        except ValueError:
            said = err.decode("utf-8", "replace").strip().splitlines()
            self._say(f"{said[-1] if said else 'it ended without a word'}    enter tries again    esc closes")
        else:
            self._show(rows)
            self._say("enter measures again    esc closes")


def report_rows(report: Any) -> list[tuple[str, str]]:
    """Return name and value of the figures in the JSON of `rnn-tui eval`, of any task; not yet safe."""

    def number(value: object) -> str:
        return (
            f"{value:,}"
            if isinstance(value, int)
            else f"{value:,.4f}"
            if isinstance(value, float)
            else str(value)
        )

    rows = []
    for key, value in report.items() if isinstance(report, dict) else ():
        if isinstance(value, int | float) and not isinstance(value, bool):
            rows.append((str(key).replace("_", " "), number(value)))
        elif isinstance(value, dict):
            parts = (
                {f"{key}: {name}": inner for name, inner in value.items()}
                if "loss" not in value
                else {key: value}
            )
            for name, inner in parts.items():
                loss = inner.get("loss") if isinstance(inner, dict) else inner
                if isinstance(loss, float):
                    rows.append((str(name), number(loss)))
    return rows


class Trash(Dialog):
    """The deleted runs; answers with the name of a folder in the trash to bring back, EMPTY, or None."""

    EMPTY: ClassVar[str] = "\nempty"
    DEFAULT_CSS = (
        f"Trash {{ {BOX} OptionList {{ height: auto; max-height: 12; margin: 1 0; background: $surface; }} }}"
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("E", "empty", "Empty", "Delete everything in the trash for good", footer=True)
    ]

    def __init__(self, runs_dir: Path) -> None:
        super().__init__()
        self._runs_dir = runs_dir

    def compose(self) -> ComposeResult:
        with Vertical(classes="box"):
            yield Static(Content("Reading the trash"), id="title")
            yield OptionList(compact=True)
            yield Static(Content("enter restores it    E deletes all for good    esc closes"), classes="hint")

    def on_mount(self) -> None:
        super().on_mount()
        self._read()

    @work(thread=True)
    def _read(self) -> None:
        from rnn_tui.runs.trash import list_trash

        try:
            held = list_trash(self._runs_dir)
        except RnnTuiError as error:
            self.app.call_from_thread(self._show, str(error), [])
            return
        size = f.size(sum(one.size_bytes for one in held))
        several = "s" if len(held) > 1 else ""
        title = f"{len(held)} deleted run{several}, {size}" if held else "The trash is empty."
        rows = [
            (
                one.path.name,
                f"{one.name:<30} {f.ago(time.time() - one.deleted):>7} {f.size(one.size_bytes):>9}",
            )
            for one in held
        ]
        self.app.call_from_thread(self._show, title, rows)

    def _show(self, title: str, rows: Sequence[tuple[str, str]]) -> None:
        if not self.is_attached:
            return
        self.query_one("#title", Static).update(Content(safe_text(title)))
        options = self.query_one(OptionList)
        options.clear_options()
        options.add_options([Option(Content(safe_text(text)), id=name) for name, text in rows])
        options.highlighted = 0 if rows else None
        options.focus()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.dismiss(event.option.id)

    def action_empty(self) -> None:
        if self.query_one(OptionList).option_count:
            self.dismiss(self.EMPTY)
