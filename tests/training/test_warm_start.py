"""A new run that begins with the weights of a model file."""

import re
import shutil

import pytest
import safetensors.torch
import torch

from rnn_tui.errors import InputError, UsageError
from rnn_tui.model.container import BadModelFile
from rnn_tui.model.header import read_header
from rnn_tui.runs.status import read_status
from rnn_tui.training import checkpoint, launch
from rnn_tui.training.launch import prepare_run_config
from rnn_tui.training.warm_start import settings_of_model


@pytest.fixture
def begin(tmp_path, settings):
    """Create a run that begins with a model file; `more` changes sections of the small settings."""

    def begun(name, source, path, like, **more):
        small = settings(source, **more)
        layers = [settings_of_model(path), ("test", {k: v for k, v in small.items() if k != "model"} | more)]
        config = prepare_run_config(layers).config
        return type(like)(launch.create(tmp_path / "runs", name, config, warm_start=path).path)

    return begun


def weights_of(path):
    return safetensors.torch.load(path.read_bytes())


@pytest.mark.parametrize("task", ["next-token", "aligned", "series"])
def test_it_begins_with_the_weights_and_nothing_else(make, begin, text, pairs, numbers, task):
    source = {"next-token": text, "aligned": pairs, "series": numbers}[task]
    first = make("a", source, task={"name": task}, budget={"steps": 10})
    assert first.train() == 0
    model, header = weights_of(first.model_path), read_header(first.model_path)
    second = begin("b", source, first.model_path, first, checkpoint={"every_steps": 1, "keep": 9})
    shutil.rmtree(first.path)  # it has a life of its own
    second.stop_at(1)
    assert second.train() == 0
    [start] = [c for c in checkpoint.find(second.checkpoints) if c.step == 0]
    begun = weights_of(start.model_path)
    assert begun.keys() == model.keys()
    assert all(torch.equal(begun[name], model[name]) for name in model)
    tensors, values = start.load()
    assert not [name for name in tensors if name.startswith(("optim.", "carry."))]
    assert values["progress"]["tokens"] == 0
    new = read_header(start.model_path)
    assert (new.tokenizer, new.scaling) == (header.tokenizer, header.scaling)
    notes = [e.data["message"] for e in second.events() if e.kind == "note"]
    assert "began with the weights of run a at step 10; the optimiser is new" in notes
    assert second.train() == 0
    assert read_status(second).step == 30


def test_a_new_text_is_read_with_the_tokenizer_of_the_model(make, begin, text, tmp_path):
    first = make("a", text, budget={"steps": 10})
    first.train()
    other = tmp_path / "other.txt"
    other.write_text(text.read_text().replace("cat", "zoo") * 2)
    second = begin("b", other, first.model_path, first)
    assert second.train() == 0
    assert read_header(second.model_path).tokenizer == read_header(first.model_path).tokenizer
    # as do runs that are resumed
    second = begin("c", other, first.model_path, first)
    second.stop_at(5)
    second.train()
    assert second.train() == 0


def test_killed_before_its_first_checkpoint_it_begins_with_them_again(make, begin, text, monkeypatch):
    first = make("a", text, budget={"steps": 10})
    first.train()
    second = begin("b", text, first.model_path, first)
    real = checkpoint.save

    def killed(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, "save", killed)
    with pytest.raises(KeyboardInterrupt):
        second.train()
    monkeypatch.setattr(checkpoint, "save", real)
    kept = second.path / "warm-start.safetensors"
    assert kept.stat().st_mode & 0o777 == 0o600
    kept.rename(tmp := second.path / "elsewhere")
    assert second.train() == 3  # never with random ones in their place
    assert "is gone; create the run again" in second.events()[-1].data["message"]
    tmp.rename(kept)
    second.stop_at(0)
    assert second.train() == 0
    begun = weights_of(checkpoint.find(second.checkpoints)[-1].model_path)
    assert all(torch.equal(begun[name], tensor) for name, tensor in weights_of(first.model_path).items())


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"model": {"hidden_size": 32}}, "model.hidden_size 16 is now 32; leave them out"),
        ({"model": {"arch": "gru", "options": {}}}, "model.arch lstm is now gru"),
        ({"tokenizer": {"name": "byte", "options": {}}}, "tokenizer.name char is now byte"),
    ],
)
def test_settings_of_another_model_are_refused_before_anything_is_written(
    make, begin, text, tmp_path, more, says
):
    first = make("a", text, budget={"steps": 1})
    first.train()
    with pytest.raises(UsageError, match=re.escape(says)):
        begin("b", text, first.model_path, first, **more)
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["a"]
    begin("b", text, first.model_path, first, model={"dropout": 0.5})  # no part of the weights


def test_what_is_no_model_is_refused(make, begin, text, tmp_path):
    first = make("a", text, budget={"steps": 1})
    first.train()
    with pytest.raises(BadModelFile):
        settings_of_model(text)
    with pytest.raises(InputError):
        settings_of_model(tmp_path / "nothing")
    whole = first.model_path.read_bytes()
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(whole[:-4])
    with pytest.raises(BadModelFile):
        begin("b", text, damaged, first)
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["a"]
