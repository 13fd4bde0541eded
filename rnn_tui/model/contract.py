"""Does an architecture do what the host builds on? Asked once, when a run starts, on a tiny batch.

The laws in `rnn_tui.plugin.testing` ask its author for more, and more precisely. This is about what would make a run
wrong without a sign, or end it in words that do not name the plugin.
"""

import gc
import weakref
from typing import Any

import torch
from torch import Tensor

from rnn_tui.errors import PluginError, RnnTuiError, is_out_of_memory
from rnn_tui.model.precision import full_precision
from rnn_tui.model.recurrence import Bidirectional, Unroll
from rnn_tui.model.recurrent_model import RecurrentModel
from rnn_tui.model.state import detach, device_of, leaves, map_state
from rnn_tui.plugin.core import Cell, Core, State
from rnn_tui.plugin.loading import describe_error

BATCH, STEPS = 3, 4
TOLERANCE = 1e-3
"""Of the largest value; two ways to the same numbers in float32 differ by a thousandth of that."""


def check_architecture(model: RecurrentModel, owner: str) -> None:
    """Try the layers of a new model, one for each width of input.

    The model and torch's generators are left as they were. Takes 5 to 20 ms for the layers of rnn-tui at hidden 128 and
    30 to 90 at 512, on one thread.

    Args:
        owner: whose layers they are, as it begins the message: `"architecture mgu (rnn-tui-mgu 0.1.0)"`.

    Raises:
        PluginError: for the first promise of `Cell` or `Core` that is broken.
    """
    widths: dict[int, Core] = {}
    for layer in model.core.cores:
        one = layer.forwards if isinstance(layer, Bidirectional) else layer
        widths.setdefault(one.input_size, one)
    for layer in widths.values():
        training = layer.training
        devices = [model.device] if model.device.type == "cuda" else []
        try:
            with full_precision(), torch.random.fork_rng(devices), torch.enable_grad():
                _Trial(layer.eval(), model.head.weight.dtype).run()
        except RnnTuiError as error:
            raise PluginError(f"{owner}: {error}") from error
        except Exception as error:
            if is_out_of_memory(error):
                raise
            raise PluginError(f"{owner}: it fails on a tiny batch: {describe_error(error)}") from error
        finally:
            layer.train(training)


