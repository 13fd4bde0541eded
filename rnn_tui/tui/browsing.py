"""Which of a run's samples, transcriptions or forecasts are shown: the newest, or those of an earlier step. Pure."""

from textual.content import Content

from rnn_tui.tui import looks_view
from rnn_tui.tui.history import History
from rnn_tui.tui.looks import Forecast, steps_of


class Browser:
    """Stands at one step, or follows the newest."""

    def __init__(self) -> None:
        self.at: int | None = None
        """The step that is shown, where it is not the newest."""

    def go(self, history: History, direction: int) -> None:
        """Go to the step before, or after; from the last one on the newest are followed again."""
        steps = _steps(history)
        if not steps:
            return
        now = steps.index(self.at) if self.at in steps else len(steps) - 1
        to = min(max(now + direction, 0), len(steps) - 1)
        self.at = steps[to] if to < len(steps) - 1 else None

    def forecast(self, history: History) -> Forecast | None:
        """Return the forecast that is shown, of a run on a series."""
        at = self._place(history)[0]
        return next((one for one in history.forecasts if one.step == at), None)

    def title(self, history: History, width: int, *, roomy: bool) -> str:
        """Return the heading; it may be cut at the end."""
        at, *place = self._place(history)
        nth = (place[0], place[1])
        if (forecast := self.forecast(history)) is not None:
            return looks_view.forecast_title(forecast, nth)
        step = [look for look in history.samples if look.step == at]
        return looks_view.title(step, width, roomy=roomy, place=nth)

    def text(self, history: History, *, width: int, roomy: bool, alive: bool, ascii: bool = False) -> Content:
        """Return the samples, those before them below where there is room; of a forecast its errors."""
        if (forecast := self.forecast(history)) is not None:
            return looks_view.forecast_table(forecast)
        if not history.samples:
            return Content.styled("none yet" if alive else "none was taken", looks_view.MUTED)
        at = self._place(history)[0]
        until = [look for look in history.samples if look.step <= at]
        return looks_view.content(until, width=width, roomy=roomy, ascii=ascii)

    def _place(self, history: History) -> tuple[int, int, int]:
        """Return the step that is shown, and which of how many it is; one that the run went back from is left."""
        steps = _steps(history) or [0]
        at = self.at if self.at in steps else steps[-1]
        return at, steps.index(at) + 1, len(steps)


def _steps(history: History) -> list[int]:
    return steps_of(history.forecasts or history.samples)
