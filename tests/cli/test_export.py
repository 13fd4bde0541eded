"""`export` and `import`: a run to other programs and back, and the page that tells of it."""

import json
import re
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch

import rnn_tui

sys.path.insert(0, str(Path(__file__).parents[1] / "model"))
from exchange_models import make, save

from rnn_tui.model.exchange.onnx_file import export_onnx
from rnn_tui.model.exchange.torch_file import export_torch
from rnn_tui.training.launch import prepare_run_config
from rnn_tui.training.warm_start import began_with, check_warm_start, settings_of_model

PAGE = Path(rnn_tui.__file__).parents[1] / "docs" / "exchange.md"


@pytest.fixture
def fox(trained, cli):
    folder, _ = trained

    def call(*arguments):
        return cli(*arguments, "--runs-dir", str(folder / "runs"))

    return call


def test_a_run_to_torch_and_back_has_the_same_figures(fox, cli, tmp_path):
    done = fox("export", "fox")
    assert done.code == 0, done.err
    assert "file     fox.torch.safetensors\n" in done.out
    assert "outputs differ from the model's by" in done.out
    names = {}
    exec(done.out[done.out.index("import torch") :], names)
    assert isinstance(names["model"].rnn, torch.nn.LSTM)
    assert "an identity embedding is written" in done.err

    back = cli("import", "fox.torch.safetensors", "--json")
    assert back.code == 0, back.err
    assert (back.json["path"], back.json["arch"], back.json["trained"]) == (
        "fox.model.safetensors",
        "lstm",
        True,
    )
    assert (tmp_path / "fox.model.safetensors").stat().st_size == back.json["bytes"]
    figures = [call("eval", model, "--json").json for call, model in ((fox, "fox"), (cli, back.json["path"]))]
    assert figures[1]["loss"] == pytest.approx(figures[0]["loss"], abs=1e-6)
    assert figures[1]["validation_loss"] == figures[0]["validation_loss"]
    texts = [
        call("prompt", model, "the ", "--seed", "3", "--length", "30", "--json").json["text"]
        for call, model in ((fox, "fox"), (cli, back.json["path"]))
    ]
    assert texts[0] == texts[1]


@pytest.fixture
def stranger(tmp_path, corpus):
    """Weights with a vocabulary in an order of its own, as a model file."""

    def make_file(cli):
        symbols = sorted(set(corpus.read_text()))
        torch.manual_seed(1)
        modules = {
            "a": torch.nn.GRU(len(symbols), 16, batch_first=True),
            "b": torch.nn.Linear(16, len(symbols)),
        }
        save(torch.nn.ModuleDict(modules), tmp_path / "s.safetensors")
        (tmp_path / "chars.json").write_text(json.dumps(symbols))
        done = cli("import", "s.safetensors", "--vocabulary", "chars.json", "-o", "m.safetensors")
        assert done.code == 0, done.err
        return done

    return make_file


def test_weights_of_a_stranger_can_be_measured_and_trained_on(stranger, cli):
    done = stranger(cli)
    assert "weights       nn.GRU 16, 1 layer," in done.out
    assert "rnn-tui eval measures it" in done.err
    assert "name no corpus; name one" in cli("eval", "m.safetensors").refusal
    measured = cli("eval", "m.safetensors", "fox.txt", "--json").json
    assert measured["unknown"] == 0
    path = Path("m.safetensors")
    check_warm_start(path, prepare_run_config([settings_of_model(path)]).config)
    assert began_with(path) == "began with weights that no run of rnn-tui made; the optimiser is new"


@pytest.mark.slow
def test_training_goes_on_with_weights_of_a_stranger(stranger, cli, tiny, tmp_path):
    stranger(cli)
    measured = cli("eval", "m.safetensors", "fox.txt", "--json").json
    trained = cli(
        *[
            "train",
            "fox.txt",
            "--warm-start",
            "m.safetensors",
            "--steps",
            "2",
            "--foreground",
            "--name",
            "warm",
        ],
        *tiny[2:],
    )
    assert trained.code == 0, trained.err
    assert "began with weights that no run" in (tmp_path / "runs" / "warm" / "events.jsonl").read_text()
    assert cli("eval", "warm", "--split", "all", "--json").json["loss"] < measured["loss"]


def test_like_gives_the_tokenizer(fox, tmp_path):
    assert fox("export", "fox", "-o", "w.safetensors").code == 0
    tensors = safetensors.torch.load_file("w.safetensors")
    safetensors.torch.save_file(tensors, "bare.safetensors")  # as a script elsewhere saves it
    assert "does not say how text becomes its numbers" in fox("import", "bare.safetensors").refusal
    done = fox("import", "bare.safetensors", "--like", "fox", "--arch", "nn-lstm", "--json")
    assert done.code == 0, done.err
    assert (done.json["arch"], done.json["trained"]) == ("nn-lstm", False)
    losses = [fox("eval", model, "--json").json["loss"] for model in ("fox", "bare.model.safetensors")]
    assert losses[1] == pytest.approx(losses[0], abs=1e-5)


