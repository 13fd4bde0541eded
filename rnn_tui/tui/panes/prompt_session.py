"""The prompt pane's dealings with the engine: which model is loaded, and how a turn is completed with it."""

import os
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rnn_tui.errors import InputError
from rnn_tui.tui.engine_client import EngineClient, Event, Piece
from rnn_tui.tui.format import count, loss, short
from rnn_tui.tui.panes.prompt_tree import Tree
from rnn_tui.tui.panes.prompt_tree import path as path_to
from rnn_tui.tui.panes.prompt_turns import NextTable, Pick, StateRef, Turn, last_characters, unknown_note

TOP = 50
"""Rows of a next-token table: what can be scrolled through; the first ten are in view."""

KEPT = 100_000
"""Characters of text that go into the file of a state."""


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
        parts[:0] = event.notes  # first, as the line is cut at its end
        return " · ".join(part for part in parts if part)


class Session:
    """One slot of the engine and the model file it should hold, which a run that trains may rewrite at any time."""

    def __init__(self, client: EngineClient, slot: str = "main") -> None:
        self.client = client
        self.slot = slot
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
            event = await self.client.ask("load", slot=self.slot, path=str(self.path), device="cpu")
            self._loads += 1
            self.loaded = Loaded(self.path, stamp, (self.client.starts, self._loads), event)
        return self.loaded

    async def complete(self, tree: Tree, turn: Turn, **changes: Any) -> AsyncIterator[Event]:
        """Draw the completion of `turn`, filling it in, and yield the engine's events as they come.

        Args:
            changes: Settings that this draw alone has in place of the turn's.

        Raises: as `ready`.
        """
        loaded = await self.ready()
        async for event in self.client.stream(
            "generate", **self._from(tree, turn, loaded), settings=_settings(turn) | changes
        ):
            if event.event == "prompt":
                self._read(turn, event, loaded)
            elif event.event == "pieces":
                turn.made += event.pieces
            elif event.event == "done":
                self._fill(turn, event, loaded)
            yield event

    async def batch(self, tree: Tree, turn: Turn, n: int) -> AsyncIterator[Event | Turn]:
        """Draw `n` completions of `turn`, which is in no branch yet, and yield each as a turn of its own.

        Raises: as `ready`.
        """
        loaded = await self.ready()
        async for event in self.client.stream(
            "batch", **self._from(tree, turn, loaded), settings=_settings(turn), n=n
        ):
            if event.event == "prompt":
                self._read(turn, event, loaded)
            elif event.event == "row":
                seed = turn.seed if event.seed is None else event.seed
                row = replace(turn, seed=seed, made=list(event.pieces), picks=[])
                self._fill(row, event, loaded)
                yield row
                continue
            yield event

    async def settle(self, tree: Tree, turn: Turn | None) -> StateRef | None:
        """Return the state at the end of `turn`, which is computed anew if the engine has none for the model as it is.

        Raises: as `ready`.
        """
        loaded = await self.ready()
        if turn is not None and (turn.after is None or turn.after.load != loaded.number):
            rest = Turn("", fresh=False, parent=turn)
            fields = self._from(tree, rest, loaded)
            event = await self.client.ask("generate", **fields, settings=_settings(rest) | {"length": 0})
            turn.after = None if event.state is None else StateRef(event.state, loaded.number)
        return None if turn is None else turn.after

    async def push(self, turn: Turn, before: StateRef | None, token: int) -> None:
        """Let the model read one token after the state `before`, at the end of `turn`; raises as `ready`."""
        loaded = await self.ready()
        event = await self.client.ask(
            "push", slot=self.slot, token=token, top=TOP, **{"from": before and before.id}
        )
        turn.picks.append(Pick(before, turn.next))
        turn.made += [] if event.piece is None else [event.piece]
        turn.next = event.next
        turn.after = None if event.state is None else StateRef(event.state, loaded.number)

    def unpush(self, turn: Turn) -> None:
        """Take the last token back that `push` gave."""
        self._forget(turn.after)
        turn.after, turn.next = turn.picks.pop()
        turn.made.pop()

    async def save(self, tree: Tree, turn: Turn, path: Path) -> Event:
        """Write the state at the end of `turn` to a file; raises as `ready`."""
        state = await self.settle(tree, turn)
        text = "".join(earlier.text for earlier in path_to(turn))
        return await self.client.ask("save", state=state and state.id, path=str(path), text=text[-KEPT:])

    async def restore(self, path: Path) -> Turn:
        """Return a saved state as the turn of a fresh start; raises as `ready`."""
        loaded = await self.ready()
        event = await self.client.ask("restore", slot=self.slot, path=str(path), top=TOP)
        turn = Turn(event.text, fresh=True, step=loaded.event.step, read=[Piece(event.text)])
        turn.next = event.next
        turn.after = None if event.state is None else StateRef(event.state, loaded.number)
        return turn

    async def look_ahead(self, text: str, after: StateRef | None) -> NextTable:
        """Return the next-token table after `text`, read from a state or fresh; raises as `ready`."""
        loaded = await self.ready()
        start = after.id if after is not None and after.load == loaded.number else None
        answer = await self.client.ask("next", slot=self.slot, prompt=text, top=TOP, **{"from": start})
        return answer.next

    def forget(self, turns: Iterable[Turn]) -> None:
        """Let the engine drop the states of `turns`."""
        for turn in turns:
            for state in (turn.after, *(pick.before for pick in turn.picks[1:])):
                self._forget(state)

    def _forget(self, state: StateRef | None) -> None:
        if self.loaded is not None and state is not None and state.load == self.loaded.number:
            self.client.forget(state.id)

    def _from(self, tree: Tree, turn: Turn, loaded: Loaded) -> dict[str, Any]:
        state, replay = tree.before(turn, loaded.number)
        return {"slot": self.slot, "from": state and state.id, "prompt": replay + turn.prompt}

    def _read(self, turn: Turn, event: Event, loaded: Loaded) -> None:
        turn.read = last_characters(event.pieces, len(turn.prompt))
        turn.note = unknown_note(event.unknown, turn.prompt, loaded.event.unknown_text)

    def _fill(self, turn: Turn, event: Event, loaded: Loaded) -> None:
        from rnn_tui.corpus.copied import read_copied  # loads NumPy, which a first screen can do without

        turn.next = event.next
        turn.copied, turn.not_compared = read_copied(event.copied), event.not_compared
        turn.after = None if event.state is None else StateRef(event.state, loaded.number)


def _settings(turn: Turn) -> dict[str, Any]:
    return turn.settings.for_engine(turn.seed)


def _stamp(path: Path) -> tuple[int, int, int]:
    stat = os.stat(path)
    return stat.st_mtime_ns, stat.st_size, stat.st_ino
