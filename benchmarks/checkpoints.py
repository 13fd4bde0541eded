"""How long training waits for a checkpoint, how long one takes to reach the disk, and how long to be read again."""

import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from benchmarks.common import Goal, Options
from rnn_tui.bench.timing import spread
from rnn_tui.model.file import load_weights
from rnn_tui.runs.folder import RunFolder
from rnn_tui.runs.lock import RunLock
from rnn_tui.training import checkpoint as checkpoints
from rnn_tui.training.config import RunConfig, resolve
from rnn_tui.training.journal import RunJournal
from rnn_tui.training.launch import create
from rnn_tui.training.session import open_session

STALL = Goal(30.0, 15.0, "ms")
LOAD = Goal(100.0, None, "ms")


def checkpoint(options: Options) -> None:
    """An LSTM of 10 million parameters with Adam, 120 MB, in a run of its own."""
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder) / "text.txt"
        letters = np.random.default_rng(0).integers(ord("!"), ord("!") + 96, size=200_000, dtype=np.uint8)
        text.write_bytes(letters.tobytes())
        config = _settings(text, options)
        run = create(Path(folder) / "runs", "stall", config)
        with RunLock.acquire(run) as lock:
            _measure(run, lock, config, options)


def _settings(text: Path, options: Options) -> RunConfig:
    settings = {
        "corpus": {"source": str(text)},
        "model": {"arch": "lstm", "hidden_size": 1530},
        "data": {"batch_size": 8, "seq_len": 16},
        "runtime": {"threads": options.threads, "device": "cpu"},
        "budget": {"steps": 1000},
    }
    return resolve([("the benchmark", settings)]).config


def _measure(run: RunFolder, lock: RunLock, config: RunConfig, options: Options) -> None:
    journal = RunJournal(run, lock, attempt=1)
    trainer, _ = open_session(run, config, journal, lambda: None)
    trainer.update(trainer.batches.batch(0), None, 1e-3)  # Adam's moments are made
    trainer.update.outcomes()
    stalls, written = [], []
    for _ in range(max(3, options.repeats)):
        trainer.progress.step += 1
        begin = time.perf_counter()
        trainer.save("steps")
        stalls.append(1e3 * (time.perf_counter() - begin))
        if done := trainer.saving.collect(wait=True):
            written.append(done.seconds)
    print(f"{trainer.model.parameter_count():,} parameters")
    # the first makes the memory that the others use again
    print(STALL.judge("training waits", spread(stalls[1:])))
    if both := spread(written):
        print(f"until it is on the disk: {both.median:.2f} s ({both.least:.2f} to {both.most:.2f})")
    loads = []
    for _ in range(max(3, options.repeats)):
        begin = time.perf_counter()
        found = checkpoints.find(run.checkpoints)[0]
        tensors, _ = found.load()
        load_weights(found.model_path, trainer.model)
        loads.append(1e3 * (time.perf_counter() - begin))
        assert sum(map(torch.numel, tensors.values())) > 2 * trainer.model.parameter_count()
    print(LOAD.judge("read again, from the system's cache", spread(loads)))
    journal.close()
