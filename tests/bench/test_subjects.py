"""What a token costs, counted by hand; models of installed architectures as they train and sample."""

import copy
import importlib.util
import shutil
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from rnn_tui.bench import subjects
from rnn_tui.bench.baseline import TorchModel, Tutorial
from rnn_tui.bench.machine import large_products, streaming
from rnn_tui.bench.subjects import (
    LENGTH,
    Sampling,
    Training,
    baseline_weights,
    build_subject,
    nearest_kind,
    symbols,
    weights_in_products,
)
from rnn_tui.model.config import ModelConfig
from rnn_tui.model.recurrent_model import build_model
from rnn_tui.plugin.registry import load_plugin
from rnn_tui.training.config import RunConfig

CPU = torch.device("cpu")
FASTEST = "compiled" if shutil.which("cc") else "traced"
H, V = 8, 11


def model_of(name, **settings):
    plugin = load_plugin("architecture", name)
    return build_model(plugin, {}, ModelConfig(hidden_size=H, **settings), V), plugin


@pytest.mark.parametrize(
    ("name", "gates"), [("lstm", 4), ("gru", 3), ("rnn", 1), ("nn-lstm", 4), ("nn-gru", 3)]
)
def test_weights_in_products(name, gates):
    # one-hot: the state's product, no input product, and the head's
    assert weights_in_products(*model_of(name), {}) == gates * H * H + H * V
    # another layer: both of its products
    assert weights_in_products(*model_of(name, num_layers=2), {}) == gates * (H * H + 2 * H * H) + H * V
    # an embedding as wide as the state: the input product counts
    assert weights_in_products(*model_of(name, encoder="embedding"), {}) == gates * 2 * H * H + H * V


def test_one_matrix_over_input_and_state_is_told_apart():
    path = Path(__file__).parents[1] / "model" / "recurrent_cells.py"
    spec = importlib.util.spec_from_file_location("recurrent_cells_of_bench", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    model = build_model(module.PeepholeLSTM, {}, ModelConfig(hidden_size=H), V)
    # its matrix is (4 H, V + H); the peepholes are (3, H)
    assert weights_in_products(model, module.PeepholeLSTM, {}) == 4 * H * H + 3 * H + H * V


@pytest.mark.parametrize("kind", ["lstm", "gru", "rnn"])
@pytest.mark.parametrize("layers", [1, 3])
def test_baseline_weights_are_those_of_the_modules(kind, layers):
    model = TorchModel(kind, "embedding", V, H, layers)
    matrices = sum(p.numel() for name, p in model.named_parameters() if p.dim() > 1 and "encoder" not in name)
    assert baseline_weights(kind, "embedding", V, H, layers) == matrices
    taught = Tutorial(kind, V, H, layers)
    inputs = sum(p.numel() for p in taught.layers[0].parameters() if p.dim() > 1 and len(p) == V)
    matrices = sum(p.numel() for p in taught.parameters() if p.dim() > 1) - inputs
    assert baseline_weights(kind, "one-hot", V, H, layers) == matrices


@pytest.mark.parametrize(
    ("gates", "kind"), [(1, "rnn"), (1.6, "rnn"), (2, "gru"), (3.3, "gru"), (3.6, "lstm"), (9, "lstm")]
)
def test_nearest_kind_is_by_ratio(gates, kind):
    # without a head worth counting: sqrt(3) parts rnn from gru, sqrt(12) gru from lstm
    assert nearest_kind(int(gates * 100**2), "one-hot", 1, 100, 1) == kind


@pytest.fixture
def gru():
    torch.manual_seed(0)
    return build_subject(ModelConfig(arch="gru", hidden_size=H), V, CPU)


def test_a_subject(gru):
    assert (gru.name, gru.kind, gru.weights) == ("gru", "gru", 3 * H * H + H * V)


@pytest.mark.parametrize("engine", ["loop", "eager"])
def test_training_is_the_update_of_a_run(gru, engine):
    ids = torch.randint(V, (2, 6))
    twin = copy.deepcopy(gru.model)
    training = Training(gru.model, ids)
    training.take(engine)
    assert training() == 10
    assert training.engine()[0] == engine
    # by hand: the loss from zero states, its gradient clipped at norm 1, one step of AdamW at the default rate
    optimizer = torch.optim.AdamW(twin.parameters(), RunConfig().optim.lr, weight_decay=0)
    features, _ = twin(ids[:, :-1], twin.initial_state(2))
    functional.cross_entropy(twin.outputs(features).flatten(0, 1), ids[:, 1:].flatten()).backward()
    torch.nn.utils.clip_grad_norm_(twin.parameters(), 1.0)
    optimizer.step()
    for ours, theirs in zip(gru.model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_auto_takes_the_fastest(gru, monkeypatch):
    seconds = {"compiled": [3.0, 3.0, 1.5], "eager": [1.0, 4.0, 4.0], "loop": [2.0, 2.0, 2.0]}
    given = {"compiled": "compiled", "eager": "eager", "loop": "loop"}
    model = gru.model
    monkeypatch.setattr(model, "select_engine", lambda engine, reason="": given.update(now=engine))
    monkeypatch.setattr(model, "engine", lambda: (given["now"], ""))
    monkeypatch.setattr(subjects, "visit", lambda step: seconds[given["now"]].pop(0))
    training = Training(model, torch.randint(V, (2, 6)))
    training.take("auto")
    assert training.engine()[0] == "eager"  # one disturbed turn does not count


def test_a_cuda_graph_exists_on_cuda_only(gru):
    training = Training(gru.model, torch.randint(V, (2, 6)))
    training.take("graph")
    name, reason = training.engine()
    assert name == "eager"
    assert "not on cpu" in reason


@pytest.mark.parametrize("traced", [False, True])
def test_sampling(gru, traced):
    tokenizer = symbols(V)
    assert tokenizer.vocab_size == V
    sampling = Sampling(gru.model, tokenizer, traced=traced)
    assert sampling() == LENGTH
    assert sampling.engine()[0] == (FASTEST if traced else "step")


def test_limits_count_their_work():
    assert large_products(CPU, 100)() == pytest.approx(2 * 100**3 / 1e9)
    assert streaming(CPU, 3 * 4096)() == pytest.approx(3 * 4096 / 1e9)
