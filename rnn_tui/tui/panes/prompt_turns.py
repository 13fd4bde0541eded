"""One turn of a conversation with a model: what was asked, what came, and how both stand in the transcript."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from rnn_tui.tui.engine_client import Piece
from rnn_tui.tui.looks_view import novelty, stretches
from rnn_tui.tui.panes.prompt_settings import PromptSettings
from rnn_tui.tui.widgets.tail_text import Span

if TYPE_CHECKING:
    from rnn_tui.corpus.copied import Copied

MAX_UNKNOWN = 8

NextTable = tuple[tuple[int, str, float], ...]
"""What may come next, most probable first: id, text, probability."""


class StateRef(NamedTuple):
    """A state in the engine and the load it belongs to."""

    id: int | str
    load: tuple[int, int]


class Pick(NamedTuple):
    """Where a turn stood before a token was picked by hand, and what could be picked there."""

    before: StateRef | None
    next: NextTable


@dataclass(eq=False)
class Turn:
    """A prompt, perhaps empty, and its completion. Turns are nodes of a tree: two with equal text are two."""

    prompt: str
    fresh: bool
    """Whether it starts from the empty state, not from the turn before."""
    parent: "Turn | None" = None
    """The turn that stands before it."""
    header: str = ""
    settings: PromptSettings = field(default_factory=PromptSettings)
    """What it was drawn with."""
    seed: int = 0
    tries: int = 1
    step: int | None = None
    """Of the model that wrote it."""
    read: list[Piece] = field(default_factory=list)
    """The prompt as the model read it, once it has."""
    made: list[Piece] = field(default_factory=list)
    note: str = ""
    """About its prompt: symbols that the model does not know."""
    error: str = ""
    """Why it ended early, if it failed."""
    after: StateRef | None = None
    picks: list[Pick] = field(default_factory=list)
    """For each token that was picked by hand, what it was picked from."""
    next: NextTable = ()
    copied: "Copied | None" = None
    """How much of the completion stands in the training text, once that is known."""
    not_compared: str = ""
    """Why that will not be known."""
    arrow: str = ""
    """What stands between a text and the labels of its tokens, where the model gives those."""

    @property
    def text(self) -> str:
        """Everything the model has read or written in this turn."""
        return self.prompt + self.completed

    @property
    def completed(self) -> str:
        """The completion."""
        return "".join(piece.text for piece in self.made)

    def shown(self, *, first: bool) -> list[Span]:
        """Return what stands in the transcript; a turn that goes on with the text before has no header."""
        return [*self.opening(first=first), *self.completion(), *self.closing()]

    def opening(self, *, first: bool) -> list[Span]:
        """Return what stands before the completion."""
        spans: list[Span] = []
        if self.header:
            spans.append(Span(("" if first else "\n\n") + self.header + "\n", "note"))
        if self.note:
            spans.append(Span(("" if self.header else "\n") + self.note + "\n", "note"))
        spans += map(read, self.read)
        return [*spans, Span(self.arrow, "note")] if self.arrow else spans

    def completion(self) -> list[Span]:
        """Return the completion, with what is copied from the training text in a kind of its own."""
        copies = self.copied.spans if self.copied else ()
        spans: list[Span] = []
        at = 0
        for span in map(made, self.made):
            here = [(begin - at, end - at) for begin, end in copies]
            for begin, end, copied in stretches(here, len(span.text)):
                kind = "copied" if copied else span.kind
                spans.append(span._replace(text=span.text[begin:end], kind=kind))
            at += len(span.text)
        return spans

    def closing(self) -> list[Span]:
        """Return what stands after it."""
        return [Span("\n" + self.error + "\n", "error")] if self.error else []

    def facts(self) -> list[str]:
        """Return what it was drawn with and what the model made of it, in short phrases."""
        facts = [] if self.arrow or self.picks else [self.settings.summary()]
        if self.picks:
            facts.append(f"{len(self.picks):,} picked by hand")
        elif not (self.arrow or self.settings.deterministic):
            facts.append(f"seed {self.seed}")
        if self.step is not None:
            facts.append(f"step {self.step:,}")
        facts += [f"try {self.tries}"] * (self.tries > 1)
        facts.append(f"{len(self.made):,} tokens")
        for name, pieces in (("prompt", self.read), ("completion", self.made)):
            cost = mean_surprise(pieces)
            facts += [] if cost is None else [f"{name} {cost:.2f} nats a token"]
        return facts


def read(piece: Piece) -> Span:
    """Return one token of a prompt as it stands in the transcript: a symbol that the model lacks stays as typed."""
    if piece.unknown:
        return Span(piece.source or piece.text, "unknown", piece.surprise, piece.entropy, piece.rank)
    return Span(piece.text, "prompt", piece.surprise, piece.entropy, piece.rank)


def made(piece: Piece) -> Span:
    """Return one token of a completion as it stands in the transcript."""
    return Span(piece.text, "generated", piece.surprise, piece.entropy, piece.rank)


def mean_surprise(pieces: Iterable[Piece]) -> float | None:
    """Return the mean surprise of those tokens that were predicted, in nats; None where none was."""
    costs = [piece.surprise for piece in pieces if piece.surprise is not None]
    return sum(costs) / len(costs) if costs else None


def header(turn: Turn, number: int, *, ascii: bool) -> str:
    """Return the line above a turn: what it takes to draw the same text again."""
    parts = [] if turn.arrow else [turn.settings.summary()]
    if not (turn.arrow or turn.settings.deterministic):
        parts.append(f"seed {turn.seed}")
    if turn.step is not None:
        parts.append(f"step {turn.step:,}")
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


def unknown_note(unknown: Iterable[str], prompt: str, stand_in: str | None) -> str:
    """Return the line that names the symbols a model does not know, and what that means for its answer.

    Args:
        stand_in: How the unknown token is shown.
    """
    symbols = [symbol for symbol in unknown if symbol in prompt]
    if not symbols:
        return ""
    names = ", ".join(f"'{symbol.strip() or symbol}'" for symbol in symbols[:MAX_UNKNOWN])
    if len(symbols) > MAX_UNKNOWN:
        names += f" and {len(symbols) - MAX_UNKNOWN} more"
    token = f"its unknown token {stand_in.strip()}" if stand_in and stand_in.strip() else "its unknown token"
    one = len(symbols) == 1
    return (
        f"not in the vocabulary: {names}; the model reads {token} instead, so it cannot know "
        f"{'it' if one else 'them'} and will never write {'it' if one else 'them'}"
    )


def last_characters(pieces: tuple[Piece, ...], count: int) -> list[Piece]:
    """Return the end of `pieces`, `count` characters of it: the prompt, without the text that was only read again."""
    length = max(0, sum(map(_length, pieces)) - count)
    kept = []
    for piece in pieces:
        if length >= _length(piece):
            length -= _length(piece)
        else:
            cut = piece.text if piece.unknown else piece.text[length:]
            kept.append(
                Piece(
                    cut, piece.surprise, piece.token, piece.entropy, piece.rank, piece.unknown, piece.source
                )
            )
            length = 0
    return kept


def _length(piece: Piece) -> int:
    """Return how many characters of the prompt a token stands for."""
    return len(piece.source or piece.text)
