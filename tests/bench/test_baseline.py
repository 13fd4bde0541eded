"""The tutorials' loops compute what they say: torch's modules with the same weights, or the equations by hand."""

import math

import pytest
import torch
from torch.nn import functional

from rnn_tui.bench.baseline import TOKENS, TorchModel, Tutorial, clip, draws, torch_updates, tutorial_updates

ORDER = {"lstm": "ifco", "rnn": "h"}  # of torch's gates; what torch calls g is c in the tutorial


@pytest.mark.parametrize("kind", ["lstm", "rnn"])
def test_tutorial_equals_torch(kind):
    torch.manual_seed(0)
    taught, theirs = Tutorial(kind, 7, 5, 2), TorchModel(kind, "one-hot", 7, 5, 2)
    with torch.no_grad():
        for p in taught.parameters():
            p.normal_()
        for index, layer in enumerate(taught.layers):
            for side, name in (("ih", "x"), ("hh", "h")):
                gates = [getattr(layer, f"W_{name}{gate}") for gate in ORDER[kind]]
                getattr(theirs.core, f"weight_{side}_l{index}").copy_(torch.cat(gates, 1).T)
            getattr(theirs.core, f"bias_ih_l{index}").copy_(
                torch.cat([getattr(layer, f"b_{gate}") for gate in ORDER[kind]])
            )
            getattr(theirs.core, f"bias_hh_l{index}").zero_()
        theirs.head.weight.copy_(taught.W_hq.T)
        theirs.head.bias.copy_(taught.b_q)
    ids = torch.randint(7, (3, 6))
    ours, state = taught(ids)
    expected, final = theirs(ids)
    torch.testing.assert_close(ours, expected)
    torch.testing.assert_close(state[1][0], (final[0] if kind == "lstm" else final)[1])
    # and on from that state
    torch.testing.assert_close(taught(ids, state)[0], theirs(ids, final)[0])


def test_tutorial_gru_by_hand():
    model = Tutorial("gru", 2, 1)
    values = {
        **{"W_xz": [0.5, -0.25], "W_hz": [0.75], "b_z": [0.1]},
        **{"W_xr": [-1.0, 0.5], "W_hr": [0.3], "b_r": [0.2]},
        **{"W_xn": [1.5, -0.5], "W_hn": [2.0], "b_n": [-0.3]},
    }
    with torch.no_grad():
        for name, value in values.items():
            parameter = getattr(model.layers[0], name)
            parameter.copy_(torch.tensor(value).view_as(parameter))
        model.W_hq.copy_(torch.tensor([[1.0, -1.0]]))

    def sigmoid(x):
        return 1 / (1 + math.exp(-x))

    h, expected = 0.0, []
    for token in (0, 1):
        z = sigmoid(values["W_xz"][token] + 0.75 * h + 0.1)
        r = sigmoid(values["W_xr"][token] + 0.3 * h + 0.2)
        n = math.tanh(values["W_xn"][token] + 2.0 * (r * h) - 0.3)  # the gate acts before the product
        h = z * h + (1 - z) * n
        expected.append([h, -h])
    logits, [(state,)] = model(torch.tensor([[0, 1]]))
    torch.testing.assert_close(logits, torch.tensor([expected]))
    assert state.item() == pytest.approx(h, rel=1e-5)


def test_clip():
    p = torch.nn.Parameter(torch.zeros(2))
    p.grad = torch.tensor([3.0, 4.0])
    clip([p], 10.0)
    assert p.grad.tolist() == [3.0, 4.0]
    clip([p], 1.0)
    torch.testing.assert_close(p.grad, torch.tensor([0.6, 0.8]))


def test_tutorial_update_is_sgd_at_rate_one_with_the_gradient_clipped():
    torch.manual_seed(0)
    model = Tutorial("rnn", 4, 3)
    ids = torch.randint(4, (2, 6))
    logits, _ = model(ids[:, :-1])
    loss = functional.cross_entropy(logits.reshape(-1, 4), ids[:, 1:].reshape(-1))
    before = [p.detach().clone() for p in model.parameters()]
    gradients = torch.autograd.grad(loss, list(model.parameters()))
    norm = math.sqrt(sum(float((g**2).sum()) for g in gradients))
    assert tutorial_updates(model, ids)() == 10
    for p, old, gradient in zip(model.parameters(), before, gradients, strict=True):
        torch.testing.assert_close(p.detach(), old - gradient / max(norm, 1.0))


@pytest.mark.parametrize("form", ["one-hot", "embedding"])
def test_torch_updates_learn(form):
    torch.manual_seed(0)
    model = TorchModel("gru", form, 5, 8)
    ids = torch.randint(5, (2, 9))

    def loss():
        return functional.cross_entropy(model(ids[:, :-1])[0].flatten(0, 1), ids[:, 1:].flatten()).item()

    before, update = loss(), torch_updates(model, ids)
    assert [update() for _ in range(60)] == [16] * 60
    assert loss() < 0.8 * before


def test_tied_weights_are_one():
    model = TorchModel("lstm", "embedding", 11, 6, tied=True)
    assert model.head.weight is model.encoder.weight


@pytest.mark.parametrize("batch_size", [1, 3])
def test_draws_count_their_tokens(batch_size):
    taught = draws(Tutorial("lstm", 5, 4), batch_size)
    assert taught() == TOKENS * batch_size
    theirs = draws(TorchModel("lstm", "embedding", 5, 4), batch_size, autograd=False)
    assert theirs() == TOKENS * batch_size
