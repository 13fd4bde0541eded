"""One step of a whole model, for text that comes token by token: what a token brings is looked up in tables.

What happens to a token before it meets the state (encoder, input product, bias) depends on the token alone. So the
model's step is traced, that part is taken out of it (`hoist`) and computed once for every token of the vocabulary; a
step then begins with a row of each table and runs what is left, without autograd and without a module's call.

A product of the layer's input and one of its state stay two products, and each matrix lies as (K, N): measured at one
row on one thread (AMD EPYC, AVX-512), (1, 1024) x (1024, 2048) took 154 µs and twice (1, 512) x (512, 2048) took 146;
(K, N) took 6 and 73 µs for widths 128 and 512, its transpose 7 and 90, with a bias 8 and 73, oneDNN's packed form 17
and 82, MKL's 7 and 78.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from rnn_tui.model.device import free_cores
from rnn_tui.model.recurrence.eager import next_leaves
from rnn_tui.model.recurrence.graph import NotTraceable, outputs, runnable, trace_foreign
from rnn_tui.model.recurrence.hoist import Hoisted, hoist
from rnn_tui.model.recurrence.native.drawing import Drawer
from rnn_tui.model.recurrence.native.toolchain import NoCompiler
from rnn_tui.model.recurrence.product import prepare
from rnn_tui.model.recurrence.split import Loop, Run, forward_only
from rnn_tui.model.recurrence.verify import NOISE, TOLERANCE
from rnn_tui.model.recurrence.written_out import WrittenOut
from rnn_tui.model.recurrent_model import RecurrentModel, Values
from rnn_tui.model.state import arrange, detach, leaves, tensors_of, unflatten
from rnn_tui.plugin.core import State

TABLE_LIMIT = 64 * 2**20
"""Bytes of all tables together, and of the vectors they are made from."""
STEPS = 1000
"""For so many steps a matrix may be laid out afresh."""

Flat = tuple[Tensor, ...]
"""The leaves of a state, in the order of the template's."""


@dataclass(frozen=True)
class Traced:
    """The graphs of a model's step in evaluation mode. They hold for any weights.

    Attributes:
        hoisted: prefix (x, *tensors) -> (*projected, *weights), and core (*projected, *state, *weights) ->
            (logits, *next state); x (n, I) is the encoder's output, the tensors are those of `tensors_of`.
        prefix: runs the first.
        loop: runs the second, after what depends on weights alone.
        template: a state of one row, which gives leaves their order.
    """

    hoisted: Hoisted
    prefix: Run
    loop: Loop
    template: State


_TRACED: WeakKeyDictionary[RecurrentModel, Traced | str] = WeakKeyDictionary()
"""The graphs of each model that was stepped, or why it has none: tracing takes 50 ms for a layer."""


