import hashlib
import io
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rnn_tui.corpus import snapshot as module
from rnn_tui.corpus.config import CorpusConfig
from rnn_tui.corpus.snapshot import Snapshot, snapshot
from rnn_tui.errors import DiskError, InputError


def write(path: Path, data: bytes | str, *, age: float = 60) -> CorpusConfig:
    """Write a file that was last changed `age` seconds ago, and return the settings to read it."""
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    os.utime(path, (time.time() - age,) * 2)
    return CorpusConfig(source=str(path))


def text_of(taken: Snapshot) -> str:
    return "".join(taken.pieces())


def reads(config: CorpusConfig) -> int:
    """Return how many bytes of the source were read."""
    seen = [0]
    snapshot(config, progress=lambda what, done, total: seen.append(done))
    return seen[-1]


def test_nothing_is_rewritten(tmp_path: Path) -> None:
    data = "a\r\nb\rc\n\n\x1b[0m\tÉ\u0301\u00a0\u2028👩‍👩‍👧".encode()
    taken = snapshot(write(tmp_path / "t.txt", data))
    assert taken.path.read_bytes() == data
    assert taken.sha256 == hashlib.sha256(data).hexdigest()
    assert text_of(taken) == data.decode()
    assert (taken.chars, taken.bytes, taken.name) == (len(data.decode()), len(data), "t")
    report = taken.report
    assert (report.bytes, report.chars, report.lines, report.crlf, report.controls) == (
        len(data),
        22,
        4,
        1,
        2,
    )
    assert len(taken.notes) == 2


def test_the_report_is_of_the_source_and_the_size_of_the_result(tmp_path: Path) -> None:
    config = write(tmp_path / "t.txt", "One.\nTwo.\n")
    taken = snapshot(CorpusConfig(source=config.source, normalise=("letters-only",)))
    assert text_of(taken) == "One Two "
    assert (taken.report.chars, taken.report.lines, taken.chars) == (10, 2, 8)


def test_files_of_a_folder_are_joined_by_a_newline(tmp_path: Path) -> None:
    for name, data in [("a", b"\xef\xbb\xbfone"), ("b", b"two\xc3"), ("c", b""), ("d", b"\xa9four\n")]:
        (tmp_path / name).write_bytes(data * 20 if name == "b" else data)
    taken = snapshot(CorpusConfig(source=str(tmp_path)))
    assert text_of(taken) == "one\n" + "two\ufffd" * 20 + "\n\n\ufffdfour\n"
    assert (taken.report.files, taken.report.bom, taken.report.invalid_bytes) == (4, True, 21)
    assert (taken.report.first_invalid_file, taken.report.first_invalid_offset) == ("b", 3)
    assert taken.report.lines == 4


def test_a_text_is_read_once(tmp_path: Path) -> None:
    config = write(tmp_path / "t.txt", "some text")
    assert reads(config) == 9
    assert reads(config) == 0
    assert reads(CorpusConfig(source=config.source, normalise=("lowercase",))) == 9
    first = snapshot(config)
    write(tmp_path / "t.txt", "some text", age=50)  # touched: read again, and found to be the same
    assert reads(config) == 9
    assert snapshot(config) == first


def test_a_change_within_the_clock_is_not_missed(tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    config = write(path, "old text", age=0)
    info = path.stat()
    assert text_of(snapshot(config)) == "old text"
    path.write_text("new text")
    os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))
    assert text_of(snapshot(config)) == "new text"


def test_a_damaged_cache_is_made_again(tmp_path: Path) -> None:
    config = write(tmp_path / "t.txt", "some text")
    taken = snapshot(config)
    taken.path.write_bytes(b"some")
    assert text_of(snapshot(config)) == "some text"
    (taken.path.parent / "entry.json").write_text("{")
    assert text_of(snapshot(config)) == "some text"


def test_a_deleted_cache_is_one_clear_error(tmp_path: Path) -> None:
    taken = snapshot(write(tmp_path / "t.txt", "some text"))
    taken.path.unlink()
    with pytest.raises(InputError, match="the cache was deleted"):
        text_of(taken)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(st.data())
def test_any_range_of_characters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: st.DataObject
) -> None:
    monkeypatch.setattr(module, "CHUNK", 16)
    text = "aé深👩\n" * 20
    taken = snapshot(write(tmp_path / "t.txt", text))
    assert len(taken.marks) > 5
    start, end = sorted(data.draw(st.tuples(st.integers(0, 110), st.integers(0, 110))))
    assert "".join(taken.pieces(start, end)) == text[start:end]
    assert taken.byte_offset(start) == len(text[:start].encode())


