"""The chart widget: curves in braille that keys and mouse look into."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual import events
from textual.binding import BindingType
from textual.message import Message

from rnn_tui.tui.keys import bind, named
from rnn_tui.tui.widgets import marks, viewport
from rnn_tui.tui.widgets.curves import Curves
from rnn_tui.tui.widgets.marks import Mark as Mark
from rnn_tui.tui.widgets.series import Series as Series

if TYPE_CHECKING:
    from rnn_tui.tui.widgets.picture import Picture


_BOX = 3
"""Rows that a pointer must have gone up or down for the range to be one of values, too."""


@dataclass(frozen=True)
class _Drag:
    """A pressed button of the mouse."""

    column: int
    row: int
    chooses: bool
    """A range to zoom to; else the view is dragged along."""
    picture: Picture
    """What was shown when it was pressed."""


class Chart(Curves, can_focus=True):
    """Several series on one pair of axes.

    Call `show` with data. Axes and smoothing are set with `configure`. Keys and mouse zoom, pan and read out: the wheel
    zooms at the pointer, over the labels of the y axis in y; dragging pans what is zoomed; dragging with the right
    button, or the whole curve with any, chooses a range to zoom to; a double click shows the whole curve again.
    """

    DEFAULT_CSS = """
    Chart { height: 1fr; }
    Chart:focus > .chart--title { color: $primary; }
    """

    BINDINGS: ClassVar[list[BindingType]] = named("chart", [
        bind("plus,equals_sign", "zoom(0.5)", "Zoom in", "Zoom in at the read-out line, else at the end", shown_as="+"),
        bind("minus", "zoom(2)", "Zoom out", "Zoom out again", shown_as="-"),
        bind("left", "pan(-0.25)", "Earlier", "Move the zoomed view to earlier steps"),
        bind("right", "pan(0.25)", "Later", "Move the zoomed view to later steps"),
        bind("asterisk,shift+up", "zoom_y(0.5)", "Zoom in y", "Zoom into the values, at the middle", shown_as="*"),
        bind("underscore,shift+down", "zoom_y(2)", "Zoom out y", "Zoom out of the values again", shown_as="_"),
        bind("up", "pan_y(0.25)", "Higher", "Move the view that is zoomed in y to higher values"),
        bind("down", "pan_y(-0.25)", "Lower", "Move the view that is zoomed in y to lower values"),
        bind("0", "whole", "Whole curve", "Show the whole curve and let it follow the run"),
        bind("comma,shift+left", "read_out(-1)", "Read out", "Move the read-out line to the left", shown_as=","),
        bind("full_stop,shift+right", "read_out(1)", "Read out", "Move the read-out line to the right", shown_as="."),
        bind("less_than_sign", "read_mark(-1)", "Mark before", "Read out at the mark before", shown_as="<"),
        bind("greater_than_sign", "read_mark(1)", "Mark behind", "Read out at the next mark", shown_as=">"),
        bind("escape", "let_go", "No read-out", "Take the read-out line away"),
    ])  # fmt: skip

    class ReadOut(Message):
        """The read-out line moved to `x`; None: it is gone."""

        def __init__(self, chart: Chart, x: float | None) -> None:
            super().__init__()
            self.chart, self.x = chart, x

        @property
        def control(self) -> Chart:
            return self.chart

    _hovering = False
    """The read-out line is where the pointer is, and goes with it."""
    _drag: _Drag | None = None

    # -- zooming and panning --------------------------------------------------------------------------------------

    def look(self, window: viewport.Window) -> None:
        """Show a part of x, as far as there are points."""
        bounds = self._bounds()
        if bounds is not None:
            self._window = viewport.kept(window, bounds)
            self._follows = self._window is not None and self._window[1] >= bounds.high * (1 - 1e-9)
            self._redraw()

    def action_zoom(self, factor: float) -> None:
        """Show half as much, or twice as much, of x; the right end stays unless the read-out line is elsewhere."""
        if self._picture is not None:
            axis = self._shown(self._picture)
            at = 1.0 if self._cursor is None else float(axis.place(self._cursor))
            self.look(viewport.zoomed(axis, at, factor))

    def action_pan(self, share: float) -> None:
        """Move the zoomed view by a share of its width."""
        if self._window is not None and self._picture is not None:
            self.look(viewport.panned(self._picture.x_axis, share))

    def action_zoom_y(self, factor: float) -> None:
        """Show half as much, or twice as much, of y, around the middle."""
        self._zoom_y(factor, 0.5)

    def _zoom_y(self, factor: float, at: float) -> None:
        if self._picture is not None:
            self._y_window = viewport.zoomed(self._picture.y_axis, at, factor)
            self._redraw()

    def action_pan_y(self, share: float) -> None:
        """Move the view by a share of its height, once it is zoomed in y."""
        if self._y_window is not None and self._picture is not None:
            self._y_window = viewport.panned(self._picture.y_axis, share)
            self._redraw()

    def action_whole(self) -> None:
        """Show everything."""
        self._window = self._y_window = None
        self._point(None)
        self._redraw()

    # -- reading out ----------------------------------------------------------------------------------------------

    def point_at(self, x: float | None) -> None:
        """Move the read-out line to `x`, or take it away, without a message: for charts that read out together."""
        if x != self._cursor:
            self._cursor = x
            self._redraw(keep_y=True)

    def _point(self, x: float | None) -> None:
        if x != self._cursor:
            self.point_at(x)
            self.post_message(self.ReadOut(self, x))

    def _point_to(self, column: int) -> None:
        """Move the read-out line to a column of cells: to the point there that is nearest to its middle."""
        picture = self._picture
        if picture is None or not picture.columns:
            return
        column = min(max(column, picture.left), picture.left + picture.columns - 1)
        middle = picture.x_of(column)
        found = [
            x for feed in self._feeds.values() for x in feed.near(middle) if picture.column_of(x) == column
        ]
        self._point(min(found, key=lambda x: abs(x - middle), default=middle))

    def action_read_out(self, direction: int) -> None:
        """Move the read-out line by a column."""
        picture = self._picture
        if picture is not None:
            self._hovering = False
            self._point_to(self._cursor_column(picture) + direction)

    def action_read_mark(self, direction: int) -> None:
        """Move the read-out line to the next mark in the picture."""
        picture = self._picture
        if picture is None:
            return
        here = self._cursor_column(picture)
        placed = [item for item in marks.place(self._marks, picture) if (item.column - here) * direction > 0]
        if placed:
            self._hovering = False
            item = placed[0] if direction > 0 else placed[-1]
            x = item.marks[-1].x
            self._point(x if picture.column_of(x) == item.column else picture.x_of(item.column))

    def _cursor_column(self, picture: Picture) -> int:
        """Return where the read-out line is, or where it starts from: the end of the curves."""
        start = picture.left + picture.columns if self._cursor is None else picture.left
        at = self._shown(picture).high if self._cursor is None else self._cursor
        column = picture.column_of(at)
        return start if column is None else column

    def action_let_go(self) -> None:
        """Take the read-out line away, or choose no range after all."""
        self._release()
        self._point(None)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        # Without a read-out line escape is the pane's.
        return action != "let_go" or self._cursor is not None or self._chosen is not None

    # -- the mouse ------------------------------------------------------------------------------------------------

    def on_mouse_down(self, event: events.MouseDown) -> None:
        picture = self._picture
        if picture is not None and event.button in (1, 3) and picture.over_plot(event.x, event.y):
            whole = self._window is None and self._y_window is None
            self._drag = _Drag(event.x, event.y, event.button == 3 or whole, picture)
            self.capture_mouse()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        picture, drag = self._picture, self._drag
        if picture is None:
            return
        if drag is not None and not event.button:  # released where nobody heard it
            self._release()
        elif drag is not None:
            self._dragged(drag, event.x, event.y)
        elif 0 <= event.x - picture.left < picture.columns:
            self._hovering = True
            self._point_to(event.x)
        elif self._hovering:
            self._point(None)

    def _dragged(self, drag: _Drag, x: int, y: int) -> None:
        """Draw the range that is being chosen, or the view that goes along."""
        if (x, y) == (drag.column, drag.row) and self._chosen is None:
            return
        self._point(None)
        before = drag.picture
        if drag.chooses:
            self._chosen = _range(drag, x, y)
            self._redraw(keep_y=True)
            return
        if self._y_window is not None:
            self._y_window = viewport.panned(before.y_axis, (y - drag.row) / max(before.rows, 1))
        if self._window is not None:
            self.look(viewport.panned(before.x_axis, (drag.column - x) / max(before.columns, 1)))
        else:
            self._redraw()

    def on_mouse_up(self, event: events.MouseUp) -> None:
        drag, chosen = self._drag, self._chosen
        if drag is None:
            return
        self._release()
        if chosen is None:
            return
        first, last, top, bottom = chosen
        before = drag.picture
        if bottom - top + 1 < before.rows:
            self._y_window = before.y_of(bottom + 0.5), before.y_of(top - 0.5)
        if last > first:
            self.look((before.x_of(first - 0.5), before.x_of(last + 0.5)))
        self._redraw()

    def _release(self) -> None:
        """Forget the button that is pressed."""
        if self._drag is not None:
            self._drag = None
            self.release_mouse()
        if self._chosen is not None:
            self._chosen = None
            self._redraw(keep_y=True)

    def on_click(self, event: events.Click) -> None:
        if event.chain == 2:
            self.action_whole()

    def on_leave(self) -> None:
        if self._hovering and self._drag is None:
            self._hovering = False
            self._point(None)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self._wheel(event, 0.8)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self._wheel(event, 1.25)

    def _wheel(self, event: events.MouseEvent, factor: float) -> None:
        """Zoom where the pointer is: in x over the plot, in y over the labels of the y axis."""
        picture = self._picture
        if picture is None:
            return
        if event.x < picture.left:
            self._zoom_y(factor, float(picture.y_axis.place(picture.y_of(event.y))))
        else:
            axis = self._shown(picture)
            self.look(viewport.zoomed(axis, float(axis.place(picture.x_of(event.x))), factor))


def _range(drag: _Drag, x: int, y: int) -> tuple[int, int, int, int]:
    """Return the cells between where the button was pressed and the pointer: all rows unless it went up or down."""
    picture = drag.picture
    right, bottom = picture.left + picture.columns - 1, picture.top + picture.rows - 1
    columns = sorted(min(max(c, picture.left), right) for c in (drag.column, x))
    rows = sorted(min(max(r, picture.top), bottom) for r in (drag.row, y))
    if rows[1] - rows[0] < _BOX:
        rows = [picture.top, bottom]
    return columns[0], columns[1], rows[0], rows[1]
