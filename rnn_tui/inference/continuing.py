"""How the prompt engine goes on from a text or a state: what `generate`, `batch`, `next` and `push` answer.

`rnn_tui.inference.engine` documents the messages. `say(event, **fields)` sends one of them, `cancelled()` tells whether
the answer is no longer wanted.
"""

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from rnn_tui.errors import DivergedError, UsageError
from rnn_tui.inference import requests
from rnn_tui.inference.batch import Batch
from rnn_tui.inference.config import sampling_config
from rnn_tui.inference.generate import (
    Primed,
    generate,
    measure,
    next_tokens,
    prime,
    unknown_sources,
)
from rnn_tui.inference.pieces import UNMEASURED, Piece, Writer
from rnn_tui.inference.sampling import DIVERGED
from rnn_tui.inference.slots import Loaded, Slots
from rnn_tui.inference.transcribe import transcribe

Say = Callable[..., None]
IsCancelled = Callable[[], bool]

PIECES_SECONDS = 0.05
PROGRESS_SECONDS = 0.25
NEXT_TOKENS = 10
UNKNOWN_SHOWN = 100
COMPARING_SECONDS = 3.0
BATCH_TOKENS = 50_000
"""Tokens of all rows of a batch: the pieces of a row are one message, of about 100 bytes each."""


class Cancelled(Exception):
    """Raised from within a long operation whose request was cancelled."""


def complete(request: requests.Generate, slots: Slots, say: Say, cancelled: IsCancelled) -> None:
    """Answer `generate`."""
    loaded = slots.model(request.slot)
    if loaded.labels:
        _label(request, loaded, say)
        return
    begin = time.monotonic()
    config = sampling_config(request.settings)
    try:
        primed = _read_prompt(request, loaded, slots, say, cancelled)
    except Cancelled:
        say(
            "done",
            state=request.after,
            reason="cancelled",
            tokens=0,
            seconds=time.monotonic() - begin,
            seed=None,
            next=[],
            copied=None,
            not_compared="nothing was drawn",
        )
        return
    comparer = loaded.comparer  # it reads while the completion is drawn
    drawing = generate(loaded.reader, loaded.tokenizer, primed, config)
    text = ""
    waiting: list[dict[str, Any]] = []
    said = 0.0  # the first piece goes out at once
    for piece in drawing:
        waiting.append(as_fields(piece))
        text += piece.text
        if time.monotonic() - said >= PIECES_SECONDS:
            say("pieces", pieces=waiting)
            waiting, said = [], time.monotonic()
        if cancelled():
            drawing.cancel()
    if waiting:
        say("pieces", pieces=waiting)
    seconds = time.monotonic() - begin
    patience = 0.0 if drawing.reason == "cancelled" else COMPARING_SECONDS
    copied, why_not = comparer.compare(request.prompt, text, patience)
    say(
        "done",
        state=slots.keep(loaded, drawing.primed),
        reason=drawing.reason,
        tokens=drawing.tokens,
        seconds=seconds,
        seed=drawing.seed,
        next=next_tokens(drawing.primed.logits, loaded.tokenizer, NEXT_TOKENS),
        copied=copied and copied.fields(),
        not_compared=why_not,
    )


def complete_several(request: requests.Batch, slots: Slots, say: Say, cancelled: IsCancelled) -> None:
    """Answer `batch`."""
    loaded = slots.writer(request.slot)
    begin = said = time.monotonic()
    config = sampling_config(request.settings)
    if request.n * config.length > BATCH_TOKENS:
        raise UsageError(
            f"{request.n} completions of {config.length:,} tokens are more than the {BATCH_TOKENS:,} of a batch; "
            "ask for fewer or shorter ones"
        )

    def progress(tokens: int) -> None:
        nonlocal said
        if cancelled():
            batch.cancel()
        if time.monotonic() - said >= PROGRESS_SECONDS:
            say("progress", tokens=tokens)
            said = time.monotonic()

    reason, total = "length", 0
    try:
        primed = _read_prompt(request, loaded, slots, say, cancelled)
    except Cancelled:
        say("done", state=None, reason="cancelled", tokens=0, seconds=time.monotonic() - begin)
        return
    comparer = loaded.comparer
    patience = COMPARING_SECONDS  # of all rows together
    batch = Batch(
        loaded.reader, loaded.tokenizer, primed, config, request.n, measured=True, progress=progress
    )
    for row in batch:
        if row.reason == "cancelled":
            reason, patience = "cancelled", 0.0
        total += row.tokens
        waiting = time.monotonic()
        copied, why_not = comparer.compare(request.prompt, row.text, patience)
        patience = max(0.0, patience - (time.monotonic() - waiting))
        say(
            "row",
            row=row.index,
            pieces=list(map(as_fields, row.pieces)),
            state=slots.keep(loaded, row.primed),
            reason=row.reason,
            tokens=row.tokens,
            seed=row.seed,
            next=next_tokens(row.primed.logits, loaded.tokenizer, NEXT_TOKENS),
            copied=copied and copied.fields(),
            not_compared=why_not,
        )
    say("done", state=None, reason=reason, tokens=total, seconds=time.monotonic() - begin)


