"""What is done with the files of a run, and what is asked of them after a fault.

A scene is three functions: the first makes a folder ready, the second works in it under a `fault_disk.Watch` and marks
what it was told is done, the third looks at what is left and returns what is torn and yet passes for whole, and what is
there of that which can be marked.
"""

import json
from types import SimpleNamespace

from fault_saves import files_of, save, value_of

from rnn_tui import files
from rnn_tui.errors import InputError
from rnn_tui.runs import control, folder, status
from rnn_tui.runs.control import Inbox
from rnn_tui.runs.events import EventReader, EventWriter
from rnn_tui.runs.layout import RunFolder
from rnn_tui.runs.lock import RunLock
from rnn_tui.runs.status import my_status, read_status
from rnn_tui.training import checkpoint, saving
from rnn_tui.training.obeying import Orders
from rnn_tui.training.progress import Progress

# -- what is done before the power fails, and what is asked of the disk after it --------------------------------------


def saving_once(root, watch):
    watch.mark(("step", 5))
    save(root / "checkpoints", 12)
    watch.mark(("step", 12))
    watch.mark(("value", 12, 12.0))


def saving_again(root, watch):
    watch.mark(("step", 5))
    save(root / "checkpoints", 5, 99)
    watch.mark(("value", 5, 99.0))


def saving_over_litter(root, watch):
    save(root / "checkpoints", 12)
    watch.mark(("step", 12))


def pruning(root, watch):
    for step in (2, 3, 5):
        watch.mark(("step", step))
    watch.tell(checkpoint.prune(root / "checkpoints", keep=2, best_step=2))
    save(root / "checkpoints", 6)
    watch.mark(("step", 6))


def going_back(root, watch):
    watch.mark(("step", 2))
    watch.tell(checkpoint.forget_later(root / "checkpoints", 3))
    watch.mark(("newest", 3))


def checkpoints_left(root):
    """What passes for a checkpoint and is none; the steps and values that are there."""
    place, torn, kept = root / "checkpoints", [], set()
    for path in sorted(place.glob("step-*")):
        try:
            whole = checkpoint._read(path)
            kept |= {("step", whole.step), ("value", whole.step, value_of(whole))}
        except InputError as error:
            torn.append(str(error))
    said = []
    newest = checkpoint.newest_valid(place, said.append)
    torn += said
    if newest is not None:
        kept |= {("newest", newest.step), ("newest value", value_of(newest))}
    save(place, 77)
    torn += [f"litter: {path.name}" for path in place.iterdir() if path.name.startswith(".")]
    if checkpoint.find(place)[0].step != 77:
        torn.append("the next one is not the newest")
    return torn, kept


def publishing(root, watch):
    watch.mark("a model")
    saving.publish(root / "checkpoints" / "step-00000005" / "model.safetensors", root / "model.safetensors")
    watch.mark("the model of step 5")


def published(root):
    found = (root / "model.safetensors").read_bytes()
    known = {
        files_of(step, step)["model.safetensors"][0]: {"a model", f"the model of step {step}"}
        for step in (2, 3, 5)
    }
    if found not in known:
        return ["a torn model file"], set()
    saving.publish(root / "checkpoints" / "step-00000003" / "model.safetensors", root / "model.safetensors")
    litter = [path.name for path in root.iterdir() if path.name.startswith(".")]
    return litter, known[found]


def logging(root, watch):
    with EventWriter(root / "events.jsonl", 1) as log:
        for step, durable in enumerate((True, False, True, False, False), 1):
            write(log, watch, step, durable)
    watch.tell(log.fault)
    with watch.unseen(root / "events.jsonl", "ab") as file:
        file.write(b'{"s":6,"a":1,"t":1')
    with EventWriter(root / "events.jsonl", 2) as log:
        write(log, watch, log._seq + 1, True)
    watch.tell(log.fault)


def write(log, watch, step, durable):
    """Write an event; where it is durable, it and all before it are acknowledged."""
    done = log.write("train", step, durable=durable, text="x" * 40)
    watch.tell(log.fault)
    if done and durable:
        for acknowledged in range(1, step + 1):
            watch.mark(acknowledged)


def logging_on_a_bad_disk(root, watch):
    """What a failed fsync covered was not acknowledged; the next that succeeds acknowledges it too."""
    with EventWriter(root / "events.jsonl", 1) as log:
        for step in (1, 2, 3, 4):
            if step == 2:
                watch.fail_next("fsync", "EIO")
            write(log, watch, step, True)


