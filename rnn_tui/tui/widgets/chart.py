"""The chart widget: curves in braille, redrawn only where a cell changed.

Numpy and the drawing modules load with the first data, not with the app. A growing curve sends little: its x axis grows
in jumps (`scales.jump_limit`), and of each row only the span of changed cells is repainted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, ClassVar

from rich.cells import cell_len
from rich.style import Style
from textual import events
from textual.binding import BindingType
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from rnn_tui.safetext import safe_text
from rnn_tui.tui.keys import bind
from rnn_tui.tui.widgets.lines import paint, spans

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from rnn_tui.tui.widgets.plot import Layer, Picture


@dataclass(frozen=True)
class Series:
    """A named curve. `x` ascends; NaN and infinity in `y` are marked in red at the bottom.

    Args:
        colour: Index into the palette (0 to 7); keep it the same for the same thing.
        smoothed: The smoothing control acts on it: the raw curve lies faint behind.
        marked: Blots at the points, for few of them.
    """

    name: str
    x: Sequence[float] | npt.NDArray[Any]
    y: Sequence[float] | npt.NDArray[Any]
    colour: int = 0
    smoothed: bool = False
    marked: bool = False


@dataclass
class _Smooth:
    """One smoothed series, kept until its data or the weight changes."""

    made_of: tuple[int, float, float] = (-1, 0.0, 0.0)
    """Length, weight and last value; data only ever grow at the end."""
    y: Any = None


class Chart(Widget, can_focus=True):
    """Several series on one pair of axes.

    Call `show` with data. `log_x`, `log_y`, `smoothing` are set with `configure`; zoom, pan and the read-out have keys.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "chart--axis", "chart--label", "chart--grid", "chart--bad", "chart--baseline", "chart--cursor", "chart--title",
        *(f"chart--series-{i}" for i in range(8)), *(f"chart--faint-{i}" for i in range(8)),
    }  # fmt: skip

    DEFAULT_CSS = """
    Chart { height: 1fr; }
    .chart--axis, .chart--cursor { color: $foreground 35%; }
    .chart--label { color: $foreground 60%; }
    .chart--grid { color: $foreground 22%; }
    .chart--bad { color: $text-error; text-style: bold; }
    .chart--baseline { color: $foreground 45%; }
    .chart--title { color: $foreground; text-style: bold; }
    Chart:focus > .chart--title { color: $primary; }
    .chart--series-0 { color: $chart-1; } .chart--faint-0 { color: $chart-1 45%; }
    .chart--series-1 { color: $chart-2; } .chart--faint-1 { color: $chart-2 45%; }
    .chart--series-2 { color: $chart-3; } .chart--faint-2 { color: $chart-3 45%; }
    .chart--series-3 { color: $chart-4; } .chart--faint-3 { color: $chart-4 45%; }
    .chart--series-4 { color: $chart-5; } .chart--faint-4 { color: $chart-5 45%; }
    .chart--series-5 { color: $chart-6; } .chart--faint-5 { color: $chart-6 45%; }
    .chart--series-6 { color: $chart-7; } .chart--faint-6 { color: $chart-7 45%; }
    .chart--series-7 { color: $chart-8; } .chart--faint-7 { color: $chart-8 45%; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        bind(
            "plus,equals_sign", "zoom(0.5)", "Zoom in", "Zoom into the right end of the curve", shown_as="+"
        ),
        bind("minus", "zoom(2)", "Zoom out", "Zoom out again", shown_as="-"),
        bind("left", "pan(-0.25)", "Earlier", "Move the zoomed view to earlier steps"),
        bind("right", "pan(0.25)", "Later", "Move the zoomed view to later steps"),
        bind("0", "whole", "Whole curve", "Show the whole curve and let it follow the run"),
        bind("shift+left", "read_out(-1)", "Read out", "Move the read-out line to the left"),
        bind("shift+right", "read_out(1)", "Read out", "Move the read-out line to the right"),
    ]

    def __init__(
        self,
        title: str = "",
        *,
        x_name: str = "",
        ascii: bool | None = None,
        tight: bool = False,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self.title, self.x_name, self.tight = title, x_name, tight
        self.log_x = self.log_y = False
        self.smoothing = 0.0
        self._ascii = ascii
        self._series: Sequence[Series] = ()
        self._baselines: Sequence[tuple[str, float]] = ()
        self._total: float | None = None
        self._window: tuple[float, float] | None = None
        self._cursor: float | None = None
        self._smooth: dict[str, _Smooth] = {}
        self._picture: Picture | None = None
        self._nothing = "no points yet"

    # -- what it shows --------------------------------------------------------------------------------------------

    def show(
        self,
        series: Sequence[Series],
        *,
        baselines: Sequence[tuple[str, float]] = (),
        total: float | None = None,
        title: str | None = None,
        nothing: str | None = None,
    ) -> None:
        """Show these series, later ones on top; repaints what differs from the last picture.

        Args:
            baselines: Label and value of horizontal lines.
            total: Where x will end, if known.
            nothing: What to say in the middle while there is no point at all.
        """
        if nothing is not None and nothing != self._nothing:
            self._nothing = nothing
            if self._picture is None:
                self.refresh()
        self._series, self._baselines, self._total = series, baselines, total
        if title is not None:
            self.title = title
        self._redraw()

    def configure(
        self, *, log_x: bool | None = None, log_y: bool | None = None, smoothing: float | None = None
    ) -> None:
        """Change axes or smoothing (0 to 0.99)."""
        self.log_x = self.log_x if log_x is None else log_x
        self.log_y = self.log_y if log_y is None else log_y
        self.smoothing = self.smoothing if smoothing is None else min(max(smoothing, 0.0), 0.99)
        self._redraw()

    def _layers(self) -> list[Layer]:
        import numpy as np

        from rnn_tui.tui.widgets.plot import Layer
        from rnn_tui.tui.widgets.scales import smooth

        layers: list[Layer] = []
        for series in self._series:
            # Copies: an array that numpy looks into cannot grow.
            x, y = np.array(series.x, dtype=np.float64), np.array(series.y, dtype=np.float64)
            if series.smoothed and self.smoothing > 0:
                kept = self._smooth.setdefault(series.name, _Smooth())
                now = (len(y), self.smoothing, float(y[-1]) if len(y) else 0.0)
                if now != kept.made_of:
                    kept.made_of, kept.y = now, smooth(y, self.smoothing)
                layers.insert(0, Layer("", x, y, series.colour, faint=True))
                layers.append(Layer(series.name, x, kept.y, series.colour))
            else:
                layers.append(Layer(series.name, x, y, series.colour, marked=series.marked))
        return layers

    def _redraw(self) -> None:
        """Compose the picture and mark what changed; nothing is repainted where nothing did."""
        width, height = self.content_size
        if not any(len(series.x) for series in self._series) or not width or not height:
            if self._picture is not None:
                self._picture = None
                self.refresh()
            return
        from rnn_tui.tui.widgets.plot import Baseline, Frame, compose

        notes = (
            [f"smoothing {self.smoothing:.2g}"]
            if self.smoothing and any(s.smoothed for s in self._series)
            else []
        )
        notes += [
            text
            for text, on in (("log y", self.log_y), ("log x", self.log_x), ("zoomed", self._window))
            if on
        ]
        frame = Frame(
            title=self.title,
            log_x=self.log_x,
            log_y=self.log_y,
            total=self._total,
            window=self._window,
            cursor=self._cursor,
            note=", ".join(notes),
            x_name=self.x_name,
            tight=self.tight,
            ascii=bool(getattr(self.app, "ascii", False)) if self._ascii is None else self._ascii,
            baselines=tuple(Baseline(name, value) for name, value in self._baselines),
        )
        before, self._picture = self._picture, compose(self._layers(), frame, width, height)
        if before is None or before.chars.shape != self._picture.chars.shape:
            self.refresh()
        elif regions := changed_regions(before, self._picture):
            self.refresh(*regions)

    def on_resize(self) -> None:
        self._redraw()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self.refresh()

    def render_line(self, y: int) -> Strip:
        width = self.content_size.width
        picture = self._picture
        if picture is None:
            return self._empty_line(y, width)
        if y >= picture.chars.shape[0] or width != picture.chars.shape[1]:
            return Strip.blank(width, self.rich_style)
        styles = picture.styles[y].tolist()
        text = "".join(picture.chars[y].tolist())
        segments, start = [], 0
        for number, run in groupby(styles):
            end = start + sum(1 for _ in run)
            segments.append(paint(text[start:end], self._style(number)))
            start = end
        return Strip(segments, width)

    def _empty_line(self, y: int, width: int) -> Strip:
        said = {
            0: (safe_text(self.title), "title"),
            self.content_size.height // 2: (safe_text(self._nothing), "label"),
        }
        text, style = said.get(y, ("", "label"))
        indent = max(0, (width - cell_len(text)) // 2) if style == "label" else 0
        return Strip(
            [
                paint(" " * indent, self.rich_style),
                paint(text, self.get_component_rich_style(f"chart--{style}")),
            ]
        ).adjust_cell_length(width, self.rich_style)

    def _style(self, number: int) -> Style:
        if number >= 32:
            return self.get_component_rich_style(f"chart--faint-{number - 32}")
        if number >= 16:
            return self.get_component_rich_style(f"chart--series-{number - 16}")
        name = ("", "axis", "label", "grid", "bad", "baseline", "cursor", "title")[number]
        return self.get_component_rich_style(f"chart--{name}") if name else self.rich_style

    # -- looking closer -------------------------------------------------------------------------------------------

    def action_zoom(self, factor: float) -> None:
        """Show half as much, or twice as much, of x; the right end stays unless the read-out line is elsewhere."""
        if self._picture is None:
            return
        axis = self._picture.x_axis
        low, high = axis.low, axis.high
        if self._window is None:
            high = min(high, self._last() or high)
        middle = self._cursor if self._cursor is not None else high
        span = (high - low) * factor
        share = (middle - low) / (high - low)
        self._look(middle - share * span, middle + (1 - share) * span)

    def action_pan(self, share: float) -> None:
        """Move the view by a share of its width."""
        if self._window is not None:
            low, high = self._window
            self._look(low + share * (high - low), high + share * (high - low))

    def action_whole(self) -> None:
        """Show everything."""
        self._window = self._cursor = None
        self._redraw()

    def action_read_out(self, direction: int) -> None:
        """Move the read-out line by a column."""
        if self._picture is None:
            return
        axis, columns = self._picture.x_axis, max(self._picture.columns, 1)
        at = self._cursor if self._cursor is not None else min(self._last() or axis.high, axis.high)
        place = float(axis.place(at)) + direction / columns
        self._cursor = axis.value(min(max(place, 0.0), 1.0))
        self._redraw()

    def _last(self) -> float | None:
        return max((float(s.x[-1]) for s in self._series if len(s.x)), default=None)

    def _look(self, low: float, high: float) -> None:
        """Show [low, high], kept inside the data; all of it is the same as no zoom."""
        last = self._last()
        if last is None:
            return
        first = min(float(s.x[0]) for s in self._series if len(s.x))
        first = first if self.tight else min(0.0, first)
        span = min(high - low, last - first)
        if span >= last - first or span <= 0:
            self._window = None
        else:
            low = min(max(low, first), last - span)
            self._window = (low, low + span)
        self._redraw()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        if self._picture is None:
            return
        column = event.x - self._picture.left
        inside = 0 <= column < self._picture.columns
        cursor = self._picture.x_axis.value(column / max(self._picture.columns - 1, 1)) if inside else None
        if cursor != self._cursor:
            self._cursor = cursor
            self._redraw()

    def on_leave(self) -> None:
        if self._cursor is not None:
            self._cursor = None
            self._redraw()

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self.action_zoom(0.8)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self.action_zoom(1.25)


def changed_regions(before: Picture, after: Picture) -> list[Region]:
    """Return the stretches of each row in which a cell differs."""
    changed = (before.chars != after.chars) | (before.styles != after.styles)
    rows: npt.NDArray[np.intp] = changed.any(axis=1).nonzero()[0]
    return [
        Region(first, row, last - first, 1)
        for row in rows.tolist()
        for first, last in spans(changed[row].nonzero()[0].tolist())
    ]