def look_ahead(request: requests.Next, slots: Slots, say: Say, cancelled: IsCancelled) -> None:
    """Answer `next`."""
    loaded = slots.writer(request.slot)
    primed = _prime(request.prompt, request.after, loaded, slots, cancelled)
    say("next", next=next_tokens(primed.logits, loaded.tokenizer, request.top))


def push(request: requests.Push, slots: Slots, say: Say, cancelled: IsCancelled) -> None:
    """Answer `push`."""
    loaded = slots.writer(request.slot)
    if not 0 <= request.token < loaded.tokenizer.vocab_size:
        raise UsageError(
            f"there is no token {request.token}; this model has {loaded.tokenizer.vocab_size:,}, from 0"
        )
    before = _prime("", request.after, loaded, slots, cancelled)
    primed, piece = read_token(loaded, before, request.token)
    say(
        "pushed",
        state=slots.keep(loaded, primed),
        piece=as_fields(piece),
        next=next_tokens(primed.logits, loaded.tokenizer, request.top),
    )


def read_token(loaded: Loaded, before: Primed, token: int) -> tuple[Primed, Piece]:
    """Return what the model knows after one more token, and that token.

    Raises:
        DivergedError: when the model's output is NaN.
    """
    ids = np.array([token])
    [measured] = measure(before.logits[None], ids)
    writer = Writer(loaded.tokenizer, before.held, 0)
    source = "" if token == loaded.tokenizer.unknown_id else None
    piece = Piece(writer.push(token), token, *measured, source=source)
    logits, state = loaded.reader.read(ids, before.state, 1)  # (1, V)
    if np.isnan(logits).any():
        raise DivergedError(DIVERGED)
    return Primed(state, logits[0].copy(), held=writer.held), piece


def as_fields(piece: Piece) -> dict[str, Any]:
    """Return a piece as it is sent."""
    fields = {
        "text": piece.text,
        "token": piece.token,
        "surprise": piece.surprise,
        "entropy": piece.entropy,
        "rank": None if piece.rank < 0 else piece.rank,
    }
    return fields if piece.source is None else fields | {"unknown": True, "source": piece.source}


def _read_prompt(
    request: requests.Generate, loaded: Loaded, slots: Slots, say: Say, cancelled: IsCancelled
) -> Primed:
    primed = _prime(request.prompt, request.after, loaded, slots, cancelled)
    say(
        "prompt",
        pieces=list(map(as_fields, primed.pieces)),
        tokens=primed.tokens,
        unknown=primed.unknown[:UNKNOWN_SHOWN],
    )
    return primed


def _prime(prompt: str, after: int | None, loaded: Loaded, slots: Slots, cancelled: IsCancelled) -> Primed:
    """Read a prompt from a state; raises Cancelled."""

    def stop_if_cancelled(done: int, total: int) -> None:
        if cancelled():
            raise Cancelled

    start = slots.state(loaded, after)
    return prime(loaded.reader, loaded.tokenizer, prompt, start, progress=stop_if_cancelled)


def _label(request: requests.Generate, loaded: Loaded, say: Say) -> None:
    """Answer `generate` with the labels of a line."""
    if "\n" in request.prompt:
        raise UsageError("this model labels one line at a time; leave out the newline")
    begin = time.monotonic()
    found = transcribe(loaded.reader, loaded.tokenizer, request.prompt)
    ids = loaded.tokenizer.encode(request.prompt).tolist()
    sources = unknown_sources(loaded.tokenizer, request.prompt, ids, found.unknown)
    read = [
        as_fields(Piece(label.source, token, *UNMEASURED, source=source))
        for label, token, source in zip(found.pieces, ids, sources, strict=True)
    ]
    labels = [
        as_fields(Piece(label.text, label.token, -math.log(label.probability), math.nan))
        for label in found.pieces
    ]
    say("prompt", pieces=read, tokens=len(read), unknown=found.unknown[:UNKNOWN_SHOWN])
    say("pieces", pieces=labels)
    say(
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
