"""Answers the requests of `inspect_requests` for one model: reads a text, and looks at what the model had in mind."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from rnn_tui.errors import UsageError
from rnn_tui.inference.activations import heat_map, unit_values
from rnn_tui.inference.gates import read_gates
from rnn_tui.inference.inspect_requests import (
    PATTERNS,
    Gates,
    Inspect,
    Map,
    Reach,
    Read,
    Survey,
    Units,
    Values,
)
from rnn_tui.inference.patterns import Marks, mark
from rnn_tui.inference.reach import gradient_reach
from rnn_tui.inference.trace import Cancelled, Progress, Strand, Trace, read_trace, strands_of
from rnn_tui.inference.units import best_units, scores
from rnn_tui.model.recurrent_model import RecurrentModel
from rnn_tui.plugin.tokenizer import Tokenizer

PROGRESS_SECONDS = 0.1
TOP = 1000
NO_GATES = "no gates: the step computes no sigmoid"
NO_CONTRAST = "the text has this nowhere or everywhere, so that no unit can tell it apart"


class Say(Protocol):
    """Sends one event."""

    def __call__(self, event: str, **fields: Any) -> None: ...


@dataclass
class _Session:
    """What is known of one model. It must not hold the model, or it would never be let go."""

    strands: tuple[Strand, ...]
    trace: Trace | None = None
    marks: dict[str, Marks] = field(default_factory=dict)


_SESSIONS: WeakKeyDictionary[RecurrentModel, _Session] = WeakKeyDictionary()


def answer(
    request: Inspect,
    model: RecurrentModel,
    tokenizer: Tokenizer,
    say: Say,
    cancelled: Callable[[], bool],
    *,
    labels: bool = False,
) -> None:
    """Answer one request; `inspect_requests` says with which events.

    Args:
        say: sends an event.
        cancelled: whether the request is no longer wanted.
        labels: whether the model is one of the task `aligned`.

    Raises:
        UsageError: when something is asked for that is not there, or no text was read.
        Cancelled: when it is no longer wanted.
    """
    if model not in _SESSIONS:
        _SESSIONS[model] = _Session(strands_of(model))
    session = _SESSIONS[model]
    progress = _reporting(say, cancelled)
    if isinstance(request, Read):
        _read(request, model, tokenizer, session, say, progress, labels)
        return
    trace = session.trace
    if trace is None:
        raise UsageError("no text has been read with this model; send a read first")

    def marks_of(pattern: str) -> Marks:
        if pattern not in session.marks:
            session.marks[pattern] = mark(trace.texts, pattern, check=lambda: progress("searching", 0, 1))
        return session.marks[pattern]

    match request:
        case Survey():
            _survey(request, trace, marks_of, say)
        case Units():
            _units(request, trace, marks_of, say)
        case Values():
            part = trace.part(request.part)
            seen = unit_values(part, request.unit)
            say(
                "values",
                part=part.name,
                unit=request.unit,
                values=short(seen.values),
                scale=seen.scale,
                low=seen.low,
                high=seen.high,
                mean=seen.mean,
            )
        case Map():
            _map(request, trace, marks_of, say)
        case Gates():
            _gates(model, trace, say, progress)
        case Reach():
            _reach(request, model, trace, say, progress)


def _reporting(say: Say, cancelled: Callable[[], bool]) -> Progress:
    """Return what tells of progress now and then, and gives up when the request was cancelled."""
    told = time.monotonic()

    def progress(what: str, done: int, total: int) -> None:
        nonlocal told
        if cancelled():
            raise Cancelled("cancelled")
        if time.monotonic() - told >= PROGRESS_SECONDS:
            say("progress", what=what, done=done, total=total)
            told = time.monotonic()

    return progress


def _read(
    request: Read,
    model: RecurrentModel,
    tokenizer: Tokenizer,
    session: _Session,
    say: Say,
    progress: Progress,
    labels: bool,
) -> None:
    begin = time.monotonic()
    session.trace = None  # its memory is needed, and a trace of another text would be misread
    session.marks = {}
    trace = session.trace = read_trace(
        model, session.strands, tokenizer, request.text, labels=labels, progress=progress
    )
    parts = [
        {
            "name": part.name,
            "layer": part.layer,
            "units": part.units,
            "bounded": part.bounded,
            "low": part.ends[0],
            "high": part.ends[1],
        }
        for part in trace.parts
    ]
    say(
        "trace",
        texts=trace.texts,
        ids=trace.ids.tolist(),
        surprise=short(trace.surprise, 4),
        tokens=len(trace),
        parts=parts,
        unknown=trace.unknown,
        left_out=trace.left_out,
        bytes=trace.bytes,
        seconds=time.monotonic() - begin,
    )


def _survey(request: Survey, trace: Trace, marks_of: Callable[[str], Marks], say: Say) -> None:
    patterns = [marks for name in PATTERNS if (marks := marks_of(name)).varies]
    best = best_units(trace.parts, patterns, min(request.top, TOP)) if patterns else []
    found = [
        {
            "pattern": marks.pattern,
            "kind": marks.kind,
            "share": marks.share,
            "found": list(map(asdict, units)),
        }
        for marks, units in zip(patterns, best, strict=True)
    ]
    say("survey", tokens=len(trace), patterns=found)


def _units(request: Units, trace: Trace, marks_of: Callable[[str], Marks], say: Say) -> None:
    marks = marks_of(request.pattern)
    [found] = best_units(trace.parts, [marks], min(request.top, TOP))
    say(
        "units",
        pattern=marks.pattern,
        kind=marks.kind,
        share=marks.share,
        tokens=len(trace),
        found=list(map(asdict, found)),
        marked=marks.values.astype(int).tolist(),
        note="" if marks.varies else NO_CONTRAST,
    )


def _map(request: Map, trace: Trace, marks_of: Callable[[str], Marks], say: Say) -> None:
    part, order = trace.part(request.part), None
    if request.order != "index":
        order = np.argsort(-scores(part, [marks_of(request.order)])[:, 0], kind="stable")
    found = heat_map(part, request.height, request.width, begin=request.begin, end=request.end, order=order)
    say(
        "map",
        part=part.name,
        rows=short(found.cells),
        units=found.units,
        starts=found.starts,
        begin=found.begin,
        end=found.end,
        scale=found.scale,
    )


def _gates(model: RecurrentModel, trace: Trace, say: Say, progress: Progress) -> None:
    gates = [
        {
            "name": gate.name,
            "layer": gate.layer,
            "place": gate.place,
            "units": len(gate.mean),
            "left": short(gate.left, 4),
            "right": short(gate.right, 4),
            "mean": short(gate.mean, 4),
            "left_share": float(gate.left.mean()),
            "right_share": float(gate.right.mean()),
        }
        for gate in read_gates(model, trace, progress=progress)
    ]
    say("gates", gates=gates, tokens=len(trace), note="" if gates else NO_GATES)


def _reach(request: Reach, model: RecurrentModel, trace: Trace, say: Say, progress: Progress) -> None:
    found = gradient_reach(model, trace, request.distance, progress=progress)
    say(
        "reach",
        reach=found.whole.tolist(),
        layers=[{"layer": layer, "reach": reach.tolist()} for layer, reach in enumerate(found.layers, 1)],
        distance=found.distance,
        positions=found.positions,
        half=found.below(0.5),
        hundredth=found.below(0.01),
        note=found.note,
    )


def short(values: npt.NDArray[np.floating[Any]], digits: int = 3) -> Any:
    """Return an array as lists of numbers that take few characters."""
    return np.round(values.astype(np.float64), digits).tolist()
