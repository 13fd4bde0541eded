import json
import math
import os
import resource
import subprocess
import sys
import time
import zlib
from pathlib import Path

import pytest

from rnn_tui.errors import DiskError
from rnn_tui.runs import events as events_module
from rnn_tui.runs.eventline import RECORD_LIMIT, decode, encode
from rnn_tui.runs.events import Event, EventReader, EventWriter, effective, last_event, number


def write_log(path: Path, count: int, attempt: int = 1) -> None:
    with EventWriter(path, attempt) as log:
        for step in range(1, count + 1):
            log.write("train", step, loss=1.0 / step, text="唐\n\x1b[31m" * (step % 3))


def seqs(path: Path) -> list[int]:
    return [event.seq for event in EventReader(path).poll()]


def test_a_line_is_what_the_page_says(tmp_path: Path) -> None:
    with EventWriter(tmp_path / "log", 3) as log:
        log.write("train", 12, loss=2.5)
    line = (tmp_path / "log").read_bytes()
    assert line.startswith(b'{"s":1,"a":3,"t":')
    assert line.endswith(b"}\n")
    record = json.loads(line)
    assert {key: record[key] for key in "sakn"} == {"s": 1, "a": 3, "k": "train", "n": 12}
    assert record["d"] == {"loss": 2.5}
    assert abs(record["t"] - time.time()) < 60
    assert record["c"] == zlib.crc32(line[: line.index(b',"c":')])


def test_events_come_back_as_they_were_written(tmp_path: Path) -> None:
    data = {
        "text": "唐\n\t\x1b",
        "n": 3,
        "none": None,
        "yes": True,
        "list": [1, "a"],
        "c": 1,
        "nested": {"c": 2},
    }
    with EventWriter(tmp_path / "log", 1) as log:
        assert log.write("note", 7, durable=True, **data)
    (event,) = EventReader(tmp_path / "log").poll()
    assert (event.seq, event.attempt, event.kind, event.step) == (1, 1, "note", 7)
    assert event.data == data


def test_numbers_that_are_none_are_written_as_words(tmp_path: Path) -> None:
    with EventWriter(tmp_path / "log", 1) as log:
        log.write("train", 1, a=math.nan, b=math.inf, c=-math.inf, d={"e": [math.nan, 1.0]}, f=(math.inf,))
    line = (tmp_path / "log").read_text()
    json.loads(line, parse_constant=lambda word: pytest.fail(word))
    (event,) = EventReader(tmp_path / "log").poll()
    assert event.data == {"a": "nan", "b": "inf", "c": "-inf", "d": {"e": ["nan", 1.0]}, "f": ["inf"]}
    assert math.isnan(number(event.data["a"]))
    assert (number(event.data["b"]), number(event.data["c"])) == (math.inf, -math.inf)
    assert (number(3), number(0.5)) == (3.0, 0.5)
    assert math.isnan(number(None))
    assert math.isnan(number("12"))


def test_text_that_is_no_unicode_is_written_all_the_same(tmp_path: Path) -> None:
    with EventWriter(tmp_path / "log", 1) as log:
        log.write("note", 1, message="a\ud800b", **{"k\udcff": 1})
    (event,) = EventReader(tmp_path / "log").poll()
    assert event.data == {"message": "a?b", "k?": 1}


@pytest.mark.parametrize("text", ["x" * 50_000, "\x1b" * 50_000, "唐" * 50_000, '"\\\n' * 20_000])
def test_a_long_text_is_cut_to_one_small_write(tmp_path: Path, text: str) -> None:
    with EventWriter(tmp_path / "log", 1) as log:
        log.write("sample", 1, prompt="The ", text=text, temperature=0.8)
    size = (tmp_path / "log").stat().st_size
    assert RECORD_LIMIT * 0.9 < size <= RECORD_LIMIT  # cut, and not by more than it must
    (event,) = EventReader(tmp_path / "log").poll()
    assert event.data["prompt"] == "The "
    assert event.data["cut"] == len(text)
    assert event.data["text"].endswith("…")
    assert text.startswith(event.data["text"][:-1])