class _Trial:
    """One layer in evaluation mode, and inputs for it."""

    def __init__(self, layer: Core, dtype: torch.dtype) -> None:
        self.layer = layer
        # the host's own way from a cell to a sequence needs no trial
        self.stepped: Cell | Core = layer.cell if isinstance(layer, Unroll) else layer
        self.device, self.dtype = device_of(layer), dtype
        generator = torch.Generator().manual_seed(1)
        xs = torch.randn(BATCH, STEPS, layer.input_size, generator=generator, device="cpu")
        self.xs = xs.to(self.device, dtype)

    def run(self) -> None:
        """Raise PluginError, with a clause that does not name the plugin, unless all is well."""
        initial = self.initial()
        self.check_leaves(initial)
        with torch.no_grad():
            ys, states = self.steps(initial)
            self.check_inputs(initial)
            self.check_purity(ys, states)
            self.check_rows(ys, states)
            if self.stepped is self.layer:
                self.check_sequence(initial, ys)
        self.check_graph()

    def initial(self) -> State:
        return self.layer.initial_state(BATCH, device=self.device, dtype=self.dtype)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        torch.manual_seed(1)  # what draws random numbers draws the same ones
        result: Any = self.stepped.step(x, state)
        if not (isinstance(result, tuple | list) and len(result) == 2):
            raise PluginError(f"its step returns {_kind(result)}, not an output and a state")
        y, after = result
        self.check_tensor(y, (BATCH, self.layer.output_size), "output")
        self.check_after(state, after, "step")
        return y, after

    def steps(self, state: State) -> tuple[list[Tensor], list[State]]:
        ys, states = [], []
        for x in self.xs.unbind(1):
            y, state = self.step(x, state)
            ys.append(y)
            states.append(state)
        return ys, states

    def check_tensor(self, value: Any, shape: tuple[int, ...], what: str) -> None:
        if not isinstance(value, Tensor):
            raise PluginError(f"its {what} is {_kind(value)}, not a tensor")
        if value.shape != shape:
            raise PluginError(f"its {what} is {tuple(value.shape)}, not {shape}")
        if value.dtype != self.dtype or value.device != self.xs.device:
            raise PluginError(
                f"its {what} is {value.dtype} on {value.device}, not {self.dtype} on {self.xs.device}"
            )
        if not value.isfinite().all():
            raise PluginError(f"its {what} holds NaN or infinity at the first steps")

    def check_leaves(self, state: State, what: str = "initial state") -> None:
        for leaf in leaves(state):
            if not isinstance(leaf, Tensor):
                raise PluginError(
                    f"its {what} holds {_kind(leaf)}, where tensors, tuples and dicts of them may be"
                )
            if not leaf.dim() or len(leaf) != BATCH:
                raise PluginError(
                    f"its {what} holds a tensor {tuple(leaf.shape)}, whose first dimension is not the batch, {BATCH}"
                )
            if leaf.is_floating_point():
                self.check_tensor(leaf, tuple(leaf.shape), what)

    def check_after(self, before: State, after: State, way: str) -> None:
        self.check_leaves(after, "state")
        if _form(before) != _form(after):
            raise PluginError(f"its {way} makes of a state {_form(before)} one of {_form(after)}")

    def check_inputs(self, initial: State) -> None:
        x, state = self.xs[:, 0].clone(), map_state(torch.clone, initial)
        self.step(x, state)
        if not torch.equal(x, self.xs[:, 0]):
            raise PluginError("its step writes to its input")
        if any(not torch.equal(*pair) for pair in zip(leaves(state), leaves(initial), strict=True)):
            raise PluginError("its step writes to the state that it was given")

    def check_purity(self, ys: list[Tensor], states: list[State]) -> None:
        self.step(self.xs[:, 3], states[2])
        again, _ = self.step(self.xs[:, 1], states[0])
        if not _close(again, ys[1]):
            raise PluginError(
                "the same step gives another output the second time: it keeps something of its own"
            )

    def check_rows(self, ys: list[Tensor], states: list[State]) -> None:
        x = self.xs[:, 1].clone()
        x[0] += 1
        mixed, after = self.step(x, states[0])
        pairs = [(mixed, ys[1]), *zip(leaves(after), leaves(states[1]), strict=True)]
        if not all(_close(new[1:], old[1:]) for new, old in pairs):
            raise PluginError("it mixes the rows of a batch: another input in row 0 changes the others")

    def check_sequence(self, initial: State, ys: list[Tensor]) -> None:
        torch.manual_seed(1)
        found, _ = self.sequence(self.xs, initial)
        if not _close(found, torch.stack(ys, 1)):
            raise PluginError("its forward and its step give different outputs")
        reset = torch.zeros(BATCH, STEPS, dtype=torch.bool, device=self.device)
        reset[:, 2] = True
        found, _ = self.sequence(self.xs, initial, reset)
        fresh, _ = self.sequence(self.xs[:, 2:], initial)
        if not _close(found[:, 2:], fresh):
            raise PluginError("its forward does not begin anew where reset is true")

    def sequence(self, xs: Tensor, state: State, reset: Tensor | None = None) -> tuple[Tensor, State]:
        result: Any = self.layer(xs, state, reset=reset)
        if not (isinstance(result, tuple | list) and len(result) == 2):
            raise PluginError(f"its forward returns {_kind(result)}, not outputs and a state")
        ys, after = result
        self.check_tensor(ys, (*xs.shape[:2], self.layer.output_size), "output over time")
        self.check_after(state, after, "forward")
        return ys, after

    def check_graph(self) -> None:
        """A window of training after another, the state cut between them."""
        first, second = (self.xs[:, t].clone().requires_grad_() for t in (0, 1))
        y, state = self.step(first, self.initial())
        kept = [weakref.ref(tensor) for tensor in (y, *leaves(state))]
        carried = detach(state)
        del y, state
        y, state = self.step(second, carried)
        if not y.requires_grad and any(p.requires_grad for p in self.layer.parameters()):
            raise PluginError("no gradient reaches its weights")
        if y.requires_grad:
            early, late = torch.autograd.grad(y.sum(), [first, second], allow_unused=True)
            if early is not None:
                raise PluginError("its output depends on steps before those that the state was cut from")
            if late is not None and not late.isfinite().all():
                raise PluginError("its gradient holds NaN or infinity at the first steps")
        del y, state
        if any(ref() is not None for ref in kept):
            gc.collect()
        if any(ref() is not None for ref in kept):
            raise PluginError("it keeps outputs or states of earlier steps, and with them the memory of each")


def _kind(value: Any) -> str:
    return f"a {type(value).__name__}" + (f" of {len(value)}" if isinstance(value, tuple | list) else "")


def _form(state: State) -> str:
    """Describe structure, shapes and types of a state."""
    if isinstance(state, Tensor):
        return f"{str(state.dtype).removeprefix('torch.')} {tuple(state.shape)}"
    if isinstance(state, dict):
        return f"{{{', '.join(f'{key}: {_form(state[key])}' for key in sorted(state, key=str))}}}"
    name = type(state).__name__ if hasattr(state, "_fields") else ""
    return f"{name}({', '.join(map(_form, state))})"


def _close(found: Tensor, expected: Tensor) -> bool:
    if not expected.is_floating_point():
        return torch.equal(found, expected)
    scale = float(expected.abs().max()) if expected.numel() else 0.0
    return torch.allclose(found, expected, rtol=TOLERANCE, atol=TOLERANCE * scale)
