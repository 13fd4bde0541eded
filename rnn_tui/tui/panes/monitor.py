"""The monitor: one run, live. Draws at most every half second, and only what changed."""

import time
from collections.abc import Iterable
from pathlib import Path

from textual.app import ComposeResult
from textual.containers import Container, Horizontal, Vertical
from textual.message import Message
from textual.timer import Timer
from textual.widgets import Static

from rnn_tui.runs.layout import RunFolder
from rnn_tui.runs.status import RunView
from rnn_tui.tui import curves, figures, headline, looks_view, notes_view
from rnn_tui.tui.browsing import Browser
from rnn_tui.tui.follower import Follower, News
from rnn_tui.tui.history import History
from rnn_tui.tui.laid_over import Others
from rnn_tui.tui.machine import Load
from rnn_tui.tui.widgets.chart import Chart
from rnn_tui.tui.widgets.lines import Line, Lines

DRAW_SECONDS = 0.5
SMALL_EVERY = 4
"""Drawings from one of the small charts to the next: their curves waver, and were a third of what is sent."""
_SMALL = (("lr", "lr"), ("grad_norm", "grad norm"), ("tokens_per_second", "tokens/s"))
_ROOM_FOR_LOAD = 24
"""Rows of the monitor from which the machine's load has one of them."""


