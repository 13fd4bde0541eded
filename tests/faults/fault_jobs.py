"""A process that has loaded what a worker needs and forks one when asked; and what the forked processes do.

Loading torch takes two seconds and its first optimizer step two more. A fork of a process that has done both begins to
train within a tenth of a second, so that a run can be killed hundreds of times in a test.

`python fault_jobs.py warm` reads requests from standard input, a JSON line each, and answers each with one:
`{"job": name, "args": {…}, "env": {…}, "log": path}` with the pid, `{"wait": pid}` with the exit code. `bare` in the
place of `warm` loads the modules and computes nothing: where the first use of the vector maths is the subject, it must
be the child's own. Either way the process forks with one thread only.
"""

import ctypes
import gc
import hashlib
import importlib
import itertools
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from contextlib import suppress
from pathlib import Path

import safetensors.torch
import torch
from fault_disk import Watch
from torch.nn import functional

from rnn_tui.runs import events
from rnn_tui.runs.events import EventReader, EventWriter
from rnn_tui.runs.layout import RunFolder
from rnn_tui.runs.process import die_with_parent
from rnn_tui.training import checkpoint, journal, loop, obeying, session, worker
from rnn_tui.training.config import resolve
from rnn_tui.training.launch import create
from rnn_tui.training.progress import Replay

# -- what a child does ---------------------------------------------------------------------------------------


def train(path, *, rates=(), stop=None, spoil="", kill=(), broken=""):
    """Work on the run at `path` as its worker does; return the exit code.

    Args:
        rates: pairs of a step and the learning rate that is set before its update, in order.
        stop: the step at which the run is stopped.
        spoil: the part of the saved state that is lost, see `SPOILED`.
        kill: what the process is killed before, `event` (written to the log), `link` (of the model to be published) or
            `ended` (the last status), and which of them, counted from 1.
        broken: a function that does nothing, see `IDLE`.
    """
    if spoil:
        real = checkpoint.Checkpoint.load
        checkpoint.Checkpoint.load = lambda found: _spoiled(spoil, *real(found))
    if rates or stop is not None or spoil == "weights":
        _opened(lambda trainer: _interfere(trainer, rates, stop, spoil))
    if broken:
        module, result = IDLE[broken]
        assert callable(getattr(module, broken))
        setattr(module, broken, lambda *args: result)
    if kill:
        _kill_before(*kill)
    return worker.main(path)


IDLE = {"of_step": (checkpoint, None), "journalled": (session, Replay())}
"""Where a function is called from, and what it returns in the place of doing what it is for."""


def _opened(call):
    """Have `call` called with the trainer when it is ready to train."""
    real = worker.open_session

    def opened(*args, **more):
        trainer, work = real(*args, **more)
        call(trainer)
        return trainer, work

    worker.open_session = opened


def _interfere(trainer, rates, stop, spoil):
    obey = trainer.orders.obey

    def interfered():
        for step, rate in rates:
            if step == trainer.progress.step:
                trainer.orders.set_rate(rate)
        if stop == trainer.progress.step:
            trainer.orders._stop = worker.Ending("stopped", "a test asked for it", 0)
        return obey()

    trainer.orders.obey = interfered
    if spoil == "weights":
        with torch.no_grad():
            trainer.parameters[-1][0] = 0.0


def _kill_before(what, number):
    owner, name = {
        "event": (events.EventWriter, "write"),
        "link": (os, "link"),
        "ended": (worker, "state_after"),
    }[what]
    real, calls = getattr(owner, name), itertools.count(1)

    def call(*args, **more):
        if next(calls) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **more)

    setattr(owner, name, call)


# -- parts of the state that are lost ------------------------------------------------------------------------

