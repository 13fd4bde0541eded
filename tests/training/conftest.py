"""Small runs on generated corpora, and what to compare two of them by."""

import math
import random
import signal
import subprocess
import sys
import time

import pytest
import safetensors.torch
import torch

from rnn_tui.runs.events import EventReader, effective
from rnn_tui.runs.layout import RunFolder
from rnn_tui.training import checkpoint, worker
from rnn_tui.training.launch import create, prepare_run_config


@pytest.fixture(autouse=True)
def steady():
    """The worker sets signal handlers and the thread count of its process, which here is pytest's."""
    handlers = {n: signal.getsignal(n) for n in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT)}
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    for number, handler in handlers.items():
        signal.signal(number, handler)


class Run(RunFolder):
    """A run folder and what the tests do with it."""

    def train(self, **how):
        """Work on it in this process; return the exit code."""
        return worker.main(str(self.path), **how)

    def start(self, stderr=subprocess.DEVNULL):
        """Work on it in a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "rnn_tui.training.worker", str(self.path)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            start_new_session=True,
        )

    def at(self, **actions):
        """Have the next worker call `actions["step_3"]`, say, with its trainer when it reaches that step."""
        real = worker.open_session

        def opened(*args):
            worker.open_session = real
            trainer, work = real(*args)
            obey = trainer.orders.obey

            def when_there():
                if action := actions.get(f"step_{trainer.progress.step}"):
                    action(trainer)
                return obey()

            trainer.orders.obey = when_there
            return trainer, work

        worker.open_session = opened

    def stop_at(self, step):
        """Have the next worker stop when it reaches `step`: a signal that arrives after so many looks."""

        def stop(trainer):
            trainer.orders._stop = worker.Ending("stopped", "test", 0)

        self.at(**{f"step_{step}": stop})

    def events(self):
        return EventReader(self.events_path).poll()

    def fingerprint(self):
        """Everything that a continued run depends on, from its newest checkpoint."""
        newest = checkpoint.find(self.checkpoints)[0]
        newest.verify()
        tensors, values = newest.load()
        weights = safetensors.torch.load(newest.model_path.read_bytes())
        all_of_it = tensors | weights
        progress = {k: v for k, v in values["progress"].items() if k not in ("elapsed", "applied")}
        return (
            newest.step,
            {
                k: (t.float() if t.dtype == torch.bfloat16 else t).numpy().tobytes()
                for k, t in all_of_it.items()
            },
            progress,
            values["python_rng"],
        )

    def curve(self):
        """What was measured, times left out."""
        keep = {
            "train": ("loss", "grad_norm", "clipped", "lr", "tokens"),
            "validation": ("loss", "best"),
            "sample": ("text",),
        }
        return [
            (e.kind, e.step, *(e.data[k] for k in keep[e.kind]))
            for e in effective(self.events())
            if e.kind in keep
        ]


@pytest.fixture
def text(tmp_path):
    words = "the cat sat on the mat and the dog lay by the door of the old red house\n".split(" ")
    generator = random.Random(0)
    path = tmp_path / "words.txt"
    path.write_text(" ".join(generator.choice(words) for _ in range(1200)))
    return path


@pytest.fixture
def pairs(tmp_path):
    """Lines of 3 to 9 letters, each labelled with the letter before it."""
    generator = random.Random(1)
    words = ["".join(generator.choices("abcd", k=generator.randint(3, 9))) for _ in range(60)]
    path = tmp_path / "pairs.tsv"
    path.write_text("".join(f"{word}\t{word[-1]}{word[:-1]}\n" for word in words))
    return path


@pytest.fixture
def numbers(tmp_path):
    generator = random.Random(2)
    path = tmp_path / "numbers.csv"
    path.write_text("a,b\n" + "".join(f"{math.sin(t / 5)},{generator.gauss(3, 2)}\n" for t in range(400)))
    return path


@pytest.fixture
def settings():
    """The settings of a small run on a corpus; `more` changes sections of them."""

    def merged(source, **more):
        base = {
            "corpus": {"source": str(source)},
            "model": {"hidden_size": 16, "dropout": 0.2, "num_layers": 2},
            "data": {"seq_len": 12, "batch_size": 8},
            "optim": {"warmup_steps": 3},
            "budget": {"steps": 30},
            "watch": {"log_every": 4, "validate_every": 10, "sample_length": 20},
            # no race: on a loaded machine two runs may choose differently, and then differ in the last bits
            "runtime": {"threads": 1, "device": "cpu", "engine": "loop"},
        }
        return {section: base.get(section, {}) | more.get(section, {}) for section in base | more}

    return merged


@pytest.fixture
def make(tmp_path, settings):
    """Create a run in the folder `runs`."""

    def made(name, source, **more):
        config = prepare_run_config([("test", settings(source, **more))]).config
        return Run(create(tmp_path / "runs", name, config).path)

    return made


@pytest.fixture
def wait_for():
    def wait(condition, seconds=60):
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "it never happened"
            time.sleep(0.02)

    return wait