def test_a_record_at_the_limit_is_not_cut() -> None:
    def line(length: int) -> bytes:
        return encode(Event(1, 1, 1.5, "sample", 1, {"text": "x" * length}))

    spare = RECORD_LIMIT - len(line(0))
    longest = max(n for n in range(spare - 12, spare + 12) if b"cut" not in line(n))
    assert RECORD_LIMIT - 12 <= len(line(longest)) <= RECORD_LIMIT
    assert len(line(longest + 1)) <= RECORD_LIMIT


def test_garbage_in_the_middle_is_counted_by_line(tmp_path: Path) -> None:
    write_log(tmp_path / "log", 4)
    lines = (tmp_path / "log").read_bytes().splitlines(keepends=True)
    lines[1:1] = [b"\0" * 500 + b"\n"]
    lines[3:3] = [b"\n", b"[" * 100_000 + b"\n"]
    (tmp_path / "log").write_bytes(b"".join(lines))
    reader = EventReader(tmp_path / "log")
    assert [event.seq for event in reader.poll()] == [1, 2, 3, 4]
    assert (reader.bad_lines, reader.bad_line_numbers) == (3, [2, 4, 5])


def test_a_deep_record_with_a_true_checksum_is_a_bad_line(tmp_path: Path) -> None:
    body = b'{"s":1,"a":1,"t":1,"k":"x","n":1,"d":{"a":' + b"[" * 50_000 + b"]" * 50_000 + b"}"
    (tmp_path / "log").write_bytes(b'%b,"c":%d}\n' % (body, zlib.crc32(body)))
    reader = EventReader(tmp_path / "log")
    assert reader.poll() == []
    assert reader.bad_lines == 1


def test_a_line_without_end_does_not_fill_the_memory(tmp_path: Path) -> None:
    write_log(tmp_path / "log", 2)
    with open(tmp_path / "log", "r+b") as file:
        start = file.seek(0, os.SEEK_END)
        file.truncate(start + 5_000_000)
    reader = EventReader(tmp_path / "log")
    assert len(reader.poll()) == 2
    with open(tmp_path / "log", "ab") as file:
        file.write(b"\n" + encode(Event(3, 1, 1.0, "train", 3, {})))
    assert [event.seq for event in reader.poll()] == [3]
    with open(tmp_path / "log", "ab") as file:
        file.write(encode(Event(4, 1, 1.0, "train", 4, {})))
    assert [event.seq for event in reader.poll()] == [4]
    assert (reader.bad_lines, reader.bad_line_numbers, reader.reset) == (1, [3], 0)


def test_a_hostile_line_is_not_slow(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b'{"s":' * 200_000 + b"\n")
    begun = time.process_time()
    assert seqs(tmp_path / "log") == []
    assert time.process_time() - begun < 3


def test_the_reader_waits_for_the_rest_of_a_record(tmp_path: Path) -> None:
    write_log(tmp_path / "whole", 3)
    data = (tmp_path / "whole").read_bytes()
    reader = EventReader(tmp_path / "log")
    assert reader.poll() == []  # not there yet
    seen: list[int] = []
    with open(tmp_path / "log", "ab", buffering=0) as file:
        for byte in data:
            file.write(bytes([byte]))
            seen += [event.seq for event in reader.poll()]
    assert seen == [1, 2, 3]
    assert (reader.bad_lines, reader.reset) == (0, 0)


def test_a_bounded_poll_goes_on_where_it_stopped(tmp_path: Path) -> None:
    with EventWriter(tmp_path / "log", 1) as log:
        for step in range(4000):
            log.write("train", step, text="x" * 1000)
    reader = EventReader(tmp_path / "log")
    polls = []
    while events := reader.poll(limit=1):
        polls.append([event.seq for event in events])
    assert [seq for poll in polls for seq in poll] == list(range(1, 4001))
    assert len(polls) >= 4  # 4.3 MB in pieces of at most a MiB


