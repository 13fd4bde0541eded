"""What the engine answers when it is asked to look inside a model, as the Inspect pane takes it.

`rnn_tui.inference.inspect_requests` documents the messages; fields that nothing here uses are left out. A number that
is not finite comes as None.
"""

from typing import TypeVar

import msgspec

from rnn_tui.tui.engine_client import EngineError, Event


class Progress(msgspec.Struct, frozen=True):
    done: int
    total: int
    what: str = ""


class Part(msgspec.Struct, frozen=True):
    """One leaf of one layer's state."""

    name: str
    layer: int
    units: int


class Trace(msgspec.Struct, frozen=True):
    """A text as the model has read it: a text and a surprise for each token."""

    texts: tuple[str, ...]
    surprise: tuple[float | None, ...]
    parts: tuple[Part, ...]
    unknown: tuple[str, ...] = ()
    left_out: int = 0


class Found(msgspec.Struct, frozen=True):
    """A unit that tells a pattern's tokens from the others; `mean_in` and `mean_out` are its means over the two."""

    part: str
    unit: int
    score: float | None
    mean_in: float | None = None
    mean_out: float | None = None


class Units(msgspec.Struct, frozen=True):
    """The units found for a pattern, best first, and for each token whether it has the pattern, or how much."""

    pattern: str
    kind: str
    share: float | None
    found: tuple[Found, ...]
    marked: tuple[float | None, ...] = ()
    note: str = ""


class PatternUnits(msgspec.Struct, frozen=True):
    pattern: str
    found: tuple[Found, ...]


class Survey(msgspec.Struct, frozen=True):
    """The best units of every pattern that the text has."""

    patterns: tuple[PatternUnits, ...]


class Values(msgspec.Struct, frozen=True):
    """One unit over the text, divided by `scale` and clipped to -1 to 1; `low`, `high` and `mean` are not scaled."""

    part: str
    unit: int
    values: tuple[float | None, ...]
    scale: float = 1.0
    low: float | None = None
    high: float | None = None
    mean: float | None = None


class Map(msgspec.Struct, frozen=True):
    rows: tuple[tuple[float | None, ...], ...]
    units: tuple[tuple[int, ...], ...]
    starts: tuple[int, ...]
    begin: int
    end: int
    scale: float = 1.0


class Gate(msgspec.Struct, frozen=True):
    """Per unit, the shares of tokens at which a gate is nearly shut (`left`) and nearly open (`right`)."""

    name: str
    layer: int
    left: tuple[float | None, ...]
    right: tuple[float | None, ...]
    left_share: float | None
    right_share: float | None


class Gates(msgspec.Struct, frozen=True):
    gates: tuple[Gate, ...]
    tokens: int
    note: str = ""


class LayerReach(msgspec.Struct, frozen=True):
    layer: int
    reach: tuple[float | None, ...]


class Reach(msgspec.Struct, frozen=True):
    """The gradient's norm so many tokens earlier, relative to that at the token itself."""

    reach: tuple[float | None, ...]
    layers: tuple[LayerReach, ...]
    positions: int = 0
    half: int | None = None
    hundredth: int | None = None
    note: str = ""


Answer = TypeVar("Answer", bound=msgspec.Struct)


def taken(event: Event, kind: type[Answer]) -> Answer:
    """Return an event of the engine as `kind`.

    Raises:
        EngineError: when it is something else.
    """
    try:
        return msgspec.json.decode(event.line, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise EngineError(f"the engine sent a wrong answer: {error}") from None