SPOILED = {
    "weights": lambda tensors, values: None,  # `_interfere` does it
    "optimizer: exp_avg": lambda tensors, values: _zero(tensors, "exp_avg"),
    "optimizer: exp_avg_sq": lambda tensors, values: _zero(tensors, "exp_avg_sq"),
    "optimizer: step": lambda tensors, values: _zero(tensors, "step"),
    "optimizer: betas": lambda tensors, values: values["param_groups"][0].update(betas=[0.8, 0.999]),
    "carried state": lambda tensors, values: values.update(carried=False),
    "one leaf of the carried state": lambda tensors, values: tensors["carry.1"].zero_(),
    "torch RNG": lambda tensors, values: tensors.update(
        {"rng.torch": torch.Generator().manual_seed(99).get_state()}
    ),
    "NumPy RNG": lambda tensors, values: values["numpy_rng"]["state"].update(pos=7),
    "Python RNG": lambda tensors, values: values["python_rng"][1].__setitem__(-1, 7),
    "cursor: window": lambda tensors, values: _add(values, "window", 1),
    "cursor: epoch": lambda tensors, values: _add(values, "epoch", 1),
    "step": lambda tensors, values: _add(values, "step", -1),
    "tokens": lambda tensors, values: _add(values, "tokens", -1),
    "base_lr": lambda tensors, values: values["progress"].update(base_lr=0.01),
    "plateau": lambda tensors, values: values["progress"].update(plateau=1.0),
    "plateau: waited": lambda tensors, values: values["progress"].update(plateau_bad=0),
    "early stopping: waited": lambda tensors, values: values["progress"].update(stale=0),
    "best loss": lambda tensors, values: values["progress"].update(best_loss=None),
    "best step": lambda tensors, values: values["progress"].update(best_step=None),
    "sum of losses": lambda tensors, values: values["progress"].update(loss_sum=0.0),
    "sum of norms": lambda tensors, values: values["progress"].update(norm_sum=0.0),
    "sum of predictions": lambda tensors, values: values["progress"].update(predicted=0),
    "sum of updates": lambda tensors, values: values["progress"].update(summed=0),
    "updates clipped": lambda tensors, values: values["progress"].update(clipped=0),
    "divergence: first loss": lambda tensors, values: values["progress"].update(first_loss=None),
    "divergence: lowest loss": lambda tensors, values: values["progress"].update(lowest_loss=0.1),
    "divergence: rollbacks": lambda tensors, values: _add(values, "rollbacks", 1),
    "applied changes": lambda tensors, values: values["progress"]["applied"].pop(0),
}
"""Each part of what a checkpoint holds, and how it is lost on the way back."""


def _spoiled(part, tensors, values):
    SPOILED[part](tensors, values)
    return tensors, values


def _zero(tensors, key):
    found = [
        tensor for name, tensor in tensors.items() if name.startswith("optim.") and name.endswith(f".{key}")
    ]
    assert found
    for tensor in found:
        tensor.zero_()


def _add(values, key, amount):
    values["progress"][key] += amount


# -- operations that fail ---------------------------------------------------------------------------------------


def faulty(path, *, at, fault, result, only=None, careless=False):
    """Work on the run at `path` while the operation on its files with the number `at` fails, see `fault_disk.Watch`.

    Args:
        result: the file that takes what the operations were, and which one failed.
        careless: whether a fault of the event log ends the worker.
    """
    if careless:
        EventWriter._fail = _raise
    obeying.RETRY_SECONDS = 0.1
    with Watch(path, at=at, fault=fault, only=only) as watch:
        code = worker.main(path)
    Path(result).write_text(json.dumps({"names": watch.names, "struck": watch.struck}))
    return code


def _raise(writer, error):
    raise error


# -- a disk that is full for a while ----------------------------------------------------------------------------------


