"""Speeds side by side, on the plain loop, since the others take seconds to compile."""

import torch

from rnn_tui.bench.subjects import Sampling, Training, symbols
from rnn_tui.model.config import ModelConfig
from rnn_tui.model.recurrent_model import build_model
from rnn_tui.plugin.registry import load_plugin
from rnn_tui.score import speed


def test_what_is_measured_and_what_is_not(monkeypatch):
    def loop(what, model, windows, vocab_size):
        return (
            Sampling(model, symbols(vocab_size), traced=False)
            if what == "sample"
            else Training(model, windows)
        )

    def raises():
        raise ValueError("no such model")

    monkeypatch.setattr(speed, "_subject", loop)
    plugin = load_plugin("architecture", "nn-gru")
    told = []
    builders = {
        "nn-gru": lambda: build_model(plugin, {}, ModelConfig(hidden_size=4), 9),
        "raises": raises,
        "unbuilt": "it cannot be",
    }
    threads = torch.get_num_threads()
    measured, raised, unbuilt = speed.race(builders, 9, quick=True, told=told.append)
    assert torch.get_num_threads() == threads
    for rate in (measured.train, measured.sample):
        assert 0 < rate.least <= rate.median <= rate.most
    assert (measured.train_engine, measured.problem) == ("own", "")
    assert (raised.train, raised.problem) == (None, "ValueError: no such model")
    assert (unbuilt.sample, unbuilt.problem) == (None, "it cannot be")
    assert told == sorted(told)
    assert 0 < told[-1] <= 1
