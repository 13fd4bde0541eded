"""The prompt pane's dealings with the engine: which model is loaded, and how a turn is completed with it."""

import os
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from pathlib import Path

from rnn_tui.errors import InputError
from rnn_tui.tui.engine_client import EngineClient, Event, Piece
from rnn_tui.tui.format import count, loss, short
from rnn_tui.tui.panes.prompt_settings import PromptSettings
from rnn_tui.tui.panes.prompt_turns import Conversation, StateRef, Turn, last_characters

MAX_UNKNOWN = 8


@dataclass(frozen=True)
class Loaded:
    """A model in the engine, as it was when its file was read."""

    path: Path
    stamp: tuple[int, int, int]
    number: tuple[int, int]
    """Which engine, and which load in this session: what a state belongs to."""
    event: Event

    def describe(self) -> str:
        """Return the model in one line."""
        event = self.event
        parts = [] if event.step is None else [f"step {count(event.step)}"]
        if event.validation_loss is not None:
            parts.append(f"validation {loss(event.validation_loss)}")
        parts += [event.arch, event.tokenizer]
        parts += [f"{count(event.vocab_size)} tokens", f"{short(event.parameters)} parameters"]
        parts.insert(0, "" if event.task == "next-token" else event.task)
        return " · ".join(part for part in parts if part)


class Session:
    """One engine and the model file it should hold; the file may be rewritten at any time by a run that trains."""

    def __init__(self, client: EngineClient | None = None) -> None:
        self.client = client or EngineClient()
        self.path: Path | None = None
        self.loaded: Loaded | None = None
        self._loads = 0

    @property
    def labels(self) -> bool:
        """Whether the model gives each token of a text a label; settings of the draw mean nothing to it."""
        return self.loaded is not None and self.loaded.event.task == "aligned"

    @property
    def current(self) -> bool:
        """Whether the engine holds the model file as it is now."""
        loaded = self.loaded
        if loaded is None or not self.client.alive or loaded.number[0] != self.client.starts:
            return False
        try:
            return loaded.path == self.path and loaded.stamp == _stamp(loaded.path)
        except OSError:
            return True  # the file is gone, the model in the engine is not

    async def ready(self) -> Loaded:
        """Return the model, loaded anew if its file or the engine changed.

        Raises:
            InputError: when there is no model file.
            EngineError, EngineGone: from the engine.
        """
        if self.path is None:
            raise InputError("choose a run or a model file first")
        if self.loaded is None or not self.current:
            try:
                stamp = _stamp(self.path)
            except OSError as error:
                raise InputError(f"{self.path}: {error.strerror}") from None
            self.loaded = None
            event = await self.client.ask("load", path=str(self.path), device="cpu")
            self._loads += 1
            self.loaded = Loaded(self.path, stamp, (self.client.starts, self._loads), event)
        return self.loaded

    async def complete(
        self, talk: Conversation, turn: Turn, settings: PromptSettings
    ) -> AsyncIterator[Event]:
        """Draw the completion of `turn`, filling it in, and yield the engine's events as they come.

        Raises: as `ready`.
        """
        loaded = await self.ready()
        state, replay = talk.before(turn, loaded.number)
        request = {
            "from": None if state is None else state.id,
            "prompt": replay + turn.prompt,
            "settings": settings.for_engine(turn.seed),
        }
        async for event in self.client.stream("generate", **request):
            if event.event == "prompt":
                turn.read = last_characters(event.pieces, len(turn.prompt)) if replay else list(event.pieces)
                turn.note = unknown_note(event.unknown, turn.read, turn.prompt)
            elif event.event == "pieces":
                turn.made += event.pieces
            elif event.event == "done":
                from rnn_tui.corpus.copied import (
                    read_copied,
                )  # loads NumPy, which a first screen can do without

                turn.next = event.next
                turn.copied, turn.not_compared = read_copied(event.copied), event.not_compared
                turn.after = None if event.state is None else StateRef(event.state, loaded.number)
            yield event

    def forget(self, turns: Iterable[Turn]) -> None:
        """Let the engine drop the states of `turns`."""
        for turn in turns:
            if self.loaded is not None and turn.after is not None and turn.after.load == self.loaded.number:
                self.client.forget(turn.after.id)

    async def look_ahead(self, text: str, after: StateRef | None) -> tuple[tuple[int, str, float], ...]:
        """Return the next-token table after `text`, read from a state or fresh."""
        loaded = await self.ready()
        usable = after is not None and after.load == loaded.number
        answer = await self.client.ask(
            "next", prompt=text, **{"from": after.id if after and usable else None}
        )
        return answer.next


def unknown_note(unknown: Iterable[str], read: Iterable[Piece], prompt: str) -> str:
    """Return the line that names the symbols a model does not know and what it reads in their place."""
    symbols = [symbol for symbol in unknown if symbol in prompt]
    if not symbols:
        return ""
    names = ", ".join(f"'{symbol.strip() or symbol}'" for symbol in symbols[:MAX_UNKNOWN])
    if len(symbols) > MAX_UNKNOWN:
        names += f" and {len(symbols) - MAX_UNKNOWN} more"
    stand_in = next((piece.text.strip() for piece in read if piece.text not in prompt), "")
    return f"not in the vocabulary: {names}; the model reads {stand_in or 'its unknown token'} instead"


def _stamp(path: Path) -> tuple[int, int, int]:
    stat = os.stat(path)
    return stat.st_mtime_ns, stat.st_size, stat.st_ino
