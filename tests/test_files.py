import errno
import os
from pathlib import Path

import pytest

from rnn_tui import files
from rnn_tui.errors import DiskError
from rnn_tui.files import disk_error, make_folders, replace_file, write_all, write_durable


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record, in order, what makes a write durable."""
    found: list[str] = []
    real_fsync, real_rename = os.fsync, os.rename

    def fsync(fd: int) -> None:
        found.append("fsync folder" if os.path.isdir(f"/proc/self/fd/{fd}") else "fsync file")
        real_fsync(fd)

    def rename(source: Path, target: Path) -> None:
        found.append("rename")
        real_rename(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "rename", rename)
    return found


def test_a_new_file(tmp_path: Path, calls: list[str]) -> None:
    path = tmp_path / "new"
    write_durable(path, [b"one ", memoryview(b"two"), b""])
    assert path.read_bytes() == b"one two"
    assert path.stat().st_mode & 0o777 == 0o600
    assert calls == ["fsync file"]
    with pytest.raises(FileExistsError):
        write_durable(path, [b"three"])
    assert path.read_bytes() == b"one two"


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with pytest.raises(OSError, match="exists"):
        write_durable(tmp_path / "link", [b"x"])
    assert not (tmp_path / "target").exists()


def test_a_failure_while_writing_leaves_nothing(tmp_path: Path) -> None:
    def chunks() -> object:
        yield b"half"
        raise KeyboardInterrupt

    open_before = set(os.listdir("/proc/self/fd"))
    with pytest.raises(KeyboardInterrupt):
        write_durable(tmp_path / "new", chunks())  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())
    assert len(os.listdir("/proc/self/fd")) == len(open_before)


def test_a_failed_fsync_voids_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tries = []

    def broken(fd: int) -> None:
        tries.append(fd)
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match="Input/output"):
        write_durable(tmp_path / "new", [b"x"])
    assert not list(tmp_path.iterdir())
    assert len(tries) == 1


def test_replacing_is_file_then_name_then_folder(tmp_path: Path, calls: list[str]) -> None:
    path = tmp_path / "status.json"
    path.write_bytes(b"old, and longer")
    replace_file(path, b"new")
    assert path.read_bytes() == b"new"
    assert calls == ["fsync file", "rename", "fsync folder"]
    assert [file.name for file in tmp_path.iterdir()] == ["status.json"]


@pytest.mark.parametrize("where", ["write", "fsync", "rename"])
def test_a_failed_replacement_keeps_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "status.json"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, where, full)
    with pytest.raises(DiskError, match="the earlier file is untouched: no space left on the disk"):
        replace_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["status.json"]


def test_a_short_write_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real_write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real_write(fd, data[:3]))
    fd = os.open(tmp_path / "x", os.O_WRONLY | os.O_CREAT)
    write_all(fd, b"0123456789")
    os.close(fd)
    assert (tmp_path / "x").read_bytes() == b"0123456789"


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "no space left"),
        (errno.EDQUOT, "quota"),
        (errno.EACCES, "permission denied"),
        (errno.EROFS, "read-only"),
        (errno.EIO, "Input/output error; the disk may be failing"),
        (errno.EFBIG, "ulimit -f"),
    ],
)
def test_what_the_user_reads(number: int, words: str) -> None:
    error = disk_error(OSError(number, os.strerror(number)), "could not write x")
    assert str(error).startswith("could not write x: ")
    assert words in str(error)
    assert error.exit_code == 5


def test_folders_are_made_durably(tmp_path: Path, calls: list[str]) -> None:
    make_folders(tmp_path / "a" / "b")
    make_folders(tmp_path / "a" / "b")
    assert calls == ["fsync folder", "fsync folder"]
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o700
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="exists"):
        make_folders(tmp_path / "file")


def test_a_close_that_fails_voids_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.close

    def close(fd: int) -> None:
        real(fd)
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "close", close)
        with pytest.raises(OSError, match="Input/output"):
            write_durable(tmp_path / "new", [b"x"])
    assert not list(tmp_path.iterdir())


def test_a_rename_that_may_not_last_is_told_as_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(files, "fsync_directory", refuse)
    with pytest.raises(DiskError, match="x was written, but may be the earlier file again after a power cut"):
        replace_file(tmp_path / "x", b"new")
    assert (tmp_path / "x").read_bytes() == b"new"
