"""What the prompt pane reads from files and writes to them; nothing is replaced without a question."""

import asyncio
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from rnn_tui.errors import RnnTuiError, UsageError
from rnn_tui.tui.dialogs import Confirm
from rnn_tui.tui.format import size
from rnn_tui.tui.panes.prompt_export import SUFFIXES, render, write
from rnn_tui.tui.panes.prompt_stage import Stage


class PromptFiles:
    """File by file, in workers of the stage; what comes of it is said in the active column's name."""

    def __init__(self, stage: Stage, begin: Callable[[str], object]) -> None:
        """Args:
        begin: Gives a text to the models.
        """
        self._stage = stage
        self._begin = begin

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        self._stage.run_worker(self._told(work), group="files")

    async def _told(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except RnnTuiError as error:
            self._stage.column.say(str(error), bad=True)

    async def _may_write(self, path: Path) -> bool:
        if not await asyncio.to_thread(os.path.lexists, path):
            return True
        question = Confirm(f"Replace {path.name}?", f"{path} is there already.")
        answer = await self._stage.app.push_screen_wait(question)
        if answer is None:
            self._stage.column.say(f"{path} is as it was")
        return answer is not None

    def give(self, name: str) -> None:
        """Give the text of a file to the models."""
        self._run(self._give(_path(name, "/file FILE")))

    async def _give(self, path: Path) -> None:
        from rnn_tui.tui.panes.prompt_editor import read_text

        self._begin(await asyncio.to_thread(read_text, path))

    def export(self, name: str) -> None:
        """Write what is in view to a file."""
        path = _path(name, "/export FILE")
        told, suffix = self._stage.told(), path.suffix.lower()
        if suffix not in SUFFIXES or not any(one.turns for one in told):
            render(told, suffix)  # which says what is wrong
        self._run(self._export(path))

    async def _export(self, path: Path) -> None:
        if not await self._may_write(path):
            return
        text = await asyncio.to_thread(render, self._stage.told(), path.suffix.lower())
        await asyncio.to_thread(write, path, text)
        self._stage.column.say(f"written to {path} ({size(len(text.encode()))})")

    def save(self, argument: str) -> None:
        """Name the place where the transcript ends, and write its state to a file if one is given."""
        name, _, file = argument.strip().partition(" ")
        column = self._stage.column
        column.session.forget(column.talk.keep(name))
        if file.strip():
            self._run(self._save(name, _path(file, "/save NAME FILE")))
        else:
            column.say(f"snapshot {name}: /go {name} comes back here")

    async def _save(self, name: str, path: Path) -> None:
        column = self._stage.column
        if await self._may_write(path):
            event = await column.session.save(column.talk, column.talk.snapshot(name), path)
            column.say(f"snapshot {name}, also in {path} ({size(event.size)}); /restore reads it")

    def restore(self, name: str) -> None:
        """Go on from a state in a file, in a branch of its own."""
        self._run(self._restore(_path(name, "/restore FILE")))

    async def _restore(self, path: Path) -> None:
        column = self._stage.column
        turn = await column.session.restore(path)
        column.end()
        turn.header = f"restored from {path.name}"
        column.talk.branch(None)
        column.take(turn)
        column.say(f"restored; an empty line goes on from here, in branch {column.talk.current.name}")


def _path(name: str, usage: str) -> Path:
    if not name.strip():
        raise UsageError(f"a file is needed: {usage}")
    try:
        path = os.path.abspath(os.path.expanduser(name.strip()))
        if b"\0" in os.fsencode(path):
            raise ValueError
        return Path(path)
    except ValueError:
        raise UsageError("no file can have such a name") from None
    except FileNotFoundError:
        raise UsageError(
            "the folder that the app was started in is gone; give a path from the root on"
        ) from None
