"""A disk that is full for a while: the run waits, says so, goes on by itself when there is room, and loses nothing."""

import errno
import json
import os
import resource

import pytest
from fault_disk import in_a_child
from fault_runs import differences, events, server, small_run, undisturbed, write_text
from fault_saves import save

from rnn_tui import files
from rnn_tui.errors import DiskError
from rnn_tui.files import disk_error, need_room, warn_of_room
from rnn_tui.runs.layout import RunFolder
from rnn_tui.training import checkpoint

SETTINGS = {
    "model": {"hidden_size": 4, "dropout": 0.2, "num_layers": 1},
    "budget": {"steps": 30},
    "watch": {"log_every": 3, "validate_every": 10, "sample_length": 4},
    "checkpoint": {"every_steps": 1, "keep": 1000},
}
ROOM = 32 * 46_000
"""Bytes. What the thirty-two checkpoints of such a run take, in pages of 4 KiB."""


@pytest.fixture
def runs(tmp_path):
    source = write_text(tmp_path)
    return small_run(tmp_path / "fresh", "one", source, **SETTINGS), undisturbed(
        tmp_path, "one", source, **SETTINGS
    )


def test_runs_on_three_real_disks_that_are_full(runs, tmp_path, amount, figures):
    fresh, whole = runs
    seconds = amount(1, 5)
    sizes = [int(ROOM * share) for share in (1.2, 1.4, 1.7)]
    places = [tmp_path / str(size) for size in sizes]
    jobs = {"broken": {"never": True}} | {place.name: {} for place in places}
    children = [
        server().fork(
            "crowded", fresh, size=sizes[index - 1], seconds=seconds, result=str(tmp_path / name), **more
        )
        for index, (name, more) in enumerate(jobs.items())
    ]
    assert [child.wait() for child in children] == [0] * 4, fresh.log_path.read_text()
    found = {name: json.loads((tmp_path / name / "found").read_text()) for name in jobs}
    if "skip" in found["broken"]:
        pytest.skip(f"no file system can be mounted here: {found['broken']['skip']}")
    for place in places:
        seen, run = found[place.name], RunFolder(place / "one")
        assert seen["code"] == 0, seen
        assert "no space left on the disk" in seen["message"]
        assert "waiting for the disk" in seen["message"]
        assert seen["free"] > 0  # what is too large for the disk is not begun
        assert seen["waited"] <= 2 * seconds
        assert differences(run, whole) == []
        log = events(run)
        assert [event.seq for event in log] == list(range(1, len(log) + 1))
        assert [event.data["state"] for event in log if event.kind == "state"] == ["paused", "running"]
        assert sum(event.kind == "warning" for event in log) <= 6  # one for each step, not for each try
    steps = [found[place.name]["step"] for place in places]
    assert steps == sorted(set(steps))
    assert min(steps) > 3
    waits = [found[place.name]["waited"] for place in places]
    sizes = ", ".join(f"{size / 1e6:.1f} MB" for size in sizes)
    figures(
        "full disk", f"{sizes}: full at step {steps}, on {max(waits):.1f} s after there was room, 0 differ"
    )
    assert found["broken"]["waited"] is None
    assert found["broken"]["step"] < 30
    figures("full disk", "broken on purpose: a worker that never looks for room does not go on")


def test_a_limit_on_the_size_of_files(tmp_path):
    """The kernel cuts the write short and fails the next one."""
    save(tmp_path, 5)

    def limited():
        resource.setrlimit(resource.RLIMIT_FSIZE, (300, resource.RLIM_INFINITY))
        with pytest.raises(DiskError, match=r"could not save step-00000012.*ulimit -f"):
            save(tmp_path, 12)

    assert in_a_child(limited) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000005"]


class Left:
    """What `os.statvfs` says of a disk."""

    def __init__(self, free, names, files=1000):
        self.f_bavail, self.f_frsize, self.f_favail, self.f_files = free // 10, 10, names, files


@pytest.fixture
def left(monkeypatch):
    return lambda *what: monkeypatch.setattr(files.os, "statvfs", lambda path: Left(*what))


def test_a_save_that_would_fill_the_disk_is_not_begun(tmp_path, left):
    newest = save(tmp_path, 5)
    size = newest.size
    left(int(1.1 * size) + 5 * 10 - 20, 100)
    with pytest.raises(
        DiskError, match=r"step-00000012; earlier .* are whole: no space left on the disk for"
    ):
        save(tmp_path, 12)
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000005"]
    left(int(1.1 * size) + 5 * 10 + 20, 100)
    assert save(tmp_path, 12).path.name == "step-00000012"


def test_a_disk_without_free_inodes_is_told_as_that(tmp_path, left):
    left(10**9, 4)
    with pytest.raises(DiskError, match="no free inodes"):
        save(tmp_path, 12)
    left(10**9, 0)
    error = disk_error(
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(tmp_path / "x")), "could not write x"
    )
    assert "no free inodes" in str(error)
    left(10**9, 0, 0)  # a file system that does not count them
    need_room(tmp_path, 1000, 5, "x")
    error = disk_error(
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(tmp_path / "x")), "could not write x"
    )
    assert "no space left" in str(error)


def test_a_disk_that_is_too_small_for_all_that_will_be_kept(tmp_path, left):
    left(10**7, 100)
    assert warn_of_room(tmp_path, 10**6, 9) == ""
    warning = warn_of_room(tmp_path, 10**6, 10)
    assert "10.0 MB are free" in warning
    assert "10 checkpoints of 1.0 MB" in warning


def test_without_looking_first_the_disk_is_filled(tmp_path, left, monkeypatch):
    """The test of the room, shown to find a save that does not look."""
    left(1000, 100)
    monkeypatch.setattr(checkpoint, "need_room", lambda *_: None)
    assert save(tmp_path, 12).path.exists()
