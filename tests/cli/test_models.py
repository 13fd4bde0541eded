"""`prompt` and `eval` on a run that was trained."""

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
    assert (
        done.json["baselines"]["trigram"]
        < done.json["baselines"]["unigram"]
        < done.json["baselines"]["uniform"]
    )
    table = fox("eval", "fox").out
    assert f"{fox.told['best_loss']:.4f}" in table
    assert "trigram" in table


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
    assert done.err == ""
    same = fox("prompt", "fox", "the ", "--seed", "3", "--length", "40", "--json").json
    assert done.out.removesuffix("\n") == same["text"].removesuffix("\n")
    assert (same["prompt"], same["tokens"], same["unknown"]) == ("the ", 40, [])
    assert (same["settings"]["seed"], same["settings"]["length"]) == (3, 40)
    assert same["seconds"] > 0


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
    from rnn_tui.inference.generate import prime
    from rnn_tui.inference.sampling import SamplingConfig
    from rnn_tui.model.file import load_model

    folder, _ = trained
    model, tokenizer, _ = load_model(folder / "runs" / "fox" / "model.safetensors")
    talk = Conversation(model, tokenizer, SamplingConfig(greedy=True, length=12))
    talk.answer("the ")
    first = capsys.readouterr().out
    talk.answer("quick")
    second = capsys.readouterr().out
    # one state: reading everything so far at once leads to the same continuation
    everything = prime(model, tokenizer, "the " + first[:12] + "quick")
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
