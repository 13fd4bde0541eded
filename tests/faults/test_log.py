"""The event log under every damage that a crash, a disk or a second program can do to it.

Each scenario returns what it found wrong. It is asserted to find nothing, and to find something when the log is read
or written by code that is broken on purpose.
"""

import os
import random
import zlib

import msgspec
import pytest

from rnn_tui.runs import events
from rnn_tui.runs.eventline import Event, encode
from rnn_tui.runs.events import EventReader, EventWriter

RECORDS = 200


@pytest.fixture(autouse=True)
def quick_disk(monkeypatch):
    """No fsync: tens of thousands of logs are made, and none has to outlast a power cut."""
    monkeypatch.setattr(os, "fsync", lambda fd: None)


def records(count, start=1, attempt=1):
    """Lines as a run writes them, each different."""
    return [
        Event(
            seq,
            attempt,
            1.7e9 + seq,
            "train",
            seq,
            {"loss": 1.0 / seq, "lr": 0.001, "text": "唐" * (seq % 3)},
        )
        for seq in range(start, start + count)
    ]


def joined(found):
    return b"".join(encode(event) for event in found)


def read(path):
    reader = EventReader(path)
    return reader.poll(), reader


# ---- cut at every byte ----


def cut_everywhere(folder, count):
    """Cut a log at each byte, read it, and have the next attempt go on with it."""
    data = joined(records(count))
    whole = records(count)
    faults = []
    path = folder / "cut"
    for cut in range(len(data) + 1):
        path.write_bytes(data[:cut])
        left = data[:cut].count(b"\n")
        found, reader = read(path)
        if found != whole[:left] or reader.bad_lines:
            faults.append(
                f"cut at {cut}: {len(found)} of {left} records read, {reader.bad_lines} counted as bad"
            )
        with EventWriter(path, 2) as log:
            log.write("resume", left, from_step=left)
        found, reader = read(path)
        if [event.seq for event in found] != list(range(1, left + 2)) or found[:left] != whole[:left]:
            faults.append(f"cut at {cut}: after the next attempt began the numbers are not 1 to {left + 1}")
        elif found[-1].kind != "resume" or found[-1].attempt != 2 or reader.bad_lines:
            faults.append(f"cut at {cut}: the next attempt's first record is glued to a torn one")
    return faults, len(data) + 1


def grown_by_bytes(folder, count):
    """Write a log a byte at a time while it is followed: each record has to come once, with its newline."""
    data, whole, faults = joined(records(count)), records(count), []
    path = folder / "grown"
    path.touch()
    reader, seen = EventReader(path), []
    with open(path, "ab", buffering=0) as file:
        for place in range(len(data)):
            file.write(data[place : place + 1])
            seen += reader.poll()
            if len(seen) != data[: place + 1].count(b"\n"):
                faults.append(f"{len(seen)} records after {place + 1} bytes")
                break
    if seen != whole or reader.bad_lines or reader.reset:
        faults.append(f"{len(seen)} of {count} records, {reader.bad_lines} bad lines, {reader.reset} resets")
    return faults


def test_a_log_cut_at_every_byte_loses_the_torn_record_only(tmp_path, amount, figures):
    count = amount(25, RECORDS)
    faults, cuts = cut_everywhere(tmp_path, count)
    assert faults == []
    assert grown_by_bytes(tmp_path, RECORDS) == []
    figures("log", f"{count} records cut at each of {cuts} bytes: no whole record lost, no gap, none glued")


def half_lines_too(self, fd, found):
    """A reader that takes what there is for a line."""
    data = os.pread(fd, events._READ, self._offset)
    self._offset += len(data)
    lines = [line for line in data.split(b"\n") if line]
    decoded = [events.decode(line) for line in lines]
    found += [event for event in decoded if event]
    self.bad_lines += decoded.count(None)
    return bool(data)


def test_a_writer_that_keeps_the_torn_tail_is_noticed(tmp_path, monkeypatch, figures):
    monkeypatch.setattr(events, "_end_of_lines", lambda fd: os.fstat(fd).st_size)
    faults, _ = cut_everywhere(tmp_path, 3)
    assert any("glued" in fault or "numbers" in fault for fault in faults)
    figures("log", f"broken on purpose: torn tail not cut off: noticed {len(faults)} times in 3 records")


