"""Following a run to its end: a failure of its worker is raised here."""

from collections.abc import Callable

from rnn_tui import errors
from rnn_tui.errors import RnnTuiError
from rnn_tui.runs import supervisor
from rnn_tui.runs.eventline import Event, number
from rnn_tui.runs.folder import remove_run
from rnn_tui.runs.layout import RunFolder
from rnn_tui.runs.status import run_state

_CLASSES = {
    kind.exit_code: kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, RnnTuiError)
}
_STOPPED = (0, 130, 143)
"""Exit codes of a run that ended well, or because it was told to."""


def follow(
    run: RunFolder, on_event: Callable[[Event], object] | None, *, since: float = 0.0, fresh: bool = False
) -> None:
    """Follow a run to its end and tell what happens from `since` on.

    Args:
        fresh: remove a run that could not begin.

    Raises:
        RnnTuiError: of the class that its exit code stands for, unless it ended well or was stopped.
    """
    end: Event | None = None
    for event in supervisor.follow(run):
        if event.kind in ("start", "resume", "end"):
            end = event if event.kind == "end" else None
        if on_event is not None and event.time >= since:
            on_event(event)
    if end is None:
        seen = run_state(run)
        raise RnnTuiError(
            f"run {run.name}: {seen.message or 'its worker died without a word'}; {run.log_path} may say more"
        )
    code = int(number(end.data.get("exit_code", 0)))
    if code in _STOPPED:
        return
    if fresh and code in supervisor.REFUSALS and not number(end.data.get("steps", 0)):
        remove_run(run)
    raise _CLASSES.get(code, RnnTuiError)(
        f"run {run.name}: {end.data.get('message') or end.data.get('reason')}"
    )
