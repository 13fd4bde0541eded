"""`rnn-tui runs`: finding, labelling, renaming and deleting what is there."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rnn_tui.cli import runs_keeping
from rnn_tui.runs.folder import RunFolder, create_run
from rnn_tui.runs.lock import RunLock
from rnn_tui.runs.status import my_status, write_status


@pytest.fixture
def made(cli, tmp_path):
    """Three runs in ./runs, where commands look for them."""
    for number, (name, arch, state, best) in enumerate(
        [
            ("old-lstm", "lstm", "finished", 1.5),
            ("mid-gru", "gru", "stopped", 1.25),
            ("new-lstm", "lstm", "failed", 2.0),
        ]
    ):
        run = create_run(
            tmp_path / "runs",
            name,
            {
                "model": {"arch": arch},
                "corpus": {"source": "fox.txt"},
                "about": {"created": 1e9 + number, "id": name},
            },
        )
        status = my_status(state, attempt=1, step=100 * number)
        status.best_loss = best
        write_status(run, status)
    return tmp_path / "runs"


def names(done):
    return [row["name"] for row in done.json]


def test_list_filters_and_sorts(made, cli):
    assert names(cli("runs", "list", "--json")) == ["new-lstm", "mid-gru", "old-lstm"]
    assert names(cli("runs", "list", "--json", "--sort", "loss")) == ["mid-gru", "old-lstm", "new-lstm"]
    assert names(cli("runs", "list", "--json", "--sort", "-loss", "--filter", "arch:lstm loss<1.9")) == [
        "old-lstm"
    ]
    assert cli("runs", "tag", "old-lstm", "+keep", "paper").out == "keep paper\n"
    assert names(cli("runs", "list", "--json", "--tag", "keep")) == ["old-lstm"]
    assert names(cli("runs", "list", "--json", "--tag", "keep", "--tag", "x")) == []
    listed = cli("runs", "list", "--filter", "tag:keep").out.splitlines()
    assert listed[0].split()[-1] == "tags"
    assert listed[1].endswith("keep, paper")
    nothing = cli("runs", "list", "--filter", "state:running")
    assert (nothing.code, nothing.out) == (0, "")
    assert "none of the 3 runs" in nothing.err
    wrong = cli("runs", "list", "--filter", "los<1")
    assert (wrong.code, "did you mean 'loss'" in wrong.refusal) == (2, True)
    assert "did you mean 'updated'" in cli("runs", "list", "--sort", "update").refusal


def test_tags_and_notes(made, cli):
    assert cli("runs", "tag", "mid-gru", "a", "+b", "-h2").code == 2  # which it does not have
    assert cli("runs", "tag", "mid-gru", "a", "+b", "--json").json == {
        "run": "mid-gru",
        "tags": ["a", "b"],
        "note": "",
    }
    assert cli("runs", "tag", "mid-gru", "-a", "c").out == "b c\n"
    assert cli("runs", "tag", "mid-gru").out == "b c\n"
    assert cli("runs", "note", "mid-gru", "say [bold]what").code == 0
    assert cli("runs", "note", "mid-gru").out == "say [bold]what\n"
    shown = cli("runs", "show", "mid-gru").out
    assert "b c" in shown
    assert "say [bold]what" in shown
    assert cli("runs", "show", "mid-gru", "--json").json["tags"] == ["b", "c"]
    assert cli("runs", "note", "mid-gru", "").code == 0
    assert cli("runs", "note", "mid-gru").out == ""
    assert cli("runs", "note", "mid-gru", "x" * 501).code == 2
    assert cli("runs", "tag", "mid-gr", "a").code == 3
    (made / "mid-gru" / "labels.json").write_text("{")
    assert "labels.json is damaged" in cli("runs", "tag", "mid-gru").err
    assert "labels.json is damaged" in cli("runs", "show", "mid-gru").err


def test_removed_runs_come_back(made, cli):
    refused = cli("runs", "rm", "old-lstm")
    assert (refused.code, "--yes" in refused.refusal) == (2, True)
    done = cli("runs", "rm", "old-lstm", "mid-gru", "--yes", "--json")
    assert [(one["run"], Path(one["trash"]).is_dir()) for one in done.json] == [
        ("old-lstm", True),
        ("mid-gru", True),
    ]
    assert names(cli("runs", "list", "--json")) == ["new-lstm"]
    assert cli("runs", "show", "old-lstm").code == 3
    assert [one["name"] for one in cli("runs", "trash", "--json").json] == ["mid-gru", "old-lstm"]
    assert "2 runs" in cli("runs", "trash").err
    assert cli("runs", "restore", "old-lstm").out == "old-lstm\n"
    create_run(made, "mid-gru", {})
    taken = cli("runs", "restore", "mid-gru")
    assert (taken.code, "--as NAME" in taken.refusal) == (4, True)
    assert cli("runs", "restore", "mid-gru", "--as", "gru-2", "--json").json["run"] == "gru-2"
    assert cli("runs", "restore", "mid-gru").code == 3
    assert cli("runs", "show", "gru-2", "--json").json["state"] == "stopped"


def test_removed_for_good(made, cli):
    assert cli("runs", "rm", "old-lstm", "--yes", "--now").out == "old-lstm\n"
    assert sorted(os.listdir(made)) == ["mid-gru", "new-lstm"]
    cli("runs", "rm", "mid-gru", "--yes")
    assert cli("runs", "trash", "--empty").code == 2
    assert cli("runs", "trash", "--empty", "--yes", "--older-than", "1").err == "nothing was deleted\n"
    [gone] = cli("runs", "trash", "--empty", "--yes", "--json").json
    assert gone["name"] == "mid-gru"
    assert os.listdir(made / ".trash") == []
    assert cli("runs", "trash").err == "the trash is empty\n"


def test_one_that_is_in_use_keeps_the_others_too(made, cli):
    with RunLock.acquire(RunFolder(made / "mid-gru")):
        done = cli("runs", "rm", "old-lstm", "mid-gru", "--yes")
        assert (done.code, done.out) == (4, "")
        assert cli("runs", "rename", "mid-gru", "x").code == 4
    assert sorted(os.listdir(made)) == ["mid-gru", "new-lstm", "old-lstm"]


def test_a_question_is_answered(made, cli, monkeypatch):
    answers = iter([False, True])
    monkeypatch.setattr(runs_keeping.sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(runs_keeping.click, "confirm", lambda *_, **__: next(answers))
    done = cli("runs", "rm", "old-lstm", "mid-gru")
    assert done.out == "mid-gru\n"
    assert done.err.splitlines() == [
        "old-lstm is kept",
        "in the trash; rnn-tui runs restore mid-gru brings it back",
    ]


def test_rename_and_export(made, cli, tmp_path):
    assert cli("runs", "rename", "old-lstm", "new-lstm").code == 4
    assert cli("runs", "rename", "old-lstm", "-x").code == 2
    assert cli("runs", "rename", "old-lstm", "baseline").out == "baseline\n"
    assert cli("runs", "export", "baseline", str(tmp_path / "m")).code == 3
    (made / "baseline" / "model.safetensors").write_bytes(b"model")
    assert cli("runs", "export", "baseline", str(tmp_path / "m")).code == 0
    assert (tmp_path / "m").read_bytes() == b"model"
    assert cli("runs", "export", "baseline", str(tmp_path / "m")).code == 4


COMPLETE = "from rnn_tui.cli.root import run\nrun([])\n"


def test_tags_and_trashed_names_are_completed(made, cli, tmp_path):
    cli("runs", "tag", "old-lstm", "keep", "paper")
    cli("runs", "tag", "new-lstm", "kept")
    cli("runs", "rm", "mid-gru", "--yes")
    for words, expected in (
        (["runs", "list", "--tag", "ke"], ["keep", "kept"]),
        (["runs", "tag", "new-lstm", "+p"], ["+paper"]),
        (["runs", "restore", "m"], ["mid-gru"]),
        (["runs", "show", ""], ["new-lstm", "old-lstm"]),
    ):
        environment = {
            "_RNN_TUI_COMPLETE": "bash_complete",
            "COMP_WORDS": " ".join(["rnn-tui", *words]),
            "COMP_CWORD": str(len(words)),
        }
        done = subprocess.run(
            [sys.executable, "-c", COMPLETE], env=os.environ | environment, cwd=tmp_path, capture_output=True,
            text=True, timeout=60,
        )  # fmt: skip
        found = [line.split(",", 1)[1] for line in done.stdout.splitlines() if line.startswith("plain,")]
        assert found == expected, done.stderr
