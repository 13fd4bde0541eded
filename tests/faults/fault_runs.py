"""Runs that are ended in many ways and resumed, and what to compare two of them by."""

import atexit
import functools
import json
import math
import os
import random
import select
import signal
import subprocess
import sys

import fault_jobs
import safetensors.torch
import torch

from rnn_tui.model.header import read_header
from rnn_tui.runs.events import EventReader, effective
from rnn_tui.runs.status import run_state
from rnn_tui.runs.supervisor import SPIN
from rnn_tui.training import checkpoint
from rnn_tui.training.config import resolve
from rnn_tui.training.launch import create

TIMEOUT = 120.0
"""Seconds. No child of these tests takes a tenth of it."""

# -- forked workers ------------------------------------------------------------------------------------------


class Server:
    """The process of `fault_jobs`, see there."""

    def __init__(self, temperature):
        self._process = subprocess.Popen(
            [sys.executable, fault_jobs.__file__, temperature],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | SPIN,  # as the supervisor starts a worker
            start_new_session=True,
        )
        assert json.loads(self._process.stdout.readline()) == {"ready": True}

    def ask(self, **request):
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def fork(self, job, run, **args):
        """Start a job on a run, its output in worker.log."""
        request = {"job": job, "args": {"path": str(run.path), **args}}
        return Child(self, self.ask(**request, env=dict(os.environ), log=str(run.log_path))["pid"])

    def close(self):
        self._process.stdin.close()
        self._process.wait(TIMEOUT)
        self._process.stdout.close()


@functools.cache
def server(temperature="warm"):
    """The one server of this process, `warm` or `bare`; it ends with it."""
    made = Server(temperature)
    atexit.register(made.close)
    return made


class Child:
    """A process that the server forked. `code` is None until it was waited for."""

    def __init__(self, server, pid):
        self._server, self.pid = server, pid
        self.code = None
        self._fd = os.pidfd_open(pid)  # the server reaps only when asked, so this is the very process

    def ended(self, seconds=0.0):
        """Whether it has ended, or does within so many seconds."""
        return bool(select.select([self._fd], [], [], seconds)[0])

    def signal(self, number):
        signal.pidfd_send_signal(self._fd, number)

    def wait(self):
        """Return the exit code, negative for a signal, as `Popen.wait`."""
        if not self.ended(TIMEOUT):
            self.signal(signal.SIGKILL)
        os.close(self._fd)
        self.code = self._server.ask(wait=self.pid)["code"]
        return self.code

    def kill(self):
        self.signal(signal.SIGKILL)
        return self.wait()


# -- runs ----------------------------------------------------------------------------------------------------


def write_text(folder):
    """A text of 60 words out of 14, again and again in another order."""
    words = "the cat sat on the mat and the dog lay by the old door\n".split(" ")
    path = folder / "words.txt"
    path.write_text(" ".join(random.Random(0).choices(words, k=500)))
    return path


def write_pairs(folder):
    """Lines of 3 to 9 letters, each labelled with the letter before it."""
    generator = random.Random(1)
    words = ["".join(generator.choices("abcd", k=generator.randint(3, 9))) for _ in range(150)]
    path = folder / "pairs.tsv"
    path.write_text("".join(f"{word}\t{word[-1]}{word[:-1]}\n" for word in words))
    return path


def write_numbers(folder):
    """Two columns of 500 rows: a sine, and noise."""
    generator = random.Random(2)
    path = folder / "numbers.csv"
    path.write_text("a,b\n" + "".join(f"{math.sin(t / 5)},{generator.gauss(3, 2)}\n" for t in range(500)))
    return path


def small_run(folder, name, source, **more):
    """Create a run in `folder`: two layers with dropout, clipped, everything measured; `more` changes sections."""
    base = {
        "corpus": {"source": str(source)},
        "model": {"hidden_size": 12, "dropout": 0.2, "num_layers": 2},
        "data": {"seq_len": 8, "batch_size": 4},
        "optim": {"warmup_steps": 5, "clip": 0.5},
        "budget": {"steps": 60},
        "watch": {"log_every": 4, "validate_every": 10, "sample_length": 10},
        "checkpoint": {"every_steps": 2},
        # no race: two runs may choose differently, and then differ in the last bits
        "runtime": {"threads": 1, "device": "cpu", "engine": "loop"},
    }
    merged = {section: base.get(section, {}) | more.get(section, {}) for section in base | more}
    return create(folder, name, resolve([("a test", merged)]).config)


def undisturbed(folder, name, source, rates=(), **settings):
    """Train one run to its end; return it."""
    run = small_run(folder / "runs", name, source, **settings)
    assert server().fork("train", run, rates=rates).wait() == 0, run.log_path.read_text()
    return run


# -- what two runs are compared by ---------------------------------------------------------------------------