def test_nothing_is_overwritten_unless_forced(fox, trained):
    assert fox("export", "fox", "-o", "w.safetensors").code == 0
    before = Path("w.safetensors").read_bytes()
    again = fox("export", "fox", "-o", "w.safetensors")
    assert (again.code, "replace it with --force" in again.refusal) == (4, True)
    assert fox("export", "fox", "-o", "w.safetensors", "--force", "--json").code == 0
    assert Path("w.safetensors").read_bytes() == before
    own = str(trained[0] / "runs" / "fox" / "model.safetensors")
    assert "cannot be replaced by what is made of" in fox("export", "fox", "-o", own, "--force").refusal
    Path("folder").mkdir()
    assert fox("export", "fox", "-o", "folder", "--json").json["path"] == "folder/fox.torch.safetensors"
    assert "there is no such folder" in fox("export", "fox", "-o", "none/w").refusal
    assert fox("export", "fox", "-o", "a/new/", "--json").json["path"] == "a/new/fox.torch.safetensors"
    assert (
        fox("import", "a/new/fox.torch.safetensors", "-o", "b/", "--json").json["path"]
        == "b/fox.model.safetensors"
    )
    assert "could not make the folder w.safetensors/" in fox("export", "fox", "-o", "w.safetensors/").refusal


def test_the_ending_of_the_file_says_the_format(fox):
    done = fox("export", "fox", "-o", "fox.onnx", "--graph", "step", "--json")
    assert (done.json["path"], done.json["graph"]) == ("fox.onnx", "step")
    assert "kind" in fox("export", "fox", "-o", "really.onnx", "--format", "torch", "--json").json


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["export", "fox", "--graph", "step"], 2, "--graph is for --format onnx"),
        (["export", "fox", "--format", "onnx", "--identity-embedding"], 2, "is for --format torch"),
        (["export", "fxo"], 3, "did you mean 'fox'?"),
        (["import", "none.safetensors"], 3, "none.safetensors: No such file"),
        (["import", "x.safetensors", "--tokenizer", "word"], 2, "--tokenizer goes with --vocabulary"),
        (["import", "x.safetensors", "--corpus", "a.txt"], 2, "--corpus goes with --vocabulary"),
        (["import", "x.safetensors", "--like", "fox", "--vocabulary", "v"], 2, "not both"),
        (["import", "x.safetensors", "--option", "reset"], 2, "--option takes KEY=VALUE, not 'reset'"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(arguments, code, message, fox):
    done = fox(*arguments)
    assert (done.code, message in done.refusal) == (code, True), done.err


def test_a_pickle_is_refused_with_the_conversion(cli):
    torch.save({"w": torch.zeros(1)}, "m.pt")
    done = cli("import", "m.pt")
    assert done.code == 3
    assert "torch.load('m.pt', weights_only=True)" in done.refusal


@pytest.mark.parametrize("command", ["export", "import"])
def test_help_loads_neither_torch_nor_numpy(command, shell, tmp_path):
    code = f"""
import sys
from rnn_tui.cli.root import run
assert run(["{command}", "--help"]) == 0
sys.exit(any(name in sys.modules for name in ("torch", "numpy", "onnx", "rich")))
"""
    import subprocess

    assert subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=120).returncode == 0


# -- docs/exchange.md -------------------------------------------------------------------------------------------------


def blocks():
    return re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)


def test_the_page_shows_what_is_printed_and_it_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    model, header, tokenizer = make(encoder="embedding", embedding_size=5, num_layers=2)
    torch_script, notes, onnx_script, *_ = blocks()
    assert torch_script == export_torch(model, header, tokenizer, Path("fox.torch.safetensors")).script
    names = {}
    exec(torch_script + notes, names)
    ids = torch.from_numpy(tokenizer.encode("hello").astype("int64"))[None]
    assert torch.equal(names["ids"], ids)
    assert onnx_script == export_onnx(model, header, tokenizer, Path("fox.onnx")).script
    exec(onnx_script, {})
    assert len(capsys.readouterr().out) == 200


def test_the_page_shows_methods_that_work():
    from rnn_tui_scratch.rnn import RNN

    names = {"torch": torch, "nn": torch.nn}
    exec(next(block for block in blocks() if "def to_nn" in block), names)
    cell, other = RNN(3, 4), RNN(3, 4)
    names["from_nn"](other, names["to_nn"](cell))
    assert all(map(torch.equal, cell.parameters(), other.parameters()))
    with pytest.raises(NotImplementedError):
        names["from_nn"](other, torch.nn.GRU(3, 4))


def test_only_the_step_needs_torchs_exporter(fox, tmp_path):
    done = fox("export", "fox", "--format", "onnx")
    assert done.code == 0, done.err
    assert "format   ONNX graph, opset 18: sequence, LSTM over time" in done.out
    assert "(onnxruntime, batches 1x1, 3x7, 2x33)" in done.out
    assert "next.state.0.h (batch, 16)" in done.out
    assert done.err == ""
