"""Measuring a model that is in memory with what measures a model file."""

import os
import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rnn_tui.corpus.sources import check_source
from rnn_tui.inference.config import Backend
from rnn_tui.inference.evaluate import corpus_of_model, corpus_settings, evaluate_corpus
from rnn_tui.inference.reports import Report
from rnn_tui.library.boundary import kept_threads
from rnn_tui.library.loaded import Loaded
from rnn_tui.library.places import StrPath

if TYPE_CHECKING:
    from rnn_tui.inference.dynamic import DynamicConfig


def measure(
    model: Loaded,
    corpus: StrPath | None,
    *,
    split: str | None,
    lanes: int | None,
    cold: bool,
    dynamic: bool,
    device: str,
) -> Report:
    """Return what `Model.evaluate` does, and raise what it raises."""
    own, text = corpus_settings(model.header, model.path), None
    if corpus is not None:
        check_source(os.fspath(corpus))
        text = replace(own, source=os.fspath(corpus), first_tokens=0)
    if split is None:
        split = "all" if text is not None else "validation" if own.validation else "train"
    backend: Backend = "numpy" if model.module is None else "torch"
    adapting: Callable[[float], DynamicConfig] | None = None
    if dynamic:
        from rnn_tui.inference.dynamic import dynamic_config

        adapting = dynamic_config

    def measured(path: Path) -> Report:
        return evaluate_corpus(
            path,
            text,
            split=split,
            device=device,
            backend=backend,
            lanes=lanes,
            cold=cold,
            dynamic=adapting,
        )

    data = model.file()
    with nullcontext() if model.module is None else kept_threads():
        if model.path.is_file() and model.path.read_bytes() == data:
            return measured(model.path)
        # the weights were changed since it was loaded, or the file was replaced: what counts is what is in memory
        text = text or corpus_of_model(model.header, model.path)
        with tempfile.TemporaryDirectory() as folder:
            (copy := Path(folder) / model.path.name).write_bytes(data)
            return replace(measured(copy), model=str(model.path))
