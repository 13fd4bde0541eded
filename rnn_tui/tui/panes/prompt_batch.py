"""Several completions of one prompt, to pick from by number."""

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message

from rnn_tui.tui.keys import bind, named
from rnn_tui.tui.panes.prompt_turns import Turn, made, mean_surprise
from rnn_tui.tui.widgets.tail import TailView

MOST = 9
"""As many as there are digits to pick with."""

SHOWN = 800
"""Characters of a completion; the whole of it is in the transcript once it is picked."""


class BatchView(TailView):
    """The completions in the order in which they are complete, coloured like the transcript."""

    BINDINGS: ClassVar[list[BindingType]] = named(
        "prompt.batch",
        [
            bind("1", "pick(1)", "Pick", "In a batch: make this completion the turn", shown_as="1-9"),
            *(Binding(f"{n}", f"pick({n})", show=False) for n in range(2, MOST + 1)),
            bind(
                "b", "keep_others", "Keep others", "In a batch: keep the others as branches, or let them go"
            ),
        ],
    )

    DEFAULT_CSS = """
    BatchView { display: none; padding: 0 1 0 0; margin-top: 1; }
    """

    class Picked(Message):
        """A completion is wanted; `others` are to be kept as branches, or not."""

        def __init__(self, turn: Turn, others: list[Turn], keep: bool) -> None:
            super().__init__()
            self.turn, self.others, self.keep = turn, others, keep

    class Changed(Message):
        """There is something new to say about the batch."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.turns: list[Turn] = []
        self.wanted = 0
        self.keep = False
        self.running = False

    def begin(self, n: int) -> None:
        """Wait for `n` completions."""
        self.clear()
        self.turns, self.wanted, self.running = [], n, True

    def add(self, turn: Turn) -> None:
        """Show one that is complete."""
        self.turns.append(turn)
        number, cost = len(self.turns), mean_surprise(turn.made)
        facts = [f"{len(turn.made):,} tokens"]
        facts += [] if cost is None else [f"{cost:.2f} nats a token"]
        facts += [] if turn.settings.deterministic else [f"seed {turn.seed}"]
        self.write("\n\n" * (number > 1) + f" {number} ", "key")
        self.write("  " + " · ".join(facts) + "\n", "note")
        left = SHOWN
        for span in map(made, turn.made):
            if len(span.text) > left:
                self.write(" …", "note")
                break
            left -= len(span.text)
            self.write(*span)
        self.flush()
        self.action_top()
        self.post_message(self.Changed())

    def complete(self) -> None:
        """Say that no more will come."""
        self.running = False
        self.post_message(self.Changed())

    @property
    def status(self) -> str:
        """What can be done now."""
        if self.running or not self.turns:
            return "" if self.running else "nothing was drawn   esc leaves"
        told = "the others become branches   b drops them" if self.keep else "b keeps the others as branches"
        return f"1-{len(self.turns)} picks one   {told}   esc drops all"

    def action_pick(self, number: int) -> None:
        if number > len(self.turns):
            return
        turn = self.turns[number - 1]
        others = [other for other in self.turns if other is not turn]
        self.post_message(self.Picked(turn, others, self.keep))

    def action_keep_others(self) -> None:
        self.keep = not self.keep
        self.post_message(self.Changed())
