"""The app's end of the prompt engine: a child process that owns torch, one JSON line per message on its pipes.

The app never imports torch; a crash or an out-of-memory in the child is one error here, and the next request starts a
new child. `rnn_tui.inference.engine` is the other end and documents the messages.
"""

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec

from rnn_tui.errors import RnnTuiError
from rnn_tui.inference import inspect_requests
from rnn_tui.safetext import safe_text

MAX_MESSAGE = 8 * 2**20
"""Bytes in one line of the engine; a longer one means that something else writes to its stdout."""

CANCEL_GRACE = 3.0
"""Seconds an engine may take to answer a cancel before it is ended."""

QUIT_GRACE = 1.0
STDERR_KEPT = 8192


class EngineError(RnnTuiError):
    """What the engine answered to a request it could not fulfil; it is still there."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class EngineGone(RnnTuiError):
    """The engine ended while a request was open; its models and states are gone."""


class Piece(msgspec.Struct, frozen=True):
    """Some text and what it cost the model, in nats.

    Attributes:
        rank: how many tokens the model held to be more probable; None where nothing came before.
        unknown: whether the token stands for a symbol that the vocabulary lacks.
        source: that symbol, where it can be told.
    """

    text: str
    surprise: float | None = None
    token: int = -1
    entropy: float | None = None
    rank: int | None = None
    unknown: bool = False
    source: str = ""


class Event(msgspec.Struct, frozen=True):
    """One answer; which fields are set depends on `event`.

    Attributes:
        line: the whole message, of an answer to one of `inspect_requests`, whose fields are not among these.
    """

    event: str
    id: int | None = None
    slot: str = ""
    pieces: tuple[Piece, ...] = ()
    unknown: tuple[str, ...] = ()
    state: int | str | None = None
    reason: str = ""
    tokens: int = 0
    seconds: float = 0.0
    seed: int | None = None
    row: int = -1
    piece: Piece | None = None
    path: str = ""
    size: int = msgspec.field(default=0, name="bytes")
    text: str = ""
    next: tuple[tuple[int, str, float], ...] = ()
    copied: dict[str, Any] | None = None
    not_compared: str = ""
    message: str = ""
    exit_code: int = 1
    task: str = ""
    arch: str = ""
    tokenizer: str = ""
    vocab_size: int = 0
    parameters: int = 0
    step: int | None = None
    validation_loss: float | None = None
    chars_per_token: float | None = None
    unknown_text: str | None = None
    notes: tuple[str, ...] = ()
    line: bytes = b""


_LAST = {
    "load": "loaded",
    "generate": "done",
    "batch": "done",
    "next": "next",
    "push": "pushed",
    "save": "saved",
    "restore": "restored",
    **inspect_requests.LAST,
}
"""The event that ends the answer to each operation."""
_WITH_LINE = {"progress", *inspect_requests.LAST.values()}

_decoder = msgspec.json.Decoder(Event)
_Inbox = asyncio.Queue[Event | EngineGone]


class EngineClient:
    """Starts the engine when it is needed, sends requests and hands each answer to who asked."""

    def __init__(self, command: Sequence[str] | None = None) -> None:
        self.command = list(command or [sys.executable, "-P", "-m", "rnn_tui.inference.engine"])
        self.starts = 0
        """How many engines there have been; a state or model belongs to the count it was made under."""
        self.junk = 0
        """Lines of the engine that were no messages."""
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()
        self._open: dict[int, _Inbox] = {}
        self._last_id = 0
        self._stderr = b""
        self._reason = ""
        self._closing = False

    @property
    def alive(self) -> bool:
        """Whether an engine is running."""
        return self._process is not None

    @property
    def busy(self) -> bool:
        """Whether a request is waiting for its answer."""
        return bool(self._open)

    async def ask(self, op: str, **fields: Any) -> Event:
        """Send a request and return the event that ends its answer; raises like `stream`."""
        async for event in self.stream(op, **fields):
            last = event
        return last

    async def stream(self, op: str, **fields: Any) -> AsyncIterator[Event]:
        """Send a request and yield its events up to the last one. Leaving early cancels it.

        Raises:
            EngineError: when the engine refuses or fails at it.
            EngineGone: when the engine cannot be started or ends; the next request starts another.
        """
        process = await self._ensure()
        self._last_id += 1
        number, inbox, open_ = self._last_id, _Inbox(), True
        self._open[number] = inbox
        try:
            self._write(process, {"id": number, "op": op, **fields})
            while open_:
                event = await inbox.get()
                if isinstance(event, EngineGone):
                    open_ = False
                    raise event
                open_ = event.event not in (_LAST[op], "error")
                if event.event == "error":
                    raise EngineError(
                        event.message or "the prompt engine failed without saying why", event.exit_code
                    )
                yield event
        finally:
            self._open.pop(number, None)
            if open_ and self._process is process:
                self._write(process, {"op": "cancel", "target": number})

    async def cancel(self) -> None:
        """Ask for the end of every open request; an engine that does not answer is ended."""
        process, waiting = self._process, list(self._open)
        if process is None:
            return
        for number in waiting:
            self._last_id += 1
            self._write(process, {"id": self._last_id, "op": "cancel", "target": number})
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CANCEL_GRACE):
                while any(number in self._open for number in waiting):
                    await asyncio.sleep(0.02)
        if self._process is process and any(number in self._open for number in waiting):
            self._reason = f"it did not answer a cancel within {CANCEL_GRACE:g} s and was ended"
            process.kill()

    def forget(self, state: int | str) -> None:
        """Let the engine drop a state."""
        if self._process is not None:
            self._last_id += 1
            self._write(self._process, {"id": self._last_id, "op": "forget", "state": state})

    def unload(self, slot: str) -> None:
        """Let the engine drop the model in a slot, and its states."""
        if self._process is not None:
            self._write(self._process, {"op": "unload", "slot": slot})

    async def close(self) -> None:
        """End the engine: it is asked first, then killed."""
        self._closing = True
        process, reader = self._process, self._reader
        if process is None or reader is None:
            return
        self._write(process, {"op": "quit"})
        if process.stdin is not None:
            process.stdin.close()
        done, _ = await asyncio.wait([reader], timeout=QUIT_GRACE)
        if not done:
            process.kill()
            await reader

    async def _ensure(self) -> asyncio.subprocess.Process:
        async with self._starting:
            if self._closing:
                raise EngineGone("the prompt engine was ended")
            if self._process is None:
                await self._start()
            assert self._process is not None
            return self._process

    async def _start(self) -> None:
        pipe = asyncio.subprocess.PIPE
        try:
            process = await asyncio.create_subprocess_exec(
                *self.command, stdin=pipe, stdout=pipe, stderr=pipe, limit=MAX_MESSAGE, start_new_session=True
            )
        except OSError as error:
            raise EngineGone(f"the prompt engine could not be started: {error.strerror}") from None
        self._process, self._stderr, self._reason = process, b"", ""
        self.starts += 1
        self._reader = asyncio.create_task(self._read(process))

    def _write(self, process: asyncio.subprocess.Process, message: dict[str, Any]) -> None:
        # No drain: messages are small and few, and a pipe that stays full is an engine that `cancel` ends.
        if process.stdin is not None and not process.stdin.is_closing():
            process.stdin.write(msgspec.json.encode(message) + b"\n")

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        """Hand out the engine's events until it ends, then tell everybody who still waits."""
        assert process.stdout is not None
        errors = asyncio.create_task(self._read_stderr(process))
        try:
            while line := await process.stdout.readline():
                self._dispatch(line)
        except ValueError:
            self._reason = f"it sent a line of more than {MAX_MESSAGE // 2**20} MiB"
            process.kill()
            while await process.stdout.read(2**16):
                pass
        if process.stdin is not None:
            process.stdin.close()
        if process.returncode is None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), QUIT_GRACE)
        if process.returncode is None:
            process.kill()  # it closed its stdout and stays: nothing can be asked of it any more
        code = await process.wait()
        await errors
        self._process = None
        gone = self._obituary(code)
        for inbox in self._open.values():
            inbox.put_nowait(gone)

    def _dispatch(self, line: bytes) -> None:
        try:
            event = _decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            self.junk += 1
            return
        inbox = self._open.get(-1 if event.id is None else event.id)
        if inbox is not None:
            inbox.put_nowait(
                msgspec.structs.replace(event, line=line) if event.event in _WITH_LINE else event
            )

    async def _read_stderr(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None
        while chunk := await process.stderr.read(2**16):
            self._stderr = (self._stderr + chunk)[-STDERR_KEPT:]

    def _obituary(self, code: int) -> EngineGone:
        if self._reason:
            how = self._reason
        elif code == -signal.SIGKILL:
            how = "it was killed, most likely because memory ran out"
        elif code < 0:
            how = f"it was ended by signal {-code}"
        else:
            how = f"it ended with exit code {code}"
        lines = [line for line in self._stderr.decode(errors="replace").splitlines() if line.strip()]
        last = (
            f" (its last words: {safe_text(lines[-1].strip(), limit=200)})"
            if lines and not self._reason
            else ""
        )
        return EngineGone(
            f"the engine that runs the model is gone: {how}{last}; ask again, and a new one starts"
        )
