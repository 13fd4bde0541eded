"""What the Inspect pane shows beside the text: a window of the heat map, the reach as curves, one token in words."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rnn_tui.safetext import safe_text
from rnn_tui.tui.format import count
from rnn_tui.tui.panes.inspect_answers import Reach, Trace, Values
from rnn_tui.tui.widgets.bars import visible
from rnn_tui.tui.widgets.chart import Series
from rnn_tui.tui.widgets.heat import HeatMap
from rnn_tui.tui.widgets.lines import Line
from rnn_tui.tui.widgets.tail_text import wrap


@dataclass(frozen=True)
class Window:
    """The tokens `begin` to `end` of a text of `tokens`, on a map of `columns`, 2 to the power `zoom` in each."""

    begin: int
    end: int
    columns: int
    zoom: int
    tokens: int

    @classmethod
    def around(cls, token: int, zoom: int, columns: int, tokens: int) -> "Window":
        """Return the window with `token` in its middle."""
        span = min(tokens, columns << min(zoom, 40))
        begin = min(max(0, token - span // 2), tokens - span)
        return cls(begin, begin + span, columns, zoom, tokens)

    @property
    def whole(self) -> bool:
        """Whether it shows the whole text."""
        return self.begin == 0 and self.end == self.tokens

    def holds(self, token: int) -> bool:
        """Whether a token is in it."""
        return self.begin <= token < self.end


def wrapped(text: str, width: int) -> list[Line]:
    """Return a sentence on rows of at most `width` cells."""
    shown = safe_text(text)
    return [((shown[first:end], "muted"),) for first, end in wrap(shown, width)]


def axis_texts(texts: Sequence[str], starts: Sequence[int], *, ascii: bool) -> list[str]:
    """Return what stands over the columns of a map: a token's text, blanks as blanks and a newline as a mark."""
    return [texts[start].replace("\n", "$" if ascii else "↵").replace("\t", " ") for start in starts]


def reach_series(reach: Reach) -> list[Series]:
    """Return the curves over the distance in tokens; layers only where there are several."""
    several = reach.layers if len(reach.layers) > 1 else ()
    curves = [("the whole state", reach.reach), *((f"layer {one.layer}", one.reach) for one in several)]
    return [
        Series(
            name, list(range(len(values))), [math.nan if v is None else v for v in values], colour=number % 8
        )
        for number, (name, values) in enumerate(curves)
    ]


def reach_sentence(reach: Reach) -> str:
    """Say how far back the loss reaches."""
    if not reach.reach:
        return safe_text(reach.note or "nothing was measured")
    said: list[str] = []
    for name, at in (("a half", reach.half), ("a hundredth", reach.hundredth)):
        if at is None:
            said.append(f"not below {name} within {count(len(reach.reach) - 1)}")
            break
        said.append(f"below {name} after {count(at)}")
    sentence = f"The gradient is {' and '.join(said)} tokens; a mean over {count(reach.positions)} positions."
    return safe_text(f"{sentence} {reach.note}" if reach.note else sentence)


def token_words(trace: Trace, token: int, values: Values | None) -> str:
    """Return the read-out of one token: which, its text, the unit's value, its surprise."""
    parts = [f"{count(token + 1)} of {count(len(trace.texts))}", f"'{visible(trace.texts[token], 16)}'"]
    if values is not None and token < len(values.values):
        value = values.values[token]
        parts.append("value " + ("not a number" if value is None else f"{value * values.scale:+.3f}"))
    surprise = trace.surprise[token]
    if surprise is not None:
        parts.append(f"surprise {surprise:.2f} nats")
    return "   ".join(parts)


def map_words(trace: Trace, heat: HeatMap, order: str) -> str:
    """Return the read-out of the cell under the cursor of a heat map."""
    shown, unit, value = heat.heat, heat.unit, heat.value
    if shown is None or unit is None or not shown.starts:
        return ""
    units, start = shown.units[heat.row], shown.starts[heat.column]
    last = (*shown.starts, shown.end)[heat.column + 1] - 1
    named = f"unit {unit}" if len(units) == 1 else f"units {unit} to {units[-1]}"
    if last > start:
        where = f"tokens {count(start + 1)} to {count(last + 1)}"
    else:
        where = f"token {count(start + 1)} '{visible(trace.texts[start], 16)}'"
    said = "not a number" if value is None or value != value else f"{value:+.2f}"
    return f"{named}   {where}   value {said}   enter shows the unit" + (f"   by {order}" if order else "")


def trace_words(trace: Trace, name: str) -> str:
    """Return what was read: its name, how many tokens, what was left out or is not in the vocabulary."""
    parts = [name, f"{count(len(trace.texts))} token{'s' * (len(trace.texts) != 1)}"]
    if trace.left_out:
        parts[-1] = (
            f"the first {count(len(trace.texts))} of {count(len(trace.texts) + trace.left_out)} tokens"
        )
    if trace.unknown:
        parts.append(f"{count(len(trace.unknown))} unknown")
    return " · ".join(parts)
