"""`rnn-tui plugins score`: the table, the document, what is kept, and plugins that go wrong."""

import json
import subprocess
import sys
from contextlib import contextmanager

import pytest

from rnn_tui.score.wire import Ended, Rate, Ready, Speed

CELL = """
import math, os
import torch
from rnn_tui.plugin import Cell

class Made(Cell):
    '''A cell made for a test.'''
    api_version = 1

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.output_size = hidden_size
        self.W = torch.nn.Linear(input_size + hidden_size, hidden_size)

    def initial_state(self, batch_size, *, device=None, dtype=None):
        return torch.zeros(batch_size, self.output_size)

    def step(self, x, state):
        x.sum().item()  # so that nothing is traced, which takes its time
        if self.training:  # and no trial
            BODY
        h = torch.tanh(self.W(torch.cat([x, state], 1)))
        return h, h
"""


def install(folder, monkeypatch, name, body="pass", head=""):
    """Leave a distribution with one architecture where an installer would."""
    folder.mkdir(exist_ok=True)
    module = name.replace("-", "_")
    (folder / f"{module}.py").write_text(head + CELL.replace("BODY", body))
    about = folder / f"{module}-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[rnn_tui.architectures]\n{name} = {module}:Made\n")
    monkeypatch.syspath_prepend(str(folder))


@pytest.fixture
def made(tmp_path, monkeypatch):
    """`made("name", body)`: an architecture whose step does that while it trains."""
    yield lambda name, body="pass", head="": install(tmp_path / "site", monkeypatch, name, body, head)
    for name in [name for name, module in sys.modules.items() if hasattr(module, "Made")]:
        del sys.modules[name]


@pytest.fixture
def here(monkeypatch, tmp_path):
    """Do in this process, on tasks that take no time, what a child does; return the jobs that were asked for."""
    from rnn_tui.plugin.probe import describe
    from rnn_tui.score import jobs, measure
    from rnn_tui.score.adding import Adding
    from rnn_tui.score.copying import Copying
    from rnn_tui.score.text import Text

    def small(*, quick=False):
        return {
            "copy": [Copying(2, updates=12), Copying(4, (8,), updates=12)],
            "adding": [Adding(4, updates=12)],
            "text": [Text(updates=12, farthest=3)],
        }

    def described(info, **more):
        return describe(info)

    def race(builders, vocab_size, **more):
        rates = zip(builders, ((130.0, 45.0), (100.0, 50.0)), strict=False)
        return tuple(Rate(architecture=name, train=speed(a), sample=speed(b)) for name, (a, b) in rates)

    def speed(rate):
        return Speed(median=rate, least=rate, most=rate, busy=False)

    asked = []

    class Here:
        def hear(self, patience):
            tasks = {
                prefix + name: repr(group) for name, group in small().items() for prefix in ("", "quick ")
            }
            return Ready(machine="a machine", torch="2", tasks=tasks)

        def ask(self, wanted):
            for number, job in enumerate(wanted):
                asked.append((job.what, *(each.name for each in job.subjects)))
                messages = []
                jobs.perform(number, job, messages.append)
                yield from [*messages, Ended(number)]

    @contextmanager
    def child():
        yield Here()

    monkeypatch.setattr(jobs, "all_tasks", small)
    monkeypatch.setattr(measure, "child_process", child)
    monkeypatch.setattr(jobs, "race", race)
    for module in ("score.measure", "plugin.describe"):  # each look would start a process
        monkeypatch.setattr(f"rnn_tui.{module}.describe_found", described)
    monkeypatch.setattr("rnn_tui.score.text.READ", 8)
    monkeypatch.setenv("RNN_TUI_CACHE_DIR", str(tmp_path / "cache"))
    return asked


TINY = ("--parameters", "2000", "--seeds", "2")


