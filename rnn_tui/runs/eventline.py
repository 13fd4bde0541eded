"""One line of the event log: its form, how it is written and how it is checked.

A line is `{"s":seq,"a":attempt,"t":time,"k":kind,"n":step,"d":{...},"c":crc}` and a newline. `c` is the
CRC-32 (`zlib.crc32`, decimal) of all bytes of the line that stand before `,"c":`, the opening brace included.
NaN and infinity are the strings "nan", "inf" and "-inf". A line is at most 4 KiB: longer texts in it are cut,
and the field "cut" holds the full length of the first one in characters.
"""

import math
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from rnn_tui.runs.records import plain

RECORD_LIMIT = 4096
"""Bytes. A single small append was never torn in 200 kills; 100 KB records were, 7 times of 200."""

_START = b'{"s":'
_POINTS = frozenset(
    {"train", "validation", "sample", "transcription", "forecast", "evaluation", "checkpoint"}
)

_GOING_BACK = {"resume": "from_step", "rollback": "to_step"}
"""Kinds of events after which a run goes on from an earlier step, and where they say from which."""


class Event(msgspec.Struct, frozen=True):
    """One thing that happened.

    Attributes:
        seq: 1, 2, … over the whole life of the run; a hole means that records were lost, never that they
            moved.
        attempt: 1 for the first start, one more with each resume.
        time: Unix time in seconds; may jump. Order is by seq.
        kind: What happened, for example "train".
        step: Optimiser updates done before it.
        data: By kind; numbers may be the strings "nan", "inf", "-inf": read them with `number`, or with `float`.
    """

    seq: int
    attempt: int
    time: float
    kind: str
    step: int
    data: dict[str, Any]


class _Line(msgspec.Struct):
    s: int
    a: int
    t: float
    k: str
    n: int
    d: dict[str, Any]


_decoder = msgspec.json.Decoder(_Line)
_encoder = msgspec.json.Encoder()


def number(value: object) -> float:
    """Return a number that an event or status holds, with "nan", "inf" and "-inf" read as such; NaN for no number."""
    if isinstance(value, int | float):
        return float(value)
    return {"inf": math.inf, "-inf": -math.inf}.get(str(value), math.nan)


def encode(event: Event) -> bytes:
    """Return the line of `event`, its newline included; at most `RECORD_LIMIT` bytes where cutting texts allows it."""
    data = plain(event.data)
    while True:
        line = _encode(event, data)
        texts = {key: len(_encoder.encode(item)) for key, item in data.items() if isinstance(item, str)}
        if len(line) <= RECORD_LIMIT or not texts or max(texts.values()) <= 64:
            return line
        longest = max(texts, key=lambda key: texts[key])
        text: str = data[longest]
        keep = len(text) * max(0, texts[longest] - (len(line) - RECORD_LIMIT) - 32) // texts[longest]
        data |= {longest: text[: min(keep, len(text) - 8)] + "…"}
        data.setdefault("cut", len(text))


def _encode(event: Event, data: Mapping[str, Any]) -> bytes:
    line = _Line(event.seq, event.attempt, event.time, event.kind, event.step, dict(data))
    body = _encoder.encode(line)[:-1]
    return b'%b,"c":%d}\n' % (body, zlib.crc32(body))


def decode(line: bytes) -> Event | None:
    """Return the event of a line without its newline, or None when it does not check."""
    body, found, check = line.rpartition(b',"c":')
    if not found or check != b"%d}" % zlib.crc32(body):
        return None
    try:
        record = _decoder.decode(line)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return Event(record.s, record.a, record.t, record.k, record.n, record.d)


def rescue(line: bytes) -> list[Event]:
    """Return the whole records inside a line that does not check: a damaged newline glues two good ones together."""
    events, start = [], 0
    while start < len(line):
        following = line.find(_START, start + 1)
        if following < 0:
            following = len(line) + 1
        # the byte before the next record is where the newline was, unless a torn record was not cut off
        event = decode(line[start : following - 1]) or decode(line[start:following])
        if event is not None:
            events.append(event)
        start = following
    return events


def effective(events: Iterable[Event]) -> list[Event]:
    """Return what counts of a whole log: where a run went on from step k again, earlier points after k are dropped.

    Points are what was measured at a step, samples and checkpoints; everything else stays, as the story of the
    run. A `start` that follows an earlier attempt began from nothing and supersedes all points before it. What two
    attempts measured at one step, as after a kill between the last step and the end, counts once: the later one.
    """
    kept: list[Event] = []
    limit = math.inf
    measured: dict[tuple[str, int], int] = {}  # by which attempt
    for event in reversed(list(events)):
        if event.kind not in _POINTS:
            kept.append(event)
        elif event.step <= limit:
            point = event.kind, event.step
            if measured.setdefault(point, event.attempt) == event.attempt:
                kept.append(event)
        if event.kind in _GOING_BACK:
            limit = min(limit, number(event.data.get(_GOING_BACK[event.kind], event.step)))
        elif event.kind == "start":
            limit = -1
    return kept[::-1]
