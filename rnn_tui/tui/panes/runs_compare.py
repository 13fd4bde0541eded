"""Marked runs side by side: their curves on one pair of axes, their figures, and the settings in which they differ."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, ClassVar

from textual import work
from textual.app import ComposeResult
from textual.containers import Horizontal, VerticalScroll

from rnn_tui.errors import RnnTuiError
from rnn_tui.runs.layout import RunFolder
from rnn_tui.safetext import safe_text
from rnn_tui.tui.history import History
from rnn_tui.tui.overlay import Curve, overlay
from rnn_tui.tui.panes.runs_figures import differences, figures, side_by_side, wrapped
from rnn_tui.tui.track import AXES
from rnn_tui.tui.widgets.chart import Chart
from rnn_tui.tui.widgets.lines import Line, Lines

if TYPE_CHECKING:
    from rnn_tui.runs.events import Event, EventReader
    from rnn_tui.runs.listing import RunSummary

MOST = 8
"""Runs that are compared at a time: as many as there are colours."""
SMOOTHINGS = (0.0, 0.3, 0.6, 0.8, 0.9, 0.95, 0.99)


class SideBySide(Lines):
    """Lines that know the colours of eight runs."""

    STYLES: ClassVar[tuple[str, ...]] = (*Lines.STYLES, *(f"run-{n}" for n in range(1, MOST + 1)))
    COMPONENT_CLASSES: ClassVar[set[str]] = {f"lines--run-{n}" for n in range(1, MOST + 1)}
    DEFAULT_CSS = "".join(
        f".lines--run-{n} {{ color: $chart-{n}; text-style: bold; }}\n" for n in range(1, MOST + 1)
    )


class Reading:
    """Reads the logs of the marked runs, each line once, in a thread."""

    def __init__(self) -> None:
        self._readers: dict[Path, EventReader] = {}

    def read(self, paths: Sequence[Path]) -> "dict[Path, tuple[History | None, list[Event]]]":
        """Return of each run a whole history where there was none or its log was replaced, else the new events."""
        from rnn_tui.runs.events import EventReader

        before, self._readers = self._readers, {}
        found: dict[Path, tuple[History | None, list[Event]]] = {}
        for path in paths:
            reader = before.get(path) or EventReader(RunFolder(path).events_path)
            history = History() if path not in before else None
            resets = reader.reset
            events: list[Event] = []
            while batch := reader.poll(4 << 20):
                if reader.reset != resets:
                    resets, history, events = reader.reset, History(), []
                if history is None:
                    events += batch
                else:
                    history.add(batch)
            self._readers[path] = reader
            found[path] = history, events
        return found


class Comparison(Horizontal):
    """Curves at the left, figures and settings at the right; on narrow screens one at a time."""

    SCOPED_CSS = False  # the classes for width and height are on the screen
    DEFAULT_CSS = """
    Comparison { height: 3fr; display: none; padding-top: 1; }
    Comparison Chart { width: 1fr; }
    Comparison VerticalScroll { width: 42%; padding-left: 2; scrollbar-gutter: stable; }
    Comparison SideBySide { width: 1fr; padding-right: 1; }
    .-narrow Comparison VerticalScroll { width: 1fr; padding-left: 0; display: none; }
    .-narrow Comparison.-tables VerticalScroll { display: block; }
    .-narrow Comparison.-tables Chart { display: none; }
    """

    def __init__(self, *, ascii: bool) -> None:
        super().__init__(id="compare")
        self._ascii = ascii
        self._reading, self._alone = Reading(), Lock()
        self._marked: dict[str, int] = {}
        self._runs: list[RunSummary] = []
        self._histories: dict[Path, History] = {}
        self._configs: dict[Path, Mapping[str, Any]] = {}
        self.axis = AXES[0]
        self.curve: Curve = "validation"

    def compose(self) -> ComposeResult:
        yield Chart("validation loss", x_name="step", id="overlay", ascii=self._ascii)
        with VerticalScroll(id="differences"):
            yield SideBySide(id="difference-rows")

    @property
    def chart(self) -> Chart:
        return self.query_one(Chart)

    # -- what is compared -----------------------------------------------------------------------------------------

    def compare(self, runs: "Sequence[RunSummary]", marked: Mapping[str, int]) -> None:
        """Show these runs; called again with newer summaries as they change.

        Args:
            marked: The number of each run by name, from 0.
        """
        self._runs, self._marked = list(runs), dict(marked)
        self.display = bool(runs)
        if runs:
            self._read(list(runs), dict(marked))

    @work(thread=True, exclusive=True, group="compare")
    def _read(self, runs: "list[RunSummary]", marked: dict[str, int]) -> None:
        with self._alone:  # what one thread has read is handed over before the next one reads on
            news = self._reading.read([run.path for run in runs])
            configs: dict[Path, Mapping[str, Any]] = {}
            for run in runs:
                try:
                    configs[run.path] = RunFolder(run.path).read_config()
                except RnnTuiError:
                    configs[run.path] = {}
            self.app.call_from_thread(self._take, runs, marked, news, configs)

    def _take(
        self,
        runs: "list[RunSummary]",
        marked: dict[str, int],
        news: "dict[Path, tuple[History | None, list[Event]]]",
        configs: dict[Path, Mapping[str, Any]],
    ) -> None:
        for path, (history, events) in news.items():
            if history is not None:
                self._histories[path] = history
            self._histories[path].add(events)
        self._histories = {path: self._histories[path] for path in news}
        self._configs = configs
        if marked == self._marked:  # else there is a newer reading under way
            self._runs = runs
            self.draw()

    # -- drawing --------------------------------------------------------------------------------------------------

    def draw(self) -> None:
        """Bring chart and tables up to date; parts that did not change repaint nothing."""
        if any(run.path not in self._histories for run in self._runs):
            return
        histories = [self._histories[run.path] for run in self._runs]
        configs = [self._configs[run.path] for run in self._runs]
        numbers = [self._marked[run.name] for run in self._runs]
        drawn = overlay(histories, numbers=numbers, curve=self.curve, axis=self.axis)
        self.chart.configure(x_name=self.axis, x_format="duration" if self.axis == "time" else "number")
        alone = self.screen.has_class("-narrow")  # the tables, which say why, are elsewhere
        self.chart.show(
            drawn.series,
            title=drawn.title,
            note="not all can be shown; w says why" if drawn.note and alone else "",
            nothing="none of these runs has a loss yet",
        )
        place = self.query_one(SideBySide)
        width = place.content_size.width
        if not width:
            return
        lines: list[Line] = [((part, "warn"),) for part in wrapped(safe_text(drawn.note), width)]
        lines += [()] if lines else []
        sections = [("figures", figures(self._runs, histories))]
        differing = differences(configs)
        sections += [("settings", differing)] if differing else []
        lines += side_by_side(sections, numbers, width)
        hint = "" if differing else "The settings are the same."
        if len(configs) < 2:
            hint = "Mark another run to see the settings in which they differ."
        lines += [(), *(((part, "muted"),) for part in wrapped(hint, width))] if hint else []
        place.set_lines(lines)

    def on_resize(self) -> None:
        self.call_after_refresh(self.draw)

    # -- looking closer -------------------------------------------------------------------------------------------

    def next_axis(self) -> None:
        """Draw over the next of step, epoch, tokens and time."""
        self.axis = AXES[(AXES.index(self.axis) + 1) % len(AXES)]
        self.chart.action_whole()
        self.draw()

    def other_curve(self) -> None:
        """Draw the loss of training, or of the validation split again."""
        self.curve = "training" if self.curve == "validation" else "validation"
        self.draw()

    def log_axis(self, axis: str) -> None:
        """Make an axis logarithmic, or linear again."""
        chart = self.chart
        if axis == "y":
            chart.configure(log_y=not chart.log_y)
        else:
            chart.configure(log_x=not chart.log_x)

    def smooth(self, direction: int) -> None:
        """Smooth curves of training more, or less."""
        now = self.chart.smoothing
        place = min(range(len(SMOOTHINGS)), key=lambda i: abs(SMOOTHINGS[i] - now)) + direction
        self.chart.configure(smoothing=SMOOTHINGS[min(max(place, 0), len(SMOOTHINGS) - 1)])

    def turn(self) -> None:
        """On a narrow screen, go from the curves to the tables or back."""
        self.toggle_class("-tables")
        self.call_after_refresh(self.draw)
