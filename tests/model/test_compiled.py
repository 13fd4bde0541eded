"""Steps written out as C: every operator that has a form, any number of threads, and machines that cannot."""

import shutil
import sys
import threading
from pathlib import Path

import pytest
import torch
from rnn_tui_scratch.lstm import LSTM
from torch import nn
from torch.nn import functional
from torch.testing import assert_close

from rnn_tui.model.config import ModelConfig
from rnn_tui.model.recurrence import unroll
from rnn_tui.model.recurrence.loop import run_loop
from rnn_tui.model.recurrence.native import toolchain
from rnn_tui.model.recurrent_model import build_model
from rnn_tui.plugin import Cell

sys.path.insert(0, str(Path(__file__).parent))
import recurrent_cells as cells

pytestmark = pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler")

I, H = 5, 8  # noqa: E741

FORMS = {
    "sigmoid": torch.sigmoid,
    "exp": torch.exp,
    "log": lambda h: torch.log(h.abs() + 0.5),
    "abs and neg": lambda h: -h.abs(),
    "relu": torch.relu,
    "relu6": functional.relu6,
    "leaky relu": lambda h: functional.leaky_relu(h, 0.1),
    "elu": functional.elu,
    "silu": functional.silu,
    "gelu": functional.gelu,
    "gelu by tanh": lambda h: functional.gelu(h, approximate="tanh"),
    "softplus": functional.softplus,
    "hardtanh": functional.hardtanh,
    "hardsigmoid": functional.hardsigmoid,
    "clamp": lambda h: h.clamp(-0.3, 0.2),
    "clamp min": lambda h: h.clamp(min=-0.1),
    "sqrt": lambda h: torch.sqrt(h * h + 1),
    "rsqrt": lambda h: torch.rsqrt(h * h + 1),
    "powers": lambda h: h**2 + 0.5 * h**3 - (h * h + 1) ** 0.5,
    "reciprocal": lambda h: 1 / (2 + h),
    "maximum": lambda h: torch.maximum(h, 0.5 * h + 0.1),
    "minimum": lambda h: torch.minimum(h, h.flip(1)),
    "where": lambda h: torch.where(h > 0.1, h, 0.3 * h),
    "comparisons": lambda h: h * (h >= 0.1) + (h != h.flip(1)),
    "rsub": lambda h: 1 - h,
    "lerp": lambda h: torch.lerp(h, h.flip(1), 0.3),
    "softmax": lambda h: torch.softmax(h, 1),
    "layer norm": lambda h: functional.layer_norm(h, (H,)),
    "sum": lambda h: h - h.sum(1, keepdim=True),
    "mean": lambda h: h - h.view(-1, 2, 4).mean(2, keepdim=True).expand(-1, 2, 4).reshape(-1, H),
    "largest": lambda h: h - h.amax(1, keepdim=True),
    "norm": lambda h: h / (h.norm(dim=1, keepdim=True) + 1),
    "cat and slice": lambda h: torch.cat([h[:, 3:], h[:, :3]], 1),
    "chunks": lambda h: torch.cat(
        [a * b for a, b in zip(h.chunk(2, 1), h.chunk(2, 1)[::-1], strict=True)], 1
    ),
    "steps": lambda h: torch.cat([h[:, ::2], h[:, 1::2]], 1),
    "permute": lambda h: h.view(-1, 2, 4).permute(0, 2, 1).reshape(-1, H),
    "transpose": lambda h: h.view(-1, 2, 2, 2).transpose(1, 3).reshape(-1, H),
    "stack": lambda h: torch.stack([h[:, :4], h[:, 4:]], 2).reshape(-1, H),
    "select": lambda h: h * h[:, 2:3] + h[:, 5].unsqueeze(1),
    "flip": lambda h: h.flip(1),
    "fill": lambda h: h + torch.ones_like(h) + torch.full_like(h, 0.5) - h.new_zeros(h.shape[0], H),
    "type": lambda h: (h * 10).to(torch.int64).to(torch.float32) * 0.1 + h,
    "matrix": lambda h: h @ torch.linspace(-1, 1, H * H).view(H, H),
}


class Forms(Cell):
    """Several forms of the state side by side; together, since a compiler takes a second for any of them."""

    def __init__(self, forms):
        super().__init__()
        self.output_size = H * len(forms)
        self.forms = forms
        self.input = nn.Linear(I, H)
        self.recurrent = nn.Linear(H, H)

    def initial_state(self, batch_size, *, device=None, dtype=None):
        return torch.zeros(batch_size, H, device=device, dtype=dtype)

    def step(self, x, state):
        mixed = sum(form(state) for form in self.forms) / len(self.forms)
        h = torch.tanh(self.input(x) + self.recurrent(mixed))
        return torch.cat([form(h) for form in self.forms], 1), h


