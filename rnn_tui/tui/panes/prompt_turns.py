"""The conversation behind the prompt pane: turns, the states they left behind, and what the transcript shows.

The engine keeps a state for each finished turn, so continue, retry and undo cost nothing. A state belongs to one
load of one model; after a reload or a restart of the engine the text itself is read again instead.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from rnn_tui.tui.engine_client import Piece
from rnn_tui.tui.looks_view import novelty, stretches
from rnn_tui.tui.panes.prompt_settings import PromptSettings

if TYPE_CHECKING:
    from rnn_tui.corpus.copied import Copied

REPLAY = 4000
"""Characters of the text so far that are read again where its state is gone."""

MAX_TURNS = 500


class StateRef(NamedTuple):
    """A state in the engine and the load it belongs to."""

    id: int | str
    load: tuple[int, int]


Shown = tuple[str, str, float | None]
"""Text, kind and surprise: one write to the tail."""


@dataclass
class Turn:
    """A prompt, perhaps empty, and its completion."""

    prompt: str
    fresh: bool
    """Whether it starts from the empty state, not from the turn before."""
    header: str = ""
    seed: int = 0
    tries: int = 1
    read: list[Piece] = field(default_factory=list)
    """The prompt as the model read it, once it has."""
    made: list[Piece] = field(default_factory=list)
    note: str = ""
    """About its prompt: symbols that the model does not know."""
    error: str = ""
    """Why it ended early, if it failed."""
    after: StateRef | None = None
    next: tuple[tuple[int, str, float], ...] = ()
    copied: "Copied | None" = None
    """How much of the completion stands in the training text, once that is known."""
    not_compared: str = ""
    """Why that will not be known."""
    arrow: str = ""
    """What stands between a text and the labels of its tokens, where the model gives those."""

    @property
    def text(self) -> str:
        """Everything the model has read or written in this turn."""
        return self.prompt + "".join(piece.text for piece in self.made)

    def shown(self, *, first: bool) -> list[Shown]:
        """Return what stands in the transcript; a turn that goes on with the text before has no header."""
        return [*self.opening(first=first), *self.completion(), *self.closing()]

    def opening(self, *, first: bool) -> list[Shown]:
        """Return what stands before the completion."""
        pieces: list[Shown] = []
        if self.header:
            pieces.append((("" if first else "\n\n") + self.header + "\n", "note", None))
        if self.note:
            pieces.append((("" if self.header else "\n") + self.note + "\n", "note", None))
        pieces += ((piece.text, "prompt", piece.surprise) for piece in self.read)
        return [*pieces, (self.arrow, "note", None)] if self.arrow else pieces

    def completion(self) -> list[Shown]:
        """Return the completion, with what is copied from the training text in a kind of its own."""
        spans = self.copied.spans if self.copied else ()
        pieces: list[Shown] = []
        at = 0
        for text, kind, surprise in map(made, self.made):
            here = [(begin - at, end - at) for begin, end in spans]
            for begin, end, copied in stretches(here, len(text)):
                pieces.append((text[begin:end], "copied" if copied else kind, surprise))
            at += len(text)
        return pieces

    def closing(self) -> list[Shown]:
        """Return what stands after it."""
        return [("\n" + self.error + "\n", "error", None)] if self.error else []


def header(turn: Turn, number: int, settings: PromptSettings, step: int | None, *, ascii: bool) -> str:
    """Return the line above a turn: what it takes to draw the same text again."""
    parts = [] if turn.arrow else [settings.summary()]
    if not (turn.arrow or settings.greedy) and settings.temperature > 0:
        parts.append(f"seed {turn.seed}")
    if step is not None:
        parts.append(f"step {step:,}")
    if turn.tries > 1:
        parts.append(f"try {turn.tries}")
    return f"{'#' if ascii else '▪'} {number}  " + " · ".join(parts)


def ending(turn: Turn, reason: str, tokens: int, seconds: float, width: int) -> str:
    """Return what is said when a completion is complete: what is copied, and what else has room in `width` cells."""
    if reason == "transcribed":
        return f"{tokens:,} labels"
    ends = {"length": "the length is reached", "stop": "a stop text was found", "cancelled": "ended by you"}
    speed = f" · {tokens / seconds:,.0f} tokens/s" if seconds > 0 and tokens else ""
    drawn = f"{tokens:,} tokens{speed}"
    ended = f"{drawn} · {ends.get(reason, reason)}   enter goes on"
    if turn.copied is None:
        why_not = f"not compared with the training text: {turn.not_compared}" if turn.not_compared else ""
        told = [f"{ended} · {why_not}", ended]
    else:
        told = [f"{novelty(turn.copied)} · {more}" for more in (ended, drawn)] + [novelty(turn.copied)]
    return next((text for text in told if len(text) <= width), told[-1])


def made(piece: Piece) -> Shown:
    """Return one token of a completion as it stands in the transcript."""
    return piece.text, "generated", piece.surprise


class Conversation:
    """The turns so far, newest last."""

    def __init__(self) -> None:
        self.turns: list[Turn] = []

    @property
    def last(self) -> Turn | None:
        return self.turns[-1] if self.turns else None

    def add(self, turn: Turn) -> None:
        """Append a turn; the oldest goes when there are too many."""
        self.turns.append(turn)
        del self.turns[:-MAX_TURNS]

    def pop(self) -> Turn | None:
        """Remove the last turn."""
        return self.turns.pop() if self.turns else None

    def before(self, turn: Turn, load: tuple[int, int]) -> tuple[StateRef | None, str]:
        """Return what `turn` starts from: a state that is still there, and text that must be read before its prompt.

        Args:
            load: The present load of the model; older states are of no use to it.
        """
        if turn.fresh:
            return None, ""
        text = ""
        for earlier in reversed(self.turns[: self.turns.index(turn)]):
            if earlier.after is not None and earlier.after.load == load:
                return earlier.after, text
            text = earlier.text + text
            if earlier.fresh or len(text) >= REPLAY:
                break
        return None, text[-REPLAY:]

    def shown(self) -> list[Shown]:
        """Return the whole transcript."""
        return [piece for number, turn in enumerate(self.turns) for piece in turn.shown(first=number == 0)]


def last_characters(pieces: tuple[Piece, ...], count: int) -> list[Piece]:
    """Return the end of `pieces`, `count` characters of it: the prompt, without the text that was only read again."""
    length = max(0, sum(len(piece.text) for piece in pieces) - count)
    kept = []
    for piece in pieces:
        if length >= len(piece.text):
            length -= len(piece.text)
        else:
            kept.append(
                Piece(piece.text[length:], piece.surprise, piece.token, piece.entropy) if length else piece
            )
            length = 0
    return kept
