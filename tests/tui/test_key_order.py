"""Keys that come faster than they act: each goes to what has the focus after the one before."""

from typing import Any

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical

from rnn_tui.tui.terminal_app import TerminalApp
from rnn_tui.tui.widgets.line_input import LineInput


class TwoLines(TerminalApp):
    """Two inputs, with parents through which keys go up."""

    def compose(self) -> ComposeResult:
        with Vertical(), Vertical(), Vertical():
            yield LineInput(id="first")
            yield LineInput(id="second")

    def type(self, *keys: str) -> None:
        """Have all keys come at once, as from a paste or to a busy machine."""
        for key in keys:
            self.post_message(events.Key(key, key if len(key) == 1 else None))

    def values(self) -> list[str]:
        return [line.value for line in self.query(LineInput)]


async def test_letters_behind_a_tab_go_to_the_next_row(until: Any) -> None:
    app = TwoLines()
    async with app.run_test() as pilot:
        app.query_one("#first").focus()
        app.type("a", "tab", "b", "c", "shift+tab", "d", "ctrl+u", "e", "tab", "f")
        await until(pilot, lambda: app.values() == ["e", "bcf"])


async def test_a_tab_that_means_something_else_moves_no_focus(until: Any) -> None:
    turned: list[str] = []

    class Turning(Vertical):
        BINDINGS = [Binding("tab", "turn", "")]  # noqa: RUF012

        def action_turn(self) -> None:
            turned.append("tab")

    class TurningLines(TwoLines):
        def compose(self) -> ComposeResult:
            with Turning():
                yield from super().compose()

    app = TurningLines()
    async with app.run_test() as pilot:
        app.query_one("#first").focus()
        app.type("tab")
        await until(pilot, lambda: turned == ["tab"])
        assert app.focused is app.query_one("#first")
