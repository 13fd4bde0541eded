"""The data of a run, prepared as its task wants it, and checked before anything is written. Free of torch."""

from pathlib import Path
from typing import Any, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from rnn_tui.corpus.pairs import PreparedPairs, prepare_pairs, prepare_pairs_with
from rnn_tui.corpus.prepare import PreparedCorpus, prepare, prepare_with
from rnn_tui.corpus.series import PreparedSeries, Scaling, prepare_series, prepare_series_with
from rnn_tui.corpus.snapshot import Progress
from rnn_tui.errors import InputError
from rnn_tui.model.header import ModelFile
from rnn_tui.plugin.options import make_options
from rnn_tui.plugin.registry import load_plugin
from rnn_tui.plugin.tokenizer import Tokenizer
from rnn_tui.tasks.rows import check_series
from rnn_tui.tasks.windows import plan_epoch
from rnn_tui.training.config import RunConfig, needs_validation

Prepared: TypeAlias = PreparedCorpus | PreparedPairs | PreparedSeries
"""All have a `name`, a `fingerprint`, a `snapshot` and `splits`."""


def read_data(
    config: RunConfig,
    *,
    progress: Progress | None = None,
    keep_in: Path | None = None,
    made_by: ModelFile | None = None,
) -> Prepared:
    """Prepare the corpus of a run, whether or not there is enough of it to train on.

    Args:
        progress: Told what is done, how much and of how much.
        keep_in: The run folder, where standard input is kept so that the run can be resumed.
        made_by: What stands in a model file of the run if it has been trained already: its tokenizer or scaling is
            taken as it is, and not made of the corpus again.

    Raises:
        RnnTuiError: when the source, the tokenizer or its options cannot be used.
    """
    corpus, task = config.corpus, config.task
    if task.name == "series":
        if made_by is not None:
            return prepare_series_with(corpus, scaling_of(made_by), progress=progress, keep_in=keep_in)
        return prepare_series(
            corpus, columns=task.columns, scale=task.scale, progress=progress, keep_in=keep_in
        )
    name = config.tokenizer.name
    tokenizer: Any = load_plugin("tokenizer", name)
    if made_by is not None:
        read_with = prepare_pairs_with if task.name == "aligned" else prepare_with
        return read_with(corpus, tokenizer_of(tokenizer, made_by), progress=progress, keep_in=keep_in)
    options = make_options(
        getattr(tokenizer, "Options", None), config.tokenizer.options, owner=f"tokenizer {name}"
    )
    read = prepare_pairs if task.name == "aligned" else prepare
    return read(corpus, tokenizer, options, progress=progress, keep_in=keep_in)


def scaling_of(header: ModelFile) -> Scaling:
    """Return the scaling that stands in a model file.

    Raises:
        InputError: when there is none that can be used.
    """
    try:
        return msgspec.convert(header.scaling, Scaling)
    except msgspec.ValidationError as error:
        raise InputError(f"the scaling of the run's checkpoint cannot be read: {error}") from None


def tokenizer_of(tokenizer: type[Tokenizer], header: ModelFile) -> Tokenizer:
    """Return the tokenizer that stands in a model file.

    Raises:
        InputError: when the plugin makes nothing of it.
    """
    try:
        return tokenizer.from_state((header.tokenizer or {})["state"])
    except Exception as error:  # whatever a plugin makes of a state that it may not have written
        raise InputError(
            f"the tokenizer of the run's checkpoint cannot be read: {type(error).__name__}: {error}"
        ) from error


def prepare_data(
    config: RunConfig,
    *,
    progress: Progress | None = None,
    keep_in: Path | None = None,
    made_by: ModelFile | None = None,
) -> Prepared:
    """Prepare the corpus of a run and check that there is enough of it to train on.

    Args: as `read_data`.

    Raises:
        RnnTuiError: as `read_data`.
        InputError: for data of a single token, or too little for the batch; says what to change.
    """
    prepared = read_data(config, progress=progress, keep_in=keep_in, made_by=made_by)
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
