"""Models as ONNX: what onnxruntime computes is what the model does, and the printed script runs without torch."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from rnn_tui.errors import PluginError, UsageError
from rnn_tui.model.exchange import onnx_file
from rnn_tui.model.exchange.onnx_file import export_onnx
from rnn_tui.model.state import leaves

sys.path.insert(0, str(Path(__file__).parent))
import recurrent_cells as cells
from exchange_models import V, make, outputs


def run(path, inputs):
    """Outputs and state of onnxruntime, from zeros."""
    session = onnxruntime.InferenceSession(path)
    given, *state = session.get_inputs()
    zeros = {value.name: np.zeros((len(inputs), *value.shape[1:]), np.float32) for value in state}
    return session.run(None, {given.name: inputs.numpy(), **zeros})


OPERATORS = {
    "lstm": ("LSTM", {"num_layers": 2}),
    "embedding": ("LSTM", {"arch": "nn-lstm", "encoder": "embedding", "embedding_size": 5}),
    "gru": ("GRU", {"arch": "gru", "options": {"reset": "after"}, "num_layers": 2}),
    "rnn relu": ("RNN", {"arch": "rnn", "options": {"nonlinearity": "relu"}, "sharper": 1}),
    "both ways": ("GRU", {"arch": "nn-gru", "bidirectional": True, "num_layers": 2, "task": "aligned"}),
    "both ways relu": (
        "RNN",
        {"arch": "nn-rnn", "options": {"nonlinearity": "relu"}, "bidirectional": True, "sharper": 1},
    ),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_a_sequence_of_torchs_layers(name, tmp_path):
    operator, settings = OPERATORS[name]
    model, header, tokenizer = make(**settings)
    done = export_onnx(model, header, tokenizer, tmp_path / "m.onnx")
    onnx.checker.check_model(onnx.load(done.path), full_check=True)
    assert done.operator == operator
    assert done.difference < 1e-5
    for shape in ((1, 1), (4, 6)):
        ids = torch.randint(V, shape)
        found, *state = run(done.path, ids)
        torch.testing.assert_close(torch.from_numpy(found), outputs(model, ids), rtol=0, atol=1e-5)
        with torch.no_grad():
            _, after = model(ids, model.initial_state(len(ids)))
        expected = [] if settings.get("bidirectional") else list(leaves(after))
        for ours, theirs in zip(expected, state, strict=True):
            torch.testing.assert_close(torch.from_numpy(theirs), ours, rtol=0, atol=1e-5)


def test_inputs_and_outputs_have_names_and_the_notes_tell_the_rest(tmp_path):
    model, header, tokenizer = make(num_layers=2)
    done = export_onnx(model, header, tokenizer, tmp_path / "m.onnx")
    states = ["state.0.h", "state.0.c", "state.1.h", "state.1.c"]
    assert done.inputs == {"ids": ("batch", "time")} | dict.fromkeys(states, ("batch", 6))
    assert done.outputs == {"logits": ("batch", "time", V)} | {
        f"next.{name}": ("batch", 6) for name in states
    }
    notes = {entry.key: entry.value for entry in onnx.load(done.path).metadata_props}
    assert notes["initial_state"] == "zeros"
    assert notes["graph"] == "sequence"
    assert json.loads(notes["model"])["tokenizer"] == "char"
    assert json.loads(notes["vocabulary"])[int(tokenizer.encode("w")[0])] == "w"
    assert json.loads(notes["rnn_tui_settings"])["config"]["model"]["hidden_size"] == 6


def without_torch(script):
    code = f"import sys\nsys.modules['torch'] = sys.modules['rnn_tui'] = None\n{script}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_script_samples_without_torch(tmp_path):
    model, header, tokenizer = make()
    done = export_onnx(model, header, tokenizer, tmp_path / "m.onnx")
    text = without_torch(done.script)
    assert len(text) == 200
    assert set(text) <= {tokenizer.token_text(token) for token in range(V)}


def test_a_model_of_numbers(tmp_path):
    model, header, _ = make("nn-gru", columns=("a", "b"), task="series")
    done = export_onnx(model, header, None, tmp_path / "m.onnx")
    values = torch.randn(3, 4, 2)
    torch.testing.assert_close(torch.from_numpy(run(done.path, values)[0]), outputs(model, values))
    assert done.inputs["values"] == ("batch", "time", 2)
    exec(done.script, {})


def test_what_computes_something_else_is_not_written(tmp_path, monkeypatch):
    model, header, tokenizer = make()
    made = onnx_file._made

    def wrong(*arguments, **more):
        proto, *rest = made(*arguments, **more)
        bias = next(weight for weight in proto.graph.initializer if weight.name == "head.bias")
        bias.raw_data = (np.frombuffer(bias.raw_data, np.float32) + 1).tobytes()
        return proto, *rest

    monkeypatch.setattr(onnx_file, "_made", wrong)
    (tmp_path / "m.onnx").write_text("the earlier one")
    with pytest.raises(PluginError, match=r"it computes something else \(values differ by 1\); not written"):
        export_onnx(model, header, tokenizer, tmp_path / "m.onnx")
    assert (tmp_path / "m.onnx").read_text() == "the earlier one"


def test_both_ways_have_no_step(tmp_path):
    model, header, tokenizer = make(bidirectional=True, task="aligned")
    with pytest.raises(UsageError, match="has no step; use the graph sequence"):
        export_onnx(model, header, tokenizer, tmp_path / "m.onnx", graph="step")
    model, header, tokenizer = make("gru", options={"reset": "before"}, bidirectional=True, task="aligned")
    with pytest.raises(UsageError, match="ONNX reads in both directions only what has"):
        export_onnx(model, header, tokenizer, tmp_path / "m.onnx")


def test_missing_packages_and_how_to_install_them(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_file, "find_spec", lambda name: None if name == "onnxscript" else "there")
    with pytest.raises(UsageError, match=r"needs the package onnxscript; install it with: .*rnn-tui\[onnx\]"):
        export_onnx(*make(), tmp_path / "m.onnx")


def test_any_cell_by_a_scan_over_its_step(tmp_path):
    """A state of three leaves in a dict, one of them whole numbers, written in another order than it was read."""
    model, header, tokenizer = make(plugin=cells.ThreeLeaves, encoder="embedding")
    done = export_onnx(model, header, tokenizer, tmp_path / "m.onnx")
    assert done.operator == "Scan"
    assert done.difference < 1e-4
    text = (tmp_path / "m.onnx").read_bytes()
    assert str(Path(__file__).parent).encode() not in text  # nor where the source of its step lies
    without_torch(done.script)


# -- slow: torch takes two seconds for each step ----------------------------------------------------------------------

RIGHT = [
    cells.LayerNormLSTM,
    cells.PeepholeLSTM,
    cells.MinimalGated,
    cells.IndRNN,
    cells.ThreeLeaves,
    cells.Delay,
    cells.FreshTensors,
    cells.StopGradient,
]


@pytest.mark.slow
@pytest.mark.parametrize("graph", ["sequence", "step"])
@pytest.mark.parametrize("plugin", RIGHT, ids=lambda plugin: plugin.__name__)
def test_every_cell(plugin, graph, tmp_path):
    model, header, tokenizer = make(plugin=plugin, num_layers=2, sharper=1)
    done = export_onnx(model, header, tokenizer, tmp_path / "m.onnx", graph=graph)
    onnx.checker.check_model(onnx.load(done.path), full_check=True)
    assert done.difference < 1e-5
    exec(done.script, {})


@pytest.mark.slow
@pytest.mark.parametrize("arch", ["gru", "rnn", "lstm", "nn-gru", "nn-rnn", "nn-lstm"])
def test_every_step(arch, tmp_path):
    model, header, tokenizer = make(arch, encoder="embedding", tie_weights=True, num_layers=2)
    done = export_onnx(model, header, tokenizer, tmp_path / "m.onnx", graph="step")
    assert done.difference < 1e-5
    assert done.inputs["ids"] == ("batch",)
    exec(done.script, {})


@pytest.mark.slow
@pytest.mark.parametrize("plugin", [cells.Branches, cells.DrawsNumbers, cells.Fails, cells.HostRandom])
def test_what_cannot_be_written_is_refused_in_one_line(plugin, tmp_path):
    model, header, tokenizer = make(plugin=plugin)
    with pytest.raises((UsageError, PluginError), match=r"^architecture lstm \(rnn-tui 1\)") as caught:
        export_onnx(model, header, tokenizer, tmp_path / "m.onnx")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "m.onnx").exists()


class Learned(cells.Base):
    """Begins with what it has learned."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.first = torch.nn.Parameter(torch.randn(hidden_size))

    def initial_state(self, batch_size, *, device=None, dtype=None):
        return self.first.expand(batch_size, -1)

    def step(self, x, state):
        h = torch.tanh(self.input(x) + self.recurrent(state))
        return h, h


@pytest.mark.slow
def test_an_initial_state_that_is_not_zeros_is_noted(tmp_path):
    model, header, tokenizer = make(plugin=Learned)
    done = export_onnx(model, header, tokenizer, tmp_path / "m.onnx")
    notes = {entry.key: entry.value for entry in onnx.load(done.path).metadata_props}
    [(name, (kind, row))] = json.loads(notes["initial_state"]).items()
    assert (name, kind) == ("state.0", "float32")
    torch.testing.assert_close(torch.tensor(row), model.core.cores[0].cell.first.detach())
    without_torch(done.script)
