"""torch's kernels over a whole layer, called with padded and cast weights."""

import pytest
import torch
from rnn_tui_torch import fused
from rnn_tui_torch.gru import TorchGRU
from rnn_tui_torch.lstm import TorchLSTM
from rnn_tui_torch.rnn import TorchRNN
from torch import nn

from rnn_tui.model.state import leaves

B, T, I, H = 3, 5, 4, 6  # noqa: E741

KERNELS = {
    "rnn": (torch.rnn_tanh, 1, 1),
    "rnn relu": (torch.rnn_relu, 1, 1),
    "gru": (torch.gru, 3, 1),
    "lstm": (torch.lstm, 4, 2),
}
LAYERS = [lambda: TorchRNN(I, H), lambda: TorchRNN(I, H, nonlinearity="relu"), lambda: TorchGRU(I, H)]
LAYERS.append(lambda: TorchLSTM(I, H))


def arguments(gates, parts):
    torch.manual_seed(1)
    shapes = [(gates * H, I), (gates * H, H), (gates * H,), (gates * H,)]
    xs, state = torch.randn(B, T, I), [torch.randn(B, H) for _ in range(parts)]
    weights = [torch.randn(shape) * 0.4 for shape in shapes]
    for leaf in (xs, *state, *weights):
        leaf.requires_grad_()
    return xs, state, weights


def gradients(results, inputs):
    generator = torch.Generator().manual_seed(2)
    weighted = sum((y.float() * torch.randn(y.shape, generator=generator)).sum() for y in results)
    return torch.autograd.grad(weighted, inputs)


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("width", [1, 2, 7, 128])
def test_a_padded_call_equals_the_plain_one(name, width):
    kernel, gates, parts = KERNELS[name]
    xs, state, weights = arguments(gates, parts)
    inputs = [xs, *state, *weights]
    plain = fused.run_layer(kernel, xs, state, weights)
    padded = fused.run_cast(kernel, xs, state, weights, torch.float32, width)
    assert [y.shape for y in padded] == [y.shape for y in plain] == [(B, T, H), *[(B, H)] * parts]
    for one, other in zip(plain, padded, strict=True):
        torch.testing.assert_close(one, other)
    for one, other in zip(gradients(plain, inputs), gradients(padded, inputs), strict=True):
        torch.testing.assert_close(one, other)


def test_the_input_is_made_as_wide_as_it_should_be():
    seen = []

    def kernel(xs, hidden, weights, *rest):
        seen.append((xs.shape, xs.dtype, [w.shape for w in weights]))
        assert len({w.untyped_storage().data_ptr() for w in weights}) == 1  # one piece of memory, in order
        ends = [w.storage_offset() + w.numel() for w in weights]
        assert [w.storage_offset() for w in weights] == [0, *ends[:-1]]
        return torch.lstm(xs, hidden, weights, *rest)

    xs, state, weights = arguments(4, 2)
    fused.run_cast(kernel, xs, state, weights, torch.bfloat16, 128)
    assert seen == [((B, T, 128), torch.bfloat16, [(4 * H, 128), (4 * H, H), (4 * H,), (4 * H,)])]


@pytest.mark.parametrize("name", KERNELS)
def test_half_precision_is_near_and_its_gradients_are_of_the_weights_type(name):
    kernel, gates, parts = KERNELS[name]
    xs, state, weights = arguments(gates, parts)
    inputs = [xs, *state, *weights]
    plain = fused.run_layer(kernel, xs, state, weights)
    half = fused.run_cast(kernel, xs, state, weights, torch.bfloat16, 128)
    assert half[0].dtype == torch.bfloat16
    for one, other in zip(plain, half, strict=True):
        torch.testing.assert_close(one, other.float(), atol=0.05, rtol=0.05)
    found = gradients(half, inputs)
    assert {gradient.dtype for gradient in found} == {torch.float32}
    for one, other in zip(gradients(plain, inputs), found, strict=True):
        torch.testing.assert_close(one, other, atol=0.3, rtol=0.1)


@pytest.mark.parametrize("make", LAYERS)
def test_a_layer_equals_its_module(make):
    torch.manual_seed(1)
    layer = make()
    module = next(child for child in layer.children() if isinstance(child, nn.RNNBase))
    xs, state = torch.randn(B, T, I), layer.initial_state(B)
    ys, after = layer(xs, state)
    expected, hidden = module(xs)
    assert torch.equal(ys, expected)
    assert all(map(torch.equal, leaves(after), [h[0] for h in leaves(hidden)]))


@pytest.mark.parametrize("make", LAYERS)
def test_the_carried_state_stays_float32_in_half_precision(make):
    torch.manual_seed(1)
    layer = make()
    xs, state = torch.randn(B, T, I), layer.initial_state(B)
    _, expected = layer(xs, layer(xs, state)[1])
    with torch.autocast("cpu", torch.bfloat16):
        for _ in range(2):
            _, state = layer(xs, state)
    assert {leaf.dtype for leaf in leaves(state)} == {torch.float32}
    for one, other in zip(leaves(state), leaves(expected), strict=True):
        torch.testing.assert_close(one, other, atol=0.05, rtol=0.05)


@pytest.mark.parametrize(
    ("asked", "cudnn", "dtype", "width"),
    [
        (torch.float16, 90000, torch.float16, 128),
        (torch.bfloat16, 91300, torch.bfloat16, 128),
        (torch.bfloat16, 91002, torch.float32, 1),  # no such kernels yet
        (torch.bfloat16, None, torch.float32, 1),
    ],
)
def test_what_is_computed_under_autocast_on_cuda(monkeypatch, asked, cudnn, dtype, width):
    asked_for = []

    def run_cast(kernel, xs, state, weights, *how):
        asked_for.append(how)
        return xs, *state

    class OnCuda:
        device = torch.device("cuda")

    monkeypatch.setattr(fused, "run_cast", run_cast)
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda device: device == "cuda")
    monkeypatch.setattr(torch, "get_autocast_dtype", lambda device: asked)
    monkeypatch.setattr(torch, "autocast", lambda device, enabled: torch.no_grad())
    monkeypatch.setattr(torch.backends.cudnn, "version", lambda: cudnn)
    fused.run_layer(torch.gru, OnCuda(), [torch.zeros(1)], [])
    assert asked_for == [(dtype, width)]


@pytest.mark.parametrize("make", LAYERS)
def test_gradients_can_be_had_in_evaluation_too(make, monkeypatch):
    """As dynamic evaluation needs them; cuDNN keeps nothing for a backward unless it is told to."""
    layer = make().eval()
    told = []
    run = fused._call

    def watched(kernel, xs, state, weights):
        def kernel_(*args):
            told.append(args[6])
            return kernel(*args)

        return run(kernel_, xs, state, weights)

    monkeypatch.setattr(fused, "_call", watched)
    layer(torch.randn(B, T, I), layer.initial_state(B))
    with torch.inference_mode():
        layer(torch.randn(B, T, I), layer.initial_state(B))
    assert told == [True, False]
