"""Dialogs of the monitor: how a run is to go on, and which others are laid over its chart."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from rnn_tui.plugin.options import OptionInfo
from rnn_tui.safetext import safe_text
from rnn_tui.tui import format as f
from rnn_tui.tui.dialogs import BOX, Modal
from rnn_tui.tui.history import History
from rnn_tui.tui.keys import bind
from rnn_tui.tui.panes.fields import Field


@dataclass(frozen=True)
class Resume:
    """How a run is to go on: with which budget in the place of its own, if any, and whether on a changed corpus."""

    budget: Mapping[str, float]
    accept_data: bool


class Tick(Static, can_focus=True):
    """A yes or no in one row, told by its sign: Textual's own tells it by colour alone."""

    DEFAULT_CSS = """
    Tick { height: auto; }
    Tick:focus { background: $primary 25%; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [bind("space", "turn", "Turn", "From yes to no, or back")]

    def __init__(self, text: str) -> None:
        super().__init__(ticked(text, on=False))
        self._text, self.on = text, False

    def action_turn(self) -> None:
        self.on = not self.on
        self.update(ticked(self._text, on=self.on))

    def on_click(self) -> None:
        self.action_turn()


def ticked(text: str, more: str = "", *, on: bool) -> Content:
    """Return a row that can be chosen: its sign, a text and what stands muted behind it."""
    sign = ("[x] ", "bold $accent") if on else "[ ] "
    return Content.assemble(sign, safe_text(text, limit=70), (safe_text(more), "$foreground 60%"))


class ResumeDialog(Modal[None]):
    """Asks for another budget. It stays until the worker is started, so that what is refused can be put right."""

    DEFAULT_CSS = f"""
    ResumeDialog {{ {BOX}
        & > .box {{ width: 76; }}
        Field > .label {{ width: 10; }}
        Field > Entry {{ width: 16; }}
        Tick {{ margin: 1 0; }}
        #title {{ text-style: bold; }}
    }}
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("escape", "dismiss(None)", "Cancel", "Close without doing anything", footer=True),
        bind("enter,ctrl+s", "go", "Resume", "Resume the run", footer=True, priority=True),
    ]

    def __init__(self, name: str, done: Mapping[str, float | None], go: Callable[[Resume], str]) -> None:
        """Ask how the run called `name` is to go on.

        Args:
            done: What it has done of steps, epochs and minutes; None where that is not known.
            go: Does it, in a thread; returns what is wrong, or the empty string.
        """
        super().__init__()
        self._name, self._done, self._go = safe_text(name, limit=64), done, go

    def compose(self) -> ComposeResult:
        with Vertical(classes="box"):
            yield Static(Content(f"Resume {self._name}"), id="title")
            yield Static(
                Content(
                    "Empty: what is left of its own budget. Else it trains until so much is done in all."
                ),
                classes="hint",
            )
            for key, value in self._done.items():
                so_far = f.count(value) if key == "steps" else f.short(value)
                yield Field("budget", OptionInfo(key, "str", "", f"{so_far} done so far"))
            yield Tick("go on even if the corpus is not what the run began with")
            yield Static("", classes="error")
            yield Static(Content("enter resumes    space ticks    esc cancels"), classes="hint")

    def on_mount(self) -> None:
        self.set_class(bool(getattr(self.app, "ascii", False)), "-ascii")
        self.query(Field).first().focus_editor()

    def action_go(self) -> None:
        budget: dict[str, float] = {}
        for field in self.query(Field):
            field.set_wrong("")
            text = str(field.value).strip().replace(",", "").replace("_", "")
            try:
                number = float(text) if text else None
            except ValueError:
                number = float("nan")
            if number is None:
                continue
            if not number > 0 or number == float("inf"):
                field.set_wrong("takes a number above 0")
                field.focus_editor()
                return
            budget[field.info.name] = int(number) if number.is_integer() else number
        self._say("starting")
        self._attempt(Resume(budget, self.query_one(Tick).on))

    @work(exclusive=True, group="resume")
    async def _attempt(self, wish: Resume) -> None:
        wrong = await asyncio.to_thread(self._go, wish)
        if wrong:
            self._say(wrong)
        else:
            self.dismiss(None)

    def _say(self, text: str) -> None:
        self.query_one(".error", Static).update(Content(safe_text(text, limit=500)))


class ChooseRuns(Modal[list[str] | None]):
    """Asks for some of several runs; escape leaves it with None."""

    DEFAULT_CSS = f"""
    ChooseRuns {{ {BOX}
        OptionList, OptionList:focus {{
            height: auto; max-height: 16; border: none; padding: 0; margin: 1 0; background: transparent;
        }}
        OptionList:focus > .option-list--option-highlighted {{
            background: $primary 25%; color: $foreground; text-style: bold;
        }}
        #title {{ text-style: bold; }}
    }}
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("escape", "dismiss(None)", "Cancel", "Close without doing anything", footer=True),
        bind("enter", "done", "Done", "Take these", footer=True, priority=True),
        bind("space", "turn", "Choose", "Take this one, or not", priority=True),
        bind("j", "move(1)", "Down", "Go down"),
        bind("k", "move(-1)", "Up", "Go up"),
    ]

    def __init__(self, title: str, runs: Mapping[str, str], chosen: Sequence[str], most: int) -> None:
        """Ask for at most `most` of `runs`, name → what is said of it; `chosen` are taken already."""
        super().__init__()
        self._title, self._runs, self._most = safe_text(title), runs, most
        self._chosen = [name for name in runs if name in chosen]

    def compose(self) -> ComposeResult:
        with Vertical(classes="box"):
            yield Static(Content(self._title), id="title")
            yield OptionList(*(Option(self._row(name)) for name in self._runs), markup=False)
            yield Static("", classes="error")
            yield Static(Content("space chooses    enter shows them    esc cancels"), classes="hint")

    def _row(self, name: str) -> Content:
        return ticked(name, f"  {self._runs[name]}", on=name in self._chosen)

    def on_mount(self) -> None:
        self.set_class(bool(getattr(self.app, "ascii", False)), "-ascii")
        self.query_one(OptionList).focus()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """A click."""
        event.stop()
        self.action_turn()

    def action_turn(self) -> None:
        chooser = self.query_one(OptionList)
        place = chooser.highlighted
        if place is None:
            return
        name = list(self._runs)[place]
        if name in self._chosen:
            self._chosen.remove(name)
        else:
            self._chosen.append(name)
        chooser.replace_option_prompt_at_index(place, self._row(name))

    def action_move(self, direction: int) -> None:
        chooser = self.query_one(OptionList)
        if direction > 0:
            chooser.action_cursor_down()
        else:
            chooser.action_cursor_up()

    def action_done(self) -> None:
        if len(self._chosen) > self._most:
            wrong = f"at most {self._most:d}, for want of colours; {len(self._chosen):d} are chosen"
            self.query_one(".error", Static).update(Content(wrong))
        else:
            self.dismiss(self._chosen)


def done_so_far(history: History) -> dict[str, float | None]:
    """Return what a run has done of each of the budgets."""
    elapsed = history.number("elapsed", history.end, history.point)
    return {
        "steps": history.step,
        "epochs": history.number("epochs", history.end) or history.number("epoch", history.point),
        "minutes": None if elapsed is None else elapsed / 60,
    }
