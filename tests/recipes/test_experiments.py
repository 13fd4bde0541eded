"""The runner of docs/experiments.md: its table, and what it makes of reports. The running itself is `make recipes`."""

import json

import pytest

from benchmarks import experiments
from benchmarks.experiments import BEGIN, DOCS, END, EXPERIMENTS, FailedError, judge, ours, table, write
from rnn_tui.recipes import load_recipe, recipe_names


def row(name, **more):
    return {
        "name": name,
        "command": f"rnn-tui recipes run {name}",
        "published": "",
        "goal": "perplexity ≤ 1.1",
        "machine": "one",
        "seconds": 61.2,
        "tokens_per_second": 12345.6,
        "figures": {"last epoch perplexity": 1.0471, "train perplexity": 1.2, "cold train perplexity": 1.3},
        "reached": True,
        **more,
    }


@pytest.fixture
def document(tmp_path):
    path = tmp_path / "experiments.md"
    path.write_text(f"before\n\n{BEGIN}\nan earlier table\n{END}\n\nafter\n")
    return path


def named(name):
    [found] = [one for one in EXPERIMENTS if one.name == name]
    return found


def test_every_recipe_has_a_row_and_no_name_comes_twice():
    names = [one.name for one in EXPERIMENTS]
    assert len(set(names)) == len(names)
    assert set(recipe_names()) <= set(names)


@pytest.mark.parametrize("name", [one.name for one in EXPERIMENTS if one.at_most is not None])
def test_what_is_judged_is_what_the_recipe_is_to_reach(name):
    assert load_recipe(name).goal.endswith(f"≤ {named(name).at_most}")


def test_rows_that_were_not_run_are_kept_in_the_order_of_the_experiments(tmp_path, document):
    data = tmp_path / "rows.json"
    write({"timemachine-rnn-nn": row("timemachine-rnn-nn")}, data, document)
    rows = json.loads(data.read_text())
    rows["hello-ohlol"] = row("hello-ohlol", machine="two", figures={"said": "ohlol", "since": 4})
    write(rows, data, document)
    text = document.read_text()
    assert text.startswith(f"before\n\n{BEGIN}\n")
    assert text.endswith(f"\n{END}\n\nafter\n")
    assert "earlier" not in text
    assert text.index("| hello-ohlol |") < text.index("| timemachine-rnn-nn |")
    assert "A: two.\nB: one." in text
    [line] = [line for line in text.splitlines() if line.startswith("| timemachine-rnn-nn ")]
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[3:8] == ["**1.047**; read again 1.200, cold 1.300", "yes", "1 min 1 s", "12,346", "B"]


def test_document_without_the_marks_is_told(tmp_path):
    path = tmp_path / "experiments.md"
    path.write_text("nothing here")
    with pytest.raises(FailedError, match="lacks the two lines"):
        write({}, tmp_path / "rows.json", path)
    assert path.read_text() == "nothing here"


def test_document_of_this_tree_has_the_marks():
    text = (DOCS / "experiments.md").read_text(encoding="utf-8")
    assert 0 < text.index(BEGIN) < text.index(END)


def test_goals_are_judged():
    sine, hello, gru = named("sine-gru"), named("hello-ohlol"), named("timemachine-gru-nn")
    assert judge(sine, {"one step": 0.05}) is True
    assert judge(sine, {"one step": 0.0501}) is False
    assert judge(hello, {"said": "ohlol", "since": 4}) is True
    assert judge(hello, {"said": "ohlll", "since": 15}) is False
    assert judge(gru, {"last epoch perplexity": 1.1, "train perplexity": 1.3}) is True
    assert judge(named("words-rnn"), {"validation loss": 5.0}) is None


def test_figures_are_written_in_the_units_of_the_task():
    horizons = [
        {"horizon": 1, "mse": 0.0454, "persistence": 0.0825},
        {"horizon": 64, "mse": 0.05, "persistence": 0.3},
    ]
    said = ours(row("sine-gru", figures={"one step": 0.0454, "horizons": horizons}))
    assert said == "squared error (of persistence): 0.0454 at 1 (0.0825), 0.0500 at 64 (0.3000)"
    found = {
        "validation loss": 1.5,
        "validation perplexity": 4.4817,
        "validation bpb": 2.164,
        "trigram": 2.039,
        "train loss": 1.4,
        "train perplexity": 4.0552,
    }
    assert ours(row("shakespeare-3min", figures=found)) == (
        "**1.5000** nats; perplexity 4.48; 2.164 bits/byte; trigram 2.0390 nats; train 1.4000 nats, perplexity 4.06"
    )


def test_missed_goal_stands_out():
    missed, reported = row("a", reached=False), row("b", reached=None)
    assert "| **no** |" in table([missed])
    assert "| – |" in table([reported])


def test_named_corpora_are_found_in_the_folder(tmp_path, monkeypatch):
    folder, home = tmp_path / "texts", tmp_path / "home"
    folder.mkdir()
    home.mkdir()
    (folder / "timemachine.txt").write_text("the time machine")
    where = experiments.corpora(folder, home)
    assert (home / "corpora" / "timemachine.txt").read_text() == "the time machine"
    monkeypatch.setenv("RNN_TUI_DATA_DIR", where)
    from rnn_tui.corpus.sources import find_source

    assert find_source("timemachine").files == (home / "corpora" / "timemachine.txt",)


@pytest.mark.slow
def test_runner_measures_through_the_command_line(tmp_path):
    made = experiments.run(named("hello-ohlol"), folder=tmp_path, runs_dir=tmp_path / "runs")
    assert (made["figures"]["said"], made["reached"]) == ("ohlol", True)
    assert 1 < made["figures"]["since"] <= 15
    assert (made["steps"], made["unit"]) == (15, "nats per label")
    made = experiments.run(named("lyrics-lstm"), folder=tmp_path, runs_dir=tmp_path / "runs", short=True)
    assert (made["steps"], made["reached"]) == (15, False)
    assert made["command"] == "rnn-tui recipes run lyrics-lstm --steps 15"
    assert 1 < made["figures"]["train perplexity"] < 2000
