"""Small models for the tests of exchange with other programs."""

from dataclasses import asdict

import safetensors.torch
import torch
from torch import nn
from torch.nn import functional

from rnn_tui.model.config import ModelConfig
from rnn_tui.model.exchange.back import import_torch
from rnn_tui.model.file import load_model, load_series, save_model
from rnn_tui.model.header import ModelFile
from rnn_tui.model.recurrent_model import build_model
from rnn_tui.plugin.registry import load_plugin, plugin_record

V = 13  # tokens of the small models
TEXT = "hello world, 你好\n"


def make(arch="lstm", *, sharper=2.0, columns=(), task="next-token", plugin=None, **settings):
    """A model larger in its weights than a new one, its header and its tokenizer."""
    settings.setdefault("hidden_size", 6)
    tokenizer = load_plugin("tokenizer", "char").train([TEXT], None)
    config = ModelConfig(arch=arch, **settings)
    torch.manual_seed(3)
    inputs = {"columns": len(columns)} if columns else {"vocab_size": tokenizer.vocab_size}
    plugin = plugin or load_plugin("architecture", arch)
    model = build_model(plugin, config.options, config, **inputs).eval()
    with torch.no_grad():
        for parameter in model.core.parameters():
            parameter.mul_(sharper)
    scaling = {"columns": list(columns), "mean": [0.5] * len(columns), "std": [2.0] * len(columns)}
    header = ModelFile(
        config={"model": asdict(config), "task": {"name": task}},
        tokenizer=None if columns else plugin_record("tokenizer", "char") | {"state": tokenizer.to_state()},
        scaling=scaling if columns else None,
        architecture={"name": arch, "distribution": "rnn-tui", "version": "1"},
        training={"step": 12, "validation_loss": 1.25, "run": "r"},
    )
    return model, header, None if columns else tokenizer


def outputs(model, inputs):
    with torch.no_grad():
        return model.outputs(model(inputs, model.initial_state(len(inputs)))[0])


def imported(path, *reads, **more):
    """The model of a file of weights, having been a model file in between."""
    done = import_torch(path, *reads, **more)
    save_model(path.with_name("model"), done.model, done.header)
    load = load_series if done.header.scaling else load_model
    return (*load(path.with_name("model")), done)


class Stranger(nn.Module):
    """A model as others write it."""

    def __init__(self, kind=nn.LSTM, width=5, hidden=6, layers=1, head_bias=True, **more):
        super().__init__()
        self.wte = nn.Embedding(V, width) if width else None
        self.core = kind(width or V, hidden, layers, batch_first=True, **more)
        self.out = nn.Linear(hidden * (1 + self.core.bidirectional), V, bias=head_bias)

    def forward(self, ids):
        return self.out(self.core(self.wte(ids) if self.wte else functional.one_hot(ids, V).float())[0])


def save(module, path, prefix="", **changes):
    """Write a state dict, changed by name: another tensor, or None for none; `__` stands for a dot."""
    tensors = {f"{prefix}{name}": tensor.contiguous() for name, tensor in module.state_dict().items()}
    for name, tensor in changes.items():
        name = name.replace("__", ".")
        tensors.pop(name, None)
        if tensor is not None:
            tensors[name] = tensor
    path.write_bytes(safetensors.torch.save(tensors))
