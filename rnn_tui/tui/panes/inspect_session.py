"""The Inspect pane's dealings with the engine: which model it holds, and which text that model has read."""

import asyncio
import os
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rnn_tui.errors import InputError
from rnn_tui.tui.engine_client import EngineClient, Event
from rnn_tui.tui.format import count, loss, short
from rnn_tui.tui.panes.inspect_answers import Answer, Progress, Trace, Values, taken
from rnn_tui.tui.panes.inspect_units import Unit

VALUES_KEPT = 64
Say = Callable[[str], None]


class InspectSession:
    """An engine of its own, so that looking inside a model holds up no prompt; it starts with the first request.

    What a request needs, the model in the engine and the text in the model, is seen to before it: an engine that died
    is replaced without a word.
    """

    def __init__(self, client: EngineClient | None = None) -> None:
        self.client = client or EngineClient()
        self.path: Path | None = None
        self.text = ""
        self.model: Event | None = None
        self.trace: Trace | None = None
        self._starts = 0
        self._ready = asyncio.Lock()
        self._values: OrderedDict[Unit, Values] = OrderedDict()

    def choose(self, path: Path | None = None, text: str | None = None) -> None:
        """Take another model, or another text; the same path means the file as it is now."""
        if path is not None:
            self.path, self.model = path, None
        if text is not None:
            self.text = text
        self.trace = None
        self._values.clear()

    async def ready(self, say: Say) -> Trace:
        """Return the trace; the model is loaded and the text read where that is still to be done.

        Raises:
            InputError: when there is no model file.
            EngineError, EngineGone: from the engine.
        """
        async with self._ready:
            if self.path is None:
                raise InputError("choose a run or a model file first")
            if not self.client.alive or self._starts != self.client.starts:
                self.model = self.trace = None
            if self.model is None:
                if not os.path.exists(self.path):
                    raise InputError(f"{self.path}: there is no such file")
                say("loading the model …")
                model = await self.client.ask("load", path=str(self.path), device="cpu")
                self.model, self.trace, self._starts = model, None, self.client.starts
            if self.trace is None:
                say("reading …")
                self.trace = await self._ask("read", Trace, say, text=self.text)
            return self.trace

    async def ask(self, op: str, kind: type[Answer], say: Say, **fields: Any) -> Answer:
        """Return the answer to a request about the trace. Raises as `ready`."""
        await self.ready(say)
        return await self._ask(op, kind, say, **fields)

    async def values(self, unit: Unit, say: Say) -> Values:
        """Return the values of a unit, those looked at lately without asking. Raises as `ready`."""
        await self.ready(say)
        if unit not in self._values:
            self._values[unit] = await self._ask("values", Values, say, part=unit.part, unit=unit.number)
            if len(self._values) > VALUES_KEPT:
                self._values.popitem(last=False)
        self._values.move_to_end(unit)
        return self._values[unit]

    async def _ask(self, op: str, kind: type[Answer], say: Say, **fields: Any) -> Answer:
        async for event in self.client.stream(op, **fields):
            if event.event == "progress":
                progress = taken(event, Progress)
                say(f"{progress.what} … {count(progress.done)} of {count(progress.total)}   esc ends it")
            else:
                answer = taken(event, kind)
        return answer

    def describe(self) -> str:
        """Return the model in one line."""
        model = self.model
        if model is None:
            return ""
        parts = [] if model.step is None else [f"step {count(model.step)}"]
        if model.validation_loss is not None:
            parts.append(f"validation {loss(model.validation_loss)}")
        parts += [model.arch, model.tokenizer, f"{short(model.parameters)} parameters"]
        parts.insert(0, "" if model.task == "next-token" else model.task)
        return " · ".join(part for part in parts if part)
