"""Every faster way over time computes what the plain loop computes: outputs, final state, all gradients."""

import shutil
import sys
from functools import cache
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rnn_tui_scratch.gru import GRU
from rnn_tui_scratch.lstm import LSTM
from rnn_tui_scratch.rnn import RNN
from torch import nn
from torch.testing import assert_close

from rnn_tui.model.recurrence import product, unroll
from rnn_tui.model.recurrence.loop import run_loop
from rnn_tui.model.state import arrange, clone, detach, leaves, map_state

sys.path.insert(0, str(Path(__file__).parent))
import recurrent_cells as cells

I, H = 5, 8  # noqa: E741

RIGHT = {
    "rnn": lambda: RNN(I, H),
    "rnn relu": lambda: RNN(I, H, nonlinearity="relu"),
    "lstm": lambda: LSTM(I, H, forget_bias=1.0),
    "gru before": lambda: GRU(I, H),
    "gru after": lambda: GRU(I, H, reset="after"),
    **{
        kind.__name__: (lambda kind=kind: kind(I, H))
        for kind in (
            cells.LayerNormLSTM,
            cells.PeepholeLSTM,
            cells.MinimalGated,
            cells.IndRNN,
            cells.ThreeLeaves,
            cells.Delay,
            cells.FreshTensors,
            cells.StopGradient,
            cells.MixesRows,
        )
    },
}
WRONG = {
    cells.Branches: "branches on the values",
    cells.MixesRowsQuietly: "would not be those of the loop",
    cells.WritesInPlace: "in place",
    cells.DrawsNumbers: "random",
    cells.HostRandom: "changes from call to call",
    cells.Fails: "no such thing",
    cells.Double: "float32",
    cells.OwnGradient: "autograd.Function",
}


HERE = ["eager", "compiled"] if shutil.which("cc") else ["eager"]
WAYS = [(name, rung) for name in RIGHT for rung in HERE if (name, rung) != ("MixesRows", "compiled")]


def built(name, rung="eager"):
    torch.manual_seed(3)
    core = unroll(RIGHT[name](), I, rung)
    assert core.engine == rung, core.engine_reason
    return core


@pytest.fixture(scope="module")
def cores():
    """Each cell on each rung, made once."""
    return cache(built)


def measure(cell, run, xs, state, reset, windows=1):
    """Outputs, final state and gradients; the sequence cut into windows with the state carried between them."""
    cell.zero_grad()
    xs = xs.clone().requires_grad_()
    first = map_state(lambda leaf: leaf.clone().requires_grad_(leaf.is_floating_point()), state)
    carried, parts = clone(first), []
    for x, r in zip(xs.chunk(windows, 1), reset.chunk(windows, 1), strict=True):
        ys, carried = run(x, carried, r)
        parts.append(ys)
    ys, carried = torch.cat(parts, 1), arrange(first, carried)
    generator = torch.Generator().manual_seed(0)
    loss = (ys * torch.randn(ys.shape, generator=generator)).sum()
    for leaf in leaves(carried):
        if leaf.requires_grad:
            loss = loss + (leaf * torch.randn(leaf.shape, generator=generator)).sum()
    loss.backward()
    found = {"ys": ys.detach(), "x": xs.grad}
    found |= {f"state {i}": leaf.detach() for i, leaf in enumerate(leaves(carried))}
    found |= {f"from state {i}": leaf.grad for i, leaf in enumerate(leaves(first))}
    return found | {name: p.grad for name, p in cell.named_parameters()}


def assert_same(found, right):
    assert found.keys() == right.keys()
    for key, value in right.items():
        other = found[key]
        if value is None or other is None:  # no gradient, and a gradient of zeros
            assert not any(v.any() for v in (value, other) if v is not None), key
        else:
            assert_close(other, value, rtol=1e-4, atol=1e-5, msg=lambda text, key=key: f"{key}: {text}")


@pytest.mark.parametrize(("name", "rung"), WAYS)
@settings(
    max_examples=15, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.differing_executors]
)
@given(data=st.data())
def test_equals_the_loop(name, rung, cores, data):
    core = cores(name, rung)
    batch, steps = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 12))
    windows = data.draw(st.sampled_from([w for w in (1, 2, 3) if steps % w == 0]))
    flags = data.draw(st.lists(st.booleans(), min_size=batch * steps, max_size=batch * steps))
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 99)))
    reset = torch.tensor(flags).view(batch, steps)
    xs = torch.randn(batch, steps, I, generator=generator)
    with torch.no_grad():
        _, state = run_loop(core.cell, torch.randn(batch, 2, I), core.initial_state(batch))
    state = arrange(core.initial_state(batch), detach(state))
    slow = measure(core.cell, lambda *a: run_loop(core.cell, *a), xs, state, reset, windows)
    fast = measure(core.cell, lambda x, s, r: core(x, s, reset=r), xs, state, reset, windows)
    assert_same(fast, slow)


@pytest.mark.parametrize(("name", "rung"), WAYS)
def test_without_gradients_and_when_evaluating(name, rung, cores):
    core = cores(name, rung)
    xs, state = torch.randn(4, 9, I), core.initial_state(4)
    right, last = run_loop(core.cell, xs, state)
    for mode in (core.train(), core.eval()):
        with torch.inference_mode():
            ys, after = mode(xs, state)
        assert_close(ys, right, rtol=1e-4, atol=1e-5)
        assert type(after) is type(state)
        for one, other in zip(leaves(after), leaves(arrange(state, last)), strict=True):
            assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", WRONG, ids=lambda kind: kind.__name__)
