"""`prompt` and `eval` on a run that was trained."""

import math
import os
import re
import subprocess
import sys

import pexpect
import pytest


@pytest.fixture
def fox(trained, cli):
    """The command line with a completed run `fox` in its folder of runs."""
    folder, told = trained

    def call(*arguments):
        return cli(*arguments, "--runs-dir", str(folder / "runs"))

    call.folder, call.told = folder, told.json
    return call


def test_eval_agrees_with_the_validation_of_training(fox):
    done = fox("eval", "fox", "--json")
    assert done.code == 0, done.err
    assert done.json["loss"] == pytest.approx(fox.told["best_loss"], abs=1e-5)
    assert done.json["split"] == "validation"
    simple = done.json["baselines"]
    assert list(simple) == ["uniform", "unigram", "bigram", "trigram", "xz"]
    assert simple["trigram"]["loss"] < simple["unigram"]["loss"] < simple["uniform"]["loss"]
    shown = fox("eval", "fox").out
    assert max(map(len, shown.splitlines()[3:])) <= 80
    rows = {
        name: figures for name, *figures in (re.split("  +", line.strip()) for line in shown.splitlines())
    }
    assert rows["this model"][0] == f"{fox.told['best_loss']:.4f}"
    cold = done.json["cold"]
    assert rows[f"cold, fresh every {cold['window']}"][0] == f"{cold['loss']:.4f}"
    assert rows["xz"][3] == f"{simple['xz']['bpb']:.4f}"


def test_eval_shows_the_loss_by_position(fox):
    shown = fox("eval", "fox").out.splitlines()
    by_position = fox("eval", "fox", "--json").json["cold"]["by_position"]
    head = next(index for index, line in enumerate(shown) if line.startswith("tokens read"))
    rows = [line.split() for line in shown[head + 1 :]]
    assert rows[0][:2] == ["1", f"{by_position[0]:.4f}"]
    assert rows[1][:4] == ["2", "to", "3", f"{sum(by_position[1:3]) / 2:.4f}"]
    assert max(len(row[-1]) for row in rows) == 40
    without = fox("eval", "fox", "--no-cold")
    assert "tokens read" not in without.out
    assert "cold" not in without.out


def test_eval_says_which_figure_is_dynamic(fox):
    done = fox("eval", "fox", "--dynamic", "--dynamic-segment", "5", "--dynamic-lr", "0", "--json")
    assert done.json["dynamic"]["settings"]["segment"] == 5
    # with a learning rate of nought it is the plain stream
    assert done.json["dynamic"]["loss"] == pytest.approx(done.json["loss"], rel=1e-3)
    shown = fox("eval", "fox", "--dynamic")
    assert "dynamic, adapting" in shown.out
    assert "is no figure of the model alone" in shown.err
    assert "add --dynamic" in fox("eval", "fox", "--dynamic-lr", "1e-3").refusal


def test_eval_of_labels_and_of_a_series(cli, tmp_path):
    (tmp_path / "hello.tsv").write_text("hello\tohlol\nlohel\tlohlo\n" * 8)
    (tmp_path / "wave.csv").write_text("\n".join(str(round(math.sin(t / 5), 4)) for t in range(200)))
    for name, corpus, task in (("labels", "hello.tsv", "aligned"), ("wave", "wave.csv", "series")):
        trained = cli(
            *["train", corpus, "--name", name, "--steps", "3", "--foreground", "--set", f"task.name={task}"],
            *["--set", "corpus.validation=0.25", "--hidden-size", "4", "--batch-size", "4", "--seq-len", "8"],
            *["--threads", "1", "--set", "runtime.engine=loop"],
        )
        assert trained.code == 0, trained.err
    labels = cli("eval", "labels")
    assert labels.code == 0, labels.err
    assert "4 lines, 20 labels" in labels.out
    assert "by source token" in labels.out
    found = cli("eval", "labels", "--json").json
    assert f"{found['accuracy']:.2%}" in labels.out
    wave = cli("eval", "wave")
    assert wave.code == 0, wave.err
    assert "50 rows of column 1" in wave.out
    found = cli("eval", "wave", "--json").json["horizons"]
    assert [row["horizon"] for row in found] == [1, 4, 16, 64]
    assert f"{found[0]['persistence']:.4g}" in wave.out
    assert "models of a text" in cli("eval", "wave", "--dynamic").refusal


def test_eval_of_another_text_takes_all_of_it(fox, tmp_path):
    (tmp_path / "other.txt").write_text("the lazy dog\n" * 30)
    done = fox("eval", "fox", "other.txt", "--json")
    assert done.json["chars"] == 13 * 30
    assert done.json["split"] == "all"
    assert fox("eval", "fox", "none.txt").code == 3
    assert fox("eval", "fxo").refusal.endswith("did you mean 'fox'?")


