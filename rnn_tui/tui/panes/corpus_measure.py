"""The work behind the corpus pane, done on a thread: numpy and the tokenizer's class, never torch."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

from rnn_tui.errors import PluginError, RnnTuiError
from rnn_tui.tui.panes.corpus_said import Superseded

if TYPE_CHECKING:
    from rnn_tui.corpus.findings import Finding
    from rnn_tui.corpus.reading import Reader
    from rnn_tui.corpus.remedies import Remedy
    from rnn_tui.corpus.snapshot import Progress, Snapshot
    from rnn_tui.corpus.vocabulary import Vocabulary
    from rnn_tui.training.config import RunConfig
    from rnn_tui.training.data import Prepared
    from rnn_tui.training.estimate import Estimate
    from rnn_tui.training.survey import Statistics

BEGINNING = 2_000
"""Characters of the text that the overview may show."""


@dataclass(frozen=True)
class Reading:
    """A corpus as it was measured."""

    config: "RunConfig"
    prepared: "Prepared"
    found: "Statistics"
    answers: "Sequence[tuple[Finding, Remedy | None]]"
    """The findings, and the change that answers each."""
    vocabulary: "Vocabulary | None"
    """Of a text; pairs and numbers have none to show."""
    reader: "Reader"
    beginning: str


def guessed(config: "RunConfig") -> "RunConfig":
    """Return `config` with the task, and for numbers the columns, that the look of its source suggests.

    Raises:
        RnnTuiError: when the source cannot be used.
    """
    from rnn_tui.corpus.guess import guess_task

    guess = guess_task(config.corpus.source)
    return replace(config, task=replace(config.task, name=guess.task, columns=guess.columns))


def measure(config: "RunConfig", progress: "Progress") -> Reading:
    """Measure a corpus.

    Raises:
        RnnTuiError: when the source or the tokenizer cannot be used.
        Superseded: as `progress` does.
    """
    from rnn_tui.corpus.prepare import PreparedCorpus
    from rnn_tui.corpus.reading import reader
    from rnn_tui.corpus.sources import check_source
    from rnn_tui.corpus.vocabulary import vocabulary
    from rnn_tui.plugin.loading import blamed, describe_error
    from rnn_tui.training import survey
    from rnn_tui.training.data import read_data

    check_source(config.corpus.source)
    progress("loading the tokenizer", 0, None)
    try:
        prepared = read_data(config, progress=progress)
        told: Prepared = replace(prepared, snapshot=_told(prepared.snapshot, progress))
        found = survey.measure(config, told)
        answers = survey.remedies(config, found)
        tokens = vocabulary(prepared) if isinstance(prepared, PreparedCorpus) else None
    except (RnnTuiError, Superseded):
        raise
    except Exception as error:  # a plugin raises whatever it likes
        culprit = blamed(error) or f"tokenizer {config.tokenizer.name}: {describe_error(error)}"
        raise PluginError(str(culprit)) from error
    beginning = "".join(islice(prepared.snapshot.pieces(0, BEGINNING), 1))
    return Reading(config, prepared, found, answers, tokens, reader(prepared), beginning)


def _told(taken: "Snapshot", progress: "Progress") -> "Snapshot":
    """Return a snapshot that tells how far the counting of it is, so that this can be stopped, too."""
    from rnn_tui.corpus.snapshot import Snapshot

    class Told(Snapshot):
        def pieces(self, start: int = 0, end: int | None = None) -> Iterator[str]:
            for piece in super().pieces(start, end):
                progress("counting", start, self.chars)
                start += len(piece)
                yield piece

    return Told(**vars(taken))


def try_model(config: "RunConfig", found: "Statistics", cancelled: Callable[[], bool]) -> "Estimate | str":
    """Return what training on a measured corpus would take, or one sentence that says why that is not known."""
    from rnn_tui.training import survey

    try:
        return survey.estimate_on(config, found, cancelled=cancelled)
    except RnnTuiError as error:
        return str(error)
