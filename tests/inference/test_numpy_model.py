"""A whole model file in NumPy against the same file in torch, which shares no arithmetic with it."""

import dataclasses
import subprocess
import sys
from dataclasses import asdict

import numpy as np
import pytest
import torch

from rnn_tui.errors import UsageError
from rnn_tui.inference.config import SamplingConfig
from rnn_tui.inference.generate import generate, prime
from rnn_tui.inference.numpy_evaluation import evaluate_numpy
from rnn_tui.inference.numpy_model import load_numpy
from rnn_tui.inference.torch_reader import TorchReader
from rnn_tui.inference.transcribe import transcribe
from rnn_tui.model.config import ModelConfig
from rnn_tui.model.container import BadModelFile
from rnn_tui.model.file import encode, load_model, save_model, weights
from rnn_tui.model.header import ModelFile
from rnn_tui.model.recurrent_model import build_model
from rnn_tui.plugin.registry import load_plugin, plugin_record
from rnn_tui.tasks.evaluation import evaluate

TEXT = "the quick brown fox jumps over the lazy dog.\n"

SHAPES = {
    "rnn": {"arch": "rnn"},
    "relu": {"arch": "rnn", "options": {"nonlinearity": "relu"}, "scale": 1.0},
    "gru": {"arch": "gru"},
    "gru after": {"arch": "gru", "options": {"reset": "after"}},
    "lstm": {"arch": "lstm", "options": {"forget_bias": 1.0}},
    "nn-rnn": {"arch": "nn-rnn"},
    "nn-relu": {"arch": "nn-rnn", "options": {"nonlinearity": "relu"}, "scale": 1.0},
    "nn-gru": {"arch": "nn-gru"},
    "nn-lstm": {"arch": "nn-lstm"},
    "deep, embedded": {"arch": "lstm", "num_layers": 3, "encoder": "embedding", "embedding_size": 5},
    "tied": {"arch": "gru", "num_layers": 2, "encoder": "embedding", "tie_weights": True, "dropout": 0.5},
}


def built(*, scale=3.0, **shape):
    """A model, its tokenizer and its header; the weights larger than an untrained model's, for sharper figures."""
    tokenizer = load_plugin("tokenizer", "char").train([TEXT], None)
    config = ModelConfig(**{"hidden_size": 24} | shape)
    torch.manual_seed(1)
    model = build_model(
        load_plugin("architecture", config.arch), config.options, config, tokenizer.vocab_size
    )
    with torch.no_grad():
        for weight in model.parameters():
            weight *= scale
    header = ModelFile(
        config={"model": asdict(config)},
        tokenizer=plugin_record("tokenizer", "char") | {"state": tokenizer.to_state()},
        scaling=None,
        architecture=plugin_record("architecture", config.arch),
        training={"step": 1},
    )
    return model, tokenizer, header


@pytest.fixture(params=SHAPES)
def path(request, tmp_path):
    model, _, header = built(**SHAPES[request.param])
    path = tmp_path / "model.safetensors"
    save_model(path, model, header)
    return path


@pytest.fixture
def both(path):
    """The same file, in torch and in NumPy."""
    network, tokenizer, header = load_model(path)
    model, same, same_header = load_numpy(path)
    assert same.to_state() == tokenizer.to_state()
    assert same_header == header
    return network, model, tokenizer


def stream(vocab_size, length=5000):
    return np.random.default_rng(0).integers(0, vocab_size, length).astype(np.uint8)


