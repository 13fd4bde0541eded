"""The middle of the Inspect pane: the text in a unit's colours, the heat map, the gates, the reach of the gradient."""

import asyncio
from typing import ClassVar

from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical, VerticalScroll
from textual.message import Message
from textual.widget import Widget

from rnn_tui.errors import RnnTuiError
from rnn_tui.safetext import safe_text
from rnn_tui.tui.keys import bind, named
from rnn_tui.tui.panes.inspect_answers import Gates, Map, Reach, Trace, Values
from rnn_tui.tui.panes.inspect_gates import gate_lines
from rnn_tui.tui.panes.inspect_session import InspectSession
from rnn_tui.tui.panes.inspect_units import Unit
from rnn_tui.tui.panes.inspect_views import Window, axis_texts, reach_sentence, reach_series, wrapped
from rnn_tui.tui.widgets.chart import Chart
from rnn_tui.tui.widgets.glow import GlowView
from rnn_tui.tui.widgets.glow_text import GlowText, level
from rnn_tui.tui.widgets.heat import HeatMap
from rnn_tui.tui.widgets.heat_data import Heat
from rnn_tui.tui.widgets.lines import Lines

MAP_UNITS = 512
"""Rows of the heat map at most; a wider part shows several units in one."""
WHOLE = 32
"""A zoom that shows any text whole."""


