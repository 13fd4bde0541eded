"""Laws of agreement: a layer beside other forms of itself, where it has any."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rnn_tui.plugin.core import Cell, Core, State
from rnn_tui.plugin.options import parse_options
from rnn_tui.plugin.state import leaves, map_state
from rnn_tui.plugin.testing.laws import broken, skip
from rnn_tui.plugin.testing.layers import LENGTH, Layer, LayerCase, run, step


class AgreementLaws(LayerCase):
    def test_to_nn_computes_the_same(self) -> None:
        """`to_nn` gives a module of torch, from zeros as this layer from its initial state."""
        layer = self.build()
        module = self._to_nn(layer)
        xs, _ = self.inputs(layer)
        expected = run(layer, xs, self.initial(layer, len(xs)))[0]
        self.same(
            module(xs)[0],
            expected,
            f"{LENGTH} positions were run by the module of to_nn, and by this layer",
            "the order of the gates, a bias that stands twice in torch, or weights that are not transposed",
        )

    def test_from_nn_takes_what_to_nn_gives(self) -> None:
        if not self._overrides("from_nn"):
            skip("it has no from_nn")
        layer = self.build()
        module = self._to_nn(layer)
        other = self.build(seed=1)
        other.from_nn(module)
        xs, state = self.inputs(layer)
        self.same(
            run(other, xs, state)[0],
            run(layer, xs, state)[0],
            "the weights of to_nn were given to from_nn of another layer, and both run",
            "from_nn leaves some weights as they were, or sums the two biases of torch otherwise than to_nn",
        )

    def _to_nn(self, layer: Layer) -> nn.RNNBase:
        if not self._overrides("to_nn"):
            skip("it has no to_nn")
        try:
            module = layer.to_nn()
        except NotImplementedError as error:
            skip(str(error) or "to_nn says that torch has no such module")
        if not isinstance(module, nn.RNNBase) or module.num_layers != 1 or not module.batch_first:
            raise broken(
                "to_nn was called",
                expected="nn.RNN, nn.GRU or nn.LSTM of one layer, batch_first=True",
                came=repr(module),
            )
        return module.to(self.dtype)

    def _overrides(self, method: str) -> bool:
        own = getattr(self.architecture, method, None)
        return own not in (None, getattr(Cell, method, None), getattr(Core, method, None))

    def test_the_numpy_step_agrees(self) -> None:
        """Its step in NumPy, from weights alone, gives outputs and states of this layer."""
        if self.numpy_step is None:
            skip("its package has no step in NumPy under its name")
        layer = self.build()
        options = parse_options(getattr(self.architecture, "Options", None), self.options, owner="it")
        weights = {name: tensor.numpy() for name, tensor in layer.state_dict().items()}
        oracle = self.numpy_step(weights, options)
        fresh: Any = self.initial(layer, 2)
        self._same_leaves(
            oracle.initial_state(2), fresh, "initial_state(2) of the step in NumPy, and of the layer"
        )
        xs, state = self.inputs(layer)
        array = map_state(Tensor.numpy, state)
        for t in range(LENGTH):
            what = f"position {t} was read by the step in NumPy, and by the layer"
            likely = "the two compute different things; weights have the names and layout of state_dict()"
            with torch.no_grad():
                y, state = step(layer, xs[:, t], state)
            found, array = oracle.step(xs[:, t].numpy(), array)
            self.same(torch.from_numpy(np.asarray(found)), y, what, likely)
            self._same_leaves(array, state, f"{what}; the state", likely)

    def _same_leaves(self, array: Any, state: State, what: str, likely: str = "") -> None:
        mine, theirs = [torch.from_numpy(np.asarray(leaf)) for leaf in leaves(array)], list(leaves(state))
        if len(mine) != len(theirs):
            raise broken(what, expected=f"{len(theirs)} leaves", came=f"{len(mine)}", likely=likely)
        for found, expected in zip(mine, theirs, strict=True):
            self.same(found, expected, what, likely)