@pytest.mark.parametrize(
    ("data", "steps", "message"),
    [
        (b"\xef\xbb\xbf", (), "the text is empty but for a byte order mark; give a text"),
        ("深圳".encode(), ("strip-punctuation", "letters-only"), None),
        ("。、".encode(), ("strip-punctuation",), "nothing is left after strip-punctuation"),
        ("text".encode("utf-16"), (), "looks like UTF-16"),
    ],
)
def test_unusable_texts(
    tmp_path: Path, folders: Path, data: bytes, steps: tuple, message: str | None
) -> None:
    config = CorpusConfig(source=write(tmp_path / "t.txt", data).source, normalise=steps)
    if message is None:
        assert text_of(snapshot(config)) == " "
        return
    with pytest.raises(InputError, match=message):
        snapshot(config)
    assert not list((folders / "cache").rglob("*.txt"))  # nothing half-written


def test_strict_holds_for_a_cached_text_too(tmp_path: Path) -> None:
    config = write(tmp_path / "t.txt", b"0123456789\xff")
    strict = CorpusConfig(source=config.source, strict=True)
    with pytest.raises(InputError, match="byte offset 10;"):
        snapshot(strict)
    taken = snapshot(config)
    assert text_of(taken) == "0123456789\ufffd"
    assert "1 bytes are not UTF-8" in taken.notes[0]
    assert reads(config) == 0
    with pytest.raises(InputError, match="byte offset 10;"):
        snapshot(strict)


def test_a_file_that_grows_is_taken_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    config = write(path, "x" * (1 << 20) + "end")

    def grow(what: str, done: int, total: int | None) -> None:
        with path.open("a") as file:
            file.write("more")

    taken = snapshot(config, progress=grow)
    assert text_of(taken) == "x" * (1 << 20) + "end"
    assert "changed while it was read" in taken.notes[0]
    assert text_of(snapshot(config)).endswith("endmoremore")


def test_a_disk_without_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folders: Path) -> None:
    def full(fd: int, data: object) -> int:
        raise OSError(28, "No space left on device")

    config = write(tmp_path / "t.txt", "some text")
    monkeypatch.setattr(os, "write", full)
    with pytest.raises(DiskError, match="no space left on the disk"):
        snapshot(config)
    monkeypatch.undo()
    assert [path.name for path in (folders / "cache").rglob("*")] in ([], ["corpora"])


def give_stdin(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


def test_standard_input_is_kept_for_a_resume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    give_stdin(monkeypatch, b"piped\r\n")
    config = CorpusConfig(source="-")
    taken = snapshot(config, keep_in=tmp_path)
    assert (text_of(taken), taken.name) == ("piped\r\n", "stdin")
    assert (tmp_path / "corpus.txt").read_bytes() == b"piped\r\n"
    give_stdin(monkeypatch, b"")
    assert text_of(snapshot(config, keep_in=tmp_path)) == "piped\r\n"
    assert [path.name for path in tmp_path.iterdir()] == ["corpus.txt"]


def test_standard_input_without_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    give_stdin(monkeypatch, "naïve".encode())
    assert text_of(snapshot(CorpusConfig(source="-"))) == "naïve"
    for keep_in in (None, tmp_path):
        give_stdin(monkeypatch, b"")
        with pytest.raises(InputError, match="standard input: the text is empty"):
            snapshot(CorpusConfig(source="-"), keep_in=keep_in)
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(InputError, match="standard input is closed"):
        snapshot(CorpusConfig(source="-"))


def test_processes_at_once(tmp_path: Path, folders: Path) -> None:
    config = write(tmp_path / "t.txt", "some text\n" * 200_000)
    code = (
        "import sys; from rnn_tui.corpus.config import CorpusConfig; from rnn_tui.corpus.snapshot import snapshot\n"
        "taken = snapshot(CorpusConfig(source=sys.argv[1])); print(taken.path, sum(map(len, taken.pieces())))"
    )
    command = [sys.executable, "-c", code, config.source]
    children = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(4)]
    answers = {child.communicate()[0] for child in children}
    assert len(answers) == 1
    assert answers.pop().endswith(b" 2000000\n")
    assert not list((folders / "cache" / "corpora").glob(".tmp-*"))


def test_leftovers_of_a_killed_process_go(tmp_path: Path, folders: Path) -> None:
    config = write(tmp_path / "t.txt", "some text")
    old, young = (folders / "cache" / "corpora" / f".tmp-{name}" for name in ("old", "young"))
    old.mkdir(parents=True)
    young.mkdir()
    os.utime(old, (time.time() - 2 * 24 * 3600,) * 2)
    snapshot(config)
    assert not old.exists()
    assert young.exists()
