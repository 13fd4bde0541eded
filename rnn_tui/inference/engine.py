"""The prompt engine: `python -m rnn_tui.inference.engine`, a child process that owns torch for a face that does not.

It reads one JSON object a line from standard input and answers with one a line on standard output. Whatever a plugin
prints goes to standard error. It ends when its input does, or when its parent dies.

    {"id": 1, "op": "load", "path": "…/model.safetensors", "device": "cpu"}
        → {"id": 1, "event": "loaded", "task", "arch", "tokenizer", "vocab_size", "parameters", "step",
           "validation_loss", "chars_per_token", "mtime"}
           Replaces the model; states of the one before are forgotten. If it fails, the one before stays.
    {"id": 2, "op": "generate", "from": null, "prompt": "…", "settings": {"temperature": 0.8, …}}
        → {"id": 2, "event": "prompt", "pieces": [{"text", "token", "surprise", "entropy"}, …], "tokens": n,
           "unknown": ["ž"]}
           The pieces are the last 4,096 of the prompt's tokens; surprise is null where nothing came before.
        → {"id": 2, "event": "pieces", "pieces": [{"text", "token", "surprise", "entropy"}, …]}      at most every 50 ms
        → {"id": 2, "event": "done", "state": 7, "reason": "length" | "stop" | "cancelled", "tokens": n, "seconds": s,
           "seed": n or null, "next": [[id, text, probability], …], "copied": {…} or null, "not_compared": "why"}
           `copied` is what `rnn_tui.corpus.copied.Copied` says of the completion and the training text; null where
           nothing was compared, and then `not_compared` says why. The first answer waits up to 3 s for it.
           `from` is a state of an earlier `done`, or null for a fresh start. Reason "cancelled" while the prompt was
           still being read gives back the `from` it was given as `state`.
           A model of the task aligned answers one line with the labels of its tokens, from a fresh state and the most
           probable ones: `from` and the settings mean nothing to it, `state` is null and the reason "transcribed".
    {"id": 3, "op": "next", "from": null, "prompt": "…"}
        → {"id": 3, "event": "next", "next": [[id, text, probability], …]}
    {"op": "cancel", "target": 2}       no answer of its own; request 2 ends with reason "cancelled"
    {"op": "forget", "state": 7}        no answer
    {"op": "quit"}                      no answer; so does the end of the input

Any failure is {"id": n, "event": "error", "message": "one line", "exit_code": k}, with id null for a line that
holds none, and the engine goes on. Requests are done one after the other; `cancel` works at once. Settings are those
of `SamplingConfig`. The newest 256 states are kept. NaN and infinity are sent as null.
"""

import itertools
import math
import os
import signal
import sys
import time
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from rnn_tui.errors import InputError, OutOfMemoryError, RnnTuiError, UsageError, is_out_of_memory
from rnn_tui.files import write_all
from rnn_tui.inference.requests import Forget, Generate, Inbox, Load, Next, Refused, Request
from rnn_tui.runs.process import die_with_parent

if TYPE_CHECKING:
    from rnn_tui.inference.comparing import Comparer
    from rnn_tui.inference.generate import Primed
    from rnn_tui.inference.pieces import Piece
    from rnn_tui.inference.torch_reader import TorchReader
    from rnn_tui.model.header import ModelFile
    from rnn_tui.plugin.tokenizer import Tokenizer

STATES_KEPT = 256
BATCH_SECONDS = 0.05
NEXT_TOKENS = 10
UNKNOWN_SHOWN = 100
COMPARING_SECONDS = 3.0


class Cancelled(Exception):
    """Raised from within a long operation whose request was cancelled."""


@dataclass(frozen=True)
class Loaded:
    """The model in use."""

    reader: "TorchReader"
    tokenizer: "Tokenizer"
    header: "ModelFile"
    path: Path


