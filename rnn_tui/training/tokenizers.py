"""What each installed tokenizer makes of a text: the same sample for all, in this process, without torch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rnn_tui.corpus.compare import Cut, cut_sample, samples
from rnn_tui.corpus.snapshot import Progress
from rnn_tui.errors import RnnTuiError
from rnn_tui.plugin.options import make_options
from rnn_tui.plugin.registry import list_plugins, load_plugin
from rnn_tui.training.config import RunConfig
from rnn_tui.training.data import read_data


@dataclass(frozen=True)
class Compared:
    """One tokenizer's figures; with an `error` they are 0."""

    name: str
    vocab_size: int = 0
    chars_per_token: float = 0.0
    unknown: float = 0.0
    error: str = ""


def compare_tokenizers(config: RunConfig, *, progress: Progress | None = None) -> list[Compared]:
    """Compare all tokenizers on the corpus of `config`; that of `config` has its options, the others their defaults.

    Raises:
        RnnTuiError: when the corpus cannot be read.
    """
    prepared = read_data(config, progress=progress)
    sample, counted = samples(prepared)
    names = [info.name for info in list_plugins("tokenizer")]
    found = []
    for index, name in enumerate(names):
        if progress is not None:
            progress("comparing", index, len(names))
        try:
            cut = trained(config, name, sample, counted)
        except RnnTuiError as error:
            found.append(Compared(name, error=str(error)))
        except Exception as error:  # a plugin raises whatever it likes
            found.append(Compared(name, error=f"{type(error).__name__}: {error}"))
        else:
            assert cut is not None  # nobody stops it
            found.append(Compared(name, cut.vocab_size, cut.chars_per_token, cut.unknown))
    return found


def trained(
    config: RunConfig,
    name: str,
    sample: Sequence[str],
    counted: Sequence[str],
    cancelled: Callable[[], bool] = lambda: False,
) -> Cut | None:
    """Train the tokenizer `name` on a sample; see `cut_sample`, also for what it raises."""
    options: dict[str, Any] = dict(config.tokenizer.options) if name == config.tokenizer.name else {}
    tokenizer: Any = load_plugin("tokenizer", name)
    made = make_options(getattr(tokenizer, "Options", None), options, owner=f"tokenizer {name}")
    return cut_sample(sample, counted, tokenizer, made, cancelled=cancelled)