def log_left(root):
    path, torn = root / "events.jsonl", []
    kept = EventReader(path).poll()
    for event in kept:
        if (event.kind, event.seq) != ("train", event.step):
            torn.append(f"event {event}")
    try:
        with EventWriter(path, 3) as log:
            log.write("resume", 7)
    except Exception as error:
        return [f"the log cannot be opened: {error!r}"], set()
    again = EventReader(path).poll()
    if [event.seq for event in again[:-1]] != [event.seq for event in kept]:
        torn.append("a reopened log holds other events")
    if again[-1].kind != "resume" or again[-1].seq != (kept[-1].seq + 1 if kept else 1):
        torn.append("a reopened log does not go on counting")
    return torn, {event.step for event in kept}


def commanding(root, watch):
    """As the worker does it: a command is in the log before it is filed away."""
    run = RunFolder(root / "runs" / "one")
    with RunLock.acquire(run), EventWriter(run.events_path, 1) as log:
        inbox = Inbox(run)

        def event(kind, step, *, durable=False, **data):
            done = log.write(kind, step, durable=durable, **data)
            if done and durable:
                watch.mark(data["id"])
            watch.tell(log.fault or data.get("message", ""))
            return done

        trainer = SimpleNamespace(journal=SimpleNamespace(event=event), progress=Progress())
        orders = Orders(trainer, inbox, lambda: None, ())
        for command in ("pause", "resume"):
            control.send(run, command)
            inbox._next_scan = 0.0
            orders._take()
    watch.tell(log.fault)


def commands_left(root):
    run, torn = RunFolder(root / "runs" / "one"), []
    logged = {event.data["id"] for event in EventReader(run.events_path).poll() if event.kind == "command"}
    inbox = Inbox(run)
    waiting = {command.id for command in inbox.poll()}
    torn += [f"refused: {refused.reason}" for refused in inbox.rejected]
    torn += [f"taken twice: {command}" for command in waiting & logged]
    done = {path.stem for path in run.done.iterdir()}
    torn += [f"filed away but not in the log: {command}" for command in done - logged]
    return torn, logged


def telling(root, watch):
    run = RunFolder(root)
    for step, state in enumerate(("running", "running", "finished")):
        status.write_status(run, my_status(state, attempt=1, step=step))
    watch.mark("finished")


def status_left(root):
    found = read_status(RunFolder(root))
    if found is None:
        return [], set()
    known = {("running", 0), ("running", 1), ("finished", 2)}
    return ([] if (found.state, found.step) in known else [f"status {found}"]), {found.state}


CONFIG = {"model": {"arch": "lstm"}, "about": {"id": "0123456789abcdef"}}


def creating(root, watch):
    folder.create_run(root / "some" / "runs", "one", CONFIG)
    watch.mark("a run")


def run_left(root):
    run = RunFolder(root / "some" / "runs" / "one")
    if not run.path.exists():
        folder.create_run(root / "some" / "runs", "one", CONFIG)
        return [], set()
    torn = [
        path.name
        for path in (run.control, run.inbox, run.done, run.rejected, run.checkpoints)
        if not path.is_dir()
    ]
    if run.read_config() != CONFIG:
        torn.append("config.toml")
    return torn, {"a run"}


def replacing(root, watch):
    watch.mark("a file")
    files.replace_file(root / "state.json", json.dumps({"new": 1}).encode())
    watch.mark("new")


def file_left(root):
    known = {b'{"new": 1}': {"a file", "new"}, b"old": {"a file"}}
    found = (root / "state.json").read_bytes()
    return ([], known[found]) if found in known else (["a torn file"], set())


def checkpoints_of(root):
    for step in (1, 2, 3, 5):
        save(root / "checkpoints", step)


def one_checkpoint(root):
    save(root / "checkpoints", 5)


def litter(root):
    one_checkpoint(root)
    for name in (".tmp-00000009-abcd", ".del-step-00000001-abcd"):
        (root / "checkpoints" / name).mkdir()
        (root / "checkpoints" / name / "state.json").write_text("{}")


def a_model(root):
    checkpoints_of(root)
    (root / "model.safetensors").write_bytes(files_of(2, 2)["model.safetensors"][0])


def a_run(root):
    folder.create_run(root / "runs", "one", CONFIG)


def a_file(root):
    (root / "state.json").write_bytes(b"old")


def nothing(root):
    pass


SCENES = {
    "save": (one_checkpoint, saving_once, checkpoints_left),
    "save over litter": (litter, saving_over_litter, checkpoints_left),
    "save of a step again": (one_checkpoint, saving_again, checkpoints_left),
    "first save": (nothing, saving_over_litter, checkpoints_left),
    "prune, save": (checkpoints_of, pruning, checkpoints_left),
    "go back": (checkpoints_of, going_back, checkpoints_left),
    "publish": (a_model, publishing, published),
    "event log": (nothing, logging, log_left),
    "event log, failed fsync": (nothing, logging_on_a_bad_disk, log_left),
    "commands": (a_run, commanding, commands_left),
    "status": (nothing, telling, status_left),
    "create a run": (nothing, creating, run_left),
    "replace a file": (a_file, replacing, file_left),
}