def test_eval_of_a_named_text_needs_no_copy_of_standard_input(fox, tmp_path):
    from rnn_tui.model.file import load_model, save_model

    model, _, header = load_model(fox.folder / "runs" / "fox" / "model.safetensors")
    header.config["corpus"]["source"] = "-"
    save_model(tmp_path / "copied.safetensors", model, header)
    (tmp_path / "other.txt").write_text("the lazy dog\n" * 30)
    done = fox("eval", "copied.safetensors", "other.txt", "--json")
    assert (done.code, done.json["chars"]) == (0, 390)
    assert "name a corpus" in fox("eval", "copied.safetensors").refusal


def test_prompt_streams_the_completion_and_nothing_else(fox):
    done = fox("prompt", "fox", "the ", "--seed", "3", "--length", "40")
    assert done.code == 0
    same = fox("prompt", "fox", "the ", "--seed", "3", "--length", "40", "--json").json
    assert done.err.count("\n") == 1
    assert "the training text" in done.err
    assert same["not_compared"] == ""
    assert done.out.removesuffix("\n") == same["text"].removesuffix("\n")
    assert (same["prompt"], same["tokens"], same["unknown"]) == ("the ", 40, [])
    assert (same["settings"]["seed"], same["settings"]["length"]) == (3, 40)
    assert same["seconds"] > 0


def test_a_completion_is_compared_with_the_training_text(fox):
    from rnn_tui.model.file import load_model, save_model

    file = fox.folder / "runs" / "fox" / "model.safetensors"
    copied = fox("prompt", "fox", "the ", "--length", "60", "--json").json["copied"]
    text = fox("prompt", "fox", "the ", "--length", "60", "--greedy", "--json").json
    assert text["copied"]["chars"] == 60
    begin = text["copied"]["at"]
    longest = text["text"][begin : begin + text["copied"]["longest"]]
    corpus = (fox.folder / load_model(file)[2].config["corpus"]["source"]).read_text()
    assert longest in corpus
    assert copied["n"] == text["copied"]["n"]
    assert fox("prompt", "fox", "the ", "--length", "1").err == (
        "not compared with the training text: the completion is too short\n"
    )
    model, _, header = load_model(file)
    header.training["fingerprint"] = "of another text"
    save_model(fox.folder / "other.safetensors", model, header)
    told = fox("prompt", str(fox.folder / "other.safetensors"), "the ").err
    assert "is not the text it was when the model was trained" in told
    header.config["corpus"]["source"] = "nowhere.txt"
    save_model(fox.folder / "other.safetensors", model, header)
    assert "nowhere.txt" in fox("prompt", str(fox.folder / "other.safetensors"), "the ").err


def test_seed_that_was_drawn_is_told_and_gives_the_text_again(fox):
    first = fox("prompt", "fox", "a", "--length", "30", "--json").json
    again = fox(
        "prompt", "fox", "a", "--length", "30", "--seed", str(first["settings"]["seed"]), "--json"
    ).json
    assert again["text"] == first["text"]


def test_greedy_is_temperature_nought(fox):
    texts = {
        fox("prompt", "fox", "the ", "--length", "30", *how).out
        for how in (["--greedy"], ["--temperature", "0"])
    }
    assert len(texts) == 1


def test_model_file_and_checkpoint_can_be_named(fox):
    run = fox.folder / "runs" / "fox"
    for target in (run, run / "model.safetensors", max((run / "checkpoints").iterdir())):
        assert fox("prompt", str(target), "the", "--length", "3", "--json").json["tokens"] == 3


def test_unknown_symbols_are_named_and_an_empty_prompt_answered(fox):
    done = fox("prompt", "fox", "theß\x1b", "--length", "5")
    assert done.code == 0
    assert "'ß'" in done.err
    assert "\x1b" not in done.err
    assert fox("prompt", "fox", "", "--length", "5", "--json").json["tokens"] == 5


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--temperature", "-1"], 2),
        (["--top-p", "2"], 2),
        (["--length", "-1"], 2),
        (["--device", "cuda"], None),
    ],
)
def test_wrong_sampling_settings(fox, arguments, code):
    done = fox("prompt", "fox", "a", *arguments)
    if code is None:  # a device that is not there: one line, whatever its code
        assert done.code != 0
    else:
        assert done.code == code
    assert done.refusal


def test_prompt_from_standard_input_drops_one_newline(trained, shell):
    folder, _ = trained
    done = shell("prompt", "fox", "--json", "--length", "4", cwd=folder, stdin="the\n\n")
    assert done.json["prompt"] == "the\n"


