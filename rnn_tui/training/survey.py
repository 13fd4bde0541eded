"""A corpus as the task of a run reads it: what it is like, and what training on it would take. Free of torch."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias

from rnn_tui.corpus.accents import accent_finding
from rnn_tui.corpus.findings import Finding
from rnn_tui.corpus.pair_statistics import PairStatistics, pair_statistics
from rnn_tui.corpus.pairs import PreparedPairs
from rnn_tui.corpus.prepare import PreparedCorpus
from rnn_tui.corpus.remedies import Present, Remedy, answered, remedy
from rnn_tui.corpus.series import PreparedSeries
from rnn_tui.corpus.series_statistics import SeriesStatistics, series_statistics
from rnn_tui.corpus.statistics import CorpusStatistics, statistics
from rnn_tui.plugin.options import option_infos
from rnn_tui.plugin.registry import load_plugin
from rnn_tui.training.config import RunConfig
from rnn_tui.training.data import Prepared
from rnn_tui.training.estimate import Estimate, estimate

Statistics: TypeAlias = CorpusStatistics | PairStatistics | SeriesStatistics


def measure(config: RunConfig, prepared: Prepared, *, with_baselines: bool = True) -> Statistics:
    """Return what there is to know of a corpus before anything is trained on it.

    Args:
        with_baselines: Measure those of a text, too, which takes the longest.
    """
    batch_size, seq_len = config.data.batch_size, config.data.seq_len
    match prepared:
        case PreparedSeries():
            return series_statistics(prepared, batch_size=batch_size, seq_len=seq_len)
        case PreparedPairs():
            pairs = pair_statistics(prepared, batch_size=batch_size)
            return replace(pairs, findings=answered(pairs.findings, config.corpus.normalise))
        case PreparedCorpus():
            text = statistics(prepared, batch_size=batch_size, seq_len=seq_len, with_baselines=with_baselines)
            accents = accent_finding(prepared.snapshot.pieces())
            findings = [*text.findings, accents] if accents else text.findings
            return replace(text, findings=answered(findings, config.corpus.normalise))


def remedies(config: RunConfig, found: Statistics) -> list[tuple[Finding, Remedy | None]]:
    """Return each finding with the change of settings that answers it, if there is one.

    Raises:
        RnnTuiError: when the tokenizer cannot be loaded.
    """
    options: Any = None
    if not isinstance(found, SeriesStatistics):
        options = getattr(load_plugin("tokenizer", config.tokenizer.name), "Options", None)
    present = Present(
        normalise=config.corpus.normalise,
        validation=config.corpus.validation,
        batch_size=config.data.batch_size,
        seq_len=config.data.seq_len,
        options=dict(config.tokenizer.options),
        known_options=tuple(info.name for info in option_infos(options)) if options else (),
    )
    return [(finding, remedy(finding, found, present)) for finding in found.findings]


def estimate_on(
    config: RunConfig, found: Statistics, *, cancelled: Callable[[], bool] = lambda: False
) -> Estimate:
    """Return what a run on a measured corpus would take; see `estimate`, also for what it raises."""
    match found:
        case SeriesStatistics():
            return estimate(config, found.steps_per_epoch, columns=len(found.columns), cancelled=cancelled)
        case PairStatistics():
            return estimate(
                config,
                found.steps_per_epoch,
                vocab_size=found.vocab_size,
                seq_len=found.padded_line,
                cancelled=cancelled,
            )
        case CorpusStatistics():
            return estimate(config, found.steps_per_epoch, vocab_size=found.vocab_size, cancelled=cancelled)
