"""The work behind the corpus pane, done on a thread: numpy and the tokenizer's class, never torch."""

from typing import TYPE_CHECKING

from rnn_tui.errors import PluginError, RnnTuiError

if TYPE_CHECKING:
    from rnn_tui.corpus.config import CorpusConfig
    from rnn_tui.corpus.snapshot import Progress
    from rnn_tui.corpus.statistics import CorpusStatistics

PREVIEW = 20_000
"""Characters of the training split that are shown."""

BATCH_SIZE, SEQ_LEN = 32, 64
"""What an epoch is counted in; the defaults of training."""


class Superseded(Exception):
    """Raised by a progress function when nobody waits for the result any more."""


def measure(config: "CorpusConfig", tokenizer: str, progress: "Progress") -> "tuple[CorpusStatistics, str]":
    """Return the statistics of a corpus and the beginning of its training split.

    Raises:
        RnnTuiError: when the source or the tokenizer cannot be used.
        Superseded: as `progress` does.
    """
    from rnn_tui.corpus.prepare import prepare
    from rnn_tui.corpus.sources import check_source
    from rnn_tui.corpus.statistics import statistics
    from rnn_tui.plugin import registry
    from rnn_tui.plugin.options import make_options

    check_source(config.source)
    progress("loading the tokenizer", 0, None)
    kind = registry.load_plugin("tokenizer", tokenizer)
    options = make_options(getattr(kind, "Options", None), {}, owner=f"tokenizer {tokenizer}")
    try:
        prepared = prepare(config, kind, options, progress=progress)
        progress("counting", 0, None)
        found = statistics(prepared, batch_size=BATCH_SIZE, seq_len=SEQ_LEN)
    except (RnnTuiError, Superseded):
        raise
    except Exception as error:  # a plugin raises whatever it likes
        raise PluginError(f"tokenizer {tokenizer}: {type(error).__name__}: {error}") from error
    return found, prepared.text("train", 0, PREVIEW)
