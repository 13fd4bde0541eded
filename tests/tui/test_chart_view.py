"""Zooming and panning: the arithmetic, then the widget with keys and mouse."""

from array import array
from typing import Any, ClassVar

import pytest
from textual import events
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType

from rnn_tui.tui.theme import THEMES, chart_variables
from rnn_tui.tui.widgets.chart import Chart, Mark, Series
from rnn_tui.tui.widgets.scales import Axis
from rnn_tui.tui.widgets.viewport import followed, kept, panned, zoomed


def test_what_is_zoomed_at_stays_in_its_place() -> None:
    assert zoomed(Axis(0, 100), 0.25, 0.5) == (12.5, 62.5)
    assert zoomed(Axis(0, 100), 1.0, 0.5) == (50, 100)
    # on a logarithmic axis by factors: 100 in the middle of 1 to 10,000
    assert zoomed(Axis(1, 10_000, log=True), 0.5, 0.5) == pytest.approx((10, 1000))


def test_panning() -> None:
    assert panned(Axis(50, 100), -0.25) == (37.5, 87.5)
    assert panned(Axis(10, 1000, log=True), 0.5) == pytest.approx((100, 10_000))


def test_a_view_is_kept_within_the_points() -> None:
    assert kept((-10, 20), Axis(0, 100)) == pytest.approx((0, 30))
    assert kept((90, 120), Axis(0, 100)) == pytest.approx((70, 100))
    assert kept((-50, 150), Axis(0, 100)) is None
    assert kept((0.1, 10), Axis(1, 10_000, log=True)) == pytest.approx((1, 100))
    low, high = kept((50, 50), Axis(0, 100)) or (0, 0)
    assert high - low == pytest.approx(1e-4)


def test_a_view_follows_by_quarters() -> None:
    assert followed(Axis(100, 200), 200) == (100, 200)
    assert followed(Axis(100, 200), 201) == (125, 225)
    assert followed(Axis(100, 200), 260) == (175, 275)


class ChartApp(App[None]):
    CSS = "Chart { height: 20; }"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Leave")]

    def __init__(self) -> None:
        super().__init__()
        self.read: list[float | None] = []
        self.left = 0

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return super().get_theme_variable_defaults() | chart_variables(dark=True, ansi=False)

    def compose(self) -> ComposeResult:
        yield Chart("loss", x_name="step")

    def on_mount(self) -> None:
        for theme in THEMES:
            self.register_theme(theme)
        self.query_one(Chart).focus()

    def on_chart_read_out(self, message: Chart.ReadOut) -> None:
        assert message.control is self.query_one(Chart)
        self.read.append(message.x)

    def action_leave(self) -> None:
        self.left += 1


def first_row(chart: Chart) -> str:
    return chart.render_line(0).text.rstrip()


def curve(steps: int) -> tuple["array[float]", "array[float]"]:
    """A straight line from 4 to 2 over `steps` points at 1, 2, …"""
    return array("d", range(1, steps + 1)), array("d", [4 - 2 * i / (steps - 1) for i in range(steps)])


async def test_by_key() -> None:
    app = ChartApp()
    async with app.run_test(size=(80, 24)) as pilot:
        chart = app.query_one(Chart)
        await pilot.press(
            "plus", "left", "comma", "less_than_sign", "asterisk", "up", "0"
        )  # without any data
        x, y = curve(400)
        marks = [Mark(100, "checkpoint", "checkpoint 100"), Mark(300, "best", "the best")]

        def show() -> None:
            chart.show([Series("train", x, y)], total=800, marks=marks, note="so far")

        show()
        assert first_row(chart).endswith("so far")
        await pilot.press("plus")
        assert chart._window == (200, 400)  # at the end
        assert first_row(chart).endswith("zoomed, so far")
        await pilot.press("left")
        assert chart._window == (150, 350)
        await pilot.press("right", "right")
        assert chart._window == (200, 400)
        x.append(410)
        y.append(2)
        show()
        assert chart._window == (250, 450)  # by a quarter
        assert "zoomed, live" in first_row(chart)
        await pilot.press("left")
        assert chart._window == (200, 400)
        x.append(500)
        y.append(2)
        show()
        assert chart._window == (200, 400)
        assert "zoomed, frozen" in first_row(chart)
        await pilot.press("minus", "minus")
        assert chart._window is None
        await pilot.press("plus")
        chart.show([Series("train", x[:50], y[:50])], total=800)  # another run: the view is nothing to it
        assert chart._window is None
        assert "zoomed" not in first_row(chart)
        show()

        await pilot.press("less_than_sign")
        assert "step 300  ★ the best  ━ train 2.501" in first_row(chart)
        await pilot.press("less_than_sign", "less_than_sign")
        assert "step 100  ▴ checkpoint 100" in first_row(chart)
        await pilot.press("greater_than_sign")
        column = chart._picture.column_of(300)  # type: ignore[union-attr]
        await pilot.press("full_stop")
        assert chart._picture.column_of(chart._cursor) == column + 1  # type: ignore
        await pilot.press("comma", "comma")
        assert chart._picture.column_of(chart._cursor) == column - 1  # type: ignore
        await pilot.press("plus")  # at the read-out line
        assert chart._window[0] < 300 < chart._window[1] < 500  # type: ignore[index]
        await pilot.press("escape")
        assert chart._cursor is None
        await pilot.press("escape")
        assert app.left == 1  # without a read-out line the key is not the chart's
        assert app.read[:2] == [300, 100]
        assert app.read[-1] is None

        await pilot.press("0", "asterisk")
        assert chart._y_window == (2.5, 3.5)
        assert "zoomed in y" in first_row(chart)
        await pilot.press("up")
        assert chart._y_window == (2.75, 3.75)
        await pilot.press("down", "down", "underscore")
        assert chart._y_window == (1.75, 3.75)
        await pilot.press("0")
        assert (chart._window, chart._y_window) == (None, None)
        app.read.clear()
        chart.point_at(100)
        assert "checkpoint 100" in first_row(chart)
        await pilot.pause()
        assert app.read == []  # those who move it know