class Monitor(Vertical):
    """Charts, figures, samples and notes of one run.

    What gives way as the screen gets smaller; what is not named is always there. `-wide` is from 140 columns, `-high`
    from 34 rows.

    | gives way                                    | below                                    | its place            |
    |----------------------------------------------|------------------------------------------|----------------------|
    | figures and samples beside the chart         | 140 columns: below it, three a row       | -                    |
    | rung with its reason, baselines as figures   | 140 columns; 34 rows                     | head; lines in chart |
    | the forecast's own chart                     | 140 columns: in turn with the loss (`f`) | -                    |
    | checkpoint, tokens, share clipped as a row   | 140 columns                              | share beside norm    |
    | line breaks and remarks of samples           | 140 columns                              | one row each         |
    | charts of rate, gradient norm and speed      | 34 rows                                  | sparklines           |
    | notes: six rows                              | 140 columns or 34 rows: three, then one  | `v` shows all        |
    | load of the machine                          | 26 rows                                  | -                    |

    In the first row, in this order: tokenizer, corpus, parameters, architecture, device with threads, the end of a long
    name; state and rung stay. In the second row of a complete run: exports, trains on, inspects, prompts.
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
    Monitor #figures { height: auto; min-height: 3; }
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
        """Something new of the run that is followed, or of one that is laid over it."""

        def __init__(self, news: News) -> None:
            super().__init__()
            self.news = news

    class StateChanged(Message):
        """The run's state is another one; keys may do something else now."""

        def __init__(self, run: RunFolder, state: str) -> None:
            super().__init__()
            self.run, self.state = run, state

    def __init__(self, *, ascii: bool = False, smoothing: float = 0.6) -> None:
        super().__init__(id="monitor")
        self._ascii = ascii
        self.smoothing = smoothing
        self.run_folder: RunFolder | None = None
        self.view: RunView | None = None
        self.history = History()
        self.log_y = False
        self.axis = "step"
        self.browser = Browser()
        self.others = Others(lambda news: self.post_message(Monitor.News(news)))
        self._follower: Follower | None = None
        self._pending: Timer | None = None
        self._drawn = 0.0
        self._drawings = 0
        self._small_of: tuple[object, ...] = ()
        self._bad_lines = 0
        self._load: Load | None = None
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
        self._bad_lines, self._shown, self._load, self.browser = 0, (), None, Browser()
        self.remove_class("-looking-ahead")
        for chart in self.query(Chart):
            chart.action_whole()  # a part of the run before says nothing of this one
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
        self.others.set(())

    def on_monitor_news(self, message: News) -> None:
        news = message.news
        if self.others.take(news):
            self.draw_soon()
        if self.run_folder is None or news.path != self.run_folder.path:
            return
        before = self.view.state if self.view else ""
        self.view, self._bad_lines, self._load = news.view, news.bad_lines, news.load
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
        status = headline.tab_status(run.name, view, history, ascii=self._ascii)
        set_status = getattr(self.app, "set_status", None)
        if set_status is not None:
            set_status(status)
        if not self.is_on_screen:
            return
        self._draw_head(run.name, view)
        self._draw_charts(view)
        tall = self._draw_figures()
        self._draw_looks()
        log = self.query_one("#log", Lines)
        rows, width = log.size.height, log.size.width
        log.set_lines(notes_view.notes(history, rows, width, bad_lines=self._bad_lines, final=not tall))
        self.query_one("#log-title", Lines).set_lines([notes_view.rule("notes", ascii=self._ascii)])

    @property
    def is_on_screen(self) -> bool:
        """Whether anybody can see it."""
        return all(node.display for node in self.ancestors_with_self if hasattr(node, "display"))

    def _draw_head(self, name: str, view: RunView) -> None:
        history, width = self.history, self.content_size.width
        lines: list[Line] = [
            headline.head(name, view, history, width, ascii=self._ascii),
            headline.progress(history, width, alive=view.alive, ascii=self._ascii),
            *headline.messages(view, width),
        ]
        known_by_heart = figures.memorised(history)
        self.query_one("#head", Lines).set_lines([*lines, *([known_by_heart] if known_by_heart else [])])

    def _draw_figures(self) -> bool:
        """Write the figures; whether each has a row."""
        table = self.query_one("#figures", Lines)
        tall = self.screen.has_class("-wide")
        if tall:
            bars = not self.screen.has_class("-high")  # where the small charts are not
            lines = figures.figures_tall(
                self.history, table.size.width, self._load, bars=bars, ascii=self._ascii
            )
        else:
            load = self._load if self.size.height >= _ROOM_FOR_LOAD else None
            lines = figures.figures_flat(self.history, self.content_size.width, load, ascii=self._ascii)
        table.set_lines(lines)
        return tall

    def _draw_charts(self, view: RunView) -> None:
        history = self.history
        axis = self.axis if history.clock.knows(self.axis) else "step"
        others = self.others.shown(self.run_folder.path if self.run_folder else None)
        drawing = curves.loss_drawing(history, axis, others)
        loss = self.query_one("#loss", Chart)
        wanted = (self.smoothing, self.log_y, drawing.x_name, drawing.x_format)
        if (loss.smoothing, loss.log_y, loss.x_name, loss.x_format) != wanted:
            loss.configure(
                smoothing=self.smoothing, log_y=self.log_y, x_name=drawing.x_name, x_format=drawing.x_format
            )
        loss.show(
            drawing.series,
            baselines=drawing.baselines,
            marks=drawing.marks,
            total=drawing.total,
            title=drawing.title,
            note=drawing.note,
            nothing=headline.nothing_yet(view),
        )
        self._drawings += 1
        changed = (self.run_folder, axis, view.state, self.size)
        if changed == self._small_of and self._drawings % SMALL_EVERY:
            return
        self._small_of = changed
        for index, (key, title) in enumerate(_SMALL):
            chart = self.query_one(f"#small-{key}", Chart)
            if not chart.size:
                continue
            if chart.x_format != drawing.x_format:
                chart.configure(x_format=drawing.x_format)
            chart.show(
                curves.small_series(history, key, index + 2, axis),
                total=drawing.total,
                title=f"{history.counted}/s" if key == "tokens_per_second" else title,
                nothing="",
            )

    def _draw_looks(self) -> None:
        """Show the newest samples or transcriptions; of a series the errors of its forecast, and its chart."""
        history, place = self.history, self.query_one("#sample", Static)
        width, rows = place.content_size
        roomy = self.screen.has_class("-wide")
        newest = history.samples[-1] if history.samples else None
        alive = bool(self.view and (self.view.alive or self.view.state in ("created", "starting")))
        now = (history.forecast, newest, len(history.samples), self.browser.at, width, rows, alive)
        if now == self._shown:
            return
        self._shown = now
        forecast = self.browser.forecast(history)
        if self.has_class("-forecasts") != (forecast is not None):
            self.set_class(forecast is not None, "-forecasts")
            self.refresh_bindings()
        if forecast is None:
            self.remove_class("-looking-ahead")
        else:
            self.query_one("#forecast", Chart).show(looks_view.forecast_series(forecast))
        title = self.browser.title(history, width, roomy=roomy)
        self.query_one("#sample-title", Lines).set_lines([notes_view.rule(title, ascii=self._ascii)])
        text = self.browser.text(history, width=width, roomy=roomy, alive=alive, ascii=self._ascii)
        place.update(text, layout=False)

    # -- looking around -------------------------------------------------------------------------------------------

    def look_ahead(self) -> None:
        """Go from the loss to the forecast, or back."""
        ahead = self.query_one("#forecast", Chart)
        to = self.query_one("#loss", Chart) if ahead.has_focus or self.has_class("-looking-ahead") else ahead
        self.set_class(to is ahead, "-looking-ahead")
        to.focus(scroll_visible=False)

    def browse(self, direction: int) -> None:
        """Go to the samples of the step before, or after."""
        self.browser.go(self.history, direction)
        self.draw()

    def next_axis(self) -> None:
        """Draw the curves over the next of steps, epochs, tokens and time."""
        known = curves.axes_of(self.history)
        place = known.index(self.axis) + 1 if self.axis in known else 0
        self.axis = known[place % len(known)]
        for chart in self.query(Chart):
            if chart.id != "forecast":
                chart.action_whole()  # what was zoomed into lies elsewhere now
        self.draw()

    def lay_over(self, runs: Iterable[Path]) -> None:
        """Show these runs in the chart, too, and no others."""
        self.others.set(runs)
        self.draw_soon()

    def on_resize(self) -> None:
        self.call_after_refresh(self.draw)
