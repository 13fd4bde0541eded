"""Checkpoints of a model of one number, and code that is broken on purpose."""

import inspect
import json
import textwrap

import torch

from rnn_tui.model.file import encode
from rnn_tui.model.header import ModelFile
from rnn_tui.model.packing import Block
from rnn_tui.training import checkpoint

PLUGIN = {"name": "none", "distribution": "none", "version": "0"}


def files_of(step, value):
    """The files of a checkpoint; `value` tells those of one step apart."""
    header = ModelFile(
        config={}, tokenizer=PLUGIN | {"state": {}}, architecture=PLUGIN, training={"step": step}
    )
    number = {"a": torch.full((1,), float(value))}
    return {
        "model.safetensors": [encode(number, header)],
        "train.safetensors": Block().pack(number).chunks(),
        "state.json": [json.dumps({"progress": {"step": step}}).encode()],
    }


def save(folder, step, value=None, run_id="r"):
    return checkpoint.save(
        folder, step, files_of(step, step if value is None else value), run_id=run_id, environment={}
    )


def value_of(saved):
    """What `save` was given; raises InputError where the checkpoint is not whole."""
    saved.verify()
    tensors, _ = saved.load()
    return tensors["a"].item()


def broken(function, *changes):
    """Return a function whose source is changed; each of the pairs of texts must stand in it once."""
    source = textwrap.dedent(inspect.getsource(function))
    for old, new in changes:
        assert source.count(old) == 1, f"{old!r} stands {source.count(old)} times in {function.__name__}"
        source = source.replace(old, new)
    names = dict(function.__globals__)
    exec(source, names)
    return names[function.__name__]