@pytest.mark.parametrize("how", ["another file", "cut", "rewritten longer in place"])
def test_a_replaced_log_is_read_from_its_start(tmp_path: Path, how: str) -> None:
    path = tmp_path / "log"
    write_log(path, 9)
    reader = EventReader(path)
    assert len(reader.poll()) == 9
    if how == "another file":
        write_log(tmp_path / "new", 12)
        os.rename(tmp_path / "new", path)
    elif how == "cut":
        os.truncate(path, 0)
        write_log(path, 2)
    else:
        write_log(tmp_path / "new", 12, attempt=4)
        with open(path, "r+b") as file:
            file.write((tmp_path / "new").read_bytes())
    count = 2 if how == "cut" else 12
    assert [event.seq for event in reader.poll()] == list(range(1, count + 1))
    assert reader.reset == 1


@pytest.mark.parametrize("thing", ["folder", "fifo", "link"])
def test_what_is_no_log_reads_as_empty_and_does_not_hang(tmp_path: Path, thing: str) -> None:
    path = tmp_path / "log"
    if thing == "folder":
        path.mkdir()
    elif thing == "fifo":
        os.mkfifo(path)
    else:
        write_log(tmp_path / "real", 2)
        path.symlink_to(tmp_path / "real")
    assert EventReader(path).poll() == []
    with pytest.raises(DiskError, match="could not open the event log"):
        EventWriter(path, 1)


def test_the_tail_begins_at_a_whole_line(tmp_path: Path) -> None:
    write_log(tmp_path / "log", 30)
    data = (tmp_path / "log").read_bytes()
    for tail in range(1, len(data) + 10, 17):
        reader = EventReader(tmp_path / "log", tail=tail)
        whole = data[max(0, len(data) - tail - 1) :].count(b"\n") - 1 if tail < len(data) else 30
        assert [event.seq for event in reader.poll()] == list(range(31 - whole, 31))
        assert reader.bad_lines == 0


def test_the_last_event_is_found_behind_garbage(tmp_path: Path) -> None:
    path = tmp_path / "log"
    assert last_event(path) is None
    write_log(path, 5)
    with open(path, "ab") as file:
        file.write(b"garbage\n" * 100_000 + b'{"s":6,"torn')
    found = last_event(path)
    assert found is not None
    assert found.seq == 5
    path.write_bytes(b"garbage\n" * 1000)
    assert last_event(path) is None


def test_a_second_writer_goes_on_counting(tmp_path: Path) -> None:
    write_log(tmp_path / "log", 3, attempt=1)
    write_log(tmp_path / "log", 2, attempt=2)
    assert [(e.seq, e.attempt) for e in EventReader(tmp_path / "log").poll()] == [
        (1, 1), (2, 1), (3, 1), (4, 2), (5, 2),
    ]  # fmt: skip


class Disk:
    """Stands in for os.write: takes `room` bytes, then is full; the first write over the edge is cut short."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, room: int) -> None:
        self.room = room
        self._write = os.write
        monkeypatch.setattr(events_module.os, "write", self.write)

    def write(self, fd: int, data: bytes) -> int:
        if self.room == 0:
            raise OSError(28, "No space left on device")
        taken = min(self.room, len(data))
        self.room -= taken
        return self._write(fd, data[:taken])


@pytest.mark.parametrize("room", [0, 1, 50, 130, 200])
def test_a_full_disk_loses_nothing_and_tears_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    path = tmp_path / "log"
    log = EventWriter(path, 1)
    assert log.write("train", 0)
    with monkeypatch.context() as patch:
        disk = Disk(patch, room)
        written = [log.write("train", step, loss=0.5) for step in range(1, 11)]
        assert not written[-1]
        assert "no space left" in log.fault
        assert log.pending == 10 - sum(written)
        data = path.read_bytes()
        assert data.endswith(b"\n")  # never half a record on the disk
        assert seqs(path) == list(range(1, 2 + sum(written)))
        disk.room = 100_000
        assert log.write("train", 11)
    assert (log.fault, log.pending, log.dropped) == ("", 0, 0)
    log.close()
    assert [event.step for event in EventReader(path).poll()] == list(range(12))


def test_a_disk_full_for_too_long_says_what_was_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events_module, "_RING", 5)
    with EventWriter(tmp_path / "log", 1) as log:
        with monkeypatch.context() as patch:
            Disk(patch, 0)
            for step in range(1, 9):
                log.write("train", step)
        assert log.dropped == 3
        log.write("train", 9)
    events = EventReader(tmp_path / "log").poll()
    assert [event.step for event in events if event.kind == "train"] == [5, 6, 7, 8, 9]
    assert [event.data["message"][:20] for event in events if event.kind == "warning"] == [
        "4 records were lost:"
    ]


def test_a_real_limit_on_the_file_size(tmp_path: Path) -> None:
    """The kernel itself cuts the write: RLIMIT_FSIZE gives a short count, then EFBIG."""
    program = """