async def test_by_key_on_logarithmic_axes() -> None:
    app = ChartApp()
    async with app.run_test(size=(80, 24)) as pilot:
        chart = app.query_one(Chart)
        chart.show([Series("a", *curve(10_000), smoothed=True)])
        chart.configure(log_x=True, log_y=True, smoothing=0.5)
        await pilot.press("plus")
        assert chart._window == pytest.approx((100, 10_000))
        await pilot.press("left")
        assert chart._window == pytest.approx((10**1.5, 10**3.5))
        await pilot.press("comma")
        assert 2000 < (chart._cursor or 0) < 10**3.5
        assert first_row(chart).startswith("loss  step 2,")
        await pilot.press("minus", "minus")
        assert chart._window is None
        chart.configure(x_name="after", x_format="duration")
        assert chart._cursor is None
        assert chart.render_line(19).text.split()[-2:] == ["1h", "after"]
        before = [chart.render_line(0), chart.render_line(5)]
        app.theme = THEMES[1].name
        await pilot.pause()
        assert chart.render_line(0) != before[0]  # in the colours of the other theme
        assert chart.render_line(5).text == before[1].text


async def test_by_mouse() -> None:
    app = ChartApp()
    async with app.run_test(size=(80, 24)) as pilot:
        chart = app.query_one(Chart)
        chart.show([Series("a", *curve(400))], total=400)
        picture: Any = chart._picture
        left, columns = picture.left, picture.columns
        middle = left + columns // 2
        await pilot.hover(Chart, offset=(middle, 5))
        assert chart._cursor == pytest.approx(200, abs=4)
        assert chart._cursor == int(chart._cursor or 0)  # that of a point
        assert picture.column_of(chart._cursor) == middle
        await pilot._post_mouse_events([_scroll("up")], Chart, offset=(middle, 5))
        low, high = chart._window or (0, 0)
        assert high - low == pytest.approx(320)
        assert picture.x_of(middle) - low == pytest.approx((high - low) / 2, rel=0.02)
        await pilot._post_mouse_events([_scroll("down")], Chart, offset=(middle, 5))
        assert chart._window is None
        await pilot._post_mouse_events([_scroll("up")], Chart, offset=(1, 5))  # over the labels
        assert chart._window is None
        assert chart._y_window is not None
        await pilot.double_click(Chart, offset=(middle, 5))
        assert chart._y_window is None

        # dragging over the whole curve chooses a range
        await pilot.mouse_down(Chart, offset=(middle, 5))
        await move(pilot, (middle + 9, 6), 1)
        assert chart._chosen == (middle, middle + 9, 1, 17)
        await pilot.mouse_up(Chart, offset=(middle + 9, 6))
        low, high = chart._window or (0, 0)
        assert low == pytest.approx(picture.x_of(middle - 0.5))
        assert high == pytest.approx(picture.x_of(middle + 9.5))
        assert chart._y_window is None
        # what is zoomed is dragged along
        share = 7 / chart._picture.columns  # type: ignore[union-attr]
        await pilot.mouse_down(Chart, offset=(middle, 5))
        await move(pilot, (middle + 7, 5), 1)
        await pilot.mouse_up(Chart, offset=(middle + 7, 5))
        assert chart._window == pytest.approx((low - share * (high - low), high - share * (high - low)))
        await pilot.double_click(Chart, offset=(middle, 5))
        assert chart._window is None
        # over several rows: of values, too
        await pilot._post_mouse_events([events.MouseDown], Chart, offset=(middle, 4), button=3)
        await move(pilot, (middle + 9, 8), 3)
        await pilot._post_mouse_events([events.MouseUp], Chart, offset=(middle + 9, 8), button=3)
        assert chart._y_window == pytest.approx((picture.y_of(8.5), picture.y_of(3.5)))
        # a range that is not wanted after all: by key, or released outside of the terminal
        await pilot.press("0")
        for end in ("escape", ""):
            await pilot.mouse_down(Chart, offset=(middle, 4))
            await move(pilot, (middle + 9, 4), 1)
            assert chart._chosen is not None
            await (pilot.press(end) if end else pilot.hover(Chart, offset=(middle + 9, 4)))
            assert chart._chosen is None
            await pilot.mouse_up(Chart, offset=(middle + 9, 4))
            assert chart._window is None
        await pilot.hover(Chart, offset=(middle, 5))
        assert chart._cursor is not None
        await pilot.hover(offset=(5, 22))
        assert chart._cursor is None


async def move(pilot: Any, offset: tuple[int, int], button: int) -> None:
    await pilot._post_mouse_events([events.MouseMove], Chart, offset=offset, button=button)


def _scroll(direction: str) -> Any:
    return events.MouseScrollUp if direction == "up" else events.MouseScrollDown
