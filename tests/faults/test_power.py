"""A power cut at any moment: nothing that is torn passes for whole, nothing that was acknowledged is lost."""

import os

import pytest
from fault_power import power_cuts
from fault_saves import broken
from fault_scenes import SCENES

from rnn_tui import files
from rnn_tui.model.manifest import encode_manifest
from rnn_tui.runs import control, events, folder, records, status
from rnn_tui.runs.events import EventWriter
from rnn_tui.runs.layout import checkpoint_name
from rnn_tui.training import checkpoint, saving
from rnn_tui.training.obeying import Orders


def cut(name, tmp_path, breaking=lambda patch: None, **how):
    """Cut the power in a scenario, while the code is broken by `breaking`."""
    prepare, scenario, recover = SCENES[name]
    root = tmp_path / "real"
    root.mkdir()
    prepare(root)

    def broken_scenario(root, watch):
        with pytest.MonkeyPatch.context() as patch:
            breaking(patch)
            scenario(root, watch)

    return power_cuts(tmp_path, broken_scenario, recover, **how)


@pytest.mark.parametrize("name", SCENES)
def test_nothing_is_torn_or_lost(name, tmp_path, amount, figures):
    outcome = cut(name, tmp_path, combined=amount(7, 11))
    assert (outcome.torn, outcome.lost) == ([], [])
    assert outcome.states > 1
    figures("power", f"{name}: {outcome}")


def test_a_model_that_is_copied_is_as_safe_as_one_that_is_linked(tmp_path, figures):
    def refused(*_):
        raise PermissionError(1, "Operation not permitted")

    outcome = cut("publish", tmp_path, lambda patch: patch.setattr(os, "link", refused))
    assert (outcome.torn, outcome.lost) == ([], [])
    figures("power", f"publish without links: {outcome}")


# -- the same with code that is broken --------------------------------------------------------------------------------


def _nothing_synced(path):
    pass


def _manifest_first(folder, step, files, *, run_id, environment):
    """Without a temporary name, and with the manifest before what it describes."""
    place = folder / checkpoint_name(step)
    place.mkdir()
    entries = {}
    for name, parts in files.items():
        entries[name] = checkpoint._write(place / name, parts)
        (place / name).unlink()
    checkpoint.write_durable(place / "manifest.json", [encode_manifest(run_id, step, environment, entries)])
    for name, parts in files.items():
        checkpoint.write_durable(place / name, parts)
    checkpoint.fsync_directory(place)
    checkpoint.fsync_directory(folder)


def _unsynced_file(monkeypatch, module):
    unsynced = broken(files.write_durable, ("os.fsync(fd)", "pass"))
    monkeypatch.setattr(module, "write_durable", unsynced)


def _break(monkeypatch, module, function, *changes):
    monkeypatch.setattr(module, function.__name__, broken(function, *changes))


BROKEN = {
    ("save", "files not fsynced"): lambda patch: _unsynced_file(patch, checkpoint),
    ("save", "folders not fsynced"): lambda patch: patch.setattr(
        checkpoint, "fsync_directory", _nothing_synced
    ),
    ("save", "renamed before the fsync"): lambda patch: _break(
        patch,
        checkpoint,
        checkpoint.save,
        ("        fsync_directory(temporary)\n", ""),
        ("os.rename(temporary, final)", "os.rename(temporary, final); fsync_directory(final)"),
    ),
    ("save", "manifest first"): lambda patch: patch.setattr(checkpoint, "save", _manifest_first),
    ("save of a step again", "the first one renamed away"): lambda patch: _break(
        patch,
        checkpoint,
        checkpoint.save,
        (
            "os.rename(temporary, final)",
            "os.rename(_folders(folder)[0], folder / '.del-x'); os.rename(temporary, folder / checkpoint_name(step))",
        ),
    ),
    ("prune, save", "removed without a rename"): lambda patch: _break(
        patch, checkpoint, checkpoint._remove, ("os.rename(path, folder", "shutil.rmtree(path), str(folder")
    ),
    ("prune, save", "no fsync before the sweep"): lambda patch: _break(
        patch, checkpoint, checkpoint._remove, ("fsync_directory(folder)", "pass")
    ),
    ("prune, save", "the newest removed"): lambda patch: _break(
        patch, checkpoint, checkpoint.prune, ("found = find(folder)", "found = find(folder)[::-1]")
    ),
    ("save over litter", "the sweep takes the wrong one"): lambda patch: _break(
        patch, checkpoint, checkpoint.sweep, ('".del-")', '".del-", "step-00000005")')
    ),
    ("go back", "later ones kept"): lambda patch: patch.setattr(checkpoint, "_remove", lambda *_: ""),
    ("publish", "folder not fsynced"): lambda patch: patch.setattr(
        saving, "fsync_directory", _nothing_synced
    ),
    ("publish", "in place"): lambda patch: _break(
        patch, saving, saving.publish, ('target.with_name(f".tmp-{target.name}")', "target")
    ),
    ("event log", "lines not fsynced"): lambda patch: patch.setattr(
        EventWriter, "sync", broken(EventWriter.sync, ("os.fsync(self._fd)", "pass"))
    ),
    ("event log", "its name not fsynced"): lambda patch: patch.setattr(
        events, "fsync_directory", _nothing_synced
    ),
    ("event log, failed fsync", "not written again"): lambda patch: patch.setattr(
        EventWriter, "_write_again", lambda self: None
    ),
    ("commands", "applied before it is on the disk"): lambda patch: patch.setattr(
        Orders, "_take", broken(Orders._take, ("durable=True,", ""))
    ),
    ("commands", "sent without an fsync"): lambda patch: _unsynced_file(patch, control),
    ("status", "the last word not fsynced"): lambda patch: patch.setattr(
        status,
        "write_record",
        lambda path, record, *, durable: records.write_record(path, record, durable=False),
    ),
    ("create a run", "settings not fsynced"): lambda patch: _unsynced_file(patch, folder),
    ("create a run", "folders not fsynced"): lambda patch: patch.setattr(
        folder, "fsync_directory", _nothing_synced
    ),
    ("replace a file", "not fsynced"): lambda patch: _unsynced_file(patch, files),
    ("replace a file", "folder not fsynced"): lambda patch: patch.setattr(
        files, "fsync_directory", _nothing_synced
    ),
    ("replace a file", "in place"): lambda patch: _break(
        patch,
        files,
        files.replace_file,
        ("write_durable(temporary, [data])", "path.unlink(); write_durable(path, [data]); temporary = path"),
    ),
}


@pytest.mark.parametrize(("name", "what"), BROKEN)
def test_broken_code_is_found(name, what, tmp_path, figures):
    outcome = cut(name, tmp_path, BROKEN[name, what], combined=7, all_of_them=False)
    assert outcome.torn or outcome.lost
    figures("power", f"broken on purpose: {name}, {what}: {(outcome.torn + outcome.lost)[0]}")