def test_logits_are_those_of_torch_to_a_hundred_thousandth(both):
    network, model, _ = both
    ids = stream(model.output_size, 120).reshape(3, 40).astype(np.int64)
    with torch.inference_mode():
        features, _ = network(torch.from_numpy(ids), network.initial_state(3))
        expected = network.outputs(features).numpy()
    logits, state = np.empty_like(expected), model.initial_state(3)
    for position in range(40):
        logits[:, position], state = model.advance(ids[:, position], state)
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-5 * max(1, np.abs(expected).max()))
    features, _ = model.forward(ids, model.initial_state(3))
    np.testing.assert_allclose(model.outputs(features), logits, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("lanes", [None, 1, 7])
def test_the_loss_is_that_of_torch(both, lanes):
    network, model, _ = both
    ids = stream(model.output_size, 3001)
    expected, found = evaluate(network, ids, lanes=lanes), evaluate_numpy(model, ids, lanes=lanes)
    assert (found.tokens, found.lanes) == (expected.tokens, expected.lanes)
    assert found.mean == pytest.approx(expected.mean, rel=1e-5)


@pytest.mark.parametrize(
    "settings", [{"greedy": True}, {"seed": 7, "temperature": 0.8}, {"seed": 8, "top_p": 0.7}]
)
def test_the_text_is_that_of_torch(both, settings):
    network, model, tokenizer = both
    config, texts = SamplingConfig(length=200, **settings), []
    for reader in (TorchReader(network), model):
        primed = prime(reader, tokenizer, "the qu")
        texts.append([piece.text for piece in generate(reader, tokenizer, primed, config)])
    assert texts[0] == texts[1]


def test_surprise_and_entropy_of_a_prompt_are_those_of_torch(both):
    network, model, tokenizer = both
    ours, theirs = (prime(reader, tokenizer, TEXT * 14).pieces for reader in (model, TorchReader(network)))
    assert len(ours) == len(theirs) == len(TEXT) * 14
    for name in ("surprise", "entropy"):
        assert [getattr(piece, name) for piece in ours[1:]] == pytest.approx(
            [getattr(piece, name) for piece in theirs[1:]], rel=1e-4, abs=1e-5
        )


@pytest.mark.parametrize("arch", ["gru", "nn-lstm"])
def test_a_bidirectional_model_reads_a_row_both_ways(arch, tmp_path):
    model, tokenizer, header = built(arch=arch, num_layers=2, bidirectional=True)
    path = tmp_path / "model.safetensors"
    save_model(path, model, header)
    ours, _, _ = load_numpy(path)
    ids = stream(ours.output_size, 30).astype(np.int64)
    logits, _ = ours.read(ids, ours.start(), 30)
    reader = TorchReader(model)
    expected, _ = reader.read(ids, reader.start(), 30)
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    found, wanted = (transcribe(reader, tokenizer, "fox") for reader in (ours, TorchReader(model)))
    assert found.text == wanted.text
    with pytest.raises(UsageError, match="whole text at once"):
        ours.advance(np.array([0]), ours.start())


def test_a_stream_too_short_to_predict(tmp_path):
    model, _, header = built(arch="rnn")
    save_model(tmp_path / "m", model, header)
    assert evaluate_numpy(load_numpy(tmp_path / "m")[0], np.array([3])).tokens == 0


# -- files that do not fit ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda t: t.pop("core.layers.0.cell.U"), "there is no 'U'"),
        (lambda t: t.pop("head.bias"), "there is no 'head.bias'"),
        (lambda t: t.update({"core.layers.1.cell.W": torch.zeros(2)}), "'core.layers.1.cell.W' is too many"),
        (lambda t: t.update({"head.bias": torch.zeros(3)}), r"'head.bias' is \[3\], not \["),
        (
            lambda t: t.update({"head.weight": torch.zeros(30, 9)}),
            "the layers give 24 values, the head takes 9",
        ),
        (lambda t: t.update({"core.layers.0.cell.W": torch.zeros(4, 96)}), "not those of the model"),
        (lambda t: t["core.layers.0.cell.b"].fill_(float("nan")), "holds NaN or infinity"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(damage, message, tmp_path):
    model, tokenizer, header = built(arch="lstm")
    assert tokenizer.vocab_size == 30
    tensors = weights(model)
    damage(tensors)
    path = tmp_path / "model.safetensors"
    path.write_bytes(encode(tensors, header))
    with pytest.raises(BadModelFile, match=message) as caught:
        load_numpy(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_an_architecture_without_a_step_in_numpy(tmp_path):
    model, _, header = built(arch="rnn")
    config = {"model": header.config["model"] | {"arch": "mgu"}}
    header = dataclasses.replace(header, config=config, architecture=header.architecture | {"name": "mgu"})
    (tmp_path / "m").write_bytes(encode(weights(model), header))
    with pytest.raises(UsageError, match=r"mgu has no step in NumPy .*lstm"):
        load_numpy(tmp_path / "m")


CODE = """
import sys
from pathlib import Path
import numpy as np
from rnn_tui.inference.config import SamplingConfig
from rnn_tui.inference.generate import generate, prime
from rnn_tui.inference.numpy_evaluation import evaluate_numpy
from rnn_tui.inference.numpy_model import load_numpy
model, tokenizer, _ = load_numpy(Path(sys.argv[1]))
evaluate_numpy(model, tokenizer.encode("the quick"))
print("".join(p.text for p in generate(model, tokenizer, prime(model, tokenizer, "the"), SamplingConfig(length=5))))
assert "torch" not in sys.modules
"""


@pytest.mark.parametrize("arch", ["lstm", "nn-lstm"])
def test_torch_is_not_loaded(arch, tmp_path):
    model, _, header = built(arch=arch)
    path = tmp_path / "model.safetensors"
    save_model(path, model, header)
    subprocess.run([sys.executable, "-c", CODE, path], check=True, timeout=60)
