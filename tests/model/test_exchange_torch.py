"""Weights for plain torch: the printed script, run as it stands, computes what the model does."""

import json
import sys
from pathlib import Path

import pytest
import safetensors
import safetensors.torch
import torch
from torch import nn

from rnn_tui.errors import InputError, PluginError, UsageError
from rnn_tui.model.exchange.notes import notes_of
from rnn_tui.model.exchange.torch_file import export_torch
from rnn_tui.plugin import Core

sys.path.insert(0, str(Path(__file__).parent))
from exchange_models import make, outputs


def run(script):
    """What the script defines, run without rnn-tui."""
    assert "rnn_tui" not in script
    names = {}
    exec(script, names)
    return names["model"]


MODELS = {
    "one-hot": {},
    "two layers": {"num_layers": 2, "dropout": 0.3},
    "embedding": {"encoder": "embedding", "embedding_size": 5, "num_layers": 2},
    "tied": {"encoder": "embedding", "tie_weights": True},
    "rnn relu": {"arch": "rnn", "options": {"nonlinearity": "relu"}},
    "gru": {"arch": "gru", "options": {"reset": "after"}, "num_layers": 2},
    "nn-gru both ways": {"arch": "nn-gru", "bidirectional": True, "num_layers": 2, "task": "aligned"},
    "lstm both ways": {"bidirectional": True, "encoder": "embedding", "task": "aligned"},
    "nn-lstm": {"arch": "nn-lstm"},
    "nn-rnn": {"arch": "nn-rnn"},
}


@pytest.mark.parametrize("name", MODELS)
def test_the_script_loads_the_file_strictly_and_computes_the_same(name, tmp_path):
    model, header, tokenizer = make(**MODELS[name])
    done = export_torch(model, header, tokenizer, tmp_path / "w.safetensors")
    plain = run(done.script)
    ids = torch.randint(tokenizer.vocab_size, (3, 11))
    with torch.no_grad():
        found, _ = plain.eval()(ids)
    assert float((found - outputs(model, ids)).abs().max()) < 1e-6
    assert done.difference < 1e-6
    assert done.bytes == done.path.stat().st_size
    assert done.tensors == {name: tuple(t.shape) for name, t in plain.state_dict().items()}


def test_the_state_can_be_carried_on_in_torch(tmp_path):
    model, header, tokenizer = make(num_layers=2)
    plain = run(export_torch(model, header, tokenizer, tmp_path / "w.safetensors").script)
    ids = torch.randint(tokenizer.vocab_size, (2, 8))
    with torch.no_grad():
        _, state = plain(ids[:, :5])
        found, _ = plain(ids[:, 5:], state)
    torch.testing.assert_close(found, outputs(model, ids)[:, 5:])


def test_the_names_are_those_of_torch(tmp_path):
    model, header, tokenizer = make(
        arch="gru", options={"reset": "after"}, bidirectional=True, task="aligned"
    )
    export_torch(model, header, tokenizer, tmp_path / "w")
    tensors = safetensors.torch.load((tmp_path / "w").read_bytes())
    twin = nn.GRU(tokenizer.vocab_size, 6, batch_first=True, bidirectional=True)
    assert set(tensors) == {f"rnn.{name}" for name in twin.state_dict()} | {"head.weight", "head.bias"}
    # the gates r, z, n one above the other, the candidate's own second bias in the place of torch's
    cell = model.core.cores[0].forwards.cell
    assert torch.equal(tensors["rnn.weight_hh_l0"][6:12], cell.U[:, 6:12].T)
    assert torch.equal(tensors["rnn.bias_hh_l0"], torch.cat([torch.zeros(12), cell.cn]))


def test_one_hot_vectors_as_an_embedding(tmp_path):
    model, header, tokenizer = make()
    done = export_torch(model, header, tokenizer, tmp_path / "w", identity=True)
    plain = run(done.script)
    assert torch.equal(plain.embedding.weight, torch.eye(tokenizer.vocab_size))
    ids = torch.randint(tokenizer.vocab_size, (2, 5))
    torch.testing.assert_close(plain(ids)[0].detach(), outputs(model, ids))
    assert not done.notes


def test_a_model_of_numbers(tmp_path):
    model, header, _ = make("nn-lstm", columns=("a", "b"), task="series")
    done = export_torch(model, header, None, tmp_path / "w")
    values = torch.randn(2, 7, 2)
    torch.testing.assert_close(run(done.script)(values)[0].detach(), outputs(model, values))
    with safetensors.safe_open(tmp_path / "w", "pt") as opened:
        notes = opened.metadata()
    assert json.loads(notes["scaling"]) == {"columns": ["a", "b"], "mean": [0.5, 0.5], "std": [2.0, 2.0]}
    assert "(x - mean) / std" in " ".join(done.notes)