@pytest.mark.parametrize("names", [list(FORMS)[i::4] for i in range(4)], ids="-".join)
def test_every_form_equals_the_loop(names):
    torch.manual_seed(0)
    cell = Forms([FORMS[name] for name in names])
    core = unroll(cell, I, "compiled")  # compares outputs, states and all gradients
    assert core.engine == "compiled", core.engine_reason
    xs = torch.randn(7, 11, I)
    assert_close(core(xs, core.initial_state(7))[0], run_loop(cell, xs, core.initial_state(7))[0])


def test_bits_do_not_depend_on_the_number_of_threads():
    torch.manual_seed(0)
    core = unroll(cells.LayerNormLSTM(I, 70), I, "compiled")
    xs, reset = torch.randn(13, 9, I), torch.rand(13, 9) < 0.2
    state = tuple(torch.randn(13, 70) for _ in range(2))
    found = []
    before = torch.get_num_threads()
    try:
        for threads in (1, 2, 3, 7):
            torch.set_num_threads(threads)
            ys, after = core(xs, state, reset=reset)
            found.append([ys.detach(), *(leaf.detach() for leaf in after)])
    finally:
        torch.set_num_threads(before)
    for others in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], others, strict=True))


def test_rows_do_not_depend_on_the_batch():
    core = unroll(LSTM(I, H), I, "compiled").eval()
    xs = torch.randn(6, 9, I)
    with torch.inference_mode():
        ys, _ = core(xs, core.initial_state(6))
        alone, _ = core(xs[2:3], core.initial_state(1))
    assert_close(alone[0], ys[2], rtol=1e-6, atol=1e-7)


def test_not_a_number_stays_one():
    core = unroll(LSTM(I, H), I, "compiled")
    xs = torch.randn(3, 6, I)
    xs[1, 2, 0] = float("nan")
    ys, _ = core(xs, core.initial_state(3))
    assert ys[1, 2:].isnan().all()
    assert ys[1, :2].isfinite().all()
    assert ys[[0, 2]].isfinite().all()


@pytest.mark.parametrize(
    ("kind", "reason"), [(cells.MixesRows, "mixes the rows"), (cells.Branches, "branches on the values")]
)
def test_what_has_no_form_takes_the_next_rung(kind, reason):
    core = unroll(kind(I, H), I, "compiled")
    assert core.engine == ("eager" if kind is cells.MixesRows else "loop")
    assert reason in core.engine_reason


def test_without_a_compiler_the_eager_rung_runs(monkeypatch):
    monkeypatch.setenv("RNN_TUI_CC", "")
    monkeypatch.setattr(toolchain, "_results", {})
    core = unroll(LSTM(I, H), I, "compiled")
    assert core.engine == "eager"
    assert "RNN_TUI_CC is empty" in core.engine_reason
    xs = torch.randn(2, 4, I)
    assert_close(core(xs, core.initial_state(2))[0], run_loop(core.cell, xs, core.initial_state(2))[0])


def test_compiles_beside_training():
    """The weights change and numbers are drawn while the step is compiled and checked; neither disturbs the other."""

    def losses(compile_meanwhile):
        torch.manual_seed(4)
        core = unroll(LSTM(I, H), I, "eager")
        optimizer = torch.optim.SGD(core.parameters(), 0.5)
        problems, found = [], []
        thread = threading.Thread(target=lambda: problems.append(core.compile_ahead()))
        if compile_meanwhile:
            thread.start()
        while len(found) < 60 or thread.is_alive():
            ys, _ = core(functional.dropout(torch.ones(4, 6, I), 0.5), core.initial_state(4))
            loss = (ys - 0.3).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            found.append(loss.item())
        if compile_meanwhile:
            assert problems == [None]
            assert core.engine == "eager"
            core.select("compiled")
            assert core.engine == "compiled"
        return found[:60]

    assert losses(True) == losses(False)


@pytest.mark.parametrize("encoder", ["one-hot", "embedding"])
@pytest.mark.parametrize("rung", ["eager", "compiled"])
def test_vectors_of_a_small_vocabulary_are_projected_once(encoder, rung):
    """A model that chooses among projected vectors has the loss and gradients of one that projects each position."""
    torch.manual_seed(1)
    model = build_model(LSTM, {}, ModelConfig(arch="lstm", hidden_size=H, num_layers=2, encoder=encoder), 11)
    ids = torch.randint(11, (4, 9))

    def gradients():
        model.zero_grad()
        ys, _ = model(ids, model.initial_state(4))
        model.outputs(ys).logsumexp(-1).sum().backward()
        return {name: p.grad.clone() for name, p in model.named_parameters()}

    slow = gradients()
    model.select_engine(rung)
    assert model.engine()[0] == rung
    for name, gradient in gradients().items():
        assert_close(
            gradient, slow[name], rtol=1e-4, atol=1e-5, msg=lambda text, name=name: f"{name}: {text}"
        )
