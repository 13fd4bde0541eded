"""Measuring a model that is in memory with what measures a model file."""

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
from rnn_tui.library import arguments
from rnn_tui.library.boundary import kept_threads
from rnn_tui.library.loaded import Loaded
from rnn_tui.library.places import StrPath, path_text
from rnn_tui.tasks.metrics import MOST_LANES

if TYPE_CHECKING:
    from rnn_tui.inference.dynamic import DynamicConfig


def measure(
    model: Loaded,
    corpus: StrPath | None,
    *,
    split: str | None,
    lanes: int | None = None,
    cold: bool = True,
    dynamic: bool = False,
    device: str,
) -> Report:
    """Return what `Model.evaluate` and those of the other tasks do, and raise what they raise."""
    if split is not None:
        arguments.text("split", split)
    if lanes is not None:
        lanes = arguments.whole("lanes", lanes, 1, MOST_LANES)
    arguments.switch("cold", cold)
    arguments.switch("dynamic", dynamic)
    own, text = corpus_settings(model.header, model.path), None
    if corpus is not None:
        check_source(source := path_text("corpus", corpus))
        text = replace(own, source=source, first_tokens=0)
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