def test_the_table(cli, here):
    done = cli("plugins", "score", "nn-lstm", "--beside", "nn-gru, nosuch", *TINY)
    assert done.code == 0, done.err
    assert "nosuch is left out: there is no architecture 'nosuch'" in done.err
    lines = done.out.splitlines()
    assert lines[0] == "a machine"
    assert lines[1].startswith("about 2,000 parameters each, 2 seeds, ")
    assert "a quiet machine of 1 core; what those beside learn is kept for the next card" in done.err
    told = [line.partition(": ")[::2] for line in done.err.splitlines() if line.endswith("s of training")]
    assert [number for number, _ in told] == [f"{number} of 6" for number in range(1, 7)]
    assert [what.split(":")[0] for _, what in told[:3]] == [
        "nn-lstm, copy",
        "nn-gru, copy",
        "nn-lstm, adding",
    ]
    assert lines[3].split() == ["nn-lstm", "nn-gru"]
    labels = [line.split("  ")[0] for line in lines[4:]]
    assert labels[:17] == [
        "copy, lag 2",
        "copy, lag 4",
        "copy, lag 8+",
        "adding, length 4",
        "text, bits per character",
        "reach to 1/2, trained",
        "reach to 1/100, trained",
        "reach to 1/2, untrained",
        "reach to 1/100, untrained",
        "copy, solved to",
        "adding, solved to",
        "training, tokens/s",
        "sampling, tokens/s",
        "rung",
        "hidden size, on text",
        "parameters, on text",
        "",
    ]
    assert any(line.split() == ["copy", "2", "4", "8+"] for line in lines)
    assert any(
        line.endswith("solved to: from the first one on, all up to there score 0.9 or more") for line in lines
    )
    assert not any("no verdict" in line for line in lines)
    assert "neither of the two solved a lag of copying or a length of adding" in lines
    assert lines[-1].startswith("nn-lstm reads at ")
    assert " bits per character (nn-gru " in lines[-1]
    assert lines[-1].endswith("; trains at 1.30 and samples at 0.90 of nn-gru's speed")
    assert here[0] == ("trial", "nn-lstm")
    assert here[-1] == ("speed", "nn-lstm", "nn-gru")


def test_the_document_and_what_is_kept(cli, here, tmp_path):
    arguments = ["plugins", "score", "nn-lstm", "--beside", "nn-gru", *TINY, "--json"]
    done = cli(*arguments, "--save", str(tmp_path / "card.json"))
    assert done.code == 0, done.err
    card = done.json
    assert json.loads((tmp_path / "card.json").read_text()) == card
    assert card["complete"]
    assert card["plan"]["seeds"] == [1, 2]
    assert set(card["versions"]) == {"rnn-tui", "torch", "python"}
    mine, beside = card["contenders"]
    assert (mine["name"], mine["role"], mine["package"]) == ("nn-lstm", "scored", "rnn-tui")
    assert (beside["name"], beside["role"]) == ("nn-gru", "beside")
    assert len(mine["source"]) == 16
    trainings = [(each["architecture"], each["group"], each["seed"]) for each in card["trainings"]]
    expected = {
        name: [(name, "copy", s) for s in (1, 1, 2, 2)]
        + [(name, g, s) for g in ("adding", "text") for s in (1, 2)]
        for name in ("nn-lstm", "nn-gru")
    }
    assert trainings == expected["nn-lstm"] + expected["nn-gru"]
    for each in card["trainings"]:
        assert abs(each["parameters"] - 2000) < 0.08 * 2000
        assert (each["updates"], each["planned"], each["problem"], each["cached"]) == (12, 12, "", False)
    del here[:]
    again = cli(*arguments).json
    assert [job for job in here if job[-1] == "nn-gru" and job[0] != "speed"] == []
    assert [each["cached"] for each in again["trainings"]] == [False] * 8 + [True] * 8
    assert again["rows"] == card["rows"]  # the same seeds, the same figures
    del here[:]
    cli(*arguments, "--seed", "7")
    assert len([job for job in here if job[-1] == "nn-gru" and job[0] != "speed"]) == 3


def test_only_some_tasks(cli, here):
    done = cli(
        "plugins", "score", "nn-lstm", "rnn-tui:nn-lstm", "--beside", "nn-lstm", "--task", "adding", *TINY
    )
    assert done.code == 0, done.err  # and a name given thrice counts once
    assert here == [("trial", "nn-lstm"), ("adding", "nn-lstm")]
    del here[:]
    done = cli("plugins", "score", "nn-lstm", "--beside", "nn-gru", "--task", "speed", "--json", *TINY)
    assert here == [("trial", "nn-lstm"), ("speed", "nn-lstm", "nn-gru")]
    assert [rate["train"]["median"] for rate in done.json["rates"]] == [130, 100]


def test_what_goes_wrong_is_a_row(cli, here, made):
    made("makes-nan", "x = x * math.nan")
    made("raises", "raise ValueError('this cell never worked')")
    done = cli("plugins", "score", "makes-nan", "raises", "--beside", "nn-gru", "--task", "copy", *TINY)
    assert done.code == 0, done.err
    assert "makes-nan, copy: its loss is not finite from update 1 on" in done.out
    assert "raises, copy: ValueError: this cell never worked" in done.out
    row = next(line.split() for line in done.out.splitlines() if line.startswith("copy, lag 2"))
    assert row[3:5] == ["-", "-"]
    assert len(row) > 5


def test_a_plugin_that_cannot_be_used(cli, here, made):
    made("no-import", head="raise RuntimeError('half of it is missing')\n")
    done = cli("plugins", "score", "no-import", *TINY)
    assert done.code == 8
    assert "architecture no-import (no-import 1.0): " in done.refusal
    assert "half of it is missing" in done.refusal
    made("mixes", "pass\n        x = x + x.mean(0)")
    done = cli("plugins", "score", "mixes", *TINY)
    assert done.code == 8
    last = done.err.strip().splitlines()[-1]
    assert last.startswith("rnn-tui: error: architecture mixes (mixes 1.0): it mixes the rows of a batch")
    assert last.endswith("rnn-tui plugins check mixes says more")
    done = cli("plugins", "score", "nn-lstm", "--beside", "no-import", "--task", "adding", *TINY)
    assert done.code == 0
    assert "no-import is left out: " in done.err