def test_a_reader_that_moves_past_half_lines_is_noticed(tmp_path, monkeypatch, figures):
    monkeypatch.setattr(EventReader, "_chunk", half_lines_too)
    faults = grown_by_bytes(tmp_path, 3)
    assert faults
    figures("log", f"broken on purpose: reader moves past half lines: {faults[-1]}")


# ---- flipped bits ----


def flips(folder, times, dice):
    """Damage one byte of a log, again and again.

    The rule: at most the record that holds the byte is lost, and all that is read was written. What does not check is
    counted, but for a last line whose newline is gone: that may be half written, and is waited for. A damaged newline
    glues two records, and both are read all the same.
    """
    whole = records(RECORDS)
    data = joined(whole)
    starts = [0]
    for event in whole:
        starts.append(starts[-1] + len(encode(event)))
    faults, lost = [], 0
    path = folder / "flipped"
    newlines = [place for place, byte in enumerate(data) if byte == 10]
    for turn in range(times):
        # a quarter of the damages hits a newline, which is a byte in a hundred
        place = dice.choice(newlines) if turn % 4 == 0 else dice.randrange(len(data))
        damaged = bytearray(data)
        damaged[place] ^= 1 << dice.randrange(8) if turn % 2 else dice.randrange(1, 256)
        path.write_bytes(damaged)
        found, reader = read(path)
        hit = next(index for index, end in enumerate(starts[1:]) if place < end)
        others = whole[:hit] + whole[hit + 1 :]
        if found not in (whole, others):
            faults.append(f"byte {place}: {len(found)} records, or others than were written")
        elif not reader.bad_lines and place != len(data) - 1:
            faults.append(f"byte {place}: the damage is not counted")
        elif data[place] == 10 and found != whole and place != len(data) - 1:
            faults.append(f"byte {place}: a damaged newline cost a record")
        lost += found != whole
    return faults, lost


def blocks(folder, times, dice):
    """Blocks of zeros, as a power cut leaves them where data were promised and never written."""
    whole = records(RECORDS)
    data, faults = joined(whole), []
    ends, end = [], 0
    for event in whole:
        end += len(encode(event))
        ends.append(end)
    path = folder / "zeros"
    for _ in range(times):
        begin = dice.randrange(len(data))
        length = dice.choice([1, 64, 512, 4096, len(data)])
        path.write_bytes(data[:begin] + b"\0" * min(length, len(data) - begin) + data[begin + length :])
        found, reader = read(path)
        spared = [
            event
            for event, first, last in zip(whole, [0, *ends], ends, strict=False)
            if last <= begin or first >= begin + length
        ]
        missing = [event.seq for event in spared if event not in found]
        if missing or any(event not in whole for event in found):
            faults.append(f"{length} zeros at {begin}: {len(missing)} records lost beside them")
        if not reader.bad_lines and begin + length < len(data):
            faults.append(f"{length} zeros at {begin}: not counted")
        with EventWriter(path, 2) as log:
            log.write("resume", 1)
        again, _ = read(path)
        if again[:-1] != found or again[-1].kind != "resume" or again[-1].seq != found_last(found) + 1:
            faults.append(f"{length} zeros at {begin}: the next attempt does not go on from what is left")
    return faults


def found_last(found):
    return found[-1].seq if found else 0


def test_a_damage_costs_one_record_at_most_and_is_counted(tmp_path, amount, seed, figures):
    times = amount(100, 1000)
    faults, lost = flips(tmp_path, times, random.Random(seed))
    assert faults == []
    assert 0 < lost < times
    assert blocks(tmp_path, amount(30, 300), random.Random(seed)) == []
    figures("log", f"{times} flipped bytes in {RECORDS} records: {lost} records lost, every damage counted")