import resource, signal, sys
from pathlib import Path
from rnn_tui.runs.events import EventWriter
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
log = EventWriter(Path(sys.argv[1]), 1)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
full = [log.write("train", step, text="x" * 100) for step in range(20)]
size = Path(sys.argv[1]).read_bytes()
assert size.endswith(b"\\n") and len(size) <= 1000, size
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
assert log.write("train", 20)
log.close()
print(sum(full))
"""
    result = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "log")], capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 0, result.stderr
    assert 0 < int(result.stdout) < 20
    assert [event.step for event in EventReader(tmp_path / "log").poll()] == list(range(21))
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 1000  # only the child was limited


def test_durable_means_fsync_and_points_are_synced_every_two_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = []
    clock = [100.0]
    monkeypatch.setattr(events_module.time, "monotonic", lambda: clock[0])
    log = EventWriter(tmp_path / "log", 1)
    monkeypatch.setattr(events_module.os, "fsync", lambda fd: synced.append(clock[0]))
    for tick in range(8):
        clock[0] = 100 + tick * 0.5
        log.write("train", tick)
    assert synced == [102.0]
    log.write("command", 8, durable=True)
    assert synced == [102.0, 103.5]
    log.close()
    assert len(synced) == 3


def test_a_failed_fsync_is_not_acknowledged_nor_tried_again_on_the_same_descriptor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = EventWriter(tmp_path / "log", 1)
    files = []

    def fsync(fd: int) -> None:
        files.append(os.readlink(f"/proc/self/fd/{fd}"))
        if len(files) == 1:
            os.dup2(os.open("/dev/null", os.O_RDONLY), fd)  # the old descriptor is of no more use
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(events_module.os, "fsync", fsync)
    assert not log.write("command", 1, durable=True)
    assert "Input/output error" in log.fault
    assert log.write("command", 2, durable=True)
    assert log.fault == ""
    assert files == [str(tmp_path / "log")] * 2
    assert seqs(tmp_path / "log") == [1, 2]


def test_a_removed_folder_does_not_stop_the_writer(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    log = EventWriter(tmp_path / "run" / "log", 1)
    (tmp_path / "run" / "log").unlink()
    (tmp_path / "run").rmdir()
    assert log.write("train", 1, durable=True)
    log.close()
    assert os.listdir(tmp_path) == []


def points(events: list[Event]) -> list[tuple[str, int, int]]:
    return [(event.kind, event.step, event.attempt) for event in events]


def made(kind: str, step: int, attempt: int, **data: object) -> Event:
    return Event(0, attempt, 0.0, kind, step, dict(data))


def test_points_that_a_resume_took_back_are_dropped() -> None:
    log = [
        made("start", 0, 1), made("train", 10, 1), made("checkpoint", 10, 1), made("train", 20, 1),
        made("command", 25, 1), made("train", 30, 1), made("checkpoint", 30, 1), made("note", 31, 1),
        made("resume", 20, 2, from_step=20), made("train", 30, 2), made("train", 40, 2),
        made("resume", 10, 3, from_step=10), made("train", 20, 3), made("end", 20, 3),
    ]  # fmt: skip
    assert points(effective(log[:11])) == [
        ("start", 0, 1), ("train", 10, 1), ("checkpoint", 10, 1), ("train", 20, 1), ("command", 25, 1),
        ("note", 31, 1), ("resume", 20, 2), ("train", 30, 2), ("train", 40, 2),
    ]  # fmt: skip
    assert points(effective(log)) == [
        ("start", 0, 1), ("train", 10, 1), ("checkpoint", 10, 1), ("command", 25, 1), ("note", 31, 1),
        ("resume", 20, 2), ("resume", 10, 3), ("train", 20, 3), ("end", 20, 3),
    ]  # fmt: skip


def test_a_second_start_begins_from_nothing() -> None:
    log = [
        made("start", 0, 1),
        made("validation", 0, 1),
        made("train", 5, 1),
        made("start", 0, 2),
        made("train", 5, 2),
    ]
    assert points(effective(log)) == [("start", 0, 1), ("start", 0, 2), ("train", 5, 2)]


def test_a_true_checksum_over_the_wrong_shape_is_refused() -> None:
    body = b'{"s":"one","a":1,"t":1,"k":"x","n":1,"d":{}'
    assert decode(b'%b,"c":%d}' % (body, zlib.crc32(body))) is None


def test_what_a_failed_fsync_covered_is_written_once_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system holds it for written: only bytes that are written again can still come to the disk."""
    log = EventWriter(tmp_path / "log", 1)
    assert log.write("train", 1, durable=True)
    before = (tmp_path / "log").stat().st_size
    with monkeypatch.context() as patch:
        patch.setattr(events_module.os, "fsync", lambda fd: os.close(-1))
        assert not log.write("command", 2, durable=True)
    written: list[tuple[bytes, int]] = []
    real = os.pwrite
    monkeypatch.setattr(
        events_module.os, "pwrite", lambda fd, data, at: (written.append((data, at)), real(fd, data, at))[1]
    )
    assert log.write("train", 3, durable=True)
    assert written == [((tmp_path / "log").read_bytes()[before:], before)]
    assert log.write("train", 4, durable=True)
    assert len(written) == 1
    log.close()
    assert seqs(tmp_path / "log") == [1, 2, 3, 4]


