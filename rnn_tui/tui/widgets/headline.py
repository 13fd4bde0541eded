"""The first row of a chart: title, legend and state; under a read-out line the values there instead.

What does not fit is left out in a fixed order: the plan that keeps most and fits is taken.
"""

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from rnn_tui.tui.widgets.axes import x_text
from rnn_tui.tui.widgets.marks import Placed
from rnn_tui.tui.widgets.picture import (
    BEST,
    COLOURS,
    FAINT,
    LABEL,
    SERIES,
    SERIES_ASCII,
    SERIES_GLYPHS,
    TITLE,
    Picture,
    narrow,
    shorten,
)
from rnn_tui.tui.widgets.scales import Floats

if TYPE_CHECKING:
    from rnn_tui.tui.widgets.plot import Frame, Layer

_Span = tuple[str, int]
_WHOLE = 1000
_WORD = re.compile(r"[^\s_-]+[\s_-]*|[\s_-]+")


def draw_head(picture: Picture, layers: Sequence["Layer"], frame: "Frame", mark: Placed | None) -> None:
    """Write the first row."""
    width = picture.chars.shape[1]
    plans = _legends(layers, frame) if frame.cursor is None else _read_outs(picture, layers, frame, mark)
    left: list[_Span] = []
    right = ""
    for left, right in plans:
        if sum(len(text) for text, _ in left) + (len(right) + 2 if right else 0) <= width:
            break
    column = 0
    room = width - (len(right) + 1 if right else 0)
    for text, style in left:
        if column + len(text) > room:
            picture.write(0, column, shorten(text, room - column), style)
            picture.write(0, room - 1, "~" if frame.ascii else "…", LABEL)
            break
        column = picture.write(0, column, text, style)
    picture.write(0, width - len(right), right, LABEL)


def _legends(layers: Sequence["Layer"], frame: "Frame") -> Iterator[tuple[list[_Span], str]]:
    """Yield title and legend with the note at the right, from the fullest on."""
    title = narrow(frame.title)
    short = title.partition(", ")[0]
    note = ", ".join(narrow(part) for part in (frame.state, frame.settings, frame.note) if part)
    state = narrow(frame.state)
    settings = ", ".join(narrow(part) for part in (frame.state, frame.settings) if part)
    for said, kept, limit in (
        (title, note, _WHOLE),
        (short, note, _WHOLE),
        (short, settings, _WHOLE),
        (short, settings, 16),
        (short, settings, 10),
        (short, state, 10),
        (short, state, 6),
    ):
        spans: list[_Span] = [(said + "  ", TITLE)] if said else []
        names = _names(layers, limit, ascii=frame.ascii)
        for layer in layers:
            if layer.name:
                spans += [*_sign(layer, frame), (next(names) + "  ", LABEL)]
        yield _without_end(spans), kept


def _read_outs(
    picture: Picture, layers: Sequence["Layer"], frame: "Frame", mark: Placed | None
) -> Iterator[tuple[list[_Span], str]]:
    """Yield the values at the cursor and the mark there, from the fullest on."""
    assert frame.cursor is not None
    title = narrow(frame.title).partition(", ")[0]
    where = f"{narrow(frame.x_name)} {x_text(frame.cursor, picture, frame)}".strip()
    behind = {layer.points: layer for layer in layers if layer.faint}
    for said, limit, told, raw in (
        (title, _WHOLE, _WHOLE, True),
        ("", _WHOLE, _WHOLE, True),
        ("", _WHOLE, 24, True),
        ("", _WHOLE, 24, False),
        ("", 12, 12, False),
        ("", 6, 0, False),
        ("", 0, 0, False),
    ):
        spans: list[_Span] = [(said + "  ", TITLE)] if said else []
        spans.append((where + "  ", TITLE))
        if mark is not None:
            label = shorten(narrow(mark.marks[-1].label), told, ascii=frame.ascii)
            more = f" +{len(mark.marks) - 1}" if len(mark.marks) > 1 else ""
            spans.append((f"{mark.glyph(ascii=frame.ascii)} {label}{more}".rstrip() + "  ", BEST))
        names = _names(layers, limit, ascii=frame.ascii)
        for layer in layers:
            if layer.faint:
                continue
            name = next(names) if layer.name else ""
            spans += [*_sign(layer, frame), (f"{name} {near(layer, frame.cursor)}".strip() + "  ", LABEL)]
            if raw and layer.points in behind:
                spans[-1] = (spans[-1][0][:-1], LABEL)
                value = near(behind[layer.points], frame.cursor)
                spans.append((f"({value})  ", FAINT + layer.colour % COLOURS))
        yield _without_end(spans), ""


def _without_end(spans: list[_Span]) -> list[_Span]:
    return [*spans[:-1], (spans[-1][0].rstrip(), spans[-1][1])] if spans else spans


def _sign(layer: "Layer", frame: "Frame") -> list[_Span]:
    """Return what the curve is drawn with."""
    colour = layer.colour % COLOURS
    glyph = SERIES_ASCII[colour] if frame.ascii else SERIES_GLYPHS[colour] if frame.plain else "━"
    return [(glyph, SERIES + colour), (" ", LABEL)]


def _names(layers: Sequence["Layer"], limit: int, *, ascii: bool) -> Iterator[str]:
    """Yield the names that there are; if they must be short, without the words with which all begin or end."""
    names = [narrow(layer.name) for layer in layers if layer.name]
    if len(names) > 1 and max(map(len, names)) > limit:
        names = _unlike(names, "~" if ascii else "…")
    return (shorten(name, limit, ascii=ascii) for name in names)


def _unlike(names: list[str], cut: str) -> list[str]:
    """Return names without the words that all have in common at the beginning or the end."""
    words = [_WORD.findall(name) for name in names]
    most = min(map(len, words)) - 1
    head = next((i for i in range(most) if len({word[i] for word in words}) > 1), most)
    tail = next((i for i in range(most - head) if len({word[-1 - i] for word in words}) > 1), most - head)
    begin, end = cut if head else "", cut if tail and not head else ""
    return [begin + "".join(word[head : len(word) - tail]).strip(" -_") + end for word in words]


def near(layer: "Layer", x: float) -> str:
    """Return the value of the point nearest to `x`, which may be one without a value."""
    points, bad = layer.points.x, layer.points.bad
    at, at_bad = _nearest(points, x), _nearest(bad, x)
    if at_bad is not None and (at is None or abs(bad[at_bad] - x) < abs(points[at] - x)):
        return "nan"
    return "-" if at is None else f"{layer.values.values[at]:.4g}"


def _nearest(places: Floats, x: float) -> int | None:
    """Return the index of the place nearest to `x`."""
    after = int(np.searchsorted(places, x))
    around = [i for i in (after - 1, after) if 0 <= i < len(places)]
    return min(around, key=lambda i: abs(float(places[i]) - x), default=None)
