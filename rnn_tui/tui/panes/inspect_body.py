"""The body of the Inspect pane: the unit in view, how one comes to it, and everything that shows it."""

from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.message import Message

from rnn_tui.errors import RnnTuiError
from rnn_tui.tui.keys import bind, named
from rnn_tui.tui.panes.inspect_answers import Trace, Values
from rnn_tui.tui.panes.inspect_bars import UnitBar
from rnn_tui.tui.panes.inspect_main import InspectMain
from rnn_tui.tui.panes.inspect_search import REGEX, STARS, SURVEY, search
from rnn_tui.tui.panes.inspect_session import InspectSession
from rnn_tui.tui.panes.inspect_side import InspectSide
from rnn_tui.tui.panes.inspect_units import Unit, has_unit, next_part, next_unit, read_stars, with_star
from rnn_tui.tui.widgets.glow_text import GlowText
from rnn_tui.tui.widgets.heat import HeatMap

if TYPE_CHECKING:
    from rnn_tui.tui.app import RnnTuiApp

STARS_KEY = "inspect.stars"


class InspectBody(Horizontal):
    """A table of units beside the text, the map, the gates or the reach; one unit of a trace is in view.

    `bar` shows the unit, too; it lies over the body and not in it.
    """

    SCOPED_CSS = False  # the classes for width and height are on the screen
    DEFAULT_CSS = """
    InspectBody { height: 1fr; }
    InspectBody InspectSide { width: 52; padding-right: 2; }
    .-narrow InspectBody { layout: vertical; }
    .-narrow InspectBody InspectSide { width: 1fr; height: 9; padding: 0 0 1 0; }
    .-high.-narrow InspectBody InspectSide { height: 14; }
    """
    BINDINGS: ClassVar[list[BindingType]] = named(
        "inspect.unit",
        [
            bind("n", "unit(1)", "Next unit", "Colour the text by the next unit", footer=True),
            bind("p", "unit(-1)", "Unit before", "Colour the text by the unit before"),
            bind(
                "l",
                "part(1)",
                "Next part",
                "Go to the next part of the state: another layer, its memory",
                footer=True,
            ),
            bind("L", "part(-1)", "Part before", "Go to the part of the state before"),
            bind(
                "s",
                "star",
                "Star",
                "Star this unit, or take its star away; the app remembers them",
                footer=True,
            ),
            bind("x", "scale", "Scale", "Stretch the colours to the unit's own range, or not"),
        ],
    )

    class Begun(Message):
        """A user has asked for something; what went wrong before is no longer of interest."""

    class ExpressionWanted(Message):
        """A regular expression is to be asked for."""

    def __init__(self, session: InspectSession, shell: "RnnTuiApp", bar: UnitBar, *, signs: bool) -> None:
        super().__init__()
        self.session, self.shell, self.bar = session, shell, bar
        self.side = InspectSide(ascii=shell.ascii)
        self.main = InspectMain(session, signs=signs, ascii=shell.ascii)
        self.trace: Trace | None = None
        self.unit: Unit | None = None
        self.values: Values | None = None
        self.pattern = SURVEY
        self.view = "text"
        self._run = ""
        self._stretched = False

    def compose(self) -> ComposeResult:
        yield self.side
        yield self.main

    # -- what it shows --------------------------------------------------------------------------------------------

    def clear(self) -> None:
        """Forget the trace and what is being asked about it; the unit stays."""
        for group in ("values", "search"):
            self.workers.cancel_group(self, group)
        self.main.clear()
        self.trace = self.values = None

    def show(self, trace: Trace, text: GlowText, run: str) -> None:
        """Show another trace, in the colours of the same unit if there is one, else of one that tells a pattern."""
        self.trace, self._run = trace, run
        self.main.show(trace, text)
        if self.unit is not None and not has_unit(trace.parts, self.unit):
            self.unit = None
            self.bar.clear()
        self._colour()
        self.find(self.pattern, keep=True)

    def lay_out(self, view: str, *, beside: bool, small_map: bool) -> None:
        """Show a view; `beside`: there is room for the units beside the text, `small_map`: for a map below it."""
        self.view = view
        self.side.display = view == "units" or (beside and view in ("text", "map"))
        self.bar.display = self.trace is not None and view in ("text", "units", "map")
        self.main.lay_out(view, small_map=small_map)
        self.show_unit()

    def focus_view(self) -> None:
        """Give the focus to what the view is about."""
        wanted = self.side.table if self.view == "units" else self.main.widget_of(self.view)
        wanted.focus(scroll_visible=False)

    # -- the unit -------------------------------------------------------------------------------------------------

    def take(self, unit: Unit) -> None:
        """Colour the text by another unit."""
        if unit != self.unit or self.values is None:
            self.unit, self.values = unit, None
            self.post_message(self.Begun())
            self._colour()

    @work(exclusive=True, group="values")
    async def _colour(self) -> None:
        """Colour the text by the unit."""
        unit = self.unit
        if unit is None:
            return
        try:
            self.values = await self.session.values(unit, self._say)
        except RnnTuiError as error:
            self._say(str(error), bad=True)
            return
        self._recolour()
        self.side.point(unit)
        self._say("")

    @property
    def _stretch(self) -> float:
        """What the unit's values are multiplied by for their colours."""
        values = self.values.values if self.values is not None and self._stretched else ()
        return 1 / max((abs(value) for value in values if value), default=1.0)

    def _recolour(self) -> None:
        if self.values is not None and self.unit is not None:
            self.main.colour(self.unit, self.values, self._stretch)
            self.show_unit()

    def show_unit(self) -> None:
        """Show the unit over the text, with the scale of what is in view."""
        values, unit, trace = self.values, self.unit, self.trace
        if values is not None and unit is not None and trace is not None:
            of = next(part.units for part in trace.parts if part.name == unit.part)
            heat = self.main.map.heat if self.view == "map" else None  # in the scale of the whole part
            bound = values.scale / self._stretch if heat is None else heat.scale
            self.bar.show(unit, of, values, unit in self.stars, bound)

    @work(exclusive=True, group="search")
    async def find(self, pattern: str, keep: bool = False) -> None:
        """Fill the table with the units for a pattern; the best of them colours the text unless one is to be kept."""
        self.pattern = pattern
        self.side.choose(pattern)
        if not keep:
            self.post_message(self.Begun())
        try:
            found = await search(self.session, pattern, self.stars, self._say)
        except RnnTuiError as error:
            self._say(str(error), bad=True)
            return
        self._say("")
        self.main.glow.mark(found.marked)
        self.side.show(found.rows, found.note, self.stars, self.unit)
        self.main.pattern = "" if pattern in (SURVEY, STARS) else pattern
        if found.rows and not (keep and self.unit is not None):
            self.take(found.rows[0].unit)
        elif self.unit is None and self.trace is not None and self.trace.parts:
            self.take(Unit(self.trace.parts[0].name, 0))  # the text has no pattern to choose by
        else:
            self.main.look()

    @on(InspectSide.Wanted)
    def _pattern_wanted(self, event: InspectSide.Wanted) -> None:
        event.stop()
        if event.pattern == REGEX:
            self.post_message(self.ExpressionWanted())
        elif self.trace is not None:
            self.find(event.pattern)
            self.side.table.focus()

    @on(InspectSide.Chosen)
    def _unit_chosen(self, event: InspectSide.Chosen) -> None:
        event.stop()
        self.take(event.unit)

    @on(HeatMap.Picked)
    def _unit_picked(self, event: HeatMap.Picked) -> None:
        if self.unit is not None:  # the pane hears of it, too: it shows the text
            self.take(Unit(self.unit.part, event.unit))

    def action_unit(self, step: int) -> None:
        if self.trace is not None and self.unit is not None:
            self.take(next_unit(self.trace.parts, self.unit, step))

    def action_part(self, step: int) -> None:
        if self.trace is not None and self.unit is not None:
            self.take(next_part(self.trace.parts, self.unit, step))

    def action_scale(self) -> None:
        self._stretched = not self._stretched
        self._recolour()

    @property
    def stars(self) -> list[Unit]:
        """The starred units of the run, in the order they were starred."""
        return read_stars(self.shell.recall(STARS_KEY, {}), self._run)

    def action_star(self) -> None:
        if self.unit is not None:
            kept = with_star(self.shell.recall(STARS_KEY, {}), self._run, self.unit)
            self.shell.remember(STARS_KEY, kept)
            self.side.star(self.stars)
            self.show_unit()

    def _say(self, text: str, bad: bool = False) -> None:
        self.post_message(InspectMain.Said(text, bad))