def test_an_interruption_shows_what_is_known(cli, here, monkeypatch):
    def interrupted(self, child, told):
        raise KeyboardInterrupt

    monkeypatch.setattr("rnn_tui.score.measure.Score._race", interrupted)
    done = cli("plugins", "score", "nn-lstm", "--beside", "", "--task", "adding", "--json", *TINY)
    assert done.code == 130
    assert not done.json["complete"]
    assert len(done.json["trainings"]) == 2
    assert "interrupted" in done.err


def test_a_card_that_cannot_be_saved_is_shown(cli, here):
    arguments = ["plugins", "score", "nn-lstm", "--beside", "", "--task", "adding", *TINY]
    done = cli(*arguments, "--save", "away/card.json")
    assert (done.code, done.out) == (3, "")  # before anything is measured
    assert "there is no folder away" in done.refusal
    done = cli(*arguments, "--save", f"{'x' * 300}.json")  # longer than the name of a file can be
    assert done.code == 5
    assert "parameters, on adding" in done.out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["lstmm"], "did you mean 'lstm'"),
        (["lstm", "-o", "colour=red"], "colour"),
        (["lstm", "-o", "forget_bias"], "-o takes KEY=VALUE"),
        (["nn-lstm", "--task", "copying"], "did you mean 'copy'"),
        (["nn-lstm", "--parameters", "1"], "--parameters"),
    ],
)
def test_refusals(cli, here, arguments, told):
    done = cli("plugins", "score", *arguments)
    assert done.code == 2
    assert told in done.err.strip().splitlines()[-1]


def test_a_plugin_that_ends_its_process_harms_no_other(cli, made):
    """With the processes that there are for a user."""
    made("goes", "os._exit(3)")
    arguments = ["--beside", "nn-gru", "--quick", "--task", "copy", "--limit", "0.1", "--json"]
    done = cli("plugins", "score", "goes", "--parameters", "600", *arguments)
    assert done.code == 0, done.err
    goes, beside = done.json["contenders"]
    assert goes["problems"] == {"copy": "its code ended the process (exit code 3)"}
    assert beside["problems"]["copy"].startswith("out of time after ")
    assert {name for row in done.json["rows"] for name in row["cells"]} == {"nn-gru"}
    assert done.json["versions"]["torch"]


def test_quick_is_no_verdict_and_says_what_it_leaves_out(cli, here, monkeypatch):
    tasks = dict.fromkeys(["copy", "reber", "quick copy"], "")
    monkeypatch.setattr(
        "rnn_tui.score.process.Child.hear", lambda *_: Ready(machine="", torch="", tasks=tasks)
    )
    done = cli(
        "plugins", "score", "nn-lstm", "--beside", "", "--quick", "--task", "copy", "--parameters", "2000"
    )
    assert "quick: one seed and short trainings, no verdict" in done.out.splitlines()
    assert "the next card" not in done.err  # of those that are scored nothing is kept


def test_the_command_loads_no_torch():
    code = (
        "import sys; from rnn_tui.cli.root import run; import rnn_tui.score.measure;"
        "run(['plugins', 'score', '--help']); sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert "what kind of memory" in done.stdout


def test_marks_are_of_scores():
    """Figures by hand: what is worse than a guess is as bad as a guess."""
    from rnn_tui.cli.plugins_score import _figure
    from rnn_tui.score.card import Cell, Row

    def row(better, chance, **cells):
        found = {
            name: Cell(value=middle, least=least, most=most, score=score, seeds=3)
            for name, (least, middle, most, score) in cells.items()
        }
        place = {"group": "g", "measure": "m", "axis": "lag", "at": 1, "beyond": False, "unit": ""}
        return Row(**place, chance=chance, better=better, cells=found)

    low = row("low", 0.2, a=(0.01, 0.02, 0.02, 0.9), b=(0.19, 0.25, 0.9, 0.0), c=(0.1, 0.15, 0.2, 0.25))
    assert [_figure(low, name) for name in "abcd"] == ["0.90 *", "0.00  ", "0.25~ ", "-  "]
    high = row("high", 0.5, a=(0.1, 0.3, 0.5, 0.0), b=(0.9, 0.95, 1.0, 0.9))
    assert [_figure(high, name) for name in "ab"] == ["0.00  ", "0.90~*"]
    plain = row("", None, a=(3, 4, 5, None))
    assert _figure(plain, "a") == "4  "
