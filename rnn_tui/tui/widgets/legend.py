"""What the colours of surprise mean, in the colours themselves."""

from textual.content import Content
from textual.widget import Widget

from rnn_tui.tui.widgets.bars import MUTED
from rnn_tui.tui.widgets.tail import TailView
from rnn_tui.tui.widgets.tail_text import SURPRISE_LEVELS


class SurpriseLegend(Widget):
    """One row for the levels of a tail view."""

    DEFAULT_CSS = """
    SurpriseLegend { height: 1; }
    """

    def __init__(self, tail: TailView, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._tail = tail

    def render(self) -> Content:
        labels = [f"under {SURPRISE_LEVELS[0]:g}", *(f"{bound:g}" for bound in SURPRISE_LEVELS[:-1])]
        labels.append(f"over {SURPRISE_LEVELS[-1]:g} nats")
        parts = [Content.styled("surprise: ", MUTED)]
        for level, label in enumerate(labels):
            parts.append(Content.styled(f" {label} ", self._tail.get_visual_style(f"tail--level-{level}")))
        return Content("").join(parts)