class Engine:
    """Does one request after the other and writes the answers to `output`, a file descriptor."""

    def __init__(self, inbox: Inbox, output: int) -> None:
        self._inbox = inbox
        self._output = output
        self._loaded: Loaded | None = None
        self._comparer: Comparer | None = None
        self._states: OrderedDict[int, Primed] = OrderedDict()
        self._numbers = itertools.count(1)

    def serve(self) -> None:
        """Work until the input ends."""
        while (request := self._inbox.take()) is not None:
            try:
                self._do(request)
            except Exception as error:  # an engine that dies takes all states with it
                failure = explain(error)
                self._say(request.id, "error", message=one_line(failure), exit_code=failure.exit_code)
            self._inbox.finish(request.id)

    def _say(self, number: int | None, event: str, **fields: Any) -> None:
        write_all(self._output, msgspec.json.encode({"id": number, "event": event, **fields}) + b"\n")

    def _do(self, request: Request | Refused) -> None:
        match request:
            case Load():
                self._load(request)
            case Generate():
                self._generate(request)
            case Next():
                self._next(request)
            case Forget():
                self._states.pop(request.state, None)
            case Refused():
                raise UsageError(request.message)

    def _load(self, request: Load) -> None:
        from rnn_tui.inference.torch_reader import TorchReader
        from rnn_tui.model.device import sample_on_one_thread
        from rnn_tui.model.file import load_model

        sample_on_one_thread()
        path = Path(request.path)
        mtime = (
            path.stat().st_mtime if path.exists() else None
        )  # before reading: it may be replaced meanwhile
        model, tokenizer, header = load_model(path, device=request.device)
        self._loaded = Loaded(TorchReader(model), tokenizer, header, path)
        self._comparer = None
        self._states.clear()
        training = header.training
        assert header.tokenizer is not None  # of a model of tokens
        self._say(
            request.id,
            "loaded",
            task=header.task,
            arch=header.architecture["name"],
            tokenizer=header.tokenizer["name"],
            vocab_size=tokenizer.vocab_size,
            parameters=model.parameter_count(),
            step=training.get("step"),
            validation_loss=training.get("validation_loss"),
            chars_per_token=training.get("chars_per_token"),
            mtime=mtime,
        )

    def _prime(self, request: Generate | Next) -> "tuple[Loaded, Primed]":
        from rnn_tui.inference.generate import prime

        if self._loaded is None:
            raise UsageError("no model is loaded; send a load first")
        after = None
        if request.after is not None:
            if request.after not in self._states:
                raise InputError(
                    "that state is no longer kept; start from an earlier turn or from the beginning"
                )
            after = self._states[request.after]

        def stop_if_cancelled(done: int, total: int) -> None:
            if self._inbox.cancelled(request.id):
                raise Cancelled

        loaded = self._loaded
        return loaded, prime(
            loaded.reader, loaded.tokenizer, request.prompt, after, progress=stop_if_cancelled
        )

    def _generate(self, request: Generate) -> None:
        from rnn_tui.inference.comparing import Comparer
        from rnn_tui.inference.config import sampling_config
        from rnn_tui.inference.generate import generate, next_tokens

        if self._loaded is not None and self._loaded.header.task == "aligned":
            self._transcribe(request, self._loaded)
            return
        begin = time.monotonic()
        config = sampling_config(request.settings)
        try:
            loaded, primed = self._prime(request)
        except Cancelled:
            seconds = time.monotonic() - begin
            self._say(
                request.id,
                "done",
                state=request.after,
                reason="cancelled",
                tokens=0,
                seconds=seconds,
                seed=None,
                next=[],
                copied=None,
                not_compared="nothing was drawn",
            )
            return
        unknown = primed.unknown[:UNKNOWN_SHOWN]
        self._say(
            request.id,
            "prompt",
            pieces=list(map(as_fields, primed.pieces)),
            tokens=primed.tokens,
            unknown=unknown,
        )

        if self._comparer is None:
            self._comparer = Comparer(loaded.header, loaded.path, loaded.tokenizer)
        generation = generate(loaded.reader, loaded.tokenizer, primed, config)
        text = ""
        waiting: list[dict[str, Any]] = []
        said = 0.0  # the first piece goes out at once
        for piece in generation:
            waiting.append(as_fields(piece))
            text += piece.text
            if time.monotonic() - said >= BATCH_SECONDS:
                self._say(request.id, "pieces", pieces=waiting)
                waiting, said = [], time.monotonic()
            if self._inbox.cancelled(request.id):
                generation.cancel()
        if waiting:
            self._say(request.id, "pieces", pieces=waiting)

        number = next(self._numbers)
        self._states[number] = generation.primed
        while len(self._states) > STATES_KEPT:
            self._states.popitem(last=False)
        seconds = time.monotonic() - begin
        patience = 0.0 if generation.reason == "cancelled" else COMPARING_SECONDS
        copied, why_not = self._comparer.compare(request.prompt, text, patience)
        self._say(
            request.id,
            "done",
            state=number,
            reason=generation.reason,
            tokens=generation.tokens,
            seconds=seconds,
            seed=generation.seed,
            next=next_tokens(generation.primed.logits, loaded.tokenizer, NEXT_TOKENS),
            copied=copied and copied.fields(),
            not_compared=why_not,
        )

    def _transcribe(self, request: Generate, loaded: Loaded) -> None:
        from rnn_tui.inference.transcribe import transcribe

        if "\n" in request.prompt:
            raise UsageError("this model labels one line at a time; leave out the newline")
        begin = time.monotonic()
        found = transcribe(loaded.reader, loaded.tokenizer, request.prompt)
        ids = loaded.tokenizer.encode(request.prompt).tolist()
        read = [
            {"text": label.source, "token": token, "surprise": None, "entropy": None}
            for label, token in zip(found.pieces, ids, strict=True)
        ]
        labels = [
            {
                "text": label.text,
                "token": label.token,
                "surprise": -math.log(label.probability),
                "entropy": None,
            }
            for label in found.pieces
        ]
        self._say(request.id, "prompt", pieces=read, tokens=len(read), unknown=found.unknown[:UNKNOWN_SHOWN])
        self._say(request.id, "pieces", pieces=labels)
        self._say(
            request.id,
            "done",
            state=None,
            reason="transcribed",
            tokens=len(labels),
            seconds=time.monotonic() - begin,
            seed=None,
            next=[],
            copied=None,
            not_compared="",
        )

    def _next(self, request: Next) -> None:
        from rnn_tui.inference.generate import next_tokens

        if self._loaded is not None and self._loaded.header.task == "aligned":
            raise UsageError("this model labels tokens and has no next token")
        try:
            loaded, primed = self._prime(request)
        except Cancelled:
            raise UsageError("cancelled") from None
        self._say(request.id, "next", next=next_tokens(primed.logits, loaded.tokenizer, NEXT_TOKENS))


