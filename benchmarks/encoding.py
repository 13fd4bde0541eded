"""Characters to ids: ours beside a dict and a list, and the memory that a file takes on its way to the cache.

`python -m benchmarks.encoding FILE` prepares a file and prints its seconds and the memory it took as JSON.
"""

import json
import random
import sys
import tempfile
import time
from pathlib import Path

import torch
from rnn_tui_text.char import CharTokenizer

from benchmarks.common import Goal, Options, child
from rnn_tui.bench.timing import interleave, table
from rnn_tui.corpus.config import CorpusConfig
from rnn_tui.corpus.prepare import prepare

BESIDE_DICT = Goal(20.0)
HUNDRED_MB = Goal(1.0, 0.3, "s")
MEMORY = Goal(1.1, None, "times the memory of 10 MB")


def sample(characters: int) -> str:
    """Return text of 30 letters with uneven frequencies, always the same."""
    letters = "etaoin shrdlucmfwypvbgkqjxz,.\n"
    return "".join(random.Random(0).choices(letters, weights=range(len(letters), 0, -1), k=characters))


def encode(options: Options) -> None:
    """A text in memory, then files of 10 and 100 MB through the whole preparation, each in a process of its own."""
    text = sample(4_000_000)
    tokenizer = CharTokenizer.train([text], None)
    table_of = {c: i for i, c in enumerate(sorted(set(text)))}

    def taught() -> float:
        torch.tensor([table_of[c] for c in text])
        return len(text) / 1e6

    def ours() -> float:
        tokenizer.encode(text)
        return len(text) / 1e6

    timings = interleave({"dict to a tensor": taught, "char": ours}, options.repeats)
    print(table(timings, "10^6 characters/s", "dict to a tensor", digits=1))
    print(BESIDE_DICT.judge("char beside a dict to a tensor", timings.ratio("char", "dict to a tensor")))
    rate = timings.rate("char")
    if rate:
        print(HUNDRED_MB.judge("100 MB to ids", 100 / rate.median))
    measured = {}
    with tempfile.TemporaryDirectory() as folder:
        for size in (10, 100):
            path = Path(folder) / f"{size}.txt"
            path.write_text(sample(1_000_000) * size)
            told = child("benchmarks.encoding", path, RNN_TUI_CACHE_DIR=f"{folder}/cache")
            measured[size] = told["peak"]
            print(
                f"{size} MB read, checked, counted, encoded and cached: {told['seconds']:.2f} s, "
                f"at most {told['peak'] / 1e6:.0f} MB of memory beyond the {told['before'] / 1e6:.0f} of the process"
            )
    print(MEMORY.judge("100 MB", measured[100] / measured[10]))


def _resident(which: str) -> int:
    """Return bytes: VmRSS now, VmHWM at the most."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(which)).split()[1])


if __name__ == "__main__":
    before = _resident("VmRSS")
    begin = time.perf_counter()
    prepare(CorpusConfig(source=sys.argv[1]), CharTokenizer, None)
    seconds = time.perf_counter() - begin
    print(json.dumps({"seconds": seconds, "before": before, "peak": _resident("VmHWM") - before}))
