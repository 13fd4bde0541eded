"""The work behind the corpus pane, done on a thread: numpy and the tokenizer's class, never torch."""

from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING

from rnn_tui.errors import PluginError, RnnTuiError

if TYPE_CHECKING:
    from rnn_tui.corpus.snapshot import Progress
    from rnn_tui.training.config import RunConfig
    from rnn_tui.training.estimate import Estimate
    from rnn_tui.training.survey import Statistics

PREVIEW = 20_000
"""Characters of the text that are shown."""


class Superseded(Exception):
    """Raised by a progress function when nobody waits for the result any more."""


def measure(config: "RunConfig", progress: "Progress") -> "tuple[Statistics, str]":
    """Return the statistics of a corpus and the beginning of its text.

    Raises:
        RnnTuiError: when the source or the tokenizer cannot be used.
        Superseded: as `progress` does.
    """
    from rnn_tui.corpus.sources import check_source
    from rnn_tui.training import survey
    from rnn_tui.training.data import read_data

    check_source(config.corpus.source)
    progress("loading the tokenizer", 0, None)
    try:
        prepared = read_data(config, progress=progress)
        progress("counting", 0, None)
        found = survey.measure(config, prepared)
    except (RnnTuiError, Superseded):
        raise
    except Exception as error:  # a plugin raises whatever it likes
        raise PluginError(f"tokenizer {config.tokenizer.name}: {type(error).__name__}: {error}") from error
    return found, "".join(islice(prepared.snapshot.pieces(0, PREVIEW), 1))


def try_model(config: "RunConfig", found: "Statistics", cancelled: Callable[[], bool]) -> "Estimate | str":
    """Return what training on a measured corpus would take, or one sentence that says why that is not known."""
    from rnn_tui.training import survey

    try:
        return survey.estimate_on(config, found, cancelled=cancelled)
    except RnnTuiError as error:
        return str(error)
