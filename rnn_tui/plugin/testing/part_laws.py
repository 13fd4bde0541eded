"""A law of parameters that hold several matrices: all that is in them is used."""

from collections.abc import Iterator
from itertools import chain

import torch
from torch import Tensor

from rnn_tui.plugin.core import State
from rnn_tui.plugin.state import map_state
from rnn_tui.plugin.testing.laws import broken, skip
from rnn_tui.plugin.testing.layers import LENGTH, Layer, LayerCase, run

_DRAWS = 3
"""Layers, inputs and states: a unit that is dead at one draw, as of ReLU, lives at another."""
_LONGER = 200
"""Positions of a second look: what is used at every 32nd only, or reads what was long ago, gets its gradient there."""
_LOOKUPS = ("IndexBackward", "IndexSelectBackward", "EmbeddingBackward", "GatherBackward", "TakeBackward")
_VIEWS = ("View", "Reshape", "Slice", "Select", "Permute", "Transpose", "TBackward", "ToCopy", "Clone")

Used = dict[str, Tensor]


class PartLaws(LayerCase):
    def test_gradients_reach_every_part(self) -> None:
        """No slice of a parameter is left out, as the third row of a joined one whose term was forgotten.

        A slice counts as left out where every entry of it has a gradient of exactly 0, whatever the weights, the inputs
        and the state. What is looked up by number may rightly have rows that never are.
        """
        used: Used = {}
        for seed in range(_DRAWS):
            self._mark(used, seed, LENGTH, 0.05)
        if any(map(_unused, used.values())):
            for seed in range(_DRAWS):  # with weights ever farther from where they begin
                self._mark(used, seed, _LONGER, 0.05 * 10**seed, training=seed % 2 == 1)
        for name, entries in used.items():
            if parts := _unused(entries):
                if self._is_looked_up(name):
                    skip(f"`{name}{parts[0]}` got no gradient, but it is looked up by number")
                more = f" (and {len(parts) - 1} other parts)" if len(parts) > 1 else ""
                raise broken(
                    f"`{name}{parts[0]}` never gets a gradient{more}: is a part of it unused?",
                    expected=f"some number that is not 0 in every row and column of `{name}`, {tuple(entries.shape)}",
                    came=f"zeros in that part, over {2 * _DRAWS} layers with other weights, inputs and states",
                    likely="the term that reads this part is missing in step, or multiplied by 0",
                )

    def _mark(self, used: Used, seed: int, length: int, noise: float, *, training: bool = False) -> None:
        """Note for each parameter which entries have a gradient, beside those that had one before."""
        layer = self.build(seed).train(training)
        generator = torch.Generator().manual_seed(100 + seed)
        with torch.no_grad():
            for tensor in layer.parameters():
                tensor.add_(torch.randn(tensor.shape, generator=generator, dtype=tensor.dtype), alpha=noise)
        named = {name: p for name, p in layer.named_parameters() if p.requires_grad}
        ys = self._drawn(layer, generator, length)
        weights = torch.randn(ys.shape, generator=generator, dtype=ys.dtype)
        if not ys.requires_grad or not named:
            skip("no parameter gets a gradient")
        grads = torch.autograd.grad((ys * weights).sum(), list(named.values()), allow_unused=True)
        for (name, p), grad in zip(named.items(), grads, strict=True):
            reached = torch.zeros(p.shape, dtype=torch.bool) if grad is None else grad.to_dense() != 0
            used[name] = used[name] | reached if name in used else reached

    def _drawn(self, layer: Layer, generator: torch.Generator, length: int) -> Tensor:
        """Return outputs of a run from the initial state, and of one from a state that is any numbers at all."""

        def drawn(*shape: int) -> Tensor:
            return torch.randn(shape, generator=generator, dtype=self.dtype)

        def stirred(leaf: Tensor) -> Tensor:
            return leaf + 0.1 * drawn(*leaf.shape) if leaf.is_floating_point() else leaf

        fresh = self.initial(layer, 3)
        with torch.no_grad():
            middle: State = map_state(stirred, run(layer, drawn(3, 2, self.input_size), fresh)[1])
        xs = drawn(3, length, self.input_size)
        return torch.cat([run(layer, xs, state)[0] for state in (fresh, middle)])

    def _is_looked_up(self, name: str) -> bool:
        """Whether a parameter is indexed by a tensor of numbers, on its way to the outputs."""
        layer = self.build()
        parameter = dict(layer.named_parameters())[name]
        begin = self._drawn(layer, torch.Generator().manual_seed(1), 2).grad_fn
        waiting, seen = [(begin, False)], set()
        while waiting:
            node, below = waiting.pop()
            if node is None or (node, below) in seen:
                continue
            seen.add((node, below))
            if below and getattr(node, "variable", None) is parameter:
                return True
            lookup = node.name().startswith(_LOOKUPS)
            view = below and node.name().startswith(_VIEWS)
            waiting += [(each, lookup or view) for each, _ in node.next_functions]
        return False


def _unused(used: Tensor) -> list[str]:
    """Return the slices along any dimension that are nowhere used, as they would be written; none of what is wholly so.

    `[2]`, `[8:16]` for several in a row, `[:, 8:16]` along the second dimension.
    """
    return list(chain.from_iterable(_slices(used, dim) for dim in range(used.dim()))) if used.any() else []


def _slices(used: Tensor, dim: int) -> Iterator[str]:
    there = [bool(each.any()) for each in used.unbind(dim)] + [True]
    begin = None
    for index, is_used in enumerate(there):
        if not is_used and begin is None:
            begin = index
        elif is_used and begin is not None:
            one = str(begin) if index == begin + 1 else f"{begin}:{index}"
            yield f"[{':, ' * dim}{one}]"
            begin = None
