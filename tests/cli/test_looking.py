"""The commands that report: runs, stats, corpus, plugins, doctor, completion, demo."""

import json
import os
import re
import subprocess
import sys

import pytest

from rnn_tui.cli import doctor
from rnn_tui.cli.following import Bar, Figures, Lines, show_events
from rnn_tui.cli.output import duration, emit, figure, progress_bar, size, table
from rnn_tui.cli.runs import flat, thinned
from rnn_tui.runs.events import Event


def test_runs_list_show_and_compare(trained, cli):
    folder, told = trained
    where = ["--runs-dir", str(folder / "runs")]
    [row] = cli("runs", "list", "--json", *where).json
    assert (row["name"], row["state"], row["step"]) == ("fox", "finished", 40)
    listed = cli("runs", "list", *where).out.splitlines()
    assert (
        listed[0].split() == "run state architecture tokenizer corpus step loss validation best size".split()
    )
    assert listed[1].split()[:6] == ["fox", "finished", "lstm", "char", "fox.txt", "40"]
    shown = cli("runs", "show", "fox", "--json", *where).json
    assert shown["settings"]["model"]["hidden_size"] == 16
    assert shown["validation"][-1]["loss"] == told.json["validation_loss"]
    assert "step-00000040" in shown["checkpoints"]
    assert "model.hidden_size" in cli("runs", "show", "fox", *where).out
    done = cli("runs", "compare", "fox", "fox", "--json", *where)
    assert done.json["settings"] == {}
    assert done.json["figures"]["best_loss"] == [told.json["best_loss"]] * 2
    assert cli("runs", "compare", "fox", *where).code == 2


def test_runs_list_of_nothing(cli):
    done = cli("runs", "list")
    assert (done.code, done.out) == (0, "")
    assert "rnn-tui demo" in done.err
    assert cli("runs", "list", "--json").json == []


def test_rm_asks_where_it_can_and_refuses_where_it_cannot(trained, cli, monkeypatch):
    folder, _ = trained
    done = cli("runs", "rm", "fox", "--runs-dir", str(folder / "runs"))
    assert done.code == 2
    assert "--yes" in done.refusal
    assert (folder / "runs" / "fox").is_dir()


def test_corpus_list_and_get(cli):
    named = {item["name"]: item for item in cli("corpus", "list", "--json").json}
    assert named["stdlib"]["available"]
    assert not named["timemachine"]["available"]
    assert "rnn-tui corpus get timemachine" in cli("corpus", "list").out
    assert "'timemachine'" in cli("corpus", "get", "timemachin").refusal
    assert cli("corpus", "get", "stdlib").code == 2


def test_plugins(cli):
    found = {(item["kind"], item["name"]) for item in cli("plugins", "list", "--json").json}
    assert {("architecture", "gru"), ("architecture", "nn-lstm"), ("tokenizer", "word")} <= found
    [gru, step] = cli("plugins", "show", "gru", "--json").json
    assert (gru["kind"], step["kind"]) == ("architecture", "numpy-step")
    assert "reset" in {option["name"] for option in gru["options"]}
    assert "-o reset=" in cli("plugins", "show", "gru").out
    assert "'gru'" in cli("plugins", "show", "grru").refusal


def test_without_plugins_it_says_so(cli, monkeypatch):
    monkeypatch.setenv("RNN_TUI_PLUGINS", "")
    done = cli("plugins", "list")
    assert done.code == 0
    assert "no plugin" in done.err
    assert cli("plugins", "list", "--json").json == []


def test_doctor_reports(cli):
    done = cli("doctor", "--json")
    checks = {check["name"]: check for check in done.json["checks"]}
    assert {"python", "torch", "devices", "terminal", "disk", "runs", "plugins", "compiler"} <= set(checks)
    assert checks["devices"]["level"] != "problem"
    assert "lstm" in checks["plugins"]["value"]
    assert done.code == (0 if done.json["ok"] else 1)


def test_doctor_finds_faults(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "TORCH_PROBE", "import time; time.sleep(30)")
    assert doctor.torch_check(0.5).level == "problem"
    monkeypatch.setattr(doctor, "TORCH_PROBE", "raise OSError('libcudart is broken')")
    assert "libcudart is broken" in doctor.torch_check(20).value
    assert [c.level for c in doctor.terminal({"TERM": "dumb"}, "ascii", True)] == ["note", "note"]
    good = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "TMUX": "x"}
    assert [(c.level, c.value) for c in doctor.terminal(good, "UTF-8", True)] == [
        ("ok", "xterm-256color, truecolor, tmux"),
        ("ok", "UTF-8"),
    ]
    assert doctor.writable(tmp_path / "new" / "runs").level == "ok"
    assert doctor.writable(doctor.Path("/proc/runs")).level == "problem" or os.geteuid() == 0


@pytest.mark.parametrize("shell_name", ["bash", "zsh", "fish"])
def test_completion_script(cli, shell_name):
    done = cli("completion", shell_name)
    assert done.code == 0
    assert "_RNN_TUI_COMPLETE" in done.out


