"""Laws of conduct: nothing is kept, written to, mixed, printed or left to chance."""

from typing import Any

import torch
from torch import Tensor

from rnn_tui.plugin.core import Core
from rnn_tui.plugin.guard import captured
from rnn_tui.plugin.state import leaves, map_state
from rnn_tui.plugin.testing.elsewhere import ask
from rnn_tui.plugin.testing.keeping import changed, kept
from rnn_tui.plugin.testing.laws import broken, skip
from rnn_tui.plugin.testing.layers import BATCH, LayerCase, run

MANY = 257
"""Rows of a large batch."""


class ConductLaws(LayerCase):
    def test_nothing_is_kept_on_self(self) -> None:
        """Attributes, parameters and buffers are the same before and after, in evaluation and in training."""
        for training in (False, True):
            layer = self.build().train(training)
            inputs = self.inputs(layer)  # made by running it: what a first run makes is made again below
            fresh = self.build().train(training)
            self.initial(fresh, BATCH)  # which may keep what it always gives
            before = kept(fresh)
            run(fresh, *inputs)
            for name, how in changed(before, kept(fresh)):
                raise broken(
                    f"a layer was run {'in training mode' if training else 'in evaluation mode'}",
                    expected="everything on self as it was",
                    came=f"{name} {how} during step",
                    likely="what goes on from step to step belongs into the state; what is fixed, into __init__",
                )

    def test_inputs_are_not_written_to(self) -> None:
        layer = self.build()
        for method in ("step", "forward") if isinstance(layer, Core) else ("step",):
            xs, state = self.inputs(layer)
            xs_before, state_before = xs.clone(), map_state(torch.clone, state)
            with torch.no_grad():
                if method == "step":
                    layer.step(xs[:, 0], state)
                else:
                    layer(xs, state)
            self._unwritten(xs, xs_before, f"the input that {method} was given", "x")
            for leaf, before in zip(leaves(state), leaves(state_before), strict=True):
                self._unwritten(leaf, before, f"the state that {method} was given", "h")

    def _unwritten(self, after: Tensor, before: Tensor, what: str, name: str) -> None:
        self.same(
            after,
            before,
            f"{what}, before and after",
            f"{what.partition(' that')[0]} is written to in place: use {name} = {name} * f, not {name}.mul_(f)",
            tolerance=0.0,
        )

    def test_rows_do_not_mix(self) -> None:
        """Another row 0 changes no other row; rows in another order, alone or among many give the same, row by row."""
        for training in (False, True):
            layer = self.build().train(training)
            xs, state = self.inputs(layer)
            ys, end = self._seeded(layer, xs, state)
            other = xs.clone()
            other[0] += 1
            mixed, mixed_end = self._seeded(layer, other, state)
            mode = " in training mode" if training else ""
            for row in range(1, BATCH):
                what = f"another input in row 0 was run{mode}; row {row} of"
                likely = f"row {row} changed when row 0 did: a mean or a norm over dimension 0?"
                only = slice(row, row + 1)
                self.same(mixed[only], ys[only], f"{what} the outputs", likely, row=row)
                one, two = (map_state(lambda leaf, only=only: leaf[only], each) for each in (mixed_end, end))
                self.same_state(one, two, f"{what} the state", likely, row=row)
        layer = self.build()
        xs, state = self.inputs(layer)
        ys, end = run(layer, xs, state)
        order = torch.tensor([2, 0])
        taken, taken_end = run(layer, xs[order], map_state(lambda leaf: leaf[order], state))
        what = "rows 2 and 0 were run without row 1"
        likely = "a row depends on how many there are, or on where it stands"
        self.same(taken, ys[order], what, likely)
        self.same_state(taken_end, map_state(lambda leaf: leaf[order], end), what, likely)
        xs, state = self.inputs(layer, MANY)
        ys, end = run(layer, xs, state)
        for rows in (1, BATCH):
            taken, taken_end = run(layer, xs[:rows], map_state(lambda leaf, rows=rows: leaf[:rows], state))
            what = f"{rows} of {MANY} rows {'was' if rows == 1 else 'were'} run without the others"
            likely = "step asks how many rows there are: `if len(x) > 16`, `if x.shape[0] == 1`, or squeeze()"
            self.same(taken, ys[:rows], what, likely)
            self.same_state(taken_end, map_state(lambda leaf, rows=rows: leaf[:rows], end), what, likely)

    def _seeded(self, layer: Any, xs: Tensor, state: Any) -> tuple[Tensor, Any]:
        torch.manual_seed(1)  # what draws random numbers while training draws the same ones
        return run(layer, xs, state)

    def test_the_same_call_gives_the_same_numbers(self) -> None:
        layer = self.build()
        xs, state = self.inputs(layer)
        once, again = run(layer, xs, state)[0], run(layer, xs, state)[0]
        likely = self.suspicion(layer) or "step draws random numbers in evaluation mode: ask self.training"
        self.same(again, once, "one call, made twice in evaluation mode", likely, tolerance=0.0)

    def test_the_same_seed_gives_the_same_weights(self) -> None:
        first, second = self.build(), self.build()
        for (name, one), two in zip(first.state_dict().items(), second.state_dict().values(), strict=True):
            self.same(
                two,
                one,
                f"two layers were built after torch.manual_seed(0); `{name}` of",
                "random numbers that are not torch's: numpy, random, or a generator of its own",
                tolerance=0.0,
            )

    def test_another_process_gives_the_same_numbers(self) -> None:
        """Weights and outputs, after the same seed, where strings hash differently."""
        from rnn_tui.plugin.testing.architecture import ArchitectureLaws

        attributes = {
            "architecture": self.architecture,
            "options": dict(self.options),
            "input_size": self.input_size,
            "hidden_size": self.hidden_size,
        }
        dtype = str(self.dtype).removeprefix("torch.")
        there = ask(ArchitectureLaws, "architecture", attributes, 1, dtype)
        what = "a layer was built and run by another process, after the same seed"
        likely = "the order of a set of strings, the time, or the process decides something"
        here = self.facts(dtype)
        if list(here) != list(there):
            raise broken(what, expected=", ".join(here), came=", ".join(there), likely=likely)
        for name, values in here.items():
            found, expected = (
                torch.tensor(each, dtype=torch.float64)[None] for each in (there[name], values)
            )
            self.same(found, expected, f"{what}; {name}", likely)

    def facts(self, dtype: str) -> dict[str, list[float]]:
        """Return the weights of a new layer and its outputs, as lists."""
        layer = self.build(dtype=getattr(torch, dtype))
        found = {f"`{name}`": tensor for name, tensor in layer.state_dict().items()}
        found["the outputs"] = run(layer, *self.inputs(layer))[0].detach()
        return {name: tensor.double().flatten().tolist() for name, tensor in found.items()}

    def test_it_prints_nothing(self) -> None:
        with captured() as said:
            layer = self.build()
            run(layer, *self.inputs(layer))
        if said:
            raise broken(
                "a layer was built and run",
                expected="nothing on standard output, which belongs to the command that runs it",
                came=f"it printed: {said[0]}",
                likely="a print() that was left in",
            )

    def test_cuda_agrees_with_the_cpu(self) -> None:
        if not torch.cuda.is_available():
            skip("no CUDA device")
        layer = self.build()
        xs, state = self.inputs(layer)
        expected, _ = run(layer, xs, state)
        layer.cuda()
        fresh = layer.initial_state(2, device=torch.device("cuda"), dtype=self.dtype)
        if any(leaf.device.type != "cuda" for leaf in leaves(fresh)):
            raise broken("initial_state was asked for on CUDA", came="tensors on the CPU")
        ys, _ = run(layer, xs.cuda(), map_state(Tensor.cuda, state))
        self.same(ys, expected, "the layer was run on CUDA, and on the CPU")