def test_several_completions_are_those_of_the_seeds_in_a_row(fox):
    arguments = ("prompt", "fox", "the ", "--length", "30")
    alone = [fox(*arguments, "--seed", str(seed), "--json").json for seed in (7, 8, 9)]
    for backend in ("torch", "numpy"):
        found = fox(*arguments, "--seed", "7", "-n", "3", "--backend", backend, "--json").json
        for one, other in zip(found, alone, strict=True):
            assert one["backend"] == backend
            for key in ("text", "tokens", "reason", "settings", "copied", "not_compared", "prompt", "model"):
                assert one[key] == other[key]
    shown = fox(*arguments, "--seed", "7", "--samples", "3")
    headings = [f"== {number} of 3, seed {seed} ==" for number, seed in ((1, 7), (2, 8), (3, 9))]
    texts = [one["text"].removesuffix("\n") for one in alone]
    assert shown.out == "\n".join(f"{head}\n{text}\n" for head, text in zip(headings, texts, strict=True))
    assert shown.err.count("the training text") == 3
    greedy = fox(*arguments, "--greedy", "-n", "2").out
    assert greedy.startswith("== 1 of 2 ==\n")
    assert fox(*arguments, "-n", "1", "--json").json[0]["tokens"] == 30


def test_several_completions_need_a_text(fox, monkeypatch):
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    assert "--samples needs a TEXT" in fox("prompt", "fox", "-n", "2").refusal
    assert fox("prompt", "fox", "a", "-n", "0").code == 2


def test_line_prompt_in_a_terminal(trained, tmp_path):
    folder, _ = trained
    child = pexpect.spawn(
        sys.executable,
        ["-m", "rnn_tui", "prompt", "fox", "--length", "20", "--seed", "5"],
        cwd=str(folder),
        encoding="utf-8",
        timeout=60,
        dimensions=(24, 100),
    )
    child.expect("/help")
    child.expect("> ")
    child.sendline("/tmep 1")
    child.expect("did you mean '/temp'")
    child.sendline("/temp 0")
    child.expect("temperature 0")
    child.sendline("the ß")
    child.expect("not in the vocabulary.*'ß'")
    child.sendline("/retry")
    child.expect("seed 6")
    child.sendline("/undo")
    child.expect("0 turns are left")
    child.sendline("/undo")
    child.expect("nothing to take back")
    child.sendline("/seed none")
    child.expect("seed none")
    child.sendline("/quit")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0


def test_conversation_goes_on_branches_and_goes_back(trained, capsys):
    from rnn_tui.cli.lines import Conversation
    from rnn_tui.inference.comparing import Comparer
    from rnn_tui.inference.config import SamplingConfig
    from rnn_tui.inference.generate import prime
    from rnn_tui.inference.torch_reader import TorchReader
    from rnn_tui.model.file import load_model

    folder, _ = trained
    path = folder / "runs" / "fox" / "model.safetensors"
    model, tokenizer, header = load_model(path)
    reader = TorchReader(model)
    settings = SamplingConfig(greedy=True, length=12)
    talk = Conversation(reader, tokenizer, settings, Comparer(header, path, tokenizer))
    talk.answer("the ")
    first, told = capsys.readouterr()
    assert "the training text" in told
    talk.answer("quick")
    second = capsys.readouterr().out
    # one state: reading everything so far at once leads to the same continuation
    everything = prime(reader, tokenizer, "the " + first[:12] + "quick")
    talk.complete(everything)
    assert capsys.readouterr().out == second
    talk.answer("/undo")
    talk.answer("quick")
    assert capsys.readouterr().out == second
    talk.answer("/retry")
    assert capsys.readouterr().out == second
    talk.answer("/reset")
    talk.answer("the ")
    assert capsys.readouterr().out == first


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    """A folder with a run that has learned hello → ohlol, by the recipe that is to reach it."""
    folder = tmp_path_factory.mktemp("labels")
    done = subprocess.run(
        [sys.executable, *"-m rnn_tui recipes run hello-ohlol --name labels --foreground".split()],
        cwd=folder,
        env=os.environ
        | {f"RNN_TUI_{name}_DIR": str(folder / name) for name in ("CONFIG", "DATA", "STATE", "CACHE")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def labels(cli, learned, monkeypatch):
    monkeypatch.chdir(learned)
    return learned


@pytest.mark.parametrize("backend", ["torch", "numpy"])
def test_an_aligned_model_answers_with_its_labels(cli, labels, backend):
    done = cli("prompt", "labels", "hello", "--backend", backend)
    assert (done.code, done.out, done.err) == (0, "ohlol\n", "")


def test_sampling_settings_mean_nothing_to_labels(cli, shell, labels):
    done = shell("prompt", "labels", "--temperature", "9", cwd=labels, stdin="hello\nhello\n")
    assert done.out == "ohlol\nohlol\n"
    assert done.err.count("sampling settings mean nothing") == 1
    found = cli("prompt", "labels", "hellž", "--json")
    assert found.json["unknown"] == ["ž"]
    assert [label["source"] for label in found.json["labels"][0]] == ["h", "e", "l", "l", "\ufffd"]
    assert found.json["text"] == "".join(label["text"] for label in found.json["labels"][0])
    assert "'ž'" in found.err


def test_labels_line_by_line_in_a_terminal(labels):
    child = pexpect.spawn(
        sys.executable, ["-m", "rnn_tui", "prompt", "labels"], cwd=str(labels), encoding="utf-8", timeout=60
    )
    child.expect("labels each token of a line")
    child.sendline("hello")
    child.expect("ohlol")
    child.sendeof()
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
