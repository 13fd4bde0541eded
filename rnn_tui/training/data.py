"""The data of a run, prepared as its task wants it, and checked before anything is written. Free of torch."""

from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rnn_tui.corpus.pairs import PreparedPairs, prepare_pairs
from rnn_tui.corpus.prepare import PreparedCorpus, prepare
from rnn_tui.corpus.series import PreparedSeries, prepare_series
from rnn_tui.corpus.snapshot import Progress
from rnn_tui.errors import InputError
from rnn_tui.plugin.options import make_options
from rnn_tui.plugin.registry import load_plugin
from rnn_tui.tasks.rows import check_series
from rnn_tui.tasks.windows import plan_epoch
from rnn_tui.training.config import RunConfig, needs_validation

Prepared: TypeAlias = PreparedCorpus | PreparedPairs | PreparedSeries
"""All have a `name`, a `fingerprint`, a `snapshot` and `splits`."""


def read_data(
    config: RunConfig, *, progress: Progress | None = None, keep_in: Path | None = None
) -> Prepared:
    """Prepare the corpus of a run, whether or not there is enough of it to train on.

    Args:
        progress: Told what is done, how much and of how much.
        keep_in: The run folder, where standard input is kept so that the run can be resumed.

    Raises:
        RnnTuiError: when the source, the tokenizer or its options cannot be used.
    """
    corpus, task = config.corpus, config.task
    if task.name == "series":
        return prepare_series(
            corpus, columns=task.columns, scale=task.scale, progress=progress, keep_in=keep_in
        )
    name = config.tokenizer.name
    tokenizer: Any = load_plugin("tokenizer", name)
    options = make_options(
        getattr(tokenizer, "Options", None), config.tokenizer.options, owner=f"tokenizer {name}"
    )
    read = prepare_pairs if task.name == "aligned" else prepare
    return read(corpus, tokenizer, options, progress=progress, keep_in=keep_in)


def prepare_data(
    config: RunConfig, *, progress: Progress | None = None, keep_in: Path | None = None
) -> Prepared:
    """Prepare the corpus of a run and check that there is enough of it to train on.

    Args: as `read_data`.

    Raises:
        RnnTuiError: as `read_data`.
        InputError: for data of a single token, or too little for the batch; says what to change.
    """
    prepared = read_data(config, progress=progress, keep_in=keep_in)
    match prepared:
        case PreparedSeries():
            check_series(prepared, config.data, seed=config.runtime.seed)
        case PreparedPairs():
            _check_varied(prepared.name, np.asarray(prepared.split("train").targets), "label")
        case PreparedCorpus():
            check_windows(config, prepared.split("train").tokens)
            _check_varied(prepared.name, prepared.split("train").ids(), "token")
    if needs_validation(config) and "validation" not in prepared.splits:
        raise InputError(
            f"{prepared.name}: too little is held out, and budget.patience and the plateau schedule need a validation "
            "split; set a larger corpus.validation"
        )
    return prepared


def check_windows(config: RunConfig, tokens: int) -> None:
    """Raise InputError unless `tokens` tokens fill one batch in every epoch."""
    data = config.data
    plan_epoch(
        tokens,
        sampling=data.sampling,
        batch_size=data.batch_size,
        seq_len=data.seq_len,
        seq_len_min=data.seq_len_min,
        seed=config.runtime.seed,
        epoch=0,
    )


def _check_varied(name: str, ids: NDArray[Any], noun: str) -> None:
    if only_one_token(ids):
        raise InputError(
            f"{name}: the training split is one {noun} over and over, so there is nothing to learn; give a text with "
            "more than one symbol"
        )


def only_one_token(ids: NDArray[Any]) -> bool:
    """Whether all of `ids` are the same; reads no further than the piece in which two differ."""
    piece = 1 << 20
    return all((ids[begin : begin + piece] == ids[0]).all() for begin in range(0, len(ids), piece))
