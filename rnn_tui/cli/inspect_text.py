"""What `rnn-tui inspect` writes."""

import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from rnn_tui.cli.output import console, count, figure, out, pairs, say, size, table
from rnn_tui.cli.plots import ascii_only, bar, curve
from rnn_tui.safetext import SafeStream

if TYPE_CHECKING:
    from rich.console import Console

    from rnn_tui.inference.activations import UnitValues
    from rnn_tui.inference.gates import Gate
    from rnn_tui.inference.patterns import Marks
    from rnn_tui.inference.reach import Reach
    from rnn_tui.inference.trace import Trace
    from rnn_tui.inference.units import Found

SHOWN = 2000
"""Tokens of a text that are written with a unit's values."""
DISTANCES = (0, 1, 2, 3, 5, 10, 20, 30, 50, 100, 200, 300, 500, 1000, 2000, 5000)
SIGNS = "=- +#"
"""A value from -1 to 1 in five steps, where there is no colour."""
COLOURS = ("#1d4ed8", "#93c5fd", "default", "#fca5a5", "#b91c1c")
"""The same as backgrounds: blue below 0, red above."""
FEW_COLOURS = ("blue", "cyan", "default", "yellow", "red")
"""Where there are sixteen."""


@dataclass
class View:
    """What was asked to be seen of a model."""

    model: str
    where: str
    trace: "Trace"
    patterns: "list[tuple[Marks, list[Found]]]" = field(default_factory=list)
    unit: "tuple[str, int, UnitValues] | None" = None
    gates: "list[Gate] | None" = None
    reach: "Reach | None" = None


def document(view: View) -> dict[str, Any]:
    """Return all of it for one JSON document."""
    trace = view.trace
    found: dict[str, Any] = {
        "model": view.model,
        "text": view.where,
        "tokens": len(trace),
        "left_out": trace.left_out,
        "unknown": trace.unknown,
        "parts": [{"name": part.name, "layer": part.layer, "units": part.units} for part in trace.parts],
    }
    if view.patterns:
        found["patterns"] = [
            {"pattern": marks.pattern, "kind": marks.kind, "share": marks.share, "found": units}
            for marks, units in view.patterns
        ]
    if view.unit is not None:
        part, number, seen = view.unit
        found["unit"] = {"part": part, "unit": number} | asdict(seen) | {"texts": trace.texts}
    if view.gates is not None:
        found["gates"] = view.gates
    if view.reach is not None:
        reach = view.reach
        found["reach"] = asdict(reach) | {"half": reach.below(0.5), "hundredth": reach.below(0.01)}
    return found


def show(view: View, *, each: bool) -> None:
    """Write it to be read.

    Args:
        each: whether each pattern has a table of its own.
    """
    trace = view.trace
    pairs(
        {
            "model": view.model,
            "text": f"{view.where}: {count(len(trace))} tokens, {size(trace.bytes)} of states",
        }
    )
    if trace.left_out:
        say(f"{count(trace.left_out)} tokens at the end were not read")
    if trace.unknown:
        shown = ", ".join(map(repr, trace.unknown[:10])) + (", …" if len(trace.unknown) > 10 else "")
        say(f"not in the vocabulary, read as unknown: {shown}")
    if each:
        for marks, found in view.patterns:
            out()
            _show_pattern(marks, found)
    elif view.patterns:
        out()
        _show_survey(view.patterns)
    if view.unit is not None:
        out()
        _show_unit(trace, *view.unit)
    if view.gates is not None:
        out()
        _show_gates(view.gates)
    if view.reach is not None:
        out()
        _show_reach(view.reach)


def _show_survey(patterns: "Sequence[tuple[Marks, list[Found]]]") -> None:
    table(
        ["pattern", "share>", "best unit", "score>", "mean inside?>", "outside?>", "AUC?>"],
        [
            (marks.pattern, f"{marks.share:.1%}", f"{one.part}:{one.unit}", *_figures(one))
            for marks, found in patterns
            for one in found
        ],
    )


def _show_pattern(marks: "Marks", found: "Sequence[Found]") -> None:
    from rnn_tui.inference.inspect_requests import PATTERNS

    what = PATTERNS.get(marks.pattern, "a match of the expression")
    out(f"{marks.pattern}: {what}; {marks.share:.1%} of the tokens")
    if not marks.varies:
        out("the text has this nowhere or everywhere, so that no unit can tell it apart")
        return
    table(
        ["unit", "score>", "mean inside>", "outside>", "AUC>", "threshold?>", ""],
        [
            (
                f"{one.part}:{one.unit}",
                *_figures(one),
                figure(one.threshold, 3),
                bar(abs(one.score), 20),
            )
            for one in found
        ],
    )


def _figures(one: "Found") -> tuple[str, ...]:
    return f"{one.score:+.3f}", f"{one.mean_in:+.3f}", f"{one.mean_out:+.3f}", figure(one.auc, 3)