def as_fields(piece: "Piece") -> dict[str, Any]:
    """Return a piece as it is sent."""
    return {"text": piece.text, "token": piece.token, "surprise": piece.surprise, "entropy": piece.entropy}


def explain(error: Exception) -> RnnTuiError:
    """Turn any exception into one with a sentence and an exit code."""
    if isinstance(error, RnnTuiError):
        return error
    if is_out_of_memory(error):
        return OutOfMemoryError(
            f"not enough memory for this; use a smaller model or another device ({one_line(error)})"
        )
    return RnnTuiError(f"the prompt engine failed: {type(error).__name__}: {one_line(error)}")


def one_line(error: Exception) -> str:
    """Return an error's text as one line of at most 500 characters that any encoder takes."""
    return " ".join(str(error).split())[:500].encode("utf-8", "replace").decode()


def take_standard_output() -> int:
    """Keep the real standard output for the protocol, and send everything else that is printed to standard error.

    Done on the level of file descriptors too, so that a library in C cannot get in between.
    """
    output = os.dup(1)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return output


def main() -> int:
    """Serve standard input until it ends; return the exit code."""
    if not die_with_parent():
        return 0
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in the terminal is the face's to handle
    output = take_standard_output()
    source = open(0, "rb", closefd=False)  # noqa: SIM115  closing it would wait for the thread that reads
    try:
        Engine(Inbox(source), output).serve()
    except (
        OSError
    ) as error:  # nobody reads the answers any more; an orderly end would wait for that thread too
        os._exit(0 if isinstance(error, BrokenPipeError) else 1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
