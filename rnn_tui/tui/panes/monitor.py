"""The monitor: one run, live. Draws at most every half second, and only what changed."""

import time

from textual.app import ComposeResult
from textual.containers import Container, Horizontal, Vertical
from textual.message import Message
from textual.timer import Timer
from textual.widgets import Static

from rnn_tui.runs.layout import RunFolder
from rnn_tui.runs.status import RunView
from rnn_tui.tui import figures, looks_view
from rnn_tui.tui import format as f
from rnn_tui.tui.follower import Follower, News
from rnn_tui.tui.history import History
from rnn_tui.tui.looks import newest
from rnn_tui.tui.widgets.chart import Chart, Series
from rnn_tui.tui.widgets.lines import Lines

DRAW_SECONDS = 0.5
_SMALL = (("lr", "lr"), ("grad_norm", "grad norm"), ("tokens_per_second", "tokens/s"))


class Monitor(Vertical):
    """Charts, figures, newest samples and notes of one run.

    A run on a series has a forecast: on wide screens its chart is below that of the loss, on others they take turns.
    """

    SCOPED_CSS = False  # the classes for width and height are on the screen
    DEFAULT_CSS = """
    Monitor { height: 1fr; }
    Monitor > #head { height: auto; min-height: 2; }
    Monitor #body { layout: vertical; height: 1fr; }
    Monitor #charts { height: 1fr; }
    Monitor #small, Monitor #forecast { display: none; }
    Monitor.-looking-ahead #forecast { display: block; }
    Monitor.-looking-ahead #loss { display: none; }
    Monitor #side { height: auto; }
    Monitor #figures { height: 3; }
    Monitor #sample-title, Monitor #log-title { height: 1; }
    Monitor #sample { height: 3; }
    Monitor #log { height: 1; }
    Monitor #log-title { display: none; }
    .-high Monitor #sample { height: 5; }
    .-high Monitor #log { height: 3; }
    .-high Monitor #small { display: block; height: 7; }
    .-wide.-high Monitor #small { height: 10; }
    Monitor #small Chart { width: 1fr; margin-right: 1; }
    .-wide Monitor #body { layout: horizontal; }
    .-wide Monitor #charts { width: 1fr; height: 1fr; margin-right: 2; }
    .-wide Monitor #side { width: 48; height: 1fr; }
    .-wide Monitor.-forecasts #forecast, .-wide Monitor.-forecasts #loss { display: block; }
    .-wide Monitor #figures { height: 19; }
    .-wide.-high Monitor #figures { height: auto; }
    .-wide Monitor #sample { height: 1fr; }
    .-wide Monitor #log { height: 6; }
    .-wide Monitor #log-title { display: block; }
    .-wide.-low Monitor #log, .-wide.-low Monitor #log-title { display: none; }
    """

    class News(Message):
        """Something new of the run that is followed."""

        def __init__(self, news: News) -> None:
            super().__init__()
            self.news = news

    class StateChanged(Message):
        """The run's state is another one; keys may do something else now."""

        def __init__(self, run: RunFolder, state: str) -> None:
            super().__init__()
            self.run, self.state = run, state

    def __init__(self, *, ascii: bool = False) -> None:
        super().__init__(id="monitor")
        self._ascii = ascii
        self.run_folder: RunFolder | None = None
        self.view: RunView | None = None
        self.history = History()
        self.smoothing = 0.6
        self.log_y = False
        self._follower: Follower | None = None
        self._pending: Timer | None = None
        self._drawn = 0.0
        self._bad_lines = 0
        self._shown: tuple[object, ...] = ()
        """What the sample's place shows, so that it is written anew only when that changes."""

    def compose(self) -> ComposeResult:
        yield Lines(id="head")
        with Container(id="body"):
            with Vertical(id="charts"):
                yield Chart("loss", x_name="step", id="loss", ascii=self._ascii)
                yield Chart("forecast", x_name="row", tight=True, id="forecast", ascii=self._ascii)
                with Horizontal(id="small"):
                    for key, title in _SMALL:
                        yield Chart(title, id=f"small-{key}", ascii=self._ascii)
            with Vertical(id="side"):
                yield Lines(id="figures")
                yield Lines(id="sample-title")
                yield Static("", id="sample", markup=False)
                yield Lines(id="log-title")
                yield Lines(id="log")

    # -- following ------------------------------------------------------------------------------------------------

    def follow(self, run: RunFolder) -> None:
        """Show `run` from now on."""
        if self._follower is not None and self.run_folder == run and self._follower.is_alive():
            return
        self.stop()
        self.run_folder, self.view, self.history = run, None, History()
        self._bad_lines, self._shown = 0, ()
        self.remove_class("-looking-ahead")
        self._follower = Follower(run.path, lambda news: self.post_message(Monitor.News(news)))
        self._follower.start()
        self.draw_soon()

    def stop(self) -> None:
        """Follow nothing."""
        if self._follower is not None:
            self._follower.stop()
            self._follower = None

    def on_unmount(self) -> None:
        self.stop()

    def on_monitor_news(self, message: News) -> None:
        news = message.news
        if self.run_folder is None or news.path != self.run_folder.path:
            return
        before = self.view.state if self.view else ""
        self.view, self._bad_lines = news.view, news.bad_lines
        if news.history is not None:
            self.history = news.history
        self.history.add(news.events)
        if news.view.state != before:
            self.post_message(self.StateChanged(self.run_folder, news.view.state))
        self.draw_soon()

    # -- drawing --------------------------------------------------------------------------------------------------

    def draw_soon(self) -> None:
        """Draw now, or when the last drawing is long enough ago; many calls make one drawing."""
        if self._pending is None:
            wait = max(0.01, self._drawn + DRAW_SECONDS - time.monotonic())
            self._pending = self.set_timer(wait, self._draw_pending)

    def _draw_pending(self) -> None:
        self._pending = None
        self._drawn = time.monotonic()
        self.draw()

    def draw(self) -> None:
        """Bring every part up to date; parts that did not change repaint nothing."""
        run, view, history = self.run_folder, self.view, self.history
        if run is None or view is None:
            return
        status = figures.tab_status(run.name, view, history, ascii=self._ascii)
        set_status = getattr(self.app, "set_status", None)
        if set_status is not None:
            set_status(status)
        if not self.is_on_screen:
            return
        width = self.content_size.width
        head = [
            figures.head(run.name, view, history, ascii=self._ascii),
            figures.progress(history, width, alive=view.alive, ascii=self._ascii),
        ]
        known_by_heart = figures.memorised(history)
        self.query_one("#head", Lines).set_lines([*head, *([known_by_heart] if known_by_heart else [])])
        self._draw_charts()
        table = self.query_one("#figures", Lines)
        tall = self.screen.has_class("-wide")
        if tall:
            bars = not self.screen.has_class("-high")  # where the small charts are not
            table.set_lines(figures.figures_tall(history, table.size.width, bars=bars, ascii=self._ascii))
        else:
            table.set_lines(figures.figures_flat(history, width, ascii=self._ascii))
        self._draw_looks()
        log = self.query_one("#log", Lines)
        log.set_lines(
            figures.notes(history, view, log.size.height, bad_lines=self._bad_lines, final=not tall)
        )
        self.query_one("#log-title", Lines).set_lines([figures.rule("notes", ascii=self._ascii)])

    @property
    def is_on_screen(self) -> bool:
        """Whether anybody can see it."""
        return all(node.display for node in self.ancestors_with_self if hasattr(node, "display"))

    def _draw_charts(self) -> None:
        history = self.history
        loss = self.query_one("#loss", Chart)
        if (loss.smoothing, loss.log_y) != (self.smoothing, self.log_y):
            loss.configure(smoothing=self.smoothing, log_y=self.log_y)
        series = [Series("train", history.loss.steps, history.loss.values, 0, smoothed=True)]
        if len(history.validation):
            series.append(
                Series("validation", history.validation.steps, history.validation.values, 1, marked=True)
            )
        waiting = (
            "the worker is loading the corpus and the model"
            if self.view and self.view.alive
            else "no points yet"
        )
        title = f"loss, {f.one_line(history.unit, 40)}" if history.unit else "loss"
        loss.show(series, baselines=history.baselines(), total=history.total, title=title, nothing=waiting)
        for index, (key, title) in enumerate(_SMALL):
            chart = self.query_one(f"#small-{key}", Chart)
            if chart.size:
                track = history.tracks[key]
                series = [Series("", track.steps, track.values, index + 2)]
                chart.show(series, total=history.total, title=title, nothing="")

    def _draw_looks(self) -> None:
        """Show the newest samples or transcriptions; of a series the errors of its forecast, and its chart."""
        history, place = self.history, self.query_one("#sample", Static)
        width, rows = place.content_size
        roomy = self.screen.has_class("-wide")
        now = (history.forecast, history.samples[-1] if history.samples else None, width, rows)
        if now == self._shown:
            return
        self._shown = now
        forecast = history.forecast
        if self.has_class("-forecasts") != (forecast is not None):
            self.set_class(forecast is not None, "-forecasts")
            self.refresh_bindings()
        if forecast is None:
            self.remove_class("-looking-ahead")
            step = newest(history.samples) if history.samples else []
            title = looks_view.title(step, width, roomy=roomy)
            shown = looks_view.content(history.samples, width=width, roomy=roomy, ascii=self._ascii)
        else:
            title, shown = looks_view.forecast_title(forecast), looks_view.forecast_table(forecast)
            self.query_one("#forecast", Chart).show(looks_view.forecast_series(forecast))
        self.query_one("#sample-title", Lines).set_lines([figures.rule(title, ascii=self._ascii)])
        place.update(shown, layout=False)

    def look_ahead(self) -> None:
        """Go from the loss to the forecast, or back."""
        ahead = self.query_one("#forecast", Chart)
        to = self.query_one("#loss", Chart) if ahead.has_focus or self.has_class("-looking-ahead") else ahead
        self.set_class(to is ahead, "-looking-ahead")
        to.focus(scroll_visible=False)

    def on_resize(self) -> None:
        self.call_after_refresh(self.draw)
