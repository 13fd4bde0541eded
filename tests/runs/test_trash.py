import os
import stat
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rnn_tui.errors import BusyError, DiskError, InputError, UsageError
from rnn_tui.runs import trash
from rnn_tui.runs.folder import RunFolder, create_run, find_run, rename_run
from rnn_tui.runs.labels import Labels, read_labels, set_labels
from rnn_tui.runs.listing import list_runs
from rnn_tui.runs.lock import RunLock, held
from rnn_tui.runs.trash import discard, empty, find_trashed, list_trash, restore

CONFIG = {"corpus": {"source": "a.txt"}, "about": {"id": "f00"}}


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return tmp_path / "runs"


def make(runs: Path, name: str, config: dict = CONFIG) -> RunFolder:
    run = create_run(runs, name, config)
    (run.checkpoints / "step-00000010").mkdir()
    (run.checkpoints / "step-00000010" / "manifest.json").write_text("{}")
    return run


def content(path: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(path)): p.read_bytes()
        for p in path.rglob("*")
        if p.is_file() and p.name != "run.lock"
    }


def test_a_run_goes_and_comes_back_as_it_was(runs: Path) -> None:
    run = make(runs, "one")
    set_labels(run, tags=["keep"], note="n")
    before = content(run.path)
    place = discard(run)
    assert place.parent == runs / ".trash"
    assert stat.S_IMODE(place.parent.stat().st_mode) == 0o700
    assert not run.path.exists()
    assert content(place) == before
    assert list_runs(runs) == []
    [held_] = list_trash(runs)
    assert (held_.name, held_.path) == ("one", place)
    assert abs(held_.deleted - time.time()) < 60
    assert held_.size_bytes == sum(p.stat().st_size for p in place.rglob("*") if p.is_file())
    back = restore(place)
    assert back == run
    assert content(run.path) == before
    assert read_labels(back) == Labels(("keep",), "n")
    assert not held(back)
    assert list_trash(runs) == []


def test_the_newest_of_a_name_comes_back_first(runs: Path) -> None:
    places = [discard(make(runs, "one-two-3")) for _ in range(3)]
    assert [one.path for one in list_trash(runs)] == places[::-1]
    assert find_trashed(runs, "one-two-3").path == places[2]
    assert find_trashed(runs, places[0].name).path == places[0]
    with pytest.raises(InputError, match="did you mean 'one-two-3'"):
        find_trashed(runs, "one-tw-3")


def test_a_name_that_is_taken_again_is_said_so_and_another_one_given(runs: Path) -> None:
    place = discard(make(runs, "one"))
    again = make(runs, "one")
    with pytest.raises(BusyError, match=r"there is a run named one again; .* --as NAME"):
        restore(place)
    with pytest.raises(UsageError, match="cannot name a run"):
        restore(place, "../x")
    assert restore(place, "other").path == runs / "other"
    assert again.path.is_dir()


def test_runs_in_the_trash_are_found_by_no_name(runs: Path) -> None:
    place = discard(make(runs, "one"))
    for name in (".trash", "one", place.name):
        with pytest.raises(InputError, match="there is no run"):
            find_run(runs, name)
    make(runs, "x").path.rename(runs / ".hidden")
    with pytest.raises(InputError, match="there is no run"):
        find_run(runs, ".hidden")
    with pytest.raises(InputError, match="in the trash already"):
        discard(find_run(runs, str(place)))


def test_a_living_run_stays(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make(runs, "one")
    with RunLock.acquire(run):
        for refused in (lambda: discard(run), lambda: rename_run(run, "two")):
            with pytest.raises(BusyError, match="run one is starting; stop it first"):
                refused()
    assert run.path.is_dir()
    place = discard(run)
    with RunLock.acquire(RunFolder(place)), pytest.raises(BusyError):
        empty(runs)
    assert place.is_dir()


def test_what_is_no_run_and_what_is_linked_is_left(runs: Path, tmp_path: Path) -> None:
    run = make(runs, "one")
    (runs / "link").symlink_to(run.path)
    with pytest.raises(InputError, match="does not look like a run"):
        discard(RunFolder(runs / "link"))
    (runs / "notes").mkdir()
    with pytest.raises(InputError, match="does not look like a run"):
        discard(RunFolder(runs / "notes"))
    (runs / ".trash").symlink_to(tmp_path)
    with pytest.raises(InputError, match="symbolic link"):
        discard(run)
    assert list_trash(runs) == []
    for path in (run.path, runs / ".trash" / "one-20261122T101303.028056", tmp_path):
        with pytest.raises(InputError, match="no run in the trash"):
            restore(path)


def test_only_what_is_old_enough_is_deleted_for_good(runs: Path, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("keep")
    old, new = discard(make(runs, "old")), discard(make(runs, "new"))
    (old / "link").symlink_to(tmp_path / "precious")
    old = old.rename(old.with_name("old-20200101T000000.000000"))
    assert list_trash(runs)[1].deleted == 1_577_836_800.0  # midnight of 2020 in UTC
    (runs / ".trash" / "mine").mkdir()
    (runs / ".trash" / ".del-killed").mkdir()
    assert [one.name for one in empty(runs, 30 * 86400)] == ["old"]
    assert sorted(os.listdir(runs / ".trash")) == sorted([new.name, "mine"])
    assert [one.name for one in empty(runs)] == ["new"]
    assert os.listdir(runs / ".trash") == ["mine"]
    assert empty(runs) == []
    assert (tmp_path / "precious").read_text() == "keep"


def test_a_move_that_fails_leaves_the_run(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make(runs, "one")

    def refuse(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "rename", refuse)
    with pytest.raises(DiskError, match="it is untouched: Invalid cross-device link"):
        discard(run)
    assert run.config_path.is_file()


def test_two_in_the_same_microsecond(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = discard(make(runs, "one"))
    moment = trash._when(first.name)
    ticks = iter([moment, moment, moment + 1])
    clock = type("Clock", (), {"now": lambda zone: datetime.fromtimestamp(next(ticks), zone)})
    monkeypatch.setattr(trash, "datetime", clock)
    second = discard(make(runs, "one"))
    assert second != first
    assert second.name == datetime.fromtimestamp(moment + 1, UTC).strftime("one-%Y%m%dT%H%M%S.%f")


def test_renaming(runs: Path) -> None:
    run = make(runs, "one")
    make(runs, "two")
    for name in ("two", ".x", "a/b", ""):
        with pytest.raises((UsageError, BusyError)):
            rename_run(run, name)
    renamed = rename_run(run, "three")
    assert (renamed.path, sorted(row.name for row in list_runs(runs))) == (runs / "three", ["three", "two"])
    assert rename_run(renamed, "three") == renamed
    old = make(runs, "old", {"corpus": {"source": "a.txt"}})  # no about.id: its checkpoints bear its name
    with pytest.raises(InputError, match="know it by its name"):
        rename_run(old, "new")
    with pytest.raises(InputError, match="know it by its name"):
        restore(discard(old), "new")
