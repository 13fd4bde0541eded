"""The tail widget in an app: what it shows, what it repaints, where it stands."""

from collections.abc import Callable
from typing import Any

import pytest
from rich.style import Style
from textual.app import App, ComposeResult
from textual.geometry import Region

from rnn_tui.tui.widgets.tail import TailView

HOSTILE = "\x1b[2J\x1b]52;c;aGk=\x1b\\\x9b1m\u202e[/] [@click=app.quit]x[/] a" + "\u0301" * 1000


class TailApp(App[None]):
    CSS = "TailView { padding: 0; }"

    def compose(self) -> ComposeResult:
        yield TailView()

    @property
    def tail(self) -> TailView:
        return self.query_one(TailView)

    def screen_rows(self) -> list[str]:
        return [self.tail.render_line(y).text.rstrip() for y in range(self.tail.size.height)]


def watch(tail: TailView, monkeypatch: pytest.MonkeyPatch) -> list[Region]:
    regions: list[Region] = []
    real: Callable[..., object] = tail.refresh

    def refresh(*found: Region, **rest: object) -> object:
        regions.extend(found or [Region(-1, -1, 0, 0)])
        return real(*found, **rest)

    monkeypatch.setattr(tail, "refresh", refresh)
    return regions


async def test_text_wraps_and_each_cell_has_a_style() -> None:
    app = TailApp()
    async with app.run_test(size=(10, 5)):
        app.tail.write("to be 天地玄黄 or", "prompt")
        app.tail.flush()
        # "to be " takes 6 cells, 天地 four more
        assert app.screen_rows() == ["to be 天地", "玄黄 or", "", "", ""]
        for y in range(5):
            strip = app.tail.render_line(y)
            assert strip.cell_length == 10
            assert all(isinstance(segment.style, Style) for segment in strip)


async def test_an_append_repaints_only_the_new_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    app = TailApp()
    async with app.run_test(size=(20, 5)):
        tail = app.tail
        tail.write("one two")
        tail.flush()
        regions = watch(tail, monkeypatch)
        tail.write(" six")
        tail.flush()
        assert regions == [Region(7, 0, 13, 1), Region(0, 1, 20, 1)]


async def test_writes_are_gathered(monkeypatch: pytest.MonkeyPatch, until: Any) -> None:
    app = TailApp()
    async with app.run_test(size=(20, 5)) as pilot:
        flushes: list[int] = []
        real = app.tail.flush
        monkeypatch.setattr(app.tail, "flush", lambda: (flushes.append(1), real()))
        for _ in range(100):
            app.tail.write("x")
        await until(pilot, lambda: "".join(app.screen_rows()) == "x" * 100)
        assert len(flushes) == 1
        await pilot.pause(0.15)
        assert len(flushes) == 1  # nothing runs without writes


async def test_it_follows_and_stays_when_scrolled_back() -> None:
    app = TailApp()
    async with app.run_test(size=(20, 6)) as pilot:
        tail = app.tail
        tail.focus()
        tail.write("\n".join(f"line {number}" for number in range(50)))
        tail.flush()
        rows = app.screen_rows()
        assert "line 49" in rows
        await pilot.press("home")
        assert app.screen_rows()[:5] == [f"line {number}" for number in range(5)]
        assert app.screen_rows()[5].strip() == "45 more rows below  (end)"[:20].strip()
        tail.write("\nline 50")
        tail.flush()
        assert app.screen_rows()[0] == "line 0"
        await pilot.press("end")
        assert app.screen_rows() == [f"line {number}" for number in range(45, 51)]
        await pilot.press("pageup")
        assert app.screen_rows()[0] == "line 41"


async def test_a_fast_stream_moves_in_jumps(monkeypatch: pytest.MonkeyPatch) -> None:
    app = TailApp()
    async with app.run_test(size=(20, 12)):
        tail = app.tail
        regions = watch(tail, monkeypatch)
        for number in range(100):
            tail.write(f"line {number}\n")
            tail.flush()
            assert f"line {number}" in app.screen_rows()
        moves = regions.count(Region(0, 0, 20, 12))
        assert moves <= 100 // 3  # at most a third of the height is left free at a time: 4 of 12 rows


