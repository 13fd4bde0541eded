import json
import math
import subprocess
import sys
from dataclasses import asdict, replace

import numpy as np
import pytest
import safetensors
import safetensors.torch
import torch

from rnn_tui.errors import DiskError, InputError, PluginError, UsageError
from rnn_tui.model import file as model_file
from rnn_tui.model.config import ModelConfig
from rnn_tui.model.container import BadModelFile
from rnn_tui.model.file import load_model, load_weights, save_model, weights
from rnn_tui.model.header import ModelFile, read_header
from rnn_tui.model.recurrent_model import build_model
from rnn_tui.plugin.registry import load_plugin, plugin_record

TEXT = "hello world, 你好\n"


def make(seed=0, arch="lstm", **settings):
    """A model, its header and its tokenizer."""
    settings.setdefault("hidden_size", 6)
    tokenizer = load_plugin("tokenizer", "char").train([TEXT], None)
    config = ModelConfig(arch=arch, **settings)
    torch.manual_seed(seed)
    model = build_model(load_plugin("architecture", arch), config.options, config, tokenizer.vocab_size)
    header = ModelFile(
        config={"model": asdict(config), "data": {"seq_len": 64}},
        tokenizer=plugin_record("tokenizer", "char") | {"state": tokenizer.to_state()},
        architecture=plugin_record("architecture", arch),
        training={
            "step": 12,
            "validation_loss": 1.25,
            "train_loss": None,
            "corpus": "c",
            "run": "r",
            "best": True,
        },
    )
    return model, header, tokenizer


@pytest.fixture
def saved(tmp_path):
    model, header, tokenizer = make()
    path = tmp_path / "model.safetensors"
    save_model(path, model, header)
    return path, model, header, tokenizer


def rewritten(path, change):
    """Save the file again with its tensors and settings changed in place by `change(tensors, settings)`."""
    with safetensors.safe_open(path, "pt") as opened:
        settings = json.loads(opened.metadata()["rnn_tui"])
    tensors = safetensors.torch.load(path.read_bytes())
    change(tensors, settings)
    path.write_bytes(safetensors.torch.save(tensors, {"rnn_tui": json.dumps(settings)}))


# -- what goes in comes out ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"num_layers": 3, "dropout": 0.2},
        {"encoder": "embedding", "embedding_size": 4},
        {"encoder": "embedding", "tie_weights": True},
        {"arch": "nn-gru", "num_layers": 2},
        {"arch": "gru", "options": {"reset": "before"}},
    ],
)
def test_a_round_trip_gives_the_same_model(tmp_path, settings):
    model, header, tokenizer = make(**settings)
    path = tmp_path / "model.safetensors"
    save_model(path, model, header)
    loaded, its_tokenizer, its_header = load_model(path)
    assert its_header == header
    assert its_tokenizer.to_state() == tokenizer.to_state()
    assert not loaded.training
    ids = torch.from_numpy(its_tokenizer.encode("hello 你 ž").astype(np.int64))[None]
    model.eval()
    with torch.no_grad():
        ours = model.outputs(model(ids, model.initial_state(1))[0])
        theirs = loaded.outputs(loaded(ids, loaded.initial_state(1))[0])
    assert torch.equal(ours, theirs)
    assert loaded.parameter_count() == model.parameter_count()


def test_a_tied_weight_is_stored_once(tmp_path):
    model, header, _ = make(encoder="embedding", tie_weights=True)
    save_model(tmp_path / "m", model, header)
    names = set(safetensors.torch.load((tmp_path / "m").read_bytes()))
    assert "encoder.weight" in names
    assert "head.weight" not in names
    loaded, *_ = load_model(tmp_path / "m")
    assert loaded.head.weight is loaded.encoder.weight
    assert torch.equal(loaded.head.weight, model.head.weight)


def test_equal_models_give_equal_bytes_and_the_library_reads_them(tmp_path):
    for name in ("a", "b"):
        model, header, _ = make()
        save_model(tmp_path / name, model, replace(header, training=dict(reversed(header.training.items()))))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    with safetensors.safe_open(tmp_path / "a", "pt") as opened:
        assert list(opened.metadata()) == ["rnn_tui"]
        assert torch.equal(opened.get_tensor("head.weight"), model.head.weight)


def test_figures_that_are_no_numbers_survive(tmp_path):
    model, header, _ = make()
    training = {"step": 1, "train_loss": math.nan, "validation_loss": math.inf}
    save_model(tmp_path / "m", model, replace(header, training=training))
    found = read_header(tmp_path / "m").training
    assert math.isnan(found["train_loss"])
    assert found["validation_loss"] == math.inf


