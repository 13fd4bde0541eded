"""Each operation on files fails once, with each error, or is the last of its process: what was there stays, what was
acknowledged is there, the rest was told, and the next attempt succeeds."""

import ast
import os
import shutil

import pytest
from fault_disk import Watch, in_a_child
from fault_power import without_fsync
from fault_saves import broken
from fault_scenes import SCENES

from rnn_tui import files
from rnn_tui.errors import RnnTuiError
from rnn_tui.runs.events import EventWriter
from rnn_tui.training import checkpoint
from rnn_tui.training.obeying import Orders

ERRORS = {"ENOSPC": "no space left", "EIO": "input/output error", "EACCES": "permission denied"}
"""What fails an operation, and what the user reads."""

ITSELF = "event log, failed fsync"
"""A scene that is a fault already."""


def unharmed(struck):
    """Whether a fault need not be told, since nothing comes of it."""
    name, path = struck
    leftover = any(part.startswith((".tmp-", ".del-")) for part in path.split("/"))
    return (
        (leftover and name in ("open", "unlink", "rmdir"))  # is swept the next time
        or (name, path) == ("link", ".tmp-model.safetensors")  # is copied instead
        or (
            name == "close" and path.endswith(("events.jsonl", "run.lock"))
        )  # was synced before; is free all the same
        or (
            name == "rename" and "/control/done/" in path
        )  # a request that is in the log; filed away at the next start
    )


def every_fault(name, tmp_path, fault):
    """Let the first operation of a scene fail, then the second, until a run comes through clean.

    Returns how many faults there were, and what was wrong: `(k, operation, what)`.
    """
    prepare, act, recover = SCENES[name]
    template, root = tmp_path / "template", tmp_path / "root"
    marks = tmp_path / "root.marks"
    template.mkdir()
    prepare(template)
    wrong = []
    for k in range(1, 300):
        shutil.copytree(template, root)
        marks.write_text("")
        watch, message, clean = Watch(root, at=k, fault=fault), "", False

        def run(root=root, watch=watch):
            with watch:
                act(root, watch)

        if fault == "KILL":
            code = in_a_child(run)
            clean = code == 0
            if code not in (0, -9):
                wrong.append((k, "", f"the child ended with {code}"))
        else:
            try:
                run()
            except RnnTuiError as error:
                message = str(error)
            except Exception as error:
                wrong.append((k, watch.struck, f"raised {error!r}"))
            clean = watch.struck is None
            told = [message, *watch.told] if message else watch.told
            wrong += [
                (k, watch.struck, f"misleading: {one}") for one in told if ERRORS[fault] not in one.lower()
            ]
            if not clean and not told and not unharmed(watch.struck):
                wrong.append((k, watch.struck, "not told"))
        with without_fsync():
            try:
                torn, kept = recover(root)
            except (RnnTuiError, FileNotFoundError) as error:
                torn, kept = [f"nothing can be used: {error}"], set()
        promised = {ast.literal_eval(line) for line in marks.read_text().splitlines()}
        wrong += [(k, watch.struck, what) for what in torn]
        wrong += [(k, watch.struck, f"lost: {what}") for what in promised - kept]
        shutil.rmtree(root)
        if clean:
            return k - 1, wrong
    raise AssertionError(f"it never ran clean: {wrong[-3:]}")


@pytest.mark.parametrize("fault", [*ERRORS, "KILL"])
@pytest.mark.parametrize("name", [name for name in SCENES if name != ITSELF])
def test_each_operation_fails_once(name, fault, tmp_path, figures):
    count, wrong = every_fault(name, tmp_path, fault)
    assert wrong == []
    assert count > 0
    figures("writes", f"{name}: {count} operations, {fault} at each, 0 torn, 0 lost")


# -- code that is broken -------------------------------------------------------------------------------------


def _break(patch, module, function, *changes):
    patch.setattr(module, function.__name__, broken(function, *changes))


BROKEN = {
    ("save", "ENOSPC", "a short write is taken for a whole one"): lambda patch: patch.setattr(
        files, "write_all", lambda fd, data: os.write(fd, data)
    ),
    ("save", "EIO", "the error of an fsync is passed over"): lambda patch: patch.setattr(
        checkpoint,
        "write_durable",
        broken(files.write_durable, ("os.fsync(fd)", "try: os.fsync(fd)\n            except OSError: pass")),
    ),
    ("save", "EIO", "errors are passed over"): lambda patch: _break(
        patch, checkpoint, checkpoint.save, ("raise disk_error(error, what) from error", "return None")
    ),
    ("save", "KILL", "the manifest is written under the final name"): lambda patch: _break(
        patch,
        checkpoint,
        checkpoint.save,
        ('folder / f".tmp-{step:08d}-{secrets.token_hex(4)}"', "folder / checkpoint_name(step)"),
    ),
    ("prune, save", "EIO", "what fails in a removal ends the run"): lambda patch: _break(
        patch, checkpoint, checkpoint.prune, ("except (OSError, InputError)", "except InputError")
    ),
    ("prune, save", "KILL", "removed without a rename"): lambda patch: _break(
        patch, checkpoint, checkpoint._remove, ("os.rename(path, folder", "shutil.rmtree(path), str(folder")
    ),
    ("event log", "ENOSPC", "a torn record is not taken back, nor the next one rescued"): lambda patch: (
        patch.setattr("rnn_tui.runs.events.rescue", lambda line: []),
        patch.setattr(
            EventWriter,
            "_flush",
            broken(
                EventWriter._flush,
                ("os.ftruncate(self._fd, self._size)\n            self._torn = False", "pass"),
                (
                    "os.ftruncate(self._fd, self._size)\n            self._torn = True",
                    "pass\n            self._torn = True",
                ),
            ),
        ),
    ),
    ("commands", "ENOSPC", "filed away before it is in the log"): lambda patch: patch.setattr(
        Orders, "_take", broken(Orders._take, ("if logged:", "if True:"))
    ),
    ("replace a file", "ENOSPC", "in place"): lambda patch: _break(
        patch,
        files,
        files.replace_file,
        ("write_durable(temporary, [data])", "path.unlink(); write_durable(path, [data]); temporary = path"),
    ),
}


@pytest.mark.parametrize(("name", "fault", "what"), BROKEN)
def test_broken_code_is_found(name, fault, what, tmp_path, monkeypatch, figures):
    BROKEN[name, fault, what](monkeypatch)
    _, wrong = every_fault(name, tmp_path, fault)
    assert wrong
    figures("writes", f"broken on purpose: {name}, {fault}, {what}: {len(wrong)} found, {wrong[0][2]}"[:160])
