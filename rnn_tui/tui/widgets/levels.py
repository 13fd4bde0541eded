"""What the colours of a transcript mean, in the colours themselves."""

from itertools import pairwise

from textual.content import Content
from textual.widget import Widget

from rnn_tui.safetext import safe_text
from rnn_tui.tui.widgets.bars import MUTED
from rnn_tui.tui.widgets.tail import TailView
from rnn_tui.tui.widgets.tail_text import LEVELS


def level_labels(measure: str) -> list[str]:
    """Return what the levels of a measure are called, the expected first."""
    bounds = LEVELS[measure]
    if measure == "rank":
        edges = [0, *map(int, bounds)]
        spans = [f"{low + 1}" if high - low == 1 else f"{low + 1}-{high}" for low, high in pairwise(edges)]
        return [*spans, "beyond"]
    return [f"under {bounds[0]:g}", *(f"{bound:g}" for bound in bounds[:-1]), f"over {bounds[-1]:g} nats"]


class LevelLegend(Widget):
    """One row for the levels that a tail view shows; the tail's own styles are taken."""

    DEFAULT_CSS = """
    LevelLegend { height: 1; padding: 0 1; }
    """

    def __init__(self, tail: TailView, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.tail = tail

    def render(self) -> Content:
        measure = self.tail.colours
        if not measure:
            return Content("")
        parts = [Content.styled(safe_text(f"{measure:<9}"), MUTED)]
        for level, label in enumerate(level_labels(measure)):
            parts.append(
                Content.styled(safe_text(f" {label} "), self.tail.get_visual_style(f"tail--level-{level}"))
            )
        return Content("").join(parts)
