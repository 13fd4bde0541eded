"""A conversation as a file: plain text, Markdown or JSON. Pure but for `write`."""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rnn_tui.errors import UsageError
from rnn_tui.files import replace_file
from rnn_tui.tui.engine_client import Event, Piece
from rnn_tui.tui.panes.prompt_turns import Turn

FORMAT = 1
"""Version of the JSON document."""
SUFFIXES = (".txt", ".md", ".json")


@dataclass(frozen=True)
class Told:
    """What one column has to tell: its model, and the turns of the branch in view."""

    name: str
    path: Path | None
    model: Event | None
    turns: Sequence[Turn]

    @property
    def title(self) -> str:
        """The model in one line."""
        event = self.model
        if event is None:
            return self.name
        step = "" if event.step is None else f", step {event.step:,}"
        return f"{self.name}: {event.arch}, {event.tokenizer}{step}"


def render(told: Sequence[Told], suffix: str) -> str:
    """Return the document.

    Args:
        suffix: One of `SUFFIXES`.

    Raises:
        UsageError: for another suffix, or where there is nothing to write.
    """
    if suffix not in SUFFIXES:
        raise UsageError(f"a transcript is written to a file that ends in {', '.join(SUFFIXES)}")
    if not any(one.turns for one in told):
        raise UsageError("nothing to write yet; give a prompt first")
    if suffix == ".json":
        return json.dumps(as_json(told), ensure_ascii=False, indent=1) + "\n"
    return as_markdown(told) if suffix == ".md" else as_text(told)


def as_text(told: Sequence[Told]) -> str:
    """Return what was read and written, a line of facts above each fresh start."""
    parts: list[str] = []
    for one in told:
        parts.append(f"{one.title}\n")
        for number, turn in enumerate(one.turns, 1):
            if turn.fresh or number == 1:
                parts.append(f"\n\n[{number}] {' · '.join(turn.facts())}\n")
            parts.append(turn.prompt + turn.arrow + turn.completed)
            parts += [f"\n[{turn.error}]\n"] if turn.error else []
        parts.append("\n\n")
    return "".join(parts).rstrip("\n") + "\n"


def as_markdown(told: Sequence[Told]) -> str:
    """Return a section for each model and turn; texts stand in fences that are longer than any inside them."""
    parts: list[str] = []
    for one in told:
        parts.append(f"# {one.title}\n")
        for number, turn in enumerate(one.turns, 1):
            how = "fresh start" if turn.fresh else "goes on"
            parts.append(f"## {number}. {how}\n\n{' · '.join(turn.facts())}\n")
            if turn.prompt:
                parts.append("Prompt:\n\n" + _fenced(turn.prompt))
            if turn.made:
                parts.append("Completion:\n\n" + _fenced(turn.completed))
            if turn.error:
                parts.append("Error:\n\n" + _fenced(turn.error))
    return "\n".join(parts)


def _fenced(text: str) -> str:
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text}\n{fence}\n"


def as_json(told: Sequence[Told]) -> dict[str, Any]:
    """Return everything that is known of the turns, token by token."""
    return {"format": FORMAT, "transcripts": [_transcript(one) for one in told]}


def _transcript(one: Told) -> dict[str, Any]:
    event = one.model
    model = {"name": one.name, "path": None if one.path is None else str(one.path)}
    known = ("task", "arch", "tokenizer", "vocab_size", "parameters", "step", "validation_loss")
    model |= {} if event is None else {name: getattr(event, name) for name in known}
    return {"model": model, "turns": [_turn(number, turn) for number, turn in enumerate(one.turns, 1)]}


def _turn(number: int, turn: Turn) -> dict[str, Any]:
    return {
        "number": number,
        "fresh": turn.fresh,
        "step": turn.step,
        "seed": turn.seed,
        "settings": {k: v for k, v in asdict(turn.settings).items() if k not in ("seed", "carry")},
        "picked_by_hand": len(turn.picks),
        "prompt": turn.prompt,
        "completion": turn.completed,
        "prompt_tokens": list(map(_token, turn.read)),
        "completion_tokens": list(map(_token, turn.made)),
        "error": turn.error or None,
    }


def _token(piece: Piece) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "text": piece.text, "id": piece.token, "surprise": piece.surprise, "entropy": piece.entropy,
        "rank": piece.rank,
    }  # fmt: skip
    return fields | ({"unknown": True, "source": piece.source} if piece.unknown else {})


def write(path: Path, text: str) -> None:
    """Write the document, for the user alone to read; raises DiskError."""
    replace_file(path, text.encode("utf-8", "replace"))