class Stepper:
    """A model of tokens, step by step, by its own step or, once `prepare` was called, by the graphs of it.

    States are flat, the leaves in a tuple; they are the same either way.

    Attributes:
        reason: why the model's own step is used; empty where it is not.
        traced: the graphs, or None.
        tables: (V, ...) for each projected value; none where they would be too large.
        weights: what the core takes besides, in its order.
        drawer: draws many tokens in one call, compiled; None where that cannot be had.
        not_compiled: why there is no drawer.
    """

    def __init__(self, model: RecurrentModel) -> None:
        self.model = model
        self.reason = "it has not been traced"
        self.traced: Traced | None = None
        self.tables: list[Tensor] = []
        self.weights: list[Tensor] = []
        self.drawer: Drawer | None = None
        self.not_compiled = ""
        self.template: State = detach(model.initial_state(1))
        self._tensors: list[Tensor] = []
        self._versions: list[int] = []
        self._fixed: dict[int, list[Any]] = {}

    def prepare(self) -> str:
        """Trace the model's step, if it was not, and compute the tables of its weights; return `reason`.

        The step taken apart is compared with the model's own on a few tokens. Random generators are as before.
        """
        with torch.inference_mode(False), torch.no_grad(), torch.random.fork_rng(devices=[]):
            self.reason = self._build()
        if self.reason:
            self.traced, self.tables, self.weights, self.drawer = None, [], [], None
        return self.reason

    def refresh(self) -> None:
        """Compute the tables again if a weight has been changed in place since: before steps beside training."""
        if self.traced and self._versions != [tensor._version for tensor in self._tensors]:
            self.prepare()

    def initial_state(self, rows: int) -> Flat:
        """Return the state before the first token."""
        return self.flatten(self.model.initial_state(rows))

    def flatten(self, state: State) -> Flat:
        """A state of the model as one of these."""
        return tuple(leaves(arrange(self.template, state)))

    def unflatten(self, state: Flat) -> State:
        """The inverse of `flatten`."""
        return unflatten(self.template, list(state))

    def step(self, ids: Tensor, state: Flat) -> tuple[Tensor, Flat]:
        """Take one token of each row, ids (n,); return the logits (n, V) for the next, and the state."""
        if self.traced is None:
            logits, after = self.model.step(ids, self.unflatten(state))
            return logits, self.flatten(after)
        rows = len(ids)
        if self.tables:
            projected: Sequence[Tensor] = [table.index_select(0, ids) for table in self.tables]
        else:
            values = self.traced.prefix(rows, self.model.encoder(ids), *self._tensors)
            projected = values[: self.traced.hoisted.projected]
        results = self.traced.loop.run(rows, *projected, *state, *self._fixed_for(rows))
        return results[0], results[1:]

    def _build(self) -> str:
        if isinstance(self.model.encoder, Values):
            return "it is a model of numbers"
        self._tensors = list(_cut_off(self.model).values())
        self._versions = [tensor._version for tensor in self._tensors]
        self._fixed = {}
        for tensor in self._tensors:
            if tensor.device.type != "cpu":
                return f"this way is for the CPU, and the model is on {tensor.device.type}"
            if tensor.is_floating_point() and tensor.dtype != torch.float32:
                return (
                    f"this way is for float32, and the model has {str(tensor.dtype).removeprefix('torch.')}"
                )
        if self.model not in _TRACED:
            _TRACED[self.model] = _traced(self.model)
        traced = _TRACED[self.model]
        if isinstance(traced, str):
            return f"the step cannot be taken apart: {traced}"
        try:
            self._bind(traced)
            wrong = self._difference()
        except (
            Exception
        ) as error:  # a stranger's step; if it is wrong, the model's own way will say it better
            wrong = f"raises {type(error).__name__}"
        if wrong:
            return f"the step taken apart {wrong}"
        self._compile(traced)
        return ""

    def _compile(self, traced: Traced) -> None:
        if not self.tables:
            self.not_compiled = "its tables would be too large"
            return
        try:
            if self.drawer is None:
                self.drawer = Drawer(traced.hoisted, list(leaves(traced.template)), self.tables, self.weights)
            else:
                self.drawer.bind(self.tables, self.weights)
        except (NotTraceable, NoCompiler) as error:
            self.not_compiled = str(error)
            return
        if not self._agrees(self.drawer):
            self.drawer, self.not_compiled = None, "its output would not be that of the step"
        else:
            start = torch.zeros(1, self.model.output_size)
            self.drawer.choose_threads(free_cores(), start, self.initial_state(1))

    def _agrees(self, drawer: Drawer) -> bool:
        """Whether the most probable tokens are followed by what the model's own step gives."""
        state, logits = self.initial_state(1), torch.zeros(1, self.model.output_size)
        drawn, after, _ = drawer.draw(logits, state, 4, None, 0.0, None)
        for token, found in zip(drawn[0], after[0], strict=True):
            if token < 0:
                return False
            expected, state = self.step(token.view(1), state)
            if not _close(expected[0], found):
                return False
        return True

    def _bind(self, traced: Traced) -> None:
        """Compute what depends on the weights alone, and on a token alone."""
        model, count, self.tables = self.model, traced.hoisted.projected, []
        vocabulary = torch.arange(model.output_size)
        values = traced.prefix(1, model.encoder(vocabulary[:1]), *self._tensors)
        row = max(_bytes([model.encoder(vocabulary[:1])]), _bytes(values[:count]))
        self.traced, self.weights = traced, [value.detach() for value in values[count:]]
        if len(vocabulary) * row <= TABLE_LIMIT:
            values = traced.prefix(len(vocabulary), model.encoder(vocabulary), *self._tensors)
            self.tables = [value.contiguous() for value in values[:count]]

    def _fixed_for(self, rows: int) -> list[Any]:
        """What the loop takes besides a step's own values."""
        if rows not in self._fixed:
            assert self.traced is not None
            loop = self.traced.loop
            known = [*self.weights, *loop.constants(rows, *self.weights)]
            products = [known[i].contiguous() if rows == 1 else known[i] for i in loop.products]
            self._fixed[rows] = [
                *(known[i] for i in loop.needed),
                *(prepare(weight, rows, STEPS) for weight in products),
            ]
        return self._fixed[rows]

    def _difference(self) -> str:
        """Return what differs from the model's own step on a few tokens; nothing where all is equal to rounding."""
        shell = _shell(self.model).eval()
        for rows, single in ((2, ""), (1, " for a single row")):
            steps = torch.arange(3 * rows).view(3, rows) * 7 % self.model.output_size
            state, ours = shell.initial_state(rows), self.initial_state(rows)
            for ids in steps:
                expected, state = shell.step(ids, state)
                found, ours = self.step(ids, ours)
                if not _close(expected, found):
                    return f"gives other outputs{single}"
                if not all(map(_close, self.flatten(state), ours)):
                    return f"gives another state{single}"
        return ""