async def test_resize_wraps_again_and_keeps_the_place() -> None:
    app = TailApp()
    async with app.run_test(size=(20, 4)) as pilot:
        tail = app.tail
        tail.write("\n".join(f"{number} abcdefghij" for number in range(30)))
        tail.flush()
        tail.action_top()
        tail.action_scroll_by(10)
        assert app.screen_rows()[0] == "10 abcdefghij"
        await pilot.resize_terminal(9, 4)
        await pilot.pause()
        assert app.screen_rows()[:2] == ["10", "abcdefghi"]


async def test_colours_follow_surprise_when_asked() -> None:
    app = TailApp()
    async with app.run_test(size=(20, 4)):
        tail = app.tail
        tail.write("ab", "prompt", 0.1, 5.0, 1)
        tail.write("cd", "generated", 9.0, 5.0, 0)
        tail.write("ef", "generated", 8.0, 5.0, 0)
        tail.flush()
        plain = list(tail.render_line(0))
        assert [segment.text for segment in plain][:2] == ["ab", "cdef"]
        tail.show_colours("surprise")
        coloured = list(tail.render_line(0))
        assert [segment.text for segment in coloured][:2] == ["ab", "cdef"]
        for segment, level in zip(coloured[:2], (0, 5), strict=True):
            assert segment.style is not None
            assert segment.style.color == tail.get_component_rich_style(f"tail--level-{level}").color
        assert coloured[0].style != plain[0].style
        tail.show_colours("entropy")  # over 4 nats everywhere
        assert tail.render_line(0)._segments[0].text == "abcdef"
        tail.show_colours("rank")  # second, then twice first
        assert [segment.text for segment in tail.render_line(0)][:2] == ["ab", "cdef"]
        assert (
            list(tail.render_line(0))[1].style.color == tail.get_component_rich_style("tail--level-0").color
        )
        tail.show_colours("")
        assert list(tail.render_line(0)) == plain


@pytest.mark.parametrize("size", [(80, 24), (140, 45), (2, 1)])
async def test_hostile_text_is_inert(size: tuple[int, int]) -> None:
    app = TailApp()
    async with app.run_test(size=size) as pilot:
        tail = app.tail
        for character in HOSTILE:
            tail.write(character)
        tail.write("x" * 1_000_000)
        tail.write("\n")
        tail.flush()
        await pilot.pause()
        shown = "".join(row.text for row in tail.text.rows)
        assert not {"\x1b", "\x9b", "\u202e", "\x07"} & set(shown)
        assert len(shown) <= 200_000
        assert app.is_running


async def test_no_color_is_survived(monkeypatch: pytest.MonkeyPatch, until: Any) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app = TailApp()
    async with app.run_test(size=(20, 4)) as pilot:
        app.tail.show_colours("surprise")
        app.tail.write("text", "generated", 3.0)
        await until(pilot, lambda: app.screen_rows()[0] == "text")


async def test_selected_text_is_copied_as_one_line() -> None:
    app = TailApp()
    async with app.run_test(size=(8, 4)) as pilot:
        app.tail.write("hello world again")
        app.tail.flush()
        await pilot.pause()
        await pilot.mouse_down(TailView, offset=(2, 0))
        await pilot.hover(TailView, offset=(3, 1))
        await pilot.mouse_up(TailView, offset=(3, 1))
        selected = app.screen.get_selected_text()
        assert selected is not None
        assert selected.startswith("llo wor")


async def test_restyled_text_stays_in_view() -> None:
    app = TailApp()
    lines = [(f"line {number}\n", "generated", None) for number in range(40)]
    async with app.run_test(size=(20, 5)) as pilot:
        app.tail.write_all(lines)
        app.tail.action_top()
        app.tail.action_scroll_by(10)
        await pilot.pause()
        before = app.screen_rows()
        assert before[0] == "line 10"
        app.tail.restyle([("line 0\nline", "copied", None), (" 1\n", "generated", None), *lines[2:]])
        assert app.screen_rows() == before
        assert not app.tail.following
        app.tail.action_top()
        assert [s.text for s in app.tail.render_line(1) if s.style is not None and s.style.underline] == [
            "line"
        ]
        app.tail.action_follow()
        app.tail.restyle(lines)
        assert app.tail.following
        assert app.screen_rows()[-2:] == ["line 39", ""]
