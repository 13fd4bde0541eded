"""Laws of form: what a layer says of itself, its options, its shapes, its state, and what it can be stored in."""

from typing import Any

import safetensors.torch
import torch
from torch import Tensor
from torch.nn.parameter import UninitializedParameter

from rnn_tui.errors import is_out_of_memory
from rnn_tui.plugin import API_VERSION
from rnn_tui.plugin.core import Core, State
from rnn_tui.plugin.loading import describe_error
from rnn_tui.plugin.options import option_infos
from rnn_tui.plugin.state import leaves, map_state
from rnn_tui.plugin.testing.laws import broken, raised, skip
from rnn_tui.plugin.testing.layers import BATCH, LENGTH, LayerCase, form, pair, run
from rnn_tui.plugin.testing.memory import bounded_memory
from rnn_tui.plugin.testing.option_ends import ends

_NEAR_BFLOAT16 = 0.15
"""Of the largest value. bfloat16 has 8 bits: a number is off by 0.4 %, and six steps of the cells of rnn-tui by 1 %."""


class FormLaws(LayerCase):
    def test_it_declares_itself(self) -> None:
        layer = self.build()
        name = self.architecture.__name__
        if layer.api_version != API_VERSION:
            raise broken(f"api_version of {name}", expected=str(API_VERSION), came=repr(layer.api_version))
        if not (self.architecture.__doc__ or "").strip():
            raise broken(f"{name} has no docstring; `plugins show` prints it, its first line stands in lists")
        for info in option_infos(getattr(self.architecture, "Options", None)):
            if not info.help:
                raise broken(
                    f"option {info.name} has no help",
                    likely='write its type as Annotated[..., Meta(description="...")]',
                )

    def test_it_runs(self) -> None:
        """It is built, states its sizes, has an initial state, and runs over a few positions, to finite numbers."""
        layer = self.build()
        for attribute, wanted in [("output_size", None)] + [("input_size", self.input_size)] * isinstance(
            layer, Core
        ):
            value = getattr(layer, attribute, None)
            if not isinstance(value, int) or value < 1 or wanted not in (None, value):
                raise broken(
                    f"{attribute} of {self.architecture.__name__}({self.input_size}, {self.hidden_size})",
                    expected=str(wanted or "a whole number above 0"),
                    came=repr(value),
                    likely=f"__init__ does not set self.{attribute}",
                )
        ys, end = run(layer, *self.inputs(layer))
        if not all(leaf.isfinite().all() for leaf in (ys, *leaves(end))):
            raise broken(
                f"{LENGTH} positions of normally distributed inputs were run",
                expected="finite outputs and a finite state",
                came="NaN or infinity",
            )

    def test_every_option_runs_at_its_ends(self) -> None:
        """Each choice, each switch, the least and the greatest value of each number."""
        self._short_run()  # a layer that never runs is not the fault of its options
        for info in option_infos(getattr(self.architecture, "Options", None)):
            for value in ends(info):
                shown = f"option {info.name}={value!r}"
                try:
                    with bounded_memory():
                        ys = self._short_run(**{info.name: value})
                except AssertionError:
                    raise
                except Exception as error:
                    fits = "it does not fit into memory; a bound is a promise: lower it"
                    raise broken(
                        f"a layer with {shown} was built and run",
                        expected="outputs, since its declaration allows that value",
                        came=raised(error),
                        likely=fits
                        if is_out_of_memory(error)
                        else "the bounds or choices of the option are wider than what works",
                    ) from error
                if not ys.isfinite().all():
                    raise broken(
                        f"a layer with {shown} was run over 3 positions",
                        expected="finite outputs",
                        came="NaN or infinity",
                    )

    def _short_run(self, **options: Any) -> Tensor:
        layer = self.build(0, **options)
        return run(layer, self.inputs(layer, 2, 3)[0], self.initial(layer, 2))[0]

    def test_options_are_only_those_declared(self) -> None:
        """A misspelt keyword is refused, and the keywords have the defaults of `Options`."""
        try:
            self.architecture(self.input_size, self.hidden_size, no_such_option=1)
        except TypeError:
            pass
        else:
            raise broken(
                f"{self.architecture.__name__}({self.input_size}, {self.hidden_size}, no_such_option=1)",
                expected="TypeError",
                came="a layer",
                likely="__init__ takes **options; name each option, so that a misspelt one is noticed",
            )
        torch.manual_seed(0)
        try:
            plain = self.architecture(self.input_size, self.hidden_size)
        except TypeError:
            return  # no defaults in __init__: the host gives every option
        if not self.options:
            for (name, mine), given in zip(
                plain.state_dict().items(), self.build().state_dict().values(), strict=True
            ):
                self.same(
                    mine.to(given.dtype),
                    given,
                    f"`{name}` was built without keywords, and with the defaults of Options",
                    "the default in __init__ is not the one in Options",
                    tolerance=1e-6,
                )

    def test_shapes(self) -> None:
        """Outputs are (B, T, O); a state keeps its structure, shapes and type, dimension 0 is the batch."""
        layer = self.build()
        for batch, length in ((BATCH, LENGTH), (1, LENGTH), (BATCH, 1), (1, 1)):
            xs = self.inputs(layer, batch, length)[0]
            state = self.initial(layer, batch)
            where = f"{batch} rows of {length} positions"
            check_state(state, batch, f"the initial state of {batch} rows")
            ys, after = run(layer, xs, state)
            wanted = (batch, length, layer.output_size)
            if ys.shape != wanted or ys.dtype != self.dtype:
                raise broken(
                    f"{where} of {self.dtype} were run",
                    expected=f"outputs {wanted} of {self.dtype}",
                    came=f"{tuple(ys.shape)} of {ys.dtype}",
                    likely="an axis of size 1 is squeezed away"
                    if 1 in (batch, length) and ys.dim() < 3
                    else "",
                )
            if form(after) != form(state):
                raise broken(
                    f"{where} were run",
                    expected=f"a state as before: {form(state)}",
                    came=form(after),
                    likely="step returns another structure, shape or type than initial_state",
                )

    def test_the_initial_state_is_where_it_is_asked_for(self) -> None:
        layer = self.build()
        for device, dtype in ((torch.device("cpu"), torch.float32), (torch.device("meta"), self.dtype)):
            for leaf in leaves(layer.initial_state(2, device=device, dtype=dtype)):
                if leaf.device.type != device.type or (leaf.is_floating_point() and leaf.dtype != dtype):
                    raise broken(
                        f"initial_state(2, device={device.type!r}, dtype={dtype})",
                        expected=f"{dtype} on {device.type}",
                        came=f"{leaf.dtype} on {leaf.device.type}",
                        likely="pass both on: weight.new_zeros(batch_size, ..., device=device, dtype=dtype)",
                    )
        for leaf in leaves(layer.initial_state(2)):
            if leaf.is_floating_point() and leaf.dtype != self.dtype:
                raise broken(
                    "initial_state(2) of a layer whose weights are " + str(self.dtype),
                    expected=f"{self.dtype}, like the weights",
                    came=str(leaf.dtype),
                    likely="it is made with torch.zeros: use weight.new_zeros",
                )

    def test_a_state_is_its_tensors(self) -> None:
        """A state taken apart into tensors, copied and put together again goes on as before: so the host stores it."""
        layer = self.build()
        xs, _ = self.inputs(layer)

        def steps(state: State, first: int) -> tuple[Tensor, State]:
            ys = []
            for t in range(first, first + 2):
                y, state = pair(layer.step(xs[:, t].clone(), state), "step")
                ys.append(y.clone())
            return torch.stack(ys, 1), state

        with torch.no_grad():
            _, state = steps(self.initial(layer, BATCH), 0)
            copies = iter([leaf.clone() for leaf in leaves(state)])
            rebuilt = map_state(lambda _: next(copies), state)
            what = "a state was taken apart into its tensors and rebuilt, then run on"
            likely = "the state holds something besides tensors, or a tuple or dict of a type of its own"
            ys, end = steps(state, 2)
            again, last = steps(rebuilt, 2)
        self.same(again, ys, what, likely)
        self.same_state(last, end, what, likely)

    def test_weights_survive_a_file(self) -> None:
        layer, other = self.build(), self.build(seed=1)
        with torch.no_grad():
            for index, tensor in enumerate(layer.parameters()):
                tensor += 0.01 * (index + 1)
        what = "the weights were written to safetensors, read into another layer, and both run"
        try:
            stored = safetensors.torch.load(safetensors.torch.save(layer.state_dict()))
            other.load_state_dict(stored)
        except Exception as error:
            raise broken(
                what, came=raised(error), likely="two parameters share memory, or names change"
            ) from error
        xs, state = self.inputs(layer)
        likely = "something that is drawn or computed in __init__ is no parameter and no buffer"
        self.same(run(other, xs, state)[0], run(layer, xs, state)[0], what, likely)

    def test_float32_gives_the_same_numbers(self) -> None:
        if self.dtype == torch.float32:
            skip("these laws run in float32 as it is")
        likely = "a tensor of a fixed type is made in step: use x.new_zeros(...) or dtype=x.dtype"
        self._in_another_type(torch.float32, 1e-3, likely)

    def test_bfloat16_is_near(self) -> None:
        """By itself, and under autocast, as `--precision bf16` runs it."""
        self._in_another_type(torch.bfloat16, _NEAR_BFLOAT16, "", autocast=False)
        self._in_another_type(torch.float32, _NEAR_BFLOAT16, "", autocast=True)

    def _in_another_type(
        self, dtype: torch.dtype, near: float, likely: str, *, autocast: bool = False
    ) -> None:
        layer = self.build()
        expected = run(layer, *self.inputs(layer))[0]
        xs, state = self.inputs(layer)
        smaller = self.build(dtype=dtype)
        what = f"6 positions were run {'under autocast to bfloat16' if autocast else f'in {dtype}'}"
        state = map_state(lambda leaf: leaf.to(dtype) if leaf.is_floating_point() else leaf, state)
        try:
            with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
                found = run(smaller, xs.to(dtype), state)[0]
        except (RuntimeError, NotImplementedError) as error:
            if "not implemented for" in str(error):
                skip(f"torch has no such kernel: {describe_error(error)}")
            raise broken(
                what, came=raised(error), likely=likely or "tensors of two types meet in step"
            ) from error
        if found.dtype != dtype and not autocast:
            raise broken(what, expected=f"outputs of {dtype}", came=str(found.dtype), likely=likely)
        if not found.isfinite().all():
            raise broken(what, expected="finite outputs", came="NaN or infinity", likely=likely)
        self.same(found, expected, f"{what}, beside {self.dtype}", likely, tolerance=near)

    def test_no_parameter_is_made_later(self) -> None:
        layer = self.build()
        lazy = [name for name, p in layer.named_parameters() if isinstance(p, UninitializedParameter)]
        before = set(layer.state_dict())
        if not lazy:
            run(layer, *self.inputs(layer))
        later = sorted(set(layer.state_dict()) - before) or lazy
        if later:
            raise broken(
                f"`{later[0]}` is made when the layer is first run",
                expected="every parameter and buffer to be there after __init__, for the optimiser and the file",
                likely="a lazy module, or a parameter made in step",
            )


def check_state(state: State, batch: int, what: str) -> None:
    """Raise unless a state is made of tensors, tuples and dicts, with the batch in dimension 0 of each leaf."""
    if not isinstance(state, dict | tuple | Tensor):
        raise broken(
            what,
            expected="a tensor, or a tuple, NamedTuple or dict of states",
            came=f"a {type(state).__name__}",
        )
    if isinstance(state, Tensor):
        if not state.dim() or len(state) != batch:
            raise broken(
                what,
                expected=f"tensors whose dimension 0 is the batch, {batch}",
                came=f"{tuple(state.shape)}",
                likely="the batch stands in another dimension, as in (layers, batch, units) of torch",
            )
        return
    for part in state.values() if isinstance(state, dict) else state:
        check_state(part, batch, what)