def test_a_log_that_cannot_be_read_is_no_new_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_log(tmp_path / "log", 3)

    def broken(fd: int, count: int, offset: int) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(events_module.os, "pread", broken)
    with pytest.raises(DiskError, match="could not read the event log"):
        last_event(tmp_path / "log")
    with pytest.raises(DiskError, match="could not open the event log"):
        EventWriter(tmp_path / "log", 2)
    assert last_event(tmp_path / "none") is None


def test_a_log_that_shrinks_before_its_tail_was_read(tmp_path: Path) -> None:
    write_log(tmp_path / "log", 30)
    reader = EventReader(tmp_path / "log", tail=10)
    assert reader.poll() == []
    os.truncate(tmp_path / "log", 0)
    write_log(tmp_path / "log", 2)
    assert [event.seq for event in reader.poll()] == [1, 2]
    assert reader.reset == 1


def test_a_log_beyond_two_gigabytes(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with open(path, "wb") as file:
        file.truncate(2**31 + 5)
        file.seek(0, os.SEEK_END)
        file.write(b"\n" + encode(Event(7, 2, 1.0, "train", 70, {})))
    reader = EventReader(path, tail=1 << 18)
    assert [event.step for event in reader.poll()] == [70]
    with EventWriter(path, 3) as log:
        log.write("train", 71)
    assert [(event.seq, event.step) for event in reader.poll()] == [(8, 71)]
    found = last_event(path)
    assert found is not None
    assert (found.seq, found.attempt) == (8, 3)
    path.unlink()