COMPLETE = """
import sys
from rnn_tui.cli.root import run
run([])
if "torch" in sys.modules:
    print("torch was imported", file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["tr"], ["train"]),
        (["runs", "co"], ["compare"]),
        (["runs", "show", "f"], ["fox"]),
        (["prompt", "fo"], ["fox"]),
        (
            ["recipes", "run", "timemachine-l"],
            ["timemachine-lstm-scratch", "timemachine-lstm-nn", "timemachine-lstm-deep"],
        ),
        (["train", "--arch", "nn-"], ["nn-gru", "nn-lstm", "nn-rnn"]),
        (["train", "--sampling", "r"], ["random"]),
        (["stats", "fables"], ["fables-en", "fables-zh"]),
        (["plugins", "show", "w"], ["word"]),
    ],
    ids=lambda value: " ".join(value),
)
def test_completion(trained, words, expected):
    folder, _ = trained
    environment = {
        "_RNN_TUI_COMPLETE": "bash_complete",
        "COMP_WORDS": " ".join(["rnn-tui", *words]),
        "COMP_CWORD": str(len(words)),
    }
    done = subprocess.run(
        [sys.executable, "-c", COMPLETE],
        env=os.environ | environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
    )
    found = [line.split(",", 1) for line in done.stdout.splitlines()]
    assert [name for kind, name in found if kind == "plain"] == expected, done.stderr
    assert done.stderr == ""


def test_demo_without_a_terminal(shell, tmp_path):
    done = shell("demo", "--minutes", "0.02", "--json")
    assert done.code == 0, done.err
    told = done.json
    assert told["prompt"] == "def "
    assert len(told["completion"]) > 50
    assert told["baselines"]["uniform"] > told["baselines"]["unigram"] > told["baselines"]["trigram"] > 1
    assert (tmp_path / "runs" / told["run"] / "model.safetensors").is_file()


def test_json_is_plain_ascii_with_named_infinities(capsys):
    emit({"a": float("nan"), "b": [float("inf"), -float("inf"), 1.5], "c": "\x9b诗"})
    out = capsys.readouterr().out
    assert out.isascii()
    assert json.loads(out) == {"a": "nan", "b": ["inf", "-inf", 1.5], "c": "\x9b诗"}


def test_table_takes_text_literally_and_never_cuts_it_in_a_pipe(capsys):
    table(["name", "size>"], [("[bold]x[/bold]\x1b", 5), ("y" * 300, 12345)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["[bold]x[/bold]␛", "5"]
    assert lines[2].split() == ["y" * 300, "12345"]
    assert lines[1].endswith("    5")


def test_table_on_a_narrow_terminal_leaves_columns_out_and_keeps_names_whole(capsys, monkeypatch):
    columns = ["run", "state", "architecture?", "step>", "size?>"]
    rows = [("lstm-tinyshakespeare-1", "finished", "nn-lstm", 1200, "1.5 MB")]
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    shown = {}
    for width in (80, 55, 40):
        monkeypatch.setenv("COLUMNS", str(width))
        table(columns, rows)
        shown[width] = [
            line.split() for line in re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out).splitlines()
        ]
    assert shown == {
        80: [
            ["run", "state", "architecture", "step", "size"],
            ["lstm-tinyshakespeare-1", "finished", "nn-lstm", "1200", "1.5", "MB"],
        ],
        55: [
            ["run", "state", "architecture", "step"],
            ["lstm-tinyshakespeare-1", "finished", "nn-lstm", "1200"],
        ],
        40: [["run", "state", "step"], ["lstm-tinyshakespeare-1", "finished", "1200"]],
    }


def test_progress_bar_shows_what_and_how_much(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    with progress_bar() as advance:
        advance("reading", 1, 4)
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", capsys.readouterr().err)
    assert re.search(r"reading [━╺]+ +25 % ", shown)
    assert "[progress" not in shown


def test_words_for_numbers():
    words = ["", "0 s", "1 min 0 s", "1 min 15 s", "1 h 0 min", "2 h 1 min"]
    assert [duration(s) for s in (None, 0.4, 59.6, 75, 3599.9, 7260)] == words
    assert [size(b) for b in (0, 999, 1000, 1_500_000, 2e9, 3e12)] == [
        "0 B",
        "999 B",
        "1.0 kB",
        "1.5 MB",
        "2.0 GB",
        "3.0 TB",
    ]
    assert [figure(v) for v in (None, 1.23456, float("nan"), 1e30)] == ["", "1.2346", "nan", "1.000e+30"]
    assert [figure(v) for v in (2.482e6, 908168.1194, -197157.6569, 9999.5)] == [
        "2.482e+06",
        "9.082e+05",
        "-1.972e+05",
        "9999.5000",
    ]
    assert flat({"a": {"b": 1, "c": {"d": 2}}, "e": 3}) == {"a.b": 1, "a.c.d": 2, "e": 3}
    assert thinned(list(range(5))) == [0, 1, 2, 3, 4]
    spread = thinned(list(range(100)))
    assert (len(spread), spread[0], spread[-1], spread[1]) == (12, 0, 99, 9)


def test_divergence_is_told_in_red_and_the_steps_go_back(capsys, monkeypatch):
    told = [
        Event(1, 1, 0.0, "train", 17, {"loss": "nan"}),
        Event(2, 1, 0.0, "divergence", 17, {"message": "the loss is \x1b[2Jnot finite"}),
        Event(3, 1, 0.0, "rollback", 17, {"to_step": 10, "message": "went back"}),
        Event(4, 1, 0.0, "state", 10, {"state": "paused", "message": "waiting for room"}),
    ]
    figures = Figures()
    show_events(told, Lines(), figures)
    assert capsys.readouterr().err.splitlines() == [
        "step 17  loss nan", "step 17: the loss is ␛[2Jnot finite", "went back", "paused at step 10: waiting for room",
    ]  # fmt: skip
    assert figures.step == 10
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    show_events(told, Bar(), Figures())
    assert "\x1b[1;31mstep 17: the loss is ␛[2Jnot finite" in capsys.readouterr().err
