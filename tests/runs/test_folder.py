import errno
import os
import stat
import threading
import time
import tomllib
from pathlib import Path

import pytest

from rnn_tui.errors import BusyError, DiskError, InputError, UsageError
from rnn_tui.runs import folder
from rnn_tui.runs.folder import (
    RunFolder,
    check_writable,
    create_run,
    export_model,
    find_run,
    free_name,
    numbered,
    remove_run,
)
from rnn_tui.runs.lock import RunLock
from rnn_tui.runs.status import RunView

CONFIG = {"corpus": {"source": "texts/tinyshakespeare.txt"}, "model": {"arch": "lstm"}}

HOSTILE_NAMES = [
    "../x", "/etc", "", ".", "..", "-rf", "a\0b", "a\n", "x" * 65, "x" * 300, "\x1b]52;c;x\x07", "a\u202eb",
    "a b", ".hidden", "é", "a/b", "$(x)",
]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_hostile_name_is_refused_and_makes_nothing(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="cannot name a run"):
        create_run(tmp_path / "runs", name, CONFIG)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["a", "9", "A.b-c_d", "x" * 64])
def test_a_good_name_is_taken(tmp_path: Path, name: str) -> None:
    run = create_run(tmp_path, name, CONFIG)
    assert run.path == tmp_path / name
    assert tomllib.loads(run.config_path.read_text()) == CONFIG
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize("umask", [0, 0o022, 0o077])
def test_folders_are_0700_and_files_0600_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    old = os.umask(umask)
    try:
        run = create_run(tmp_path / "runs", "a", CONFIG)
    finally:
        os.umask(old)
    for path in (
        tmp_path / "runs",
        run.path,
        run.control,
        run.inbox,
        run.done,
        run.rejected,
        run.checkpoints,
    ):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert stat.S_IMODE(run.config_path.stat().st_mode) == 0o600


def test_a_run_without_a_name_gets_the_next_free_number(tmp_path: Path) -> None:
    names = [create_run(tmp_path, None, CONFIG).name for _ in range(2)]
    os.mkdir(tmp_path / "lstm-tinyshakespeare-7")
    names.append(create_run(tmp_path, None, CONFIG).name)
    assert names == ["lstm-tinyshakespeare-1", "lstm-tinyshakespeare-2", "lstm-tinyshakespeare-8"]


@pytest.mark.parametrize(
    ("source", "arch", "name"),
    [
        ("-", "gru", "gru-stdin-1"),
        ("/data/ \x1b[31m唐 poems!.txt", "nn-rnn", "nn-rnn-31m-poems-1"),
        ("é.txt", "lstm", "lstm-1"),
        ("x" * 300, "lstm", "lstm-" + "x" * 51 + "-1"),
        ("--", "--", "run-1"),
    ],
)
def test_a_name_made_from_the_config_keeps_the_rule(
    tmp_path: Path, source: str, arch: str, name: str
) -> None:
    assert create_run(tmp_path, None, {"corpus": {"source": source}, "model": {"arch": arch}}).name == name


@pytest.mark.parametrize("thing", ["run", "empty folder", "file", "link", "dangling link"])
def test_a_taken_name_is_left_alone(tmp_path: Path, thing: str) -> None:
    taken = tmp_path / "runs" / "a"
    taken.parent.mkdir()
    if thing == "run":
        create_run(tmp_path / "runs", "a", {"old": 1})
    elif thing == "empty folder":
        taken.mkdir()
    elif thing == "file":
        taken.write_text("mine")
    else:
        if thing == "link":
            (tmp_path / "elsewhere").mkdir()
        taken.symlink_to(tmp_path / "elsewhere")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(BusyError, match="already a run named a"):
        create_run(tmp_path / "runs", "a", CONFIG)
    assert sorted(tmp_path.rglob("*")) == before


def test_the_first_number_that_no_run_has(tmp_path: Path) -> None:
    for name in ("fox-1", "fox-3", "dog-2"):
        create_run(tmp_path, name, CONFIG)
    assert [free_name(tmp_path, base) for base in ("fox", "dog", "cat")] == ["fox-2", "dog-1", "cat-1"]


def test_a_number_that_somebody_else_takes_meanwhile(tmp_path: Path) -> None:
    tried = []

    def make(name: str) -> RunFolder:
        tried.append(name)
        if len(tried) < 3:
            create_run(tmp_path, name, CONFIG)
        return create_run(tmp_path, name, CONFIG)

    assert numbered(tmp_path, "fox", make).name == "fox-3"
    assert tried == ["fox-1", "fox-2", "fox-3"]


def test_what_is_busy_for_another_reason_is_not_tried_for_ever(tmp_path: Path) -> None:
    def make(name: str) -> RunFolder:
        raise BusyError("the corpus is being written")

    with pytest.raises(BusyError, match="corpus"):
        numbered(tmp_path, "fox", make)


