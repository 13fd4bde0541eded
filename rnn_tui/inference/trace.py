"""What a model has in mind while it reads: every state of every layer after every token of a text.

All of a text is read from a fresh state, layer by layer; each layer is run as a step that shows its state, too
(`recording`).
"""

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from rnn_tui.errors import DivergedError, RnnTuiError, UsageError
from rnn_tui.inference.inspect_requests import MEMORY, TOKENS
from rnn_tui.inference.parts import Floats, Part, leaf_names
from rnn_tui.inference.recording import Recorder
from rnn_tui.inference.sampling import DIVERGED
from rnn_tui.model.recurrence import Bidirectional, Unroll
from rnn_tui.model.recurrent_model import RecurrentModel
from rnn_tui.model.state import detach, unflatten
from rnn_tui.plugin.core import Cell, Core, State
from rnn_tui.plugin.state import leaves
from rnn_tui.plugin.tokenizer import Tokenizer
from rnn_tui.tasks.evaluation import evaluation_mode

Progress = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and how much there is; may raise to give up."""

WINDOW = 256
"""Tokens read at once: progress and cancel are looked at in between, at 2x512 every 20 to 150 ms."""
NUMBERS_AT_ONCE = 4_000_000
"""One-hot vectors or logits held at a time: 16 MB in float32."""
PATIENCE = 2.0
"""Seconds of the plain loop beyond which the step is traced and compiled: that takes one, in a new process three. A
token of 1x512 then takes 80 µs and not 530, one of 1x128 7 and not 120 (AMD EPYC, one thread)."""


class Cancelled(RnnTuiError):
    """Raised from within a long operation that is no longer wanted."""

    exit_code = 130


@dataclass(frozen=True, eq=False)
class Strand:
    """One layer in one direction.

    Attributes:
        name: `layer 1`, and where a layer has two directions `layer 1 forwards` and `layer 1 backwards`.
        layer: from 1.
        inner: what is stepped.
        recorder: the same over time, with its states.
        backwards: whether it reads the text from its end.
        ends_layer: whether the next strand is of the next layer.
        template: a state of one row.
    """

    name: str
    layer: int
    inner: Cell | Core
    recorder: Recorder
    backwards: bool
    ends_layer: bool
    template: State

    @property
    def units(self) -> int:
        """The numbers in its state."""
        return self.recorder.cell.output_size - self.inner.output_size


@dataclass(frozen=True, eq=False)
class Trace:
    """A text that was read.

    Attributes:
        texts: what each token adds to the text (T).
        ids: int64 (T,).
        surprise: (T,), -ln of the probability that the model gave each token, in nats; NaN where nothing came before,
            and everywhere for a model of labels.
        strands: the model's layers.
        parts: all leaves of their states.
        unknown: the symbols that the vocabulary lacks.
        left_out: tokens at the end that were not read.
        labels: whether the model gives labels instead of next tokens.
    """

    texts: tuple[str, ...]
    ids: npt.NDArray[np.int64]
    surprise: Floats
    strands: tuple[Strand, ...]
    parts: tuple[Part, ...]
    unknown: tuple[str, ...]
    left_out: int
    labels: bool

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def bytes(self) -> int:
        return sum(part.values.nbytes for part in self.parts)

    def part(self, name: str) -> Part:
        """Return a part by its name; raises UsageError."""
        for part in self.parts:
            if part.name == name:
                return part
        known = ", ".join(part.name for part in self.parts[:12])
        raise UsageError(f"the model has no part {name!r}; it has {known}")

    def state_before(self, strand: int, tokens: npt.NDArray[np.int64], device: torch.device) -> State:
        """Return the state in which a layer read each of some tokens, as that many rows of a batch."""
        chosen = self.strands[strand]
        before = tokens + 1 if chosen.backwards else tokens - 1
        fresh = torch.from_numpy((before < 0) | (before >= len(self)))
        index = np.clip(before, 0, len(self) - 1)
        parts = [part for part in self.parts if part.strand == strand]
        rows = []
        for part, leaf in zip(parts, leaves(chosen.template), strict=True):
            read = torch.from_numpy(part.values[index]).view(len(tokens), *leaf.shape[1:]).to(leaf.dtype)
            start = leaf.cpu().expand(len(tokens), *leaf.shape[1:])
            rows.append(torch.where(fresh.view(-1, *[1] * (leaf.dim() - 1)), start, read).to(device))
        return unflatten(chosen.template, rows)


@torch.no_grad()
def read_trace(
    model: RecurrentModel,
    strands: tuple[Strand, ...],
    tokenizer: Tokenizer,
    text: str,
    *,
    labels: bool = False,
    progress: Progress | None = None,
) -> Trace:
    """Read a text from a fresh state and keep every state.

    Args:
        strands: of the model. What was traced and compiled for one text serves the next, too.
        text: what is beyond `TOKENS` tokens, or would take more than `MEMORY` bytes, is left out.
        labels: whether the model gives labels; then nothing is predicted, and there is no surprise.

    Raises:
        UsageError: when the text has no token, or the model no state.
        DivergedError: when the model's output is NaN.
    """
    ids = tokenizer.encode(text).astype(np.int64)
    total = len(ids)
    if not total:
        raise UsageError("there is no text to read; give some")
    units = sum(strand.units for strand in strands)
    if not units:
        raise UsageError("the model has no state to look at")
    ids = ids[: max(1, min(TOKENS, MEMORY // (4 * units)))]
    decoder = tokenizer.decoder()
    texts = [decoder.push(token) for token in ids.tolist()]
    texts[-1] += decoder.flush()
    with evaluation_mode(model):
        parts, features = _run(model, strands, torch.from_numpy(ids).to(model.device), progress)
        surprise = _surprise(model, ids, features)
    return Trace(
        texts=tuple(texts),
        ids=ids,
        surprise=np.full_like(surprise, np.nan) if labels else surprise,
        strands=strands,
        parts=tuple(parts),
        unknown=tuple(tokenizer.unknown(text)),
        left_out=total - len(ids),
        labels=labels,
    )


def _run(
    model: RecurrentModel, strands: tuple[Strand, ...], ids: Tensor, progress: Progress | None
) -> tuple[list[Part], Tensor]:
    """Run all layers over ids (T,); return their states and the features (T, O)."""
    count = len(ids)
    window = max(1, min(WINDOW, NUMBERS_AT_ONCE // model.output_size))
    parts: list[Part] = []
    below: Tensor | None = None
    outputs: list[Tensor] = []
    for number, strand in enumerate(strands):

        def take(positions: Tensor, below: Tensor | None = below) -> Tensor:
            return model.encoder(ids[positions]) if below is None else below[positions]

        def told(done: int, number: int = number) -> None:
            if progress:
                progress("reading", number * count + done, len(strands) * count)

        order = torch.arange(count, device=ids.device)
        ys, values = _run_strand(strand, take, order.flip(0) if strand.backwards else order, window, told)
        names = leaf_names(strand.template)
        bounds = itertools.accumulate((leaf[0].numel() for leaf in leaves(strand.template)), initial=0)
        for name, (first, end) in zip(names, itertools.pairwise(bounds), strict=True):
            part = np.ascontiguousarray(values[:, first:end])
            parts.append(Part(f"{strand.name} {name}", number, strand.layer, part))
        outputs.append(ys)
        if strand.ends_layer:
            below, outputs = torch.cat(outputs, 1), []
    assert below is not None
    return parts, below


def _run_strand(
    strand: Strand,
    take: Callable[[Tensor], Tensor],
    order: Tensor,
    window: int,
    told: Callable[[int], None],
) -> tuple[Tensor, Floats]:
    """Run one layer over the positions in the order given; return its outputs (T, O) and its states (T, units)."""
    state, count = strand.template, len(order)
    ys = torch.empty(count, strand.inner.output_size, device=order.device)
    values = np.empty((count, strand.units), np.float32)
    begin = time.perf_counter()
    for first in range(0, count, window):
        positions = order[first : first + window]
        xs, before = take(positions)[None], state  # (1, n, I)
        shown, state = strand.recorder(xs, before)  # (1, n, O + units)
        ys[positions] = shown[0, :, : ys.shape[1]]
        values[positions.cpu().numpy()] = shown[0, :, ys.shape[1] :].cpu().numpy()
        done = first + len(positions)
        told(done)
        if strand.recorder.rung == "loop" and first == 0:
            rest = (time.perf_counter() - begin) / done * (count - done)
            if rest > PATIENCE:
                strand.recorder.hurry(xs, before, shown)
    return ys, values


def _surprise(model: RecurrentModel, ids: npt.NDArray[np.int64], features: Tensor) -> Floats:
    """Return (T,): what each token cost after those before it."""
    surprise = np.full(len(ids), np.nan, np.float32)
    at_once = max(1, NUMBERS_AT_ONCE // model.output_size)
    for first in range(0, len(ids), at_once):
        logits = model.outputs(features[first : first + at_once]).float()  # (n, V)
        if bool(logits.isnan().any()):
            raise DivergedError(DIVERGED)
        following = torch.from_numpy(ids[first + 1 : first + 1 + len(logits)]).to(logits.device)
        cost = functional.cross_entropy(logits[: len(following)], following, reduction="none")
        surprise[first + 1 : first + 1 + len(following)] = cost.cpu().numpy()
    return surprise


def strands_of(model: RecurrentModel) -> tuple[Strand, ...]:
    """Return the layers of a model in the order in which they run. They hold its layers, not the model."""
    strands: list[Strand] = []
    for layer, core in enumerate(model.core.cores, 1):
        directions: list[tuple[str, Core]] = [("", core)]
        if isinstance(core, Bidirectional):
            directions = [(" forwards", core.forwards), (" backwards", core.backwards)]
        for direction, one in directions:
            inner = one.cell if isinstance(one, Unroll) else one
            strands.append(
                Strand(
                    name=f"layer {layer}{direction}",
                    layer=layer,
                    inner=inner,
                    recorder=Recorder(inner, one.input_size),
                    backwards=direction == " backwards",
                    ends_layer=direction != " forwards",
                    template=detach(one.initial_state(1, device=model.device, dtype=torch.float32)),
                )
            )
    return tuple(strands)
