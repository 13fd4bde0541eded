import math
from collections.abc import Callable
from contextlib import contextmanager, nullcontext

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from rnn_tui.model.config import ModelConfig
from rnn_tui.model.recurrent_model import RecurrentModel, build_model
from rnn_tui.plugin import Cell
from rnn_tui.tasks import cross_entropy as module
from rnn_tui.tasks.cross_entropy import cross_entropy, surprise
from rnn_tui.tasks.next_token import sequence_loss
from rnn_tui.tasks.task import IGNORED

V, WIDTH, N = 500, 3, 100  # a vocabulary large beside the state, as where this matters
HOST_WAITS = {"_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "item"}


class Elman(Cell):
    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.x = nn.Linear(input_size, hidden_size)
        self.h = nn.Linear(hidden_size, hidden_size, bias=False)
        self.output_size = hidden_size

    def initial_state(self, batch_size, *, device=None, dtype=None):
        return torch.zeros(batch_size, self.output_size, device=device, dtype=dtype)

    def step(self, x, state):
        state = torch.tanh(self.x(x) + self.h(state))
        return state, state


class Watch(TorchDispatchMode):
    """Collects the names of the operations, and how many numbers each tensor holds that they make anew."""

    def __init__(self):
        super().__init__()
        self.called, self.made = set(), []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        self.called.add(func.overloadpacket.__name__)
        given = {tensor.untyped_storage().data_ptr() for tensor in tensors((args, kwargs))}
        for tensor in tensors(result):
            if tensor.untyped_storage().data_ptr() not in given:  # neither a view nor written in place
                self.made.append(tensor.untyped_storage().nbytes() // tensor.element_size())
        return result


def tensors(nest):
    return [leaf for leaf in tree_leaves(nest) if isinstance(leaf, torch.Tensor)]


@contextmanager
def in_pieces(logits: int = 0):
    """The way for many logits, in pieces of `logits` or the least that there are, 16 rows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "FEW_LOGITS", 0)
        patch.setattr(module, "LOGITS_AT_ONCE", logits)
        yield


def model_of(vocab_size: int, hidden_size: int, dtype=torch.float32, **settings) -> RecurrentModel:
    torch.manual_seed(4)
    config = ModelConfig(hidden_size=hidden_size, encoder="embedding", **settings)
    return build_model(Elman, {}, config, vocab_size).to(dtype)


def measured(loss: Callable[[], torch.Tensor], *leaves: torch.Tensor) -> list[torch.Tensor]:
    """The loss and its gradients; 1.7 comes in from above."""
    value = loss()
    return [value.detach(), *torch.autograd.grad(1.7 * value, leaves)]


@pytest.fixture
def asked():
    torch.manual_seed(1)
    return torch.randn(N, WIDTH, requires_grad=True), torch.randint(V, (N,)).index_fill(
        0, torch.tensor([0, 7, 99]), IGNORED
    )


@settings(deadline=None)  # the first call loads what autograd needs
@given(st.data())
def test_pieces_give_what_torch_gives(data):
    rows, columns = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 9))
    model = model_of(columns, data.draw(st.integers(1, 5)), torch.float64)
    logits = data.draw(st.sampled_from([0, 32 * columns, 10**6]))  # in pieces of 16 rows, 32 or all
    labels = st.one_of(st.just(IGNORED), st.integers(0, columns - 1))
    targets = torch.tensor(data.draw(st.lists(labels, min_size=rows, max_size=rows)))
    features = 30 * torch.randn(rows, model.head.in_features, dtype=torch.float64)
    features.requires_grad_()
    leaves = (features, model.head.weight, model.head.bias)
    expected = measured(lambda: functional.cross_entropy(model.head(features), targets), *leaves)
    with in_pieces(logits):
        torch.testing.assert_close(
            measured(lambda: cross_entropy(model, features, targets), *leaves), expected, equal_nan=True
        )


def test_all_ignored_is_no_number_and_moves_nothing(asked):
    features, targets = asked
    with in_pieces():
        loss = cross_entropy(model_of(V, WIDTH), features, torch.full_like(targets, IGNORED))
    loss.backward()
    assert math.isnan(loss.item())
    assert features.grad.abs().max() == 0


def test_large_logits_do_not_overflow():
    model = model_of(3, 1)
    with torch.no_grad():
        model.head.weight.copy_(torch.tensor([[1e4], [-1e4], [0.0]]))
        model.head.bias.zero_()
    features, targets = torch.ones(1, 1, requires_grad=True), torch.tensor([2])
    with in_pieces():
        loss, gradient = measured(lambda: cross_entropy(model, features, targets), features)
    assert loss.item() == 1e4  # ln(e^10000 + 1 + e^-10000)
    assert gradient.item() == pytest.approx(1.7e4)  # the first has probability 1


@pytest.mark.parametrize("loss_on", ["all", "last"])
@pytest.mark.parametrize("tied", [True, False])
def test_training_is_the_same_but_for_rounding(tied, loss_on):
    window = torch.randint(40, (20, 9), generator=torch.Generator().manual_seed(2))
    losses = {}
    for way in (nullcontext, in_pieces):
        model = model_of(40, 8, tie_weights=tied)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
        losses[way] = []
        for _ in range(30):
            state = model.initial_state(20)
            with way():
                loss, _ = sequence_loss(model, window[:, :-1], window[:, 1:], state, loss_on=loss_on)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses[way].append(loss.item())
    assert losses[in_pieces] == pytest.approx(losses[nullcontext], rel=1e-4)
    assert losses[nullcontext][-1] < 0.8 * losses[nullcontext][0]


def test_never_more_than_one_piece_of_logits(asked):
    features, targets = asked
    model = model_of(V, WIDTH)
    with Watch() as plain:
        cross_entropy(model, features, targets).backward()
    assert plain.made.count(N * V) == 4  # logits, their softmax, and the gradients of both
    model.zero_grad()
    with in_pieces(32 * V), Watch() as watch:
        cross_entropy(model, features, targets).backward()
    large = [size for size in watch.made if size >= V * WIDTH]
    assert sorted(large) == [
        V * WIDTH,
        32 * V,
    ]  # the gradient, not copied into .grad, and one piece, made once
    assert not watch.called & HOST_WAITS


def test_without_gradients_there_is_nothing_but_the_piece(asked):
    features, targets = asked
    model = model_of(V, WIDTH)
    expected = cross_entropy(model, features, targets).item()
    with in_pieces(32 * V), torch.inference_mode(), Watch() as watch:
        loss = cross_entropy(model, features, targets)
    assert loss.item() == pytest.approx(expected, rel=1e-6)
    assert [size for size in watch.made if size >= V * WIDTH] == [32 * V]


def test_surprise_of_each_target(asked):
    features, targets = asked
    model = model_of(V, WIDTH)
    expected = -model.head(features).log_softmax(-1)[torch.arange(N), targets.clamp_min(0)]
    expected[targets == IGNORED] = 0
    for way in (nullcontext, in_pieces):
        with way():
            found = surprise(model, features.view(4, 25, WIDTH), targets.view(4, 25))
        torch.testing.assert_close(found, expected.detach().view(4, 25))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_products_and_a_full_softmax(asked, dtype):
    features, targets = asked
    model = model_of(V, WIDTH)
    leaves = (features, model.head.weight, model.head.bias)
    exact = measured(lambda: cross_entropy(model, features, targets), *leaves)
    with torch.autocast("cpu", dtype):
        plain = measured(lambda: cross_entropy(model, features, targets), *leaves)
        with in_pieces(32 * V):
            found = measured(lambda: cross_entropy(model, features, targets), *leaves)
    assert [value.dtype for value in found] == [torch.float32] * 4
    for right, torchs, ours in zip(exact, plain, found, strict=True):
        error = (torchs - right).norm() / right.norm()
        assert (ours - right).norm() / right.norm() < max(2 * error.item(), 1e-3)


def test_half_features_get_half_gradients(asked):
    _, targets = asked
    features = torch.randn(N, WIDTH, dtype=torch.bfloat16, requires_grad=True)
    model = model_of(V, WIDTH)
    with in_pieces(), torch.autocast("cpu", torch.bfloat16):
        cross_entropy(model, features, targets).backward()
    assert (features.grad.dtype, model.head.weight.grad.dtype) == (torch.bfloat16, torch.float32)


def test_a_second_backward_is_refused(asked):
    features, targets = asked
    with in_pieces():
        loss = cross_entropy(model_of(V, WIDTH), features, targets)
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="compute it again"):
        loss.backward()


@pytest.mark.parametrize(
    ("rows", "vocab_size", "expected"),
    [
        (1120, 33_278, 384),  # 480 rows fit, so 3 pieces
        (700, 33_278, 352),
        (1, 5_000_000, 16),
        (90, 5_000_000, 16),
        (1120, 10_000, 1120),
    ],
)
def test_rows_at_once(rows, vocab_size, expected):
    assert module._rows_at_once(rows, vocab_size) == expected
