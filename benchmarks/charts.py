"""The app's chart: how long a redraw takes, from a thousand points to a million."""

import asyncio
import statistics
import time
from array import array
from collections.abc import Callable

import numpy as np
from textual.app import App, ComposeResult

from benchmarks.common import Goal, Options
from rnn_tui.tui.theme import chart_variables
from rnn_tui.tui.widgets.chart import Chart, Mark, Series

REDRAW = Goal(10.0, 5.0, "ms")
SIZES = (1_000, 10_000, 100_000, 1_000_000)
_SCREEN = (140, 45)
_BASELINES = (("uniform", 4.17), ("trigram", 2.3))


class _Shown(App[None]):
    def get_theme_variable_defaults(self) -> dict[str, str]:
        return super().get_theme_variable_defaults() | chart_variables(dark=True, ansi=False)

    def compose(self) -> ComposeResult:
        yield Chart("loss", x_name="step")


class _Curves:
    """A noisy loss, validation points and checkpoints, as a run has them after `points` points."""

    def __init__(self, points: int) -> None:
        steps = np.arange(1.0, points + 1)
        self._noise = np.random.default_rng(1).normal(0, 0.06, points)
        self.x = array("d", steps)
        self.y = array("d", 4.17 * steps**-0.13 + self._noise)
        checked = steps[:: max(points // 100, 1)]
        self.checked, self.checks = array("d", checked), array("d", 4.17 * checked**-0.13 + 0.05)
        self.marks = [Mark(step, "checkpoint", f"checkpoint {step:.0f}") for step in checked]

    def add(self) -> None:
        """Go on by one point."""
        self.x.append(self.x[-1] + 1)
        self.y.append(4.17 * self.x[-1] ** -0.13 + self._noise[len(self.x) % len(self._noise)])

    def show(self, chart: Chart) -> None:
        """Redraw, and make the rows that a terminal would get if every cell had changed."""
        train = Series("train", self.x, self.y, 0, smoothed=True)
        validation = Series("validation", self.checked, self.checks, 1, marked=True)
        chart.show([train, validation], baselines=_BASELINES, marks=self.marks)
        for row in range(chart.size.height):
            chart.render_line(row)


def charts(options: Options) -> None:
    """CPU milliseconds until a chart of 140 x 45 cells has all its rows; the same on the clock of an idle machine."""
    asyncio.run(_charts(max(options.repeats, 15)))


async def _charts(repeats: int) -> None:
    app = _Shown()
    async with app.run_test(size=_SCREEN):
        chart = app.query_one(Chart)
        _Curves(100).show(chart)  # the imports
        print(f"{'points':>9}  {'first':>7}  {'+1 point':>8}  {'smoothed':>8}  {'zoomed':>7}  {'log':>7}")
        for size in SIZES:
            curves = _Curves(size)
            found = _measure(chart, curves, repeats)
            first, plain, smoothed, zoomed, logged = found
            print(
                f"{size:>9,}  {first:>7.1f}  {plain:>8.1f}  {smoothed:>8.1f}  {zoomed:>7.1f}  {logged:>7.1f}"
            )
        print(REDRAW.judge(f"the slowest redraw with {SIZES[-1]:,} points", max(found[1:])))


def _measure(chart: Chart, curves: _Curves, repeats: int) -> list[float]:
    """Return the first drawing with smoothing, then medians of drawings with one point more each."""

    def grow() -> None:
        curves.add()
        curves.show(chart)

    def axes(*, smoothing: float, log: bool) -> None:
        chart.configure(smoothing=smoothing, log_x=log, log_y=log)

    last = curves.x[-1]
    chart.action_whole()
    chart.show([])
    axes(smoothing=0.9, log=False)
    found = [_milliseconds(lambda: curves.show(chart), 1)]
    axes(smoothing=0.0, log=False)
    found.append(_milliseconds(grow, repeats))
    axes(smoothing=0.9, log=False)
    found.append(_milliseconds(grow, repeats))
    chart.look((0.4 * last, 0.6 * last))
    found.append(_milliseconds(grow, repeats))
    chart.action_whole()
    axes(smoothing=0.9, log=True)
    return [*found, _milliseconds(grow, repeats)]


def _milliseconds(work: Callable[[], None], repeats: int) -> float:
    taken = []
    for _ in range(repeats):
        begin = time.process_time()
        work()
        taken.append(1e3 * (time.process_time() - begin))
    return statistics.median(taken)
