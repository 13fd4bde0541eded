"""From source to a loaded library, whatever stands in the way."""

import hashlib
import os
import shutil
import stat
import tempfile
import threading
import time
from pathlib import Path

import psutil
import pytest

from rnn_tui.errors import DiskError
from rnn_tui.model.recurrence.native import toolchain
from rnn_tui.model.recurrence.native.toolchain import NoCompiler, compile_library

COMPILER = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="there is no C compiler here")
ANSWER = "int answer(void) { return 42; }\n"


@pytest.fixture
def fresh(tmp_path, monkeypatch) -> Path:
    """A cache and a temporary folder of the test's own, and a process that has compiled nothing; the former's path."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setenv("RNN_TUI_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("CC", raising=False)
    forget(monkeypatch)
    return tmp_path / "cache" / "native"


def forget(monkeypatch) -> None:
    """As a new process would."""
    monkeypatch.setattr(toolchain, "_results", {})


def fake(tmp_path: Path, body: str) -> str:
    """A compiler that knows its version and for the rest does what `body` says."""
    path = tmp_path / "fakecc"
    path.write_text(f'#!/bin/sh\nif [ "$1" = --version ]; then echo fake 1; exit; fi\n{body}\n')
    path.chmod(0o700)
    return str(path)


def counted(tmp_path: Path) -> tuple[str, Path]:
    """The real compiler, and the file that gets a line for each of its calls."""
    log = tmp_path / "calls"
    log.touch()
    return fake(tmp_path, f'echo x >> {log}\nexec {COMPILER} "$@"'), log


def nothing_left(tmp_path: Path) -> bool:
    return not list((tmp_path / "tmp").iterdir())


@needs_compiler
def test_a_library_is_compiled_once_and_found_again(fresh, tmp_path, monkeypatch):
    compiler, log = counted(tmp_path)
    monkeypatch.setenv("RNN_TUI_CC", compiler)
    library = compile_library(ANSWER)
    assert library.answer() == 42
    assert compile_library(ANSWER) is library
    calls = log.read_text()
    forget(monkeypatch)
    assert compile_library(ANSWER).answer() == 42
    assert log.read_text() == calls
    assert compile_library(ANSWER.replace("42", "43")).answer() == 43
    assert len(log.read_text()) > len(calls)
    assert stat.S_IMODE(fresh.stat().st_mode) == 0o700
    assert sorted(path.suffix for path in fresh.iterdir()) == [".so", ".so"]
    assert nothing_left(tmp_path)


@needs_compiler
@pytest.mark.parametrize(
    "damage", [lambda data: b"", lambda data: data[:-100], lambda data: data[:-1] + b"x", None]
)
def test_a_damaged_library_is_made_again(fresh, tmp_path, monkeypatch, damage):
    assert compile_library(ANSWER).answer() == 42
    [path] = fresh.iterdir()
    whole = path.read_bytes()
    path.unlink()  # the one that is loaded keeps its bytes
    path = path.with_name(f"{path.name.partition('.')[0]}.{'0' * 64}.so") if damage is None else path
    path.write_bytes(damage(whole) if damage else whole)
    path.chmod(0o600)
    forget(monkeypatch)
    assert compile_library(ANSWER).answer() == 42
    [path] = fresh.iterdir()
    assert path.stat().st_size == len(whole)
    assert hashlib.sha256(path.read_bytes()).hexdigest() in path.name


@needs_compiler
def test_a_folder_that_others_may_write_is_neither_read_nor_written(fresh, tmp_path, monkeypatch):
    compiler, log = counted(tmp_path)
    monkeypatch.setenv("RNN_TUI_CC", compiler)
    compile_library(ANSWER)
    calls, kept = log.read_text(), list(fresh.iterdir())
    fresh.chmod(0o777)
    forget(monkeypatch)
    library = compile_library(ANSWER)
    assert library.answer() == 42
    assert not library._name.startswith(str(fresh))
    assert len(log.read_text()) > len(calls)
    assert list(fresh.iterdir()) == kept
    assert nothing_left(tmp_path)


@needs_compiler
@pytest.mark.parametrize("lead", ["chmod", "link"])
def test_a_file_that_others_may_write_is_not_loaded(fresh, tmp_path, monkeypatch, lead):
    compile_library(ANSWER)
    [path] = fresh.iterdir()
    if lead == "chmod":
        path.chmod(0o666)
    else:
        path.rename(tmp_path / "elsewhere")
        path.symlink_to(tmp_path / "elsewhere")
    compiler, log = counted(tmp_path)
    key = toolchain._key([compiler], ANSWER)
    path.rename(path.with_name(key + path.name[len(key) :]))
    monkeypatch.setenv("RNN_TUI_CC", compiler)
    forget(monkeypatch)
    assert compile_library(ANSWER).answer() == 42
    assert log.read_text()


@needs_compiler
@pytest.mark.parametrize("trouble", ["a file in the way", "no room"])
def test_without_a_cache_the_library_is_loaded_from_a_temporary_folder(fresh, tmp_path, monkeypatch, trouble):
    def no_room(path, data):
        raise DiskError("no space left")

    if trouble == "no room":
        monkeypatch.setattr(toolchain, "replace_file", no_room)
    else:
        (tmp_path / "cache").write_text("")
    assert compile_library(ANSWER).answer() == 42
    assert nothing_left(tmp_path)


@needs_compiler
def test_two_that_compile_at_once_both_get_it(fresh, tmp_path):
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(toolchain._obtain(ANSWER).answer())) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [42] * 4
    assert {path.suffix for path in fresh.iterdir()} == {".so"}
    assert nothing_left(tmp_path)


@needs_compiler
def test_a_compiler_without_openmp_and_native_still_serves(fresh, tmp_path, monkeypatch):
    log = tmp_path / "calls"
    refuse = 'case "$*" in *openmp*|*native*) echo "error: unknown option" >&2; exit 1;; esac'
    monkeypatch.setenv("CC", fake(tmp_path, f'echo "$@" >> {log}\n{refuse}\nexec {COMPILER} "$@"'))
    assert compile_library(ANSWER).answer() == 42
    assert log.read_text().count("step.c") == 4


@pytest.mark.parametrize(
    ("setting", "reason"), [("", "RNN_TUI_CC is empty"), ("no-such-compiler", "there is no C compiler here")]
)
def test_switched_off_or_not_there(fresh, monkeypatch, setting, reason):
    monkeypatch.setenv("RNN_TUI_CC", setting)
    with pytest.raises(NoCompiler, match=f"^{reason}$"):
        compile_library(ANSWER)


def test_no_compiler_on_the_path(fresh, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CC", "'unclosed")
    with pytest.raises(NoCompiler, match=r"^there is no C compiler here$"):
        compile_library(ANSWER)


@needs_compiler
def test_a_source_that_is_wrong(fresh, tmp_path):
    with pytest.raises(NoCompiler, match=r"^the C compiler failed: step\.c:1:.* error: "):
        compile_library("int answer(void) { return nothing; }\n")
    assert nothing_left(tmp_path)


def test_a_compiler_that_fails_without_a_word(fresh, tmp_path, monkeypatch):
    monkeypatch.setenv("RNN_TUI_CC", fake(tmp_path, "exit 3"))
    with pytest.raises(NoCompiler, match=r"^the C compiler failed: exit status 3$"):
        compile_library(ANSWER)


def test_a_compiler_that_makes_no_library(fresh, tmp_path, monkeypatch):
    monkeypatch.setenv("RNN_TUI_CC", fake(tmp_path, "echo no library > step.so"))
    with pytest.raises(NoCompiler, match=r"^it could not be loaded: "):
        compile_library(ANSWER)
    assert nothing_left(tmp_path)


def ended(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_compiler_that_hangs_is_ended_with_all_it_began_and_not_asked_again(fresh, tmp_path, monkeypatch):
    began = tmp_path / "began"
    monkeypatch.setenv(
        "RNN_TUI_CC", fake(tmp_path, f"touch $TMPDIR/half\nsleep 60 &\necho $! >> {began}\nwait")
    )
    monkeypatch.setattr(toolchain, "TIMEOUT", 1.5)
    for _ in range(2):
        with pytest.raises(NoCompiler, match=r"^the C compiler did not end within 1\.5 seconds$"):
            compile_library(ANSWER)
    [pid] = map(int, began.read_text().split())
    for _ in range(100):
        if ended(pid):
            break
        time.sleep(0.05)
    assert ended(pid)
    assert nothing_left(tmp_path)


@needs_compiler
def test_another_version_of_the_compiler_compiles_again(fresh, tmp_path, monkeypatch):
    compiler, log = counted(tmp_path)
    monkeypatch.setenv("RNN_TUI_CC", compiler)
    compile_library(ANSWER)
    calls = len(log.read_text())
    Path(compiler).write_text(Path(compiler).read_text().replace("fake 1", "fake 2"))
    forget(monkeypatch)
    assert compile_library(ANSWER).answer() == 42
    assert len(log.read_text()) > calls
    assert os.listdir(fresh)