def _cut_off(model: RecurrentModel) -> dict[str, Tensor]:
    """The parameters and buffers by name, each once, cut from autograd."""
    return {name: tensor.detach() for name, tensor in tensors_of(model).items()}


def _traced(model: RecurrentModel) -> Traced | str:
    try:
        return _trace(model)
    except NotTraceable as error:
        return str(error)
    except Exception as error:  # a stranger's step may raise anything
        return f"{type(error).__name__}: {(str(error).splitlines() or ['no message'])[0][:200]}"


def _trace(model: RecurrentModel) -> Traced:
    from torch.func import functional_call, functionalize

    step = _Step(_shell(model)).eval()
    tensors = _cut_off(model)
    template = detach(model.initial_state(1))
    count = len(list(leaves(template)))
    generator = torch.Generator().manual_seed(0)

    def flat(x: Tensor, *rest: Tensor) -> list[Tensor]:
        state = unflatten(template, list(rest[:count]))
        values = dict(zip((f"model.{name}" for name in tensors), rest[count:], strict=True))
        with WrittenOut():
            y, after = functional_call(step, values, (x, state))
        return [y, *next_leaves(state, after)]

    def examples(rows: int) -> list[Tensor]:
        x = torch.randn(rows, model.core.input_size, generator=generator)
        state = [leaf.clone() for leaf in leaves(model.initial_state(rows))]
        return [x, *state, *tensors.values()]

    graph = trace_foreign(functionalize(flat, remove="mutations"), examples)
    if not all(node.meta["batch"] for node in outputs(graph)):
        raise NotTraceable("the batch is not the first dimension of its output and state")
    hoisted = hoist(graph, count)
    return Traced(hoisted, runnable(hoisted.prefix), forward_only(hoisted.core, hoisted.weights), template)


class _Step(nn.Module):
    """What functional_call can call: a step without the encoder."""

    def __init__(self, model: RecurrentModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        y, state = self.model.core.step(x, state)
        return self.model.outputs(y), state


def _shell(module: Any) -> Any:
    """Return a module with the same tensors that can be given others, and a mode of its own.

    A step that stores something on itself, against the rules, does not leave a traced tensor in the model.
    """
    twin = copy.copy(module)
    twin._parameters, twin._buffers = dict(module._parameters), dict(module._buffers)
    twin._modules = {name: child and _shell(child) for name, child in module._modules.items()}
    return twin


def _bytes(values: Sequence[Tensor]) -> int:
    return sum(value.nbytes for value in values)


def _close(right: Tensor, value: Tensor) -> bool:
    if right.shape != value.shape or right.dtype != value.dtype:
        return False
    if not right.is_floating_point():
        return torch.equal(right, value)
    size = float(right.abs().nan_to_num(0.0, 0.0, 0.0).max()) if right.numel() else 0.0
    return torch.allclose(value, right, rtol=TOLERANCE, atol=TOLERANCE * size + NOISE, equal_nan=True)