_KEPT = {
    "train": ("loss", "grad_norm", "clipped", "lr", "tokens"),
    "validation": ("loss", "best", "tokens"),
    "sample": ("prompt", "text"),
    "transcription": ("source", "text"),
    "forecast": None,
    "evaluation": None,
}
"""What was measured, by the kind of event; None: all of it. The rest are times."""

_OWN = ("elapsed", "applied")
"""What two equal runs have each for itself."""


def state_of(run):
    """Everything that a continued run depends on, from the newest checkpoint, by name."""
    newest = checkpoint.find(run.checkpoints)[0]
    newest.verify()
    tensors, values = newest.load()
    tensors |= safetensors.torch.load(newest.model_path.read_bytes())
    progress = values.pop("progress")
    del values["run"]  # its identity
    return (
        {"checkpoint": newest.step}
        | {
            name: tensor.view(torch.uint8).numpy().tobytes() if tensor.dim() else tensor.item()
            for name, tensor in tensors.items()
        }
        | {f"progress.{name}": value for name, value in progress.items() if name not in _OWN}
        | values
    )


def published(run):
    """The model file beside the checkpoints: its weights, and what it says of them."""
    tensors = safetensors.torch.load(run.model_path.read_bytes())
    training = {
        name: value
        for name, value in read_header(run.model_path).training.items()
        if name not in ("run", "run_id")
    }
    return {name: tensor.numpy().tobytes() for name, tensor in tensors.items()} | training


def events(run):
    """The whole log."""
    return EventReader(run.events_path).poll()


def measured(run):
    """What was measured, by step and kind, times left out."""
    found = []
    for event in effective(events(run)):
        if event.kind in _KEPT:
            kept = _KEPT[event.kind] or event.data
            found.append(
                (event.step, event.kind, {name: event.data[name] for name in kept if name in event.data})
            )
    return sorted(found, key=lambda point: point[:2])


def differences(run, other):
    """Name everything in which two complete runs differ; nothing for equal ones."""
    found = []
    for what, one, two in (
        ("state", state_of(run), state_of(other)),
        ("model file", published(run), published(other)),
    ):
        found += [f"{what}: {key}" for key in one.keys() | two.keys() if one.get(key) != two.get(key)]
    one, two = measured(run), measured(other)
    found += [f"event: {a[:2]} beside {b[:2]}" for a, b in zip(one, two, strict=False) if a != b][:1]
    if len(one) != len(two):
        found.append(f"events: {len(one)} beside {len(two)}")
    one, two = run_state(run).status, run_state(other).status
    found += [
        f"status: {name}"
        for name in ("state", "step", "epoch", "train_loss", "validation_loss", "best_loss", "best_step")
        if getattr(one, name) != getattr(two, name)
    ]
    return found


def faults_of_log(run):
    """Name what is wrong with the event log of a complete run: a gap, something twice, a reset, a lost checkpoint."""
    reader = EventReader(run.events_path)
    events = reader.poll()
    found = [f"bad line {line}" for line in reader.bad_line_numbers]
    if [event.seq for event in events] != list(range(1, len(events) + 1)):
        found.append("a gap in seq")
    points = [(step, kind, data.get("source")) for step, kind, data in measured(run)]
    found += [f"twice: {point[:2]}" for point in set(points) if points.count(point) > 1]
    steps = [event.step for event in effective(events) if event.kind == "train"]
    if steps != sorted(steps):
        found.append("the curve goes back")
    saved, reached, attempt = 0, 0, 0
    for event in events:
        if event.kind == "start" and reached:
            found.append(f"a start after step {reached}")
        if event.kind == "resume" and event.step < saved:
            found.append(f"resumed from {event.step} though {saved} was saved")
        if event.kind == "checkpoint":
            saved = max(saved, event.step)
        if event.attempt not in (attempt, attempt + 1):
            found.append(f"attempt {event.attempt} after {attempt}")
        reached, attempt = max(reached, event.step), event.attempt
    if events[-1].kind != "end" or events[-1].data["reason"] not in ("finished", "early-stop"):
        found.append(f"it ends with {events[-1].kind}")
    if [event.kind for event in events].count("warning"):
        found.append("a warning")
    return found


def in_a_save(run):
    """Whether a save, or the removal of a checkpoint, was under way when the last worker died."""
    if not run.checkpoints.is_dir():
        return False
    with os.scandir(run.checkpoints) as entries:
        return any(entry.name.startswith((".tmp-", ".del-")) for entry in entries)


def complete(run):
    """Whether there is nothing left to do."""
    return run_state(run).state == "finished"


def wait_for_growth(path, child):
    """Wait until a file is longer than it was, or the process that is to write it has ended."""
    begin = path.stat().st_size if path.exists() else 0
    while not child.ended(0.005) and not (path.exists() and path.stat().st_size > begin):
        pass
