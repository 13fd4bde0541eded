"""Curves on a pair of axes, from arrays that grow; see `chart` for the widget with its keys.

Numpy and the drawing modules load with the first data, not with the app. A growing curve sends little: its x axis grows
in jumps (`scales.jump_limit`), its y axis stays while it fits, and of each row only the span of changed cells is
repainted. A drawing reads the points that are new, not those that it knows (`series.Feed`, `pyramid`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from rnn_tui.tui.widgets import viewport
from rnn_tui.tui.widgets.grid import Grid
from rnn_tui.tui.widgets.marks import Mark
from rnn_tui.tui.widgets.series import Feed, Series

if TYPE_CHECKING:
    from rnn_tui.tui.widgets.picture import Picture
    from rnn_tui.tui.widgets.plot import Layer
    from rnn_tui.tui.widgets.scales import Axis

XFormat = Literal["number", "duration"]


class Curves(Grid):
    """Several series on one pair of axes: what `show` is given, in the view that the attributes below set."""

    def __init__(
        self,
        title: str = "",
        *,
        x_name: str = "",
        x_format: XFormat = "number",
        ascii: bool | None = None,
        tight: bool = False,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(title, id=id, classes=classes)
        self.x_name, self.x_format, self.tight = x_name, x_format, tight
        self.log_x = self.log_y = False
        self.smoothing = 0.0
        self._ascii = ascii
        self._series: Sequence[Series] = ()
        self._feeds: dict[tuple[str, int], Feed] = {}
        self._baselines: Sequence[tuple[str, float]] = ()
        self._marks: Sequence[Mark] = ()
        self._note = ""
        self._total: float | None = None
        self._window: viewport.Window | None = None
        self._y_window: viewport.Window | None = None
        self._follows = self._grows = False
        self._cursor: float | None = None
        self._chosen: tuple[int, int, int, int] | None = None

    def show(
        self,
        series: Sequence[Series],
        *,
        baselines: Sequence[tuple[str, float]] = (),
        total: float | None = None,
        title: str | None = None,
        nothing: str | None = None,
        marks: Sequence[Mark] = (),
        note: str = "",
    ) -> None:
        """Show these series, later ones on top; repaints what differs from the last picture.

        Args:
            baselines: Label and value of horizontal lines.
            total: Where x will end, if known.
            nothing: What to say in the middle while there is no point at all.
            marks: What happened where.
            note: A few words for the right end of the first row.
        """
        if nothing is not None and nothing != self._nothing:
            self._nothing = nothing
            if self._picture is None:
                self.refresh()
        self._series, self._baselines, self._total = series, baselines, total
        self._marks, self._note = marks, note
        if title is not None:
            self.title = title
        self._redraw(keep_y=True)

    def configure(
        self,
        *,
        log_x: bool | None = None,
        log_y: bool | None = None,
        smoothing: float | None = None,
        x_name: str | None = None,
        x_format: XFormat | None = None,
    ) -> None:
        """Change axes or smoothing (0 to 0.99); x is a number, or seconds to be written as a duration.

        Another name for x is another x: the view is the whole curve again.
        """
        if x_name is not None and x_name != self.x_name:
            self._window = self._cursor = None
        if log_y is not None and log_y != self.log_y:
            self._y_window = None
        self.x_name = self.x_name if x_name is None else x_name
        self.x_format = x_format or self.x_format
        self.log_x = self.log_x if log_x is None else log_x
        self.log_y = self.log_y if log_y is None else log_y
        self.smoothing = self.smoothing if smoothing is None else min(max(smoothing, 0.0), 0.99)
        self._redraw()

    def _layers(self) -> tuple[list[Layer], bool]:
        """Return the curves, and whether one of them is not what it was before."""
        from rnn_tui.tui.widgets.plot import Layer

        faint: list[Layer] = []
        solid: list[Layer] = []
        feeds: dict[tuple[str, int], Feed] = {}
        again = False
        for series in self._series:
            key = (series.name, sum(name == series.name for name, _ in feeds))
            feed = feeds[key] = self._feeds.get(key) or Feed()
            before = len(feed.points)
            if feed.follow(series):
                again, self._grows = True, False
            else:
                self._grows |= 0 < before < len(feed.points)
            points, colour = feed.points, series.colour
            if series.smoothed and self.smoothing > 0:
                faint.append(Layer("", points, points.raw, colour, faint=True))
                solid.append(Layer(series.name, points, points.smoothed(self.smoothing), colour))
            else:
                solid.append(Layer(series.name, points, points.raw, colour, marked=series.marked))
        again |= feeds.keys() != self._feeds.keys()
        self._feeds = feeds
        return [*faint, *solid], again

    def _redraw(self, *, keep_y: bool = False) -> None:
        """Compose the picture and mark what changed.

        Args:
            keep_y: The y axis may stay as it is, as far as the curves allow it.
        """
        width, height = self.content_size
        if not any(len(series.x) for series in self._series) or not width or not height:
            self._feeds = {}
            self.set_picture(None)
            return
        from rnn_tui.tui.widgets.plot import Baseline, Frame, compose
        from rnn_tui.tui.widgets.scales import Axis

        layers, again = self._layers()
        last = self._last()
        if self._window is not None and last is not None:
            if last <= self._window[0]:  # another run, or one that went back
                self._window = None
            elif self._follows and last > self._window[1]:
                self._window = viewport.followed(Axis(*self._window, self.log_x), last)
        smoothed = self.smoothing and any(series.smoothed for series in self._series)
        settings = [f"smoothing {self.smoothing:.2g}"] if smoothed else []
        settings += [text for text, on in (("log y", self.log_y), ("log x", self.log_x)) if on]
        frame = Frame(
            title=self.title,
            log_x=self.log_x,
            log_y=self.log_y,
            total=self._total,
            window=self._window,
            y_window=self._y_window,
            before=self._picture if keep_y and not again else None,
            cursor=self._cursor,
            chosen=self._chosen,
            state=self._state(),
            settings=", ".join(settings),
            note=self._note,
            x_name=self.x_name,
            x_format=self.x_format,
            tight=self.tight,
            ascii=bool(getattr(self.app, "ascii", False)) if self._ascii is None else self._ascii,
            plain=self.app.no_color,
            baselines=tuple(Baseline(name, value) for name, value in self._baselines),
            marks=tuple(self._marks),
        )
        self.set_picture(compose(layers, frame, width, height))

    def _state(self) -> str:
        if self._window is None:
            return "" if self._y_window is None else "zoomed in y"
        if not self._grows:
            return "zoomed"
        return "zoomed, live" if self._follows else "zoomed, frozen"

    def on_resize(self) -> None:
        self._redraw()

    def _last(self) -> float | None:
        ends = [feed.points.last for feed in self._feeds.values() if feed.points.first <= feed.points.last]
        return max(ends, default=None)

    def _bounds(self) -> Axis | None:
        """Return the axis over all points, within which the view moves."""
        from rnn_tui.tui.widgets.axes import first_positive
        from rnn_tui.tui.widgets.scales import Axis

        every = [feed.points for feed in self._feeds.values() if feed.points.first <= feed.points.last]
        firsts = [first_positive(points) if self.log_x else points.first for points in every]
        first = min((x for x in firsts if x is not None), default=None)
        last = self._last()
        if first is None or last is None:
            return None
        first = first if self.tight or self.log_x else min(0.0, first)
        return Axis(first, last, self.log_x) if last > first else None

    def _shown(self, picture: Picture) -> Axis:
        """Return the x axis as far as there are points."""
        from rnn_tui.tui.widgets.scales import Axis

        axis, last = picture.x_axis, self._last()
        return axis if last is None or not axis.low < last < axis.high else Axis(axis.low, last, axis.log)
