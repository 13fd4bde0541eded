"""What a model writes beside what it was trained on, for prompts: a thread finds that text again and prepares it."""

import threading
from pathlib import Path

from rnn_tui.corpus.copied import Copied, SampleMeter
from rnn_tui.corpus.prepare import prepare_with
from rnn_tui.errors import InputError, RnnTuiError
from rnn_tui.inference.evaluate import corpus_of_model
from rnn_tui.model.header import ModelFile
from rnn_tui.plugin.tokenizer import Tokenizer


class Comparer:
    """Compares completions of one model with its training text, which a thread reads from now on."""

    def __init__(self, header: ModelFile, path: Path, tokenizer: Tokenizer) -> None:
        self._meter: SampleMeter | None = None
        self._why_not = "it is still being read"
        self._ready = threading.Event()
        threading.Thread(target=self._prepare, args=(header, path, tokenizer), daemon=True).start()

    def compare(self, prompt: str, text: str, patience: float) -> tuple[Copied | None, str]:
        """Return what `text` has copied, or None and why it was not compared.

        Args:
            patience: seconds to wait for the training text.
        """
        self._ready.wait(patience)
        if self._meter is None:
            return None, self._why_not
        copied = self._meter.copied(prompt, text)
        return copied, "" if copied else "the completion is too short"

    def _prepare(self, header: ModelFile, path: Path, tokenizer: Tokenizer) -> None:
        try:
            self._meter = _meter(header, path, tokenizer)
        except RnnTuiError as error:
            self._why_not = str(error)
        except Exception as error:  # a plugin's, or no memory: the completion is worth more than this
            self._why_not = f"{type(error).__name__}: {error}"
        finally:
            self._ready.set()


def _meter(header: ModelFile, path: Path, tokenizer: Tokenizer) -> SampleMeter:
    prepared = prepare_with(corpus_of_model(header, path), tokenizer)
    if header.training.get("fingerprint", prepared.fingerprint) != prepared.fingerprint:
        raise InputError(f"the corpus {prepared.name} is not the text it was when the model was trained")
    meter = SampleMeter(prepared)
    meter.prepare()
    return meter