def crowded(path, *, size, seconds, result, never=False):
    """Work on a copy of the run at `path` on a file system of `size` bytes, three fifths of it taken by somebody else;
    when it waits for room, fill the rest, and a second later make room.

    Args:
        seconds: how often the worker looks for room.
        result: the folder that takes what became of the run, and the file `found` in it what was seen.
        never: whether the worker never looks.
    """
    result = Path(result)
    place = result / "disk"
    place.mkdir(parents=True)
    if reason := _mount(place, size):
        (result / "found").write_text(json.dumps({"skip": reason}))
        return 0
    run = RunFolder(place / "one")
    shutil.copytree(path, run.path)
    obeying.RETRY_SECONDS = 1e9 if never else seconds
    ballast, brim = place / "ballast", place / "brim"
    ballast.write_bytes(bytes(size * 3 // 5))
    worker_pid = os.fork()
    if worker_pid == 0:
        die_with_parent()
        os._exit(worker.main(str(run.path)))
    found = {"free": 0, "code": None}
    paused = _awaited(run, "paused", 60)
    if paused is not None:
        found |= {"message": paused.data["message"], "step": paused.step, "free": os.statvfs(place).f_bavail}
        with brim.open("wb", buffering=0) as file, suppress(OSError):
            while file.write(bytes(4096)):
                pass
        time.sleep(1)
        brim.unlink()
        ballast.unlink()
        begin = time.time()
        running = _awaited(run, "running", 3 + 2 * seconds)
        found["waited"] = None if running is None else running.time - begin
        if running is None:
            os.kill(worker_pid, signal.SIGKILL)
    found["code"] = os.waitstatus_to_exitcode(os.waitpid(worker_pid, 0)[1])
    shutil.copytree(run.path, result / "one")
    (result / "found").write_text(json.dumps(found))
    return 0


def _awaited(run, state, seconds):
    """Wait for the event that says that a run is in this state."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for event in EventReader(run.events_path).poll():
            if event.kind == "state" and event.data["state"] == state:
                return event
        time.sleep(0.02)
    return None


def _mount(place, size):
    """Mount a file system in memory that only this process and its children see; return why not, where that fails."""
    libc = ctypes.CDLL(None, use_errno=True)
    new_mounts, new_user, user, group = 0x20000, 0x10000000, os.geteuid(), os.getegid()
    if libc.unshare(new_mounts | new_user):
        return f"unshare: {os.strerror(ctypes.get_errno())}"
    for file, text in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")):
        Path("/proc/self", file).write_text(text)
    if libc.mount(b"tmpfs", os.fsencode(place), b"tmpfs", 0, f"size={size}".encode()):
        return f"mount: {os.strerror(ctypes.get_errno())}"
    return ""


# -- exactness of fresh processes ----------------------------------------------------------------------------


def fresh(path, *, result, warm_up=True, slip=False):
    """Train the run at `path`, do what the race in the vector maths was found with, and write a hash of all bits.

    Args:
        result: the file that takes it.
        warm_up: whether the product may warm up.
        slip: whether one element of one logarithm is another in its last bit.
    """
    if not warm_up:
        session.warm_up_math = lambda: None
    code = worker.main(path)
    if code == 0:
        newest = checkpoint.find(Path(path) / "checkpoints")[0]
        tensors, _ = newest.load()
        tensors |= safetensors.torch.load(newest.model_path.read_bytes())
        tensors |= _vector_maths()
        if slip:
            tensors["log"].view(torch.int32)[1234] ^= 1
        digest = hashlib.sha256()
        for name in sorted(tensors):
            digest.update(name.encode() + tensors[name].contiguous().numpy().tobytes())
        Path(result).write_text(digest.hexdigest())
    return code


def _vector_maths():
    """Large operators whose first call, on several threads, is the race."""
    generator = torch.Generator().manual_seed(5)
    embedding = torch.randn(50, 256, generator=generator).requires_grad_()
    weight = (torch.randn(256, 256, generator=generator) / 16).requires_grad_()
    ids = torch.randint(50, (32, 64), generator=generator)
    torch.logcumsumexp(functional.embedding(ids, embedding) @ weight, 1).square().mean().backward()
    many = torch.rand(2_000_000, generator=generator) + 0.01
    return {
        "embedding": embedding.grad,
        "weight": weight.grad,
        "exp": torch.exp(many),
        "log": torch.log(many),
        "erf": torch.erf(many),
    }


# -- what safety costs ---------------------------------------------------------------------------------------


def cost(path, *, result):
    """Work on the run at `path` and write where the time between the first and the last update went.

    `stalls` are the seconds for which training stood still for each checkpoint on the way, `told` the seconds in the
    event log, the status file and the mailbox, `steps` those of each update.
    """
    stalls, log, status, mailbox, steps = [], [], [], [], []

    def timed(owner, name, seconds, counts=lambda *args: True):
        real = getattr(owner, name)

        def call(*args, **more):
            begin = time.perf_counter()
            try:
                return real(*args, **more)
            finally:
                if counts(*args):
                    seconds.append(time.perf_counter() - begin)

        setattr(owner, name, call)

    timed(loop.Trainer, "save", stalls, lambda trainer, reason: reason == "steps")
    timed(loop.Trainer, "_update", steps)
    timed(obeying.Orders, "_take", mailbox)
    timed(journal.RunJournal, "event", log, lambda writer, kind, *_: kind == "train")
    timed(journal.RunJournal, "status", status, lambda writer, state, *_: state == "running")
    code = worker.main(path)
    told = {"log": sum(log), "status": sum(status), "mailbox": sum(mailbox)}
    Path(result).write_text(json.dumps({"stalls": stalls, "told": told, "steps": steps}))
    return code


# -- the server ----------------------------------------------------------------------------------------------

PR_SET_PDEATHSIG = 1
JOBS = {job.__name__: job for job in (train, faulty, crowded, fresh, cost)}


def warm_up():
    """Take a few steps of a run, so that everything that is loaded at its first use is loaded."""
    words = random.Random(0).choices(["one ", "two ", "three ", "four\n"], k=400)
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {
            f"RNN_TUI_{name}_DIR": f"{folder}/{name}" for name in ("CONFIG", "DATA", "STATE", "CACHE")
        }
        Path(folder, "text").write_text("".join(words))
        for engine in ("eager", "loop"):
            settings = {
                "corpus": {"source": f"{folder}/text"},
                "model": {"hidden_size": 4},
                "data": {"seq_len": 8, "batch_size": 4},
                "budget": {"steps": 2},
                "watch": {"sample_length": 4},
                "runtime": {"device": "cpu", "threads": 1, "engine": engine},
            }
            run = create(Path(folder, "runs"), engine, resolve([("a test", settings)]).config)
            assert worker.main(str(run.path)) == 0


def serve():
    """Answer requests until standard input ends."""
    if sys.argv[1] == "warm":
        warm_up()
    else:
        importlib.import_module("torch._dynamo")  # as the first optimizer step does
    gc.collect()  # and with it the thread that wrote checkpoints
    gc.freeze()
    torch.set_num_threads(1)
    deadline = time.monotonic() + 60
    while len(os.listdir("/proc/self/task")) > 1 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(os.listdir("/proc/self/task")) == 1, "a process with threads cannot be forked"
    answer({"ready": True})
    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            _, status = os.waitpid(request["wait"], 0)
            answer({"code": os.waitstatus_to_exitcode(status)})
        else:
            pid = os.fork()
            if pid == 0:
                os._exit(_child(request))
            answer({"pid": pid})


def answer(values):
    print(json.dumps(values), flush=True)


def _child(request):
    """Become a worker as the supervisor would have started it; return the exit code."""
    try:
        os.setsid()
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # no child outlives the tests
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        log = os.open(request["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        null = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((null, 0), (log, 1), (log, 2)):
            os.dup2(source, target)
        sys.path[:0] = filter(None, request["env"].get("PYTHONPATH", "").split(os.pathsep))
        os.environ.clear()
        os.environ |= request["env"]
        return JOBS[request["job"]](**request["args"])
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


if __name__ == "__main__":
    serve()