def test_a_checksum_that_is_not_checked_is_noticed(tmp_path, monkeypatch, seed, figures):
    def trusting(line):
        try:
            record = msgspec.json.decode(line)
            return Event(*(record[key] for key in "satknd"))
        except (msgspec.MsgspecError, ValueError, KeyError, TypeError):
            return None

    monkeypatch.setattr(events, "decode", trusting)
    faults, _ = flips(tmp_path, 60, random.Random(seed))
    assert any("others than were written" in fault for fault in faults)
    figures("log", f"broken on purpose: checksum not checked: noticed in {len(faults)} of 60")


def test_a_reader_that_rescues_nothing_is_noticed(tmp_path, monkeypatch, seed):
    monkeypatch.setattr(events, "rescue", lambda line: [])
    faults, _ = flips(tmp_path, 60, random.Random(seed))
    assert faults


# ---- two writers, which the lock forbids ----


def torn_between(folder):
    """One program is killed at each byte of a record, and another, that does not cut it off, appends."""
    ours, theirs = records(3), records(3, start=4, attempt=2)
    faults = []
    path = folder / "two"
    for cut in range(1, len(encode(ours[2]))):
        path.write_bytes(joined(ours[:2]) + encode(ours[2])[:cut] + joined(theirs))
        found, reader = read(path)
        # whole but for its newline, it is all there
        third = ours[2:] if cut == len(encode(ours[2])) - 1 else []
        if found != [*ours[:2], *third, *theirs] or reader.bad_lines != 1:
            faults.append(f"cut at {cut}: {[event.seq for event in found]}, {reader.bad_lines} bad lines")
    return faults


def test_two_writers_at_once_lose_nothing(tmp_path, seed, figures):
    assert torn_between(tmp_path) == []
    dice, path = random.Random(seed), tmp_path / "log"
    with EventWriter(path, 1) as one, EventWriter(path, 2) as other:
        order = [dice.choice((one, other)) for _ in range(300)]
        for step, writer in enumerate(order):
            assert writer.write("train", step, loss=0.5, text="x" * dice.randrange(3000))
    found, reader = read(path)
    assert [(event.attempt, event.step) for event in found] == [
        (writer.attempt, step) for step, writer in enumerate(order)
    ]
    assert reader.bad_lines == 0
    figures("log", "two writers in turn, 300 records of up to 3 KB: all whole, in order")


# ---- another file under the name ----


@pytest.mark.parametrize(
    "how", ["replaced by rename", "rewritten in place", "shrunk", "removed and made anew"]
)
def test_a_log_that_is_exchanged_while_it_is_followed_is_read_anew(tmp_path, seed, how):
    """Wherever the reader stands, it then has what the new file holds, each record once."""
    dice, old, path = random.Random(seed), joined(records(50)), tmp_path / "log"
    for _ in range(40):
        path.write_bytes(old[: dice.randrange(2 * len(encode(records(1)[0])), len(old))])
        reader = EventReader(path)
        before = reader.poll(dice.choice([None, 1, 1000]))
        new = records(dice.randrange(1, 120), attempt=9)
        if how == "shrunk":  # to a record that the reader had passed
            new = before[: dice.randrange(len(before))]
            os.truncate(path, len(joined(new)))
        elif how == "rewritten in place":
            with open(path, "r+b") as file:
                file.truncate(0)
                file.write(joined(new))
        elif how == "replaced by rename":
            (tmp_path / "new").write_bytes(joined(new))
            os.replace(tmp_path / "new", path)
        else:
            path.unlink()
            assert reader.poll() == []  # nothing there is no new file yet
            path.write_bytes(joined(new))
        assert reader.poll() == new
        assert (reader.reset, reader.bad_lines) == (1, 0)
        more = records(2, start=500)
        with open(path, "ab") as file:
            file.write(joined(more))
        assert reader.poll() == more


def test_the_checksum_is_that_of_zlib_over_all_before_it():
    """The one thing that these tests take from the code they test is how a record looks; so here it is by hand."""
    line = encode(Event(7, 2, 1.5, "note", 3, {"message": "唐"}))
    body = '{"s":7,"a":2,"t":1.5,"k":"note","n":3,"d":{"message":"唐"}'.encode()
    assert line == body + b',"c":%d}\n' % zlib.crc32(body)