def test_what_cannot_be_taken_apart_stays_on_the_loop(kind):
    torch.manual_seed(0)
    cell = kind(I, H)
    core = unroll(cell, I, "eager")
    assert core.engine == "loop"
    assert WRONG[kind] in core.engine_reason
    assert "\n" not in core.engine_reason
    if kind not in (cells.Fails, cells.Double, cells.WritesInPlace, cells.DrawsNumbers, cells.HostRandom):
        xs = torch.randn(3, 4, I)
        ys, _ = core(xs, core.initial_state(3))
        assert torch.equal(ys, run_loop(cell, xs, cell.initial_state(3))[0])


@pytest.mark.parametrize("rung", HERE)
@pytest.mark.parametrize(
    "name",
    [
        "lstm",
        "ThreeLeaves",
        *(pytest.param(n, marks=pytest.mark.slow) for n in ("gru before", "LayerNormLSTM")),
    ],
)
def test_200_steps_of_training_end_within_rounding_of_the_loop(name, rung):
    xs = torch.randn(200, 6, 10, I, generator=torch.Generator().manual_seed(5))

    def losses(engine):
        torch.manual_seed(2)
        core = unroll(RIGHT[name](), I, engine)
        assert core.engine == engine
        head = nn.Linear(H, I)
        optimizer = torch.optim.Adam([*core.parameters(), *head.parameters()], 1e-2)
        state, found = core.initial_state(6), []
        for x in xs:
            ys, state = core(x[:, :-1], detach(state))
            loss = (head(ys) - 0.5 * x[:, :-1]).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            found.append(loss.item())
        return found

    slow, fast = losses("loop"), losses(rung)
    assert fast == pytest.approx(slow, rel=1e-3)
    assert slow[-1] < slow[0]


def test_frozen_weights_and_inputs_without_gradient():
    core = built("lstm")
    core.cell.U.requires_grad_(False)
    xs = torch.randn(3, 5, I)
    core(xs, core.initial_state(3))[0].sum().backward()
    assert core.cell.U.grad is None
    found = core.cell.W.grad.clone()
    core.cell.zero_grad()
    run_loop(core.cell, xs, core.initial_state(3))[0].sum().backward()
    assert_close(found, core.cell.W.grad)


def test_other_precisions_fall_to_the_loop():
    core = built("gru before")
    xs, state = torch.randn(3, 5, I), core.initial_state(3)
    with torch.autocast("cpu", torch.bfloat16):
        ys, _ = core(xs, state)
        assert torch.equal(ys, run_loop(core.cell, xs, state)[0])
    core.double()
    assert core(xs.double(), core.initial_state(3, dtype=torch.float64))[0].dtype == torch.float64


def test_names_of_the_weights_do_not_change():
    assert set(built("lstm").state_dict()) == {"cell.W", "cell.U", "cell.b"}


def test_selecting_leaves_random_numbers_gradients_and_modes_alone():
    torch.manual_seed(7)
    core = unroll(LSTM(I, H), I, "loop").eval()
    before = torch.get_rng_state()
    core.select("auto")
    assert core.engine == "eager"
    assert torch.equal(torch.get_rng_state(), before)
    assert all(p.grad is None for p in core.parameters())
    assert not any(module.training for module in core.modules())
    core.select("loop", "because")
    assert (core.engine, core.engine_reason) == ("loop", "because")


def test_without_private_parts_of_torch(monkeypatch):
    from rnn_tui.model.recurrence import graph

    def gone(*_):
        raise ImportError("no make_fx here")

    monkeypatch.setattr(graph, "_make_fx", gone)
    core = unroll(RNN(I, H), I, "auto")
    assert core.engine == "loop"
    assert "no make_fx here" in core.engine_reason


@pytest.mark.parametrize("maker", ["AuthenticAMD", "GenuineIntel", ""])
def test_products_on_every_maker_of_processors(maker, monkeypatch):
    monkeypatch.setattr(product, "_maker", lambda: maker)
    product.packer.cache_clear()
    a, weight = torch.randn(7, 12), torch.randn(12, 20)
    for matrix in (weight, torch.randn(20, 12).t()):
        for steps in (1, 50):
            assert_close(product.prepare(matrix, 7, steps)(a), a @ matrix, rtol=1e-5, atol=1e-5)
    assert maker or product.packer() is None
    monkeypatch.undo()
    product.packer.cache_clear()


def test_what_runs_at_each_position_is_one_product_with_the_state():
    """Input products, biases and weight gradients are outside the loop, for one matrix over [x, h] too."""
    for name in ("lstm", "gru after", "PeepholeLSTM"):
        core = built(name)
        core(torch.randn(3, 9, I), core.initial_state(3))[0].sum().backward()
        *_, parts = core._plans[True].splits.values()
        for loop in (parts.forward, parts.backward.loop):
            code = loop.run.__self__.code
            assert code.count("product_apply(") == 1, (name, code)
            assert "mm" not in code, (name, code)
        assert "mm" in parts.backward.deferred.__self__.code