def test_of_twenty_creators_of_one_name_one_wins(tmp_path: Path) -> None:
    gate, won, lost = threading.Barrier(20), [], []

    def create(number: int) -> None:
        gate.wait()
        try:
            won.append(create_run(tmp_path, "same", {"creator": number}))
        except BusyError:
            lost.append(number)

    threads = [threading.Thread(target=create, args=(n,)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert len(lost) == 19
    assert won[0].read_config()["creator"] not in lost
    assert os.listdir(tmp_path) == ["same"]


def test_creators_without_a_name_never_share(tmp_path: Path) -> None:
    gate, names = threading.Barrier(8), []

    def create() -> None:
        gate.wait()
        for _ in range(5):
            names.append(create_run(tmp_path, None, CONFIG).name)

    threads = [threading.Thread(target=create) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(names) == sorted(f"lstm-tinyshakespeare-{n}" for n in range(1, 41))


@pytest.mark.parametrize("failing", ["mkdir", "open", "write", "fsync", "rename"])
def test_whatever_write_fails_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    """Each call of each kind fails once with a full disk, until a creation needs no more of them."""
    real = getattr(os, failing)
    for k in range(1, 50):
        calls = 0

        def fail(*args, k=k, **kwargs):
            nonlocal calls
            calls += 1
            if calls == k and (failing != "open" or args[1] & os.O_CREAT):
                raise OSError(28, "No space left on device")
            return real(*args, **kwargs)

        with monkeypatch.context() as patch:
            patch.setattr(os, failing, fail)
            try:
                run = create_run(tmp_path / "runs", "a", CONFIG)
            except DiskError as error:
                message = str(error)
            else:
                if calls < k:
                    break
                remove_run(run)  # only an `open` that creates nothing was passed over
                continue
        assert "no space left" in message
        assert not (tmp_path / "runs").exists() or os.listdir(tmp_path / "runs") == []
    else:
        pytest.fail("never ran clean")
    assert k > 1


def test_a_run_reported_as_made_survives_a_power_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file, the folder that names it, the rename, the folder that names that: in this order."""
    (tmp_path / "runs").mkdir()
    done: list[str] = []
    fsync, rename = os.fsync, os.rename
    monkeypatch.setattr(os, "fsync", lambda fd: (fsync(fd), done.append(os.readlink(f"/proc/self/fd/{fd}"))))
    monkeypatch.setattr(os, "rename", lambda old, new: (rename(old, new), done.append("rename")))
    create_run(tmp_path / "runs", "a", CONFIG)
    temporary = os.path.dirname(done[0])
    assert os.path.basename(temporary).startswith(".new-")
    assert done == [
        f"{temporary}/config.toml", f"{temporary}/control", temporary, "rename", str(tmp_path / "runs"),
    ]  # fmt: skip


def test_an_unwritable_place_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(folder, "write_durable", refuse)  # root may write anywhere, so it is pretended
    with pytest.raises(DiskError, match=r"could not make a run in .*runs.*permission denied"):
        create_run(tmp_path / "runs", "a", CONFIG)


def test_a_file_in_place_of_the_runs_folder(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    with pytest.raises(InputError, match="is not a folder"):
        create_run(tmp_path / "runs", "a", CONFIG)


def test_the_runs_folder_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "big-disk").mkdir()
    (tmp_path / "runs").symlink_to(tmp_path / "big-disk")
    create_run(tmp_path / "runs", "a", CONFIG)
    assert (tmp_path / "big-disk" / "a" / "config.toml").is_file()
    assert find_run(tmp_path / "runs", "a").name == "a"


def test_litter_of_killed_creators_and_removers_is_swept(tmp_path: Path) -> None:
    for name in (".new-old", ".new-now", ".del-now", ".mine"):
        (tmp_path / name / "control").mkdir(parents=True)
    long_ago = time.time() - 4000
    os.utime(tmp_path / ".new-old", (long_ago, long_ago))
    create_run(tmp_path, "a", CONFIG)
    assert sorted(os.listdir(tmp_path)) == [".mine", ".new-now", "a"]


def test_a_run_is_found_by_name_and_by_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = create_run(tmp_path / "runs", "alpha", CONFIG)
    assert find_run(tmp_path / "runs", "alpha") == run
    assert find_run(tmp_path / "elsewhere", str(run.path) + "/") == run
    monkeypatch.chdir(run.path)
    assert find_run(Path("nowhere"), ".") == run


@pytest.mark.parametrize("name", ["alpa", *HOSTILE_NAMES])
def test_a_run_that_is_not_there(tmp_path: Path, name: str) -> None:
    create_run(tmp_path / "runs", "alpha", CONFIG)
    with pytest.raises(InputError, match="there is no run") as caught:
        find_run(tmp_path / "runs", name)
    assert ("did you mean 'alpha'" in str(caught.value)) == (name == "alpa")


def test_a_linked_run_is_not_followed(tmp_path: Path) -> None:
    run = create_run(tmp_path / "elsewhere", "a", CONFIG)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "link").symlink_to(run.path)
    with pytest.raises(InputError, match="symbolic link"):
        find_run(tmp_path / "runs", "link")


def test_a_run_without_config_is_found_so_that_it_can_be_removed(run: RunFolder) -> None:
    run.config_path.unlink()
    remove_run(find_run(run.path.parent, "one"))
    assert not run.path.exists()


def test_removal_leaves_nothing_and_follows_no_link(run: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_text("keep")
    (run.checkpoints / "link").symlink_to(tmp_path / "precious")
    remove_run(run)
    assert os.listdir(run.path.parent) == []
    assert (tmp_path / "precious" / "file").read_text() == "keep"


def test_a_living_run_is_not_removed(run: RunFolder) -> None:
    with RunLock.acquire(run), pytest.raises(BusyError, match="one"):
        remove_run(run)
    assert run.config_path.is_file()


def test_a_worker_that_starts_while_a_run_is_removed_wins(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "run_state", lambda run: RunView("stopped", None, False))
    with RunLock.acquire(run), pytest.raises(BusyError, match=f"process {os.getpid()}"):
        remove_run(run)
    assert run.config_path.is_file()


def test_a_folder_that_is_no_run_is_not_removed(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "config.toml").write_text("")
    with pytest.raises(InputError, match="does not look like a run"):
        remove_run(find_run(tmp_path, "home"))
    assert (tmp_path / "home" / "config.toml").exists()


def test_config_that_cannot_be_read(run: RunFolder) -> None:
    for damage in (b"\xff\xfe", b"a = [" * 60_000, b"a = 1\na = 2", b"x = " + b"9" * 5000, b"#" * 300_000):
        run.config_path.write_bytes(damage)
        with pytest.raises(InputError, match=r"run one: config\.toml"):
            run.read_config()
    run.config_path.unlink()
    os.mkfifo(run.config_path)  # would block an innocent reader for ever
    with pytest.raises(InputError, match="not a regular file"):
        run.read_config()


def test_the_newest_checkpoint_is_a_complete_one(run: RunFolder) -> None:
    assert run.newest_checkpoint_step() is None
    for name in ("step-00000100", "step-00000900", "step-00001200", ".tmp-5000", "step-x"):
        (run.checkpoints / name).mkdir()
        if name != "step-00001200":
            (run.checkpoints / name / "manifest.json").write_text("{}")
    assert run.newest_checkpoint_step() == 900


def test_the_longest_name_fits_wherever_it_is_used(tmp_path: Path) -> None:
    """A file system takes 255 bytes for a name; each name that is made of a run's own is shorter."""
    run = create_run(tmp_path / "runs", "x" * 64, CONFIG)
    (run.path / "keep").mkdir()
    seen = []
    real = os.rename

    def rename(old: Path, new: Path) -> None:
        seen.append(os.path.basename(new))
        real(old, new)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "rename", rename)
        remove_run(run)
    assert max(map(len, seen)) <= 128
    assert os.listdir(tmp_path / "runs") == []


def test_names_that_a_file_system_takes_for_one_clash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where capitals and small letters are the same."""
    create_run(tmp_path, "Alpha", CONFIG)
    real = os.path.lexists
    monkeypatch.setattr(
        os.path, "lexists", lambda path: real(path) or real(str(path).replace("alpha", "Alpha"))
    )
    with pytest.raises(BusyError, match="already a run named alpha"):
        create_run(tmp_path, "alpha", CONFIG)
    assert os.listdir(tmp_path) == ["Alpha"]


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.ENOSPC])
def test_a_folder_that_cannot_be_written_is_refused_before_anything_starts(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    check_writable(run)
    before = sorted(run.path.rglob("*"))
    real = os.open

    def refuse(path, flags, *more, **others):
        if flags & os.O_CREAT and "checkpoints" in str(path):
            raise OSError(number, os.strerror(number))
        return real(path, flags, *more, **others)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(DiskError, match=r"run one was not started: .*/checkpoints cannot be written to"):
        check_writable(run)
    assert sorted(run.path.rglob("*")) == before


def test_without_its_folder_of_checkpoints_a_run_can_be_started(run: RunFolder) -> None:
    run.checkpoints.rmdir()
    check_writable(run)
    assert not run.checkpoints.exists()


def test_a_model_is_copied_and_nothing_replaced(run: RunFolder, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no model file yet"):
        export_model(run, tmp_path / "m")
    model = bytes(range(256)) * 10_000
    run.model_path.write_bytes(model)
    assert export_model(run, tmp_path / "m") == tmp_path / "m"
    assert export_model(run, tmp_path) == tmp_path / "one.safetensors"
    assert (tmp_path / "m").read_bytes() == (tmp_path / "one.safetensors").read_bytes() == model
    with pytest.raises(BusyError, match="is there already"):
        export_model(run, tmp_path / "m")
    with pytest.raises(DiskError, match="could not write"):
        export_model(run, tmp_path / "nowhere" / "m")
    run.model_path.unlink()
    run.model_path.symlink_to(tmp_path / "m")
    with pytest.raises(InputError, match="cannot be exported"):
        export_model(run, tmp_path / "n")
