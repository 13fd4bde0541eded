"""The text that a model was held to in training: what it is looked at with, unless another is given."""

from pathlib import Path
from typing import TYPE_CHECKING

from rnn_tui.corpus.prepare import prepare_with
from rnn_tui.corpus.snapshot import Progress
from rnn_tui.errors import UsageError
from rnn_tui.inference.evaluate import corpus_of_model
from rnn_tui.model.header import ModelFile

if TYPE_CHECKING:
    from rnn_tui.plugin.tokenizer import Tokenizer

CHARACTERS = 20_000


def own_text(
    path: Path, header: ModelFile, tokenizer: "Tokenizer", *, progress: Progress | None = None
) -> tuple[str, str]:
    """Return up to `CHARACTERS` of the validation split of a model's corpus, or of its training split where nothing was
    held out, and which of them it is.

    Raises:
        UsageError: for a model of labels, whose corpus is no one text.
        RnnTuiError: when the corpus cannot be read.
    """
    if header.task == "aligned":
        raise UsageError(f"{path}: a model of labels was trained on single lines; give a text for it to read")
    corpus = corpus_of_model(header, path)
    split = "validation" if corpus.validation else "train"
    prepared = prepare_with(corpus, tokenizer, progress=progress)
    return prepared.text(split, 0, CHARACTERS), split
