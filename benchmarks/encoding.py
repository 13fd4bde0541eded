"""Characters to ids: ours beside a dict and a list."""

import random
import tempfile
import time
from pathlib import Path

import torch
from rnn_tui_text.char import CharTokenizer

from benchmarks.timing import interleave, table
from rnn_tui.corpus.config import CorpusConfig
from rnn_tui.corpus.prepare import prepare


def encode(repeats: int) -> None:
    """A text of 4 million characters in memory, then a file of 40 MB through the whole preparation."""
    letters = "etaoin shrdlucmfwypvbgkqjxz,.\n"
    text = "".join(random.Random(0).choices(letters, weights=range(len(letters), 0, -1), k=4_000_000))
    tokenizer = CharTokenizer.train([text], None)
    table_of = {c: i for i, c in enumerate(sorted(set(text)))}

    def taught() -> float:
        torch.tensor([table_of[c] for c in text])
        return len(text) / 1e3

    def ours() -> float:
        tokenizer.encode(text)
        return len(text) / 1e3

    rates = interleave({"dict to a tensor": taught, "char": ours}, repeats)
    print(table(rates, "1,000 characters/s", "dict to a tensor"))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "text.txt"
        path.write_text(text * 10)
        begin = time.perf_counter()
        prepare(CorpusConfig(source=str(path)), CharTokenizer, None)
        print(
            f"a file of 40 MB, read, checked, counted, encoded and cached: {time.perf_counter() - begin:.2f} s"
        )
