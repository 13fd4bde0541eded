"""Weights to and from other programs by the library: what the commands do, of a model that is in memory."""

import json

import pytest
import safetensors.torch
import torch

import rnn_tui


def test_a_model_as_it_is_now_goes_out_and_comes_back(model, here):
    with torch.no_grad():
        model.module.head.bias[3] = 5.0  # nothing on the disk has that
    model.module.train()
    done = model.export("now.torch.safetensors")
    assert model.module.training
    assert (done.kind, done.path.stat().st_size) == ("LSTM", done.bytes)
    assert safetensors.torch.load_file(done.path)["head.bias"][3] == 5
    names = {}
    exec(done.script, names)
    assert isinstance(names["model"].rnn, torch.nn.LSTM)

    back = rnn_tui.import_weights("now.torch.safetensors")
    assert back.score("the quick ").mean == pytest.approx(model.score("the quick ").mean, abs=1e-6)
    assert back.info.path == done.path
    saved = back.save(here / "now.model.safetensors")
    assert rnn_tui.load(saved).generate("the ", seed=1) == back.generate("the ", seed=1)


def test_onnx_is_written_and_needs_its_packages(model, here, monkeypatch):
    pytest.importorskip("onnxscript")
    done = model.export(here / "fox.onnx", "onnx", graph="step")
    assert (done.graph, done.path.stat().st_size) == ("step", done.bytes)
    monkeypatch.setattr("rnn_tui.model.exchange.onnx_file.find_spec", lambda name: None)
    with pytest.raises(
        rnn_tui.UsageError, match="ONNX needs the packages onnx, onnxruntime, onnxscript; install them"
    ):
        model.export(here / "fox.onnx", "onnx")


def test_a_stranger_s_weights_read_as_a_vocabulary_or_a_run_says(model, here):
    torch.manual_seed(1)
    embedding, rnn, head = (
        torch.nn.Embedding(4, 3),
        torch.nn.GRU(3, 5, batch_first=True),
        torch.nn.Linear(5, 4),
    )
    parts = torch.nn.ModuleDict({"emb": embedding, "gru": rnn, "out": head})
    safetensors.torch.save_file(parts.state_dict(), here / "strange.safetensors")
    (here / "chars.json").write_text(json.dumps(list("dcba")))
    with pytest.raises(rnn_tui.UsageError, match="does not say how text becomes its numbers"):
        rnn_tui.import_weights("strange.safetensors")
    found = rnn_tui.import_weights("strange.safetensors", vocabulary="chars.json", corpus="fox.txt")
    assert (found.info.architecture, found.info.corpus) == ("nn-gru", "fox.txt")
    with torch.inference_mode():
        logits = head(rnn(embedding(torch.tensor([[3, 1]])))[0])[0, -1]  # after "ac"
    chances = {each.text: each.probability for each in found.read("ac").next(4)}
    assert chances == pytest.approx(
        dict(zip("dcba", torch.softmax(logits, 0).tolist(), strict=True)), abs=1e-6
    )
    with pytest.raises(rnn_tui.InputError, match=r"strange\.safetensors: "):
        rnn_tui.import_weights("strange.safetensors", like="fox")  # of another size


def test_what_cannot_be_exported_is_told(model, untrained):
    with pytest.raises(rnn_tui.UsageError, match="cannot be replaced by what is made of it"):
        model.export(model.info.path)
    with pytest.raises(rnn_tui.UsageError, match="exported from torch on the CPU"):
        rnn_tui.load("fox", backend="numpy").export("x.safetensors")
    series = rnn_tui.load(untrained("series"))
    done = series.export("series.safetensors")
    assert rnn_tui.import_weights(done.path).info.columns == ("up", "down")