def test_names_that_are_no_utf8_survive(tmp_path):
    model, header, _ = make()
    odd = replace(header, config=header.config | {"corpus": {"source": "caf\udce9.txt"}})
    save_model(tmp_path / "m", model, odd)
    assert read_header(tmp_path / "m") == odd


def test_the_header_is_read_without_torch(saved):
    code = (
        "import sys; from pathlib import Path; from rnn_tui.model.header import read_header; "
        "print(read_header(Path(sys.argv[1])).training['step']); sys.exit('torch' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code, saved[0]], capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (0, "12\n")


def test_loading_leaves_the_random_state_alone(saved):
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    load_model(saved[0])
    assert torch.equal(before, torch.random.get_rng_state())


def test_weights_into_an_existing_model(saved):
    path, model, header, _ = saved
    other, *_ = make(seed=1)
    other.train()
    assert not torch.equal(other.head.weight, model.head.weight)
    assert load_weights(path, other) == header
    assert other.training
    for name, tensor in weights(model).items():
        assert torch.equal(weights(other)[name], tensor)
    assert all(parameter.requires_grad for parameter in other.parameters())


def test_a_failed_save_leaves_the_earlier_file(saved, monkeypatch):
    path, model, header, _ = saved
    earlier = path.read_bytes()
    monkeypatch.setattr("os.rename", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(DiskError, match="no space left"):
        save_model(path, model, replace(header, training={"step": 13}))
    assert path.read_bytes() == earlier
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize(("limit", "most"), [("HEADER_LIMIT", 20_000), ("VALUES_LIMIT", 1000)])
def test_a_vocabulary_beyond_the_header_is_refused_before_writing(tmp_path, monkeypatch, limit, most):
    model, header, _ = make()
    monkeypatch.setattr(model_file, limit, most)
    save_model(tmp_path / "m", model, header)
    huge = header.tokenizer | {"state": {"symbols": "x," * 10_000}}
    with pytest.raises(InputError, match="vocabulary"):
        save_model(tmp_path / "n", model, replace(header, tokenizer=huge))
    assert not (tmp_path / "n").exists()


# -- what is refused; more in tests/faults/test_models.py ---------------------------------------------------------


def test_at_most_five_differences_are_listed(saved):
    def empty(tensors, settings):
        tensors.clear()

    path = saved[0]
    settings = make(num_layers=3)[1]
    save_model(path, make(num_layers=3)[0], settings)
    rewritten(path, empty)
    with pytest.raises(BadModelFile) as caught:
        load_model(path)
    assert str(caught.value).count("is missing") == 5
    assert str(caught.value).endswith("and 6 more")  # 3 x (W, U, b), head.weight, head.bias


def not_a_number(tensors, settings):
    tensors["head.weight"][1, 2] = math.nan


def test_a_refused_file_leaves_the_model_as_it_was(saved):
    path, model, *_ = saved
    rewritten(path, not_a_number)
    before = {name: tensor.clone() for name, tensor in weights(model).items()}
    with pytest.raises(BadModelFile):
        load_weights(path, model)
    for name, tensor in weights(model).items():
        assert torch.equal(before[name], tensor)


def test_a_safetensors_file_of_something_else(tmp_path):
    path = tmp_path / "m"
    path.write_bytes(safetensors.torch.save({"a": torch.zeros(2)}))
    with pytest.raises(BadModelFile, match="not one of rnn-tui"):
        read_header(path)


def test_without_the_plugins(saved, monkeypatch):
    monkeypatch.setenv("RNN_TUI_PLUGINS", "")
    with pytest.raises(PluginError, match=r"from the package rnn-tui .*RNN_TUI_PLUGINS"):
        load_model(saved[0])


def test_a_plugin_that_fails_to_build_is_named(saved, monkeypatch):
    def broken(*args, **inputs):
        raise ZeroDivisionError("boom")

    monkeypatch.setattr("rnn_tui.model.recurrent_model.build_model", broken)
    with pytest.raises(PluginError, match="architecture lstm could not be built: ZeroDivisionError: boom"):
        load_model(saved[0])


@pytest.mark.skipif(torch.cuda.is_available(), reason="has the device")
@pytest.mark.parametrize("device", ["cuda", "warp"])
def test_a_missing_device(saved, device):
    with pytest.raises(UsageError, match=f"device {device} is not here.*finds cpu"):
        load_model(saved[0], device=device)


@pytest.mark.skipif(torch.cuda.is_available() or torch.backends.mps.is_available(), reason="has a device")
def test_auto_is_the_cpu_where_there_is_nothing_else(saved):
    assert load_model(saved[0], device="auto")[0].device == torch.device("cpu")