def test_the_notes_make_the_file_usable_elsewhere(tmp_path):
    model, header, tokenizer = make(encoder="embedding", tie_weights=True, dropout=0.25)
    done = export_torch(model, header, tokenizer, tmp_path / "w")
    with safetensors.safe_open(tmp_path / "w", "pt") as opened:
        notes = opened.metadata()
    vocabulary = json.loads(notes["vocabulary"])
    numbers = {text: number for number, text in enumerate(vocabulary)}
    assert [numbers[symbol] for symbol in "hello"] == tokenizer.encode("hello").tolist()
    about = json.loads(notes["model"])
    assert about == {
        "kind": "LSTM",
        "nonlinearity": "tanh",
        "architecture": "lstm",
        "task": "next-token",
        "input": "embedding",
        "input_size": 6,
        "hidden_size": 6,
        "num_layers": 1,
        "bidirectional": False,
        "output_size": 13,
        "tied": True,
        "dropout": 0.25,
        "tokenizer": "char",
    }
    assert "tie them" in done.notes[0]
    assert "dropout 0.25" in done.notes[1]


def test_a_long_vocabulary_is_left_to_the_settings(monkeypatch):
    model, header, tokenizer = make()
    assert "vocabulary" in notes_of(model, header, tokenizer, {})
    monkeypatch.setattr("rnn_tui.model.exchange.notes.VOCABULARY_LIMIT", 12)
    notes = notes_of(model, header, tokenizer, {})
    assert "vocabulary" not in notes
    assert (
        tokenizer.to_state()["symbols"]
        in json.loads(notes["rnn_tui_settings"])["tokenizer"]["state"].values()
    )


def test_what_torch_has_not_is_refused_with_the_reason(tmp_path):
    model, header, tokenizer = make("gru", options={"reset": "before"})
    with pytest.raises(UsageError, match=r"reset gate acts before .* the format onnx takes any cell"):
        export_torch(model, header, tokenizer, tmp_path / "w")
    assert not (tmp_path / "w").exists()


def test_a_vocabulary_beyond_the_header_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("rnn_tui.model.exchange.torch_file.HEADER_LIMIT", 1000)
    with pytest.raises(InputError, match="too much for the header of a safetensors file"):
        export_torch(*make(), tmp_path / "w")
    assert not (tmp_path / "w").exists()


class Claims(Core):
    """Says that it is a layer of torch.nn, and is another: `gives` makes what it says."""

    gives = None

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.input_size, self.output_size = input_size, hidden_size
        self.rnn = nn.RNN(input_size, hidden_size, batch_first=True)

    def initial_state(self, batch_size, *, device=None, dtype=None):
        return torch.zeros(batch_size, self.output_size, device=device, dtype=dtype)

    def forward(self, xs, state, *, reset=None):
        ys, after = self.rnn(xs, state[None])
        return ys, after[0]

    def to_nn(self):
        return type(self).gives(self.input_size, self.output_size)


@pytest.mark.parametrize(
    ("gives", "message"),
    [
        (lambda i, h: nn.RNN(i, h, batch_first=True), "computes something else"),
        (lambda i, h: nn.RNN(i, h), "batch_first=False, not True"),
        (lambda i, h: nn.RNN(i, h, 2, batch_first=True), "num_layers=2, not 1"),
        (lambda i, h: nn.RNN(i, h + 1, batch_first=True), "hidden_size=7, not 6"),
        (lambda i, h: nn.Linear(i, h), "gives a Linear"),
        (lambda i, h: 1 / 0, "its to_nn fails: ZeroDivisionError"),
    ],
)
def test_a_plugin_that_is_wrong_about_it_is_named(gives, message, tmp_path, monkeypatch):
    monkeypatch.setattr(Claims, "gives", staticmethod(gives))
    model, header, tokenizer = make("nn-rnn", plugin=Claims)
    with pytest.raises(PluginError, match=rf"^architecture nn-rnn \(rnn-tui 1\): .*{message}"):
        export_torch(model, header, tokenizer, tmp_path / "w")
    assert not (tmp_path / "w").exists()


def test_it_leaves_the_random_numbers_alone(tmp_path):
    model, header, tokenizer = make(num_layers=2)
    before = torch.get_rng_state()
    export_torch(model, header, tokenizer, tmp_path / "w")
    assert torch.equal(torch.get_rng_state(), before)