class InspectMain(Vertical):
    """Shows a trace in one of five views; asks the session for what a view needs when it is in sight."""

    DEFAULT_CSS = """
    InspectMain { width: 1fr; }
    InspectMain #inspect-gates, InspectMain #inspect-reach { height: 1fr; }
    InspectMain #inspect-sentence { margin-bottom: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = named(
        "inspect.map-view",
        [
            bind("w", "order", "Order", "Order the heat map by unit, or by how well units tell the pattern"),
            bind(
                "plus,equals_sign", "zoom(-1)", "Zoom in", "Show fewer tokens on the heat map", shown_as="+"
            ),
            bind("minus", "zoom(1)", "Zoom out", "Show more tokens on the heat map", shown_as="-"),
            bind("0", "whole", "Whole text", "Show the whole text on the heat map"),
        ],
    )

    class Said(Message):
        """Something is being done, went wrong (`bad`) or is done (no text)."""

        def __init__(self, text: str, bad: bool = False) -> None:
            super().__init__()
            self.text, self.bad = text, bad

    def __init__(self, session: InspectSession, *, signs: bool, ascii: bool) -> None:
        super().__init__()
        self.session = session
        self._ascii = ascii
        self.trace: Trace | None = None
        self.unit: Unit | None = None
        self.pattern = ""
        """What units are ordered by on the heat map, once that is asked for."""
        self.gates: Gates | None = None
        self.reach: Reach | None = None
        self._ordered = False
        self._zoom = 0
        self._window: Window | None = None
        self._shown: tuple[object, ...] = ()
        # made here and not looked up: an answer may still be arriving while the app takes its widgets down
        self.glow = GlowView(signs=signs)
        self.map = HeatMap(signs=signs, ascii=ascii)
        self.chart = Chart("the loss's gradient by distance", x_name="tokens back", tight=True, ascii=ascii)
        self._panels, self._sentence = Lines(), Lines(id="inspect-sentence")
        self._gates_box = VerticalScroll(self._panels, id="inspect-gates")
        self._reach_box = Vertical(self._sentence, self.chart, id="inspect-reach")

    def compose(self) -> ComposeResult:
        yield self.glow
        yield self.map
        yield self._gates_box
        yield self._reach_box

    def on_mount(self) -> None:
        self.chart.configure(log_y=True)

    def widget_of(self, view: str) -> Widget:
        """Return what has the focus in a view."""
        wanted: dict[str, Widget] = {"map": self.map, "gates": self._gates_box, "reach": self.chart}
        return wanted.get(view, self.glow)

    # -- what it shows --------------------------------------------------------------------------------------------

    def clear(self) -> None:
        """Forget the trace and what was being asked about it."""
        for group in ("map", "gates", "reach"):
            self.workers.cancel_group(self, group)
        self.trace = self.gates = self.reach = self.unit = None
        self._window, self._shown = None, ()
        self.map.show(None)

    def show(self, trace: Trace, text: GlowText) -> None:
        """Show a trace, uncoloured."""
        self.trace = trace
        self.glow.show(text)

    def colour(self, unit: Unit, values: Values, stretch: float) -> None:
        """Colour the text by the values of a unit, times `stretch`."""
        self.unit = unit
        self.glow.colour([level(None if value is None else value * stretch) for value in values.values])
        self.look()

    def look(self) -> None:
        """See to it that what is in sight shows the trace, the unit and the cursor; call when any of it changed."""
        if self.trace is None or not self.trace.texts:
            return
        if self.map.display and self.unit is not None:
            wanted = self._map_wanted()
            if wanted != self._shown:
                self._shown = wanted
                self._show_map()
            else:
                self.map.point(self.unit.number, self.glow.cursor)
        if self._gates_box.display and self.gates is None:
            self._show_gates()
        if self._reach_box.display and self.reach is None:
            self._show_reach()

    def lay_out(self, view: str, *, small_map: bool) -> None:
        """Show a view; `small_map`: there is room for a heat map below the text."""
        text = view in ("text", "units")
        self.glow.display = text
        self.map.display = view == "map" or (text and small_map)
        self.map.styles.height = "30%" if text else "1fr"
        self.map.styles.margin = (1, 0, 0, 0) if text else 0
        self._gates_box.display = view == "gates"
        self._reach_box.display = view == "reach"
        if view != "reach":  # it takes long, and the next unit would have to wait for it
            self.workers.cancel_group(self, "reach")
        self.call_after_refresh(self.look)  # when the widgets have their sizes

    def on_resize(self, event: events.Resize) -> None:
        self.call_after_refresh(self.look)  # when the widgets have their sizes
        if self.gates is not None:
            self._draw_gates(self.gates)

    # -- the heat map ---------------------------------------------------------------------------------------------

    def _map_wanted(self) -> tuple[object, ...]:
        """Return what the map should show, moving its window where the cursor has left it."""
        assert self.trace is not None
        assert self.unit is not None
        columns, tokens, window = self.map.room, len(self.trace.texts), self._window
        if (
            window is None
            or (window.columns, window.zoom, window.tokens) != (columns, self._zoom, tokens)
            or not window.holds(self.glow.cursor)
        ):
            self._window = Window.around(self.glow.cursor, self._zoom, columns, tokens)
        return self.unit.part, self._window, self.pattern if self._ordered else "index"

    @work(exclusive=True, group="map")
    async def _show_map(self) -> None:
        unit, window, trace = self.unit, self._window, self.trace
        if unit is None or window is None or trace is None:
            return
        part = next(part for part in trace.parts if part.name == unit.part)
        order = self.pattern if self._ordered and self.pattern else "index"
        try:
            answer = await self.session.ask(
                "map", Map, self._say, part=part.name, height=min(part.units, MAP_UNITS), width=window.columns,
                begin=window.begin, end=window.end, order=order,
            )  # fmt: skip
        except RnnTuiError as error:
            self._shown = ()
            self._say(str(error), bad=True)
            return
        parts = answer.rows, answer.units, answer.starts, answer.end, answer.scale
        heat = await asyncio.to_thread(Heat.of, *parts)
        self.map.show(heat, axis_texts(trace.texts, heat.starts, ascii=self._ascii))
        if self.unit is not None:
            self.map.point(self.unit.number, self.glow.cursor)
        self._say("")

    @on(HeatMap.Moved)
    def _map_moved(self, event: HeatMap.Moved) -> None:
        # the pane hears of it, too: the read-out names the unit under the cursor
        self.glow.go(event.token)
        self.map.token = self.glow.cursor

    @on(GlowView.Moved)
    def _cursor_moved(self) -> None:
        if not self.map.display:
            return
        self.map.token, heat = self.glow.cursor, self.map.heat
        if self._window is not None and not self._window.holds(self.glow.cursor):
            self.look()
        elif heat is not None and heat.column_of(self.glow.cursor) != self.map.column:
            self.map.point(None, self.glow.cursor)

    def action_zoom(self, step: int) -> None:
        if self._window is None or (step > 0 and self._window.whole):
            return
        if self._zoom == WHOLE:  # the smallest zoom that shows the whole text, too
            self._zoom = ((self._window.tokens - 1) // self._window.columns).bit_length()
        self._zoom = max(0, self._zoom + step)
        self.look()

    def action_whole(self) -> None:
        self._zoom = WHOLE
        self.look()

    def action_order(self) -> None:
        """By unit, or by the pattern that was searched for last."""
        if not self.pattern:
            self._say("choose a pattern first, with c", bad=True)
            return
        self._ordered = not self._ordered
        self.look()

    @property
    def ordered(self) -> bool:
        """Whether the map is ordered by the pattern."""
        return self._ordered and bool(self.pattern)

    # -- gates and reach ------------------------------------------------------------------------------------------

    @work(exclusive=True, group="gates")
    async def _show_gates(self) -> None:
        self._say("counting what the gates do …")
        try:
            self.gates = await self.session.ask("gates", Gates, self._say)
        except RnnTuiError as error:
            self._say(str(error), bad=True)
            return
        self._say("")
        self._draw_gates(self.gates)

    def _draw_gates(self, gates: Gates) -> None:
        box = self._gates_box
        width = max(20, box.size.width)
        if gates.gates:
            lines = gate_lines(gates.gates, width, box.size.height, ascii=self._ascii)
        else:
            lines = wrapped(gates.note or "this model has no gates", width)
        self._panels.set_lines(lines)

    @work(exclusive=True, group="reach")
    async def _show_reach(self) -> None:
        self._say("measuring how far gradients reach …")
        self.chart.show((), nothing="being measured")
        try:
            self.reach = reach = await self.session.ask("reach", Reach, self._say)
        except RnnTuiError as error:
            self.chart.show((), nothing="not measured")
            self._say(str(error), bad=True)
            return
        self._say("")
        self._sentence.set_lines(wrapped(reach_sentence(reach), max(20, self.size.width)))
        self.chart.show(
            reach_series(reach), baselines=(("a half", 0.5), ("a hundredth", 0.01)) if reach.reach else ()
        )

    def _say(self, text: str, bad: bool = False) -> None:
        self.post_message(self.Said(safe_text(text), bad))