def _show_unit(trace: "Trace", part: str, number: int, seen: "UnitValues") -> None:
    out(
        f"{part}:{number}, {figure(seen.low, 3)} to {figure(seen.high, 3)}, mean {figure(seen.mean, 3)}"
        + ("" if seen.scale == 1 else f"; shown divided by {figure(seen.scale, 3)}")
    )
    to = console(sys.stdout)
    colour = to.is_terminal and to.color_system is not None and not to.no_color
    levels = [_level(float(value)) for value in seen.values[:SHOWN]]
    pieces = list(zip(trace.texts[:SHOWN], levels, strict=True))
    if colour:
        _write_coloured(pieces, to)
    else:
        _write_signs(pieces, to.width)
    if len(trace) > SHOWN:
        say(f"{count(len(trace) - SHOWN)} more tokens are not shown; --json has the values of all")


def _level(value: float) -> int:
    """-1 to 1 as 0 to 4: a fifth of the range each."""
    return min(4, max(0, math.floor((value + 1) * 2.5)))


def _write_coloured(pieces: Sequence[tuple[str, int]], to: "Console") -> None:
    from rich.style import Style
    from rich.text import Text

    colours = FEW_COLOURS if to.color_system == "standard" else COLOURS
    styles = [
        Style(bgcolor=name, color="white" if i in (0, 4) else "black") for i, name in enumerate(colours)
    ]
    styles[2] = Style()
    text = Text()
    safe = SafeStream()
    for name, style in zip(("-1", "", "0", "", "1"), styles, strict=True):
        text.append(f" {name:^3} ", style=style)
    text.append("\n")
    for piece, level in pieces:
        # a newline shows no background; a sign before it does
        text.append(safe.clean(piece).replace("\n", f"{_end_of_line()}\n"), style=styles[level])
    to.print(text, soft_wrap=True, end="" if text.plain.endswith("\n") else "\n")


def _write_signs(pieces: Sequence[tuple[str, int]], width: int) -> None:
    """Write each line of the text with a line of signs below it."""
    out(
        f"below each line: '{SIGNS[0]}' from -1, '{SIGNS[1]}', ' ' around 0, '{SIGNS[3]}', '{SIGNS[4]}' up to 1"
    )
    for line in _lines(pieces, min(width, 100)):
        out("".join(text for text, _ in line).rstrip("\n"))
        out("".join(sign for _, sign in line).rstrip())


def _end_of_line() -> str:
    return "$" if ascii_only() else "↵"


def _lines(pieces: Sequence[tuple[str, int]], width: int) -> Iterator[list[tuple[str, str]]]:
    """Divide a text into lines of at most so many columns; each character with the sign of its token below it."""
    from rich.cells import cell_len

    safe, line, used = SafeStream(), list[tuple[str, str]](), 0
    for piece, level in pieces:
        for character in safe.clean(piece):
            shown = _end_of_line() if character == "\n" else character
            columns = cell_len(shown)
            if used + columns > width:
                yield line
                line, used = [], 0
            line.append((shown, SIGNS[level] * columns))
            used += columns
            if character == "\n":
                yield line
                line, used = [], 0
    if line:
        yield line


def _show_gates(gates: "Sequence[Gate]") -> None:
    if not gates:
        out("no gates: the step computes no sigmoid")
        return
    table(
        ["gate", "units>", "closed (<0.1)>", "open (>0.9)>", "mean>", "mostly closed?>", "mostly open?>", ""],
        [
            (
                f"{gate.place} {gate.name}",
                count(len(gate.mean)),
                f"{gate.left.mean():.1%}",
                f"{gate.right.mean():.1%}",
                figure(float(gate.mean.mean()), 3),
                count(int((gate.left > 0.5).sum())),
                count(int((gate.right > 0.5).sum())),
                bar(float(gate.mean.mean()), 20),
            )
            for gate in gates
        ],
    )
    say(
        "closed and open: share of the tokens, mean over units; mostly: units for which it is more than half of them"
    )


def _show_reach(reach: "Reach") -> None:
    out(
        "gradient of the loss with respect to the state so many tokens before, beside distance 0; "
        f"mean over {reach.positions} tokens"
    )
    if reach.note:
        out(reach.note)
        return
    shown = [k for k in DISTANCES if k < reach.distance] + [reach.distance]
    layers = reach.layers if len(reach.layers) > 1 else ()
    table(
        ["distance", "norm>", *(f"layer {i}?>" for i in range(1, len(layers) + 1)), ""],
        [
            (
                count(k),
                f"{reach.whole[k]:.2g}",
                *(f"{layer[k]:.2g}" for layer in layers),
                bar(min(1, reach.whole[k]), 40),
            )
            for k in shown
        ],
    )
    out()
    logarithms = [(k, math.log10(v)) for k, v in enumerate(reach.whole.tolist()) if 0 < v < math.inf]
    curve("decimal logarithm of the norm by distance", *zip(*logarithms, strict=True), digits=1)
    half, hundredth = reach.below(0.5), reach.below(0.01)
    say(f"below a half from distance {half}" if half is not None else "never below a half")
    say(
        f"below a hundredth from distance {hundredth}" if hundredth is not None else "never below a hundredth"
    )
