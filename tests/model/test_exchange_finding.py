"""Which tensors of a stranger's file are what: by torch's names, by shape, and last by name."""

import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from rnn_tui.model.container import BadModelFile
from rnn_tui.model.exchange.back import Like, import_torch

sys.path.insert(0, str(Path(__file__).parent))
from exchange_models import Stranger, V, imported, make, outputs, save


@pytest.fixture
def like():
    _, header, _ = make("nn-lstm", num_layers=3)
    return Like(Path("other"), header)


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"prefix": "model.rnn."},
        {"prefix": "a b:", "layers": 3},
        {"width": 0},
        {"width": 6},
        {"kind": nn.GRU, "bidirectional": True, "layers": 2},
        {"kind": nn.RNN, "bias": False},
        {"width": 6, "head_bias": False, "rename": True},
    ],
    ids=str,
)
def test_a_file_with_other_names(form, like, tmp_path):
    torch.manual_seed(4)
    settings = {key: value for key, value in form.items() if key not in ("prefix", "rename")}
    stranger = Stranger(**settings).eval()
    if form.get("rename"):  # only a name tells the embedding from a head of the same shape
        save(stranger, tmp_path / "w", wte__weight=None, token_Embedding=stranger.wte.weight.detach())
    else:
        save(stranger, tmp_path / "w", form.get("prefix", ""))
    arch = {nn.GRU: "nn-gru", nn.RNN: "nn-rnn"}.get(form.get("kind"), "nn-lstm")
    again, _, header, done = imported(tmp_path / "w", like, arch=arch)
    ids = torch.randint(V, (3, 9))
    with torch.no_grad():
        torch.testing.assert_close(outputs(again, ids), stranger(ids))
    assert done.found.num_layers == form.get("layers", 1)
    assert header.task == "next-token"
    assert header.training == {}


def test_tied_weights_that_stand_there_once(like, tmp_path):
    stranger = Stranger(width=6).eval()
    stranger.out.weight = stranger.wte.weight
    ids = torch.randint(V, (3, 9))
    for gone in ("wte__weight", "out__weight"):
        save(stranger, tmp_path / "w", **{gone: None})
        again, *_ = imported(tmp_path / "w", like)
        assert again.tied
        with torch.no_grad():
            torch.testing.assert_close(outputs(again, ids), stranger(ids))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_other_precisions_become_float32(dtype, like, tmp_path):
    stranger = Stranger().to(dtype)
    save(stranger, tmp_path / "w")
    again, *_ = imported(tmp_path / "w", like)
    assert {parameter.dtype for parameter in again.parameters()} == {torch.float32}
    ids = torch.randint(V, (2, 4))
    with torch.no_grad():
        torch.testing.assert_close(outputs(again, ids), stranger.float()(ids))


BIAS = torch.zeros(24)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"core__bias_hh_l0": None}, r"'core\.bias_hh_l0' is missing"),
        ({"core__weight_hh_l0": None}, r"'weight_hh_l0' is missing|'core\.weight_hh_l0' is missing"),
        ({"core__bias_ih_l0_reverse": BIAS}, r"'core\.weight_ih_l0_reverse' is missing"),
        ({"core__weight_ih_l7": torch.zeros(24, 6)}, r"'core\.weight_ih_l1' is missing.* and \d+ more"),
        ({"core__bias_ih_l0": torch.zeros(23)}, r"'core\.bias_ih_l0' is \[23\], not \[24\]"),
        ({"core__weight_hh_l0": torch.zeros(24, 7)}, r"'core\.weight_hh_l0' is \[24, 7\], not \(gates"),
        ({"core__weight_hr_l0": torch.zeros(2, 6)}, "is a projection"),
        ({"other__weight_ih_l0": torch.zeros(24, 5)}, r"has 2 recurrent modules \('core\.', 'other\.'\)"),
        ({"norm__weight": torch.zeros(6)}, r"'norm\.weight' is too many: a model is an embedding"),
        ({"out__weight": None}, r"has no head: no weight \[13, 6\] from 6 values to 13 tokens"),
        ({"wte__weight": None}, r"take 5 values, and there is no embedding \[13, 5\]"),
        ({"wte__weight": torch.zeros(14, 5)}, r"no embedding \[13, 5\]; are these the 13 tokens"),
        ({"out__bias": torch.zeros(12)}, r"'out\.bias' is F32 \[12\], not \[13\]"),
        ({"out__weight": torch.full((13, 6), float("nan"))}, r"'out\.weight' holds NaN or infinity"),
        (
            {"core__bias_ih_l0": torch.zeros(24, dtype=torch.int64)},
            r"'core\.bias_ih_l0' is I64 \[24\]; weights are",
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_wrong_tensor_is_named(changes, message, like, tmp_path):
    save(Stranger(), tmp_path / "w", **changes)
    with pytest.raises(BadModelFile, match=message):
        import_torch(tmp_path / "w", like)


def test_an_embedding_that_could_be_the_head(like, tmp_path):
    save(Stranger(width=6, head_bias=False), tmp_path / "w")
    with pytest.raises(
        BadModelFile, match=r"do not tell .* 'out\.weight', 'wte\.weight'; name them embedding\.weight"
    ):
        import_torch(tmp_path / "w", like)


def test_no_recurrent_layers(like, tmp_path):
    save(nn.Linear(3, 4), tmp_path / "w")
    with pytest.raises(BadModelFile, match=r"has no tensor named weight_ih_l0.*it has bias, weight"):
        import_torch(tmp_path / "w", like)
    save(nn.LSTMCell(3, 4), tmp_path / "w", "cell.")
    with pytest.raises(BadModelFile, match=r"of an nn\.LSTMCell.*_l0'"):
        import_torch(tmp_path / "w", like)
