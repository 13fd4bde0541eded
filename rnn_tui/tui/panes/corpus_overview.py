"""The first view of a corpus: counts, splits, baselines, what training would take, findings, and how it begins."""

from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widgets import Static

from rnn_tui.tui.panes import corpus_task_views as task_views
from rnn_tui.tui.panes import corpus_views as views

if TYPE_CHECKING:
    from rnn_tui.training.config import RunConfig
    from rnn_tui.training.estimate import Estimate
    from rnn_tui.training.survey import Statistics

_BROAD = 124  # two columns of counts with nine digits fit side by side


class Overview(VerticalScroll):
    """Blocks of text in one column or two."""

    DEFAULT_CSS = """
    Overview .block { height: auto; margin-bottom: 1; }
    Overview .columns { height: auto; layout: vertical; }
    Overview .columns > Vertical { height: auto; }
    Overview.-broad .columns { layout: horizontal; }
    Overview.-broad .columns > Vertical { width: 1fr; margin-right: 3; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._shown: tuple[Statistics, RunConfig, Estimate | str | None, str] | None = None

    def compose(self) -> ComposeResult:
        with Horizontal(classes="columns"):
            with Vertical():
                for name in ("figures", "splits", "baselines", "estimate"):
                    yield Static(classes="block", id=f"corpus-{name}", markup=False)
            with Vertical():
                for name in ("findings", "line-figures", "beginning"):
                    yield Static(classes="block", id=f"corpus-{name}", markup=False)
        yield Static(classes="block", id="corpus-repeated", markup=False)

    def show(
        self, found: "Statistics", config: "RunConfig", taken: "Estimate | str | None", beginning: str
    ) -> None:
        """Show what was measured; `taken` is what training would take, None while it is tried."""
        self._shown = (found, config, taken, beginning)
        self._fill()

    def on_resize(self) -> None:
        self.set_class(self.size.width >= _BROAD, "-broad")
        self._fill()

    def _fill(self) -> None:
        if self._shown is None:
            return
        found, config, taken, beginning = self._shown
        blocks = task_views.blocks(found, self.size.width)
        blocks["findings"] = views.findings(found.findings)
        noun = "rows" if config.task.name == "series" else "tokens"
        blocks["estimate"] = task_views.estimate(taken, config.model, noun)
        blocks["beginning"] = views.beginning(beginning)
        for static in self.query(".block").results(Static):
            name = (static.id or "").removeprefix("corpus-")
            static.update(blocks.get(name, ""))
            static.display = name in blocks
