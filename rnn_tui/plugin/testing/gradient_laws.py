"""Laws of gradients: they reach everything, and they are right."""

from collections.abc import Mapping

import torch
from torch import Tensor

from rnn_tui.plugin.core import State
from rnn_tui.plugin.state import leaves, map_state
from rnn_tui.plugin.testing.laws import broken, skip
from rnn_tui.plugin.testing.layers import LENGTH, Layer, LayerCase, run

_STEP, _NEAR = 1e-6, 1e-5
"""The step of a central difference in float64, and how far off a gradient may be, of the sum of its terms' sizes.

Measured on 534 gradients of the cells of rnn-tui, its examples and its tests: the worst difference was off by 6e-5 of
that sum over a step of 1e-4, by 6e-7 over 1e-5 and 6e-9 over 1e-6 (curvature, of a layer-norm LSTM), and by 4e-8 over
1e-7 (rounding). A gradient itself may be a tenth of that sum, or less.
"""


class GradientLaws(LayerCase):
    def test_gradients_reach_everything(self) -> None:
        """The input, the state and every parameter: none is cut off, none is zero or NaN."""
        layer = self._stirred()
        xs, state, named = self._watched(layer)
        ys = self._outputs(layer, xs, state)
        if not ys.requires_grad:
            raise broken(
                f"{LENGTH} positions were run with gradients asked for",
                came="outputs that no gradient goes through",
                likely="step uses .detach(), .data, .item() or torch.no_grad()",
            )
        grads = dict(zip(named, _gradients(ys.square().sum(), named), strict=True))
        through = [name for name in grads if name.startswith("the state") and grads[name] is not None]
        if not through and any(name.startswith("the state") for name in grads):
            raise broken(
                "the gradient of the outputs with respect to the state they begin with",
                came="none",
                likely="the state is cut off by .detach(), .data or torch.no_grad() in step, or not used at all",
            )
        for name, grad in grads.items():
            if grad is None and not name.startswith("the state"):
                raise broken(
                    f"{name} never gets a gradient",
                    likely="it is cut off by .detach(), .data or torch.no_grad()"
                    if name == "the input" or self._matters(layer, name)
                    else "it is created but not used in step",
                )
            if grad is not None and not grad.isfinite().all():
                raise broken(
                    f"the gradient of {name} over {LENGTH} positions",
                    expected="finite numbers",
                    came="NaN or infinity",
                    likely="a root, a logarithm or a division at 0",
                )
            if grad is not None and not name.startswith("the state") and not grad.any():
                raise broken(
                    f"the gradient of {name} over {LENGTH} positions, weights as drawn plus a little noise",
                    expected="some number that is not 0",
                    came="zeros everywhere",
                    likely="it is used only through round, sign, argmax or a comparison, or multiplied by 0",
                )

    def test_gradients_agree_with_numerical_ones(self) -> None:
        """Along a random direction of each tensor, beside a central difference in float64."""
        if self.dtype != torch.float64:
            skip("numerical gradients need float64")
        layer = self._stirred()
        xs, state, named = self._watched(layer)
        generator = torch.Generator().manual_seed(3)

        def draw(like: Tensor) -> Tensor:
            return torch.randn(like.shape, generator=generator, dtype=torch.float64)

        weights: list[Tensor] = []

        def outcome() -> Tensor:
            torch.manual_seed(1)
            _, end = run(layer, xs, state)
            ys = self._outputs(layer, xs, state)
            found = [ys, *(leaf for leaf in leaves(end) if leaf.is_floating_point())]
            if not weights:
                weights.extend(map(draw, found))
            return torch.stack([(value * w).sum() for value, w in zip(found, weights, strict=True)]).sum()

        grads = dict(zip(named, _gradients(outcome(), named), strict=True))
        for name, tensor in named.items():
            direction = draw(tensor)

            def moved(step: float, tensor: Tensor = tensor, direction: Tensor = direction) -> float:
                with torch.no_grad():
                    tensor += step * direction
                    value = float(outcome())
                    tensor -= step * direction
                return value

            numerical = (moved(_STEP) - moved(-_STEP)) / (2 * _STEP)
            grad = grads[name]
            terms = torch.zeros(()) if grad is None else grad * direction
            found = float(terms.sum())
            if not abs(found - numerical) <= _NEAR * max(1.0, float(terms.abs().sum())):
                raise broken(
                    f"the gradient of {name} over {LENGTH} positions, along a random direction",
                    expected=f"{numerical:.6g}, by differences",
                    came=f"{found:.6g}",
                    likely="a part of step is cut off by .detach() or .data, or an autograd.Function of your own "
                    "has a wrong backward",
                )

    def _stirred(self) -> Layer:
        """A layer whose weights have no exact zeros: what begins at zero may rightly pass no gradient on."""
        layer: Layer = self.build()
        generator = torch.Generator().manual_seed(4)
        with torch.no_grad():
            for tensor in layer.parameters():
                tensor.add_(torch.randn(tensor.shape, generator=generator, dtype=tensor.dtype), alpha=0.05)
        return layer

    def _watched(self, layer: Layer) -> tuple[Tensor, State, dict[str, Tensor]]:
        """Return inputs and a state that take gradients, and by name all that does."""
        xs, state = self.inputs(layer)
        xs.requires_grad_()
        state = map_state(lambda leaf: leaf.clone().requires_grad_(leaf.is_floating_point()), state)
        parts = [leaf for leaf in leaves(state) if leaf.is_floating_point()]
        named = {"the input": xs}
        named |= {
            f"the state{f', part {index + 1} of {len(parts)}' if len(parts) > 1 else ''}": leaf
            for index, leaf in enumerate(parts)
        }
        named |= {f"parameter `{name}`": p for name, p in layer.named_parameters() if p.requires_grad}
        return xs, state, named

    def _outputs(self, layer: Layer, xs: Tensor, state: State) -> Tensor:
        """Outputs from `state` on, and from the initial state, which may be learned too."""
        fresh = self.initial(layer, len(xs), xs.dtype)
        return torch.cat([run(layer, xs, state)[0], run(layer, xs, fresh)[0]])

    def _matters(self, layer: Layer, name: str) -> bool:
        """Whether outputs change with a parameter at all."""
        xs, state = self.inputs(layer)
        with torch.no_grad():
            before = self._outputs(layer, xs, state)
            dict(layer.named_parameters())[name.split("`")[1]].add_(0.1)
            return not torch.equal(before, self._outputs(layer, xs, state))


def _gradients(value: Tensor, named: Mapping[str, Tensor]) -> tuple[Tensor | None, ...]:
    return torch.autograd.grad(value, list(named.values()), allow_unused=True)
