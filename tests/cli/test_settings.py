"""Flags, environment, files and recipes: which one wins."""

import tomllib

import pytest
from msgspec import convert

from rnn_tui.cli.settings import assignment_layer
from rnn_tui.errors import UsageError
from rnn_tui.paths import config_dir
from rnn_tui.preferences import Preferences
from rnn_tui.training.config import resolve
from rnn_tui.training.layers import combine, environment_layers, literal


def shown(cli, *arguments):
    done = cli("config", "show", "--json", *arguments)
    assert done.code == 0, done.err
    return {name: (item["value"], item["origin"]) for name, item in done.json.items()}


def test_flag_over_environment_over_file_over_recipe_over_default(cli, monkeypatch, tmp_path):
    recipe = ["--recipe", "timemachine-rnn-scratch"]
    assert shown(cli)["optim.lr"] == (0.004, "default")
    assert shown(cli, *recipe)["optim.lr"] == (1.0, "recipe timemachine-rnn-scratch")
    user = config_dir() / "config.toml"
    user.parent.mkdir(parents=True)
    user.write_text("[optim]\nlr = 0.5\n")
    assert shown(cli, *recipe)["optim.lr"] == (0.5, str(user))
    (tmp_path / "mine.toml").write_text("[optim]\nlr = 0.25\n")
    named = ["--config", "mine.toml"]
    assert shown(cli, *recipe, *named)["optim.lr"] == (0.25, "mine.toml")
    monkeypatch.setenv("RNN_TUI_OPTIM_LR", "1e-2")
    assert shown(cli, *recipe, *named)["optim.lr"] == (0.01, "RNN_TUI_OPTIM_LR")
    assert shown(cli, *recipe, *named, "--lr", "2e-3")["optim.lr"] == (0.002, "--lr")
    assert shown(cli, *recipe, *named, "--lr", "2e-3", "--set", "optim.lr=3e-3")["optim.lr"] == (
        0.003,
        "--set",
    )


def test_every_flag_reaches_its_setting(cli):
    found = shown(
        cli,
        *[
            "--arch",
            "gru",
            "--tokenizer",
            "word",
            "--hidden-size",
            "7",
            "--num-layers",
            "2",
            "--seq-len",
            "10-40",
        ],
        *["--batch-size", "3", "--optimizer", "sgd", "--clip", "0.5", "--dropout", "0.25", "--epochs", "2.5"],
        *[
            "--device",
            "cpu",
            "--precision",
            "bf16",
            "--engine",
            "loop",
            "--exact",
            "--seed",
            "9",
            "--normalise",
            "lowercase,letters-only",
        ],
        *["--validation", "0.2", "--sampling", "random", "--patience", "4", "--schedule", "step", "--strict"],
        *["-o", "reset=after", "-t", "min_frequency=3"],
    )
    expected = {
        "model.arch": "gru",
        "tokenizer.name": "word",
        "model.hidden_size": 7,
        "model.num_layers": 2,
        "data.seq_len": 40,
        "data.seq_len_min": 10,
        "data.batch_size": 3,
        "optim.optimizer": "sgd",
        "optim.clip": 0.5,
        "model.dropout": 0.25,
        "budget.epochs": 2.5,
        "runtime.device": "cpu",
        "runtime.precision": "bf16",
        "runtime.engine": "loop",
        "runtime.exact": True,
        "runtime.seed": 9,
        "corpus.normalise": ["lowercase", "letters-only"],
        "corpus.validation": 0.2,
        "data.sampling": "random",
        "budget.patience": 4,
        "optim.schedule": "step",
        "corpus.strict": True,
        "model.options": {"reset": "after"},
        "tokenizer.options": {"min_frequency": "3"},
    }
    assert {name: found[name][0] for name in expected} == expected


def test_single_seq_len_takes_the_range_of_a_recipe_away(cli):
    found = shown(cli, "--recipe", "fairytales-lstm", "--seq-len", "20")
    assert (found["data.seq_len"][0], found["data.seq_len_min"][0]) == (20, 0)


def test_budget_of_a_stronger_source_stands_alone():
    weak = ("recipe x", {"budget": {"epochs": 500, "patience": 3}})
    budget = resolve(combine([weak, ("--minutes", {"budget": {"minutes": 3.0}})])).config.budget
    assert (budget.epochs, budget.minutes, budget.steps, budget.patience) == (0, 3.0, 0, 3)
    two = [("--steps", {"budget": {"steps": 9}}), ("--minutes", {"budget": {"minutes": 3.0}})]
    budget = resolve(combine([weak, *two])).config.budget
    assert (budget.epochs, budget.minutes, budget.steps) == (0, 3.0, 9)
    assert resolve(combine([weak])).config.budget.epochs == 500


def test_options_add_up_for_one_plugin_and_go_with_another():
    weak = ("recipe x", {"model": {"arch": "gru", "options": {"reset": "before", "bias": "1"}}})
    kept = resolve(combine([weak, ("-o", {"model": {"options": {"reset": "after"}}})])).config.model
    assert kept.options == {"reset": "after", "bias": "1"}
    changed = [("--arch", {"model": {"arch": "lstm"}}), ("-o", {"model": {"options": {"forget": "2"}}})]
    assert resolve(combine([weak, *changed])).config.model.options == {"forget": "2"}
    assert resolve(combine([weak, changed[0]])).config.model.options == {}
    same = ("--arch", {"model": {"arch": "gru"}})
    assert resolve(combine([weak, same])).config.model.options == {"reset": "before", "bias": "1"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 1e-3),
        ("7", 7),
        ("true", True),
        ("[1, 2]", [1, 2]),
        ("cosine", "cosine"),
        ("'a b'", "a b"),
        ("", ""),
    ],
)
def test_literal(text, value):
    found = literal(text)
    assert found == value
    assert type(found) is type(value)


def test_settings_that_hold_text_take_it_as_it_is():
    assert literal("1984", "corpus", "source") == "1984"
    assert literal("lowercase, letters-only", "corpus", "normalise") == ["lowercase", "letters-only"]
    assert literal('["lowercase"]', "corpus", "normalise") == ["lowercase"]


def test_assignments():
    assert assignment_layer("optim.lr = 1e-3") == ("--set", {"optim": {"lr": 1e-3}})
    assert assignment_layer("model.options.reset=after") == (
        "--set",
        {"model": {"options": {"reset": "after"}}},
    )
    for bad in ("optim.lr", "lr=1", "a.b.c=1", "=3"):
        with pytest.raises(UsageError):
            assignment_layer(bad)


def test_environment_takes_settings_and_leaves_other_variables_alone():
    layers = environment_layers(
        {
            "RNN_TUI_OPTIM_LR": "0.1",
            "RNN_TUI_DATA_DIR": "/somewhere",
            "RNN_TUI_DATA_SEQ_LEN": "12",
            "RNN_TUI_RUNS": "/runs",
            "RNN_TUI_PLUGINS": "",
            "OPTIM_LR": "3",
        }
    )
    assert layers == [
        ("RNN_TUI_DATA_SEQ_LEN", {"data": {"seq_len": 12}}),
        ("RNN_TUI_OPTIM_LR", {"optim": {"lr": 0.1}}),
    ]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--set", "optim.lrr=1"], "did you mean 'lr'"),
        (["--set", "optimm.lr=1"], "did you mean 'optim'"),
        (["--lr", "-1"], "--lr"),
        (["--seq-len", "40-"], "10-40"),
        (["--seq-len", "40-10"], "seq_len_min"),
        (["--normalise", "lowercas"], "--normalise"),
        (["-o", "reset"], "KEY=VALUE"),
    ],
)
def test_wrong_settings_are_refused_by_name(cli, arguments, says):
    done = cli("config", "show", *arguments)
    assert done.code == 2
    assert says in done.refusal


def test_wrong_environment_and_files_are_refused_by_name(cli, monkeypatch, tmp_path):
    (tmp_path / "bad.toml").write_text("[optim\n")
    done = cli("config", "show", "--config", "bad.toml")
    assert done.code == 3
    assert "bad.toml" in done.refusal
    assert cli("config", "show", "--config", "none.toml").code == 3
    monkeypatch.setenv("RNN_TUI_OPTIM_LRX", "1")
    done = cli("config", "show")
    assert done.code == 2
    assert "RNN_TUI_OPTIM_LRX" in done.refusal


def test_path_and_init(cli):
    done = cli("config", "path", "--json")
    assert done.json == {"path": str(config_dir() / "config.toml"), "exists": False}
    assert cli("config", "init").out.strip() == done.json["path"]
    text = (config_dir() / "config.toml").read_text()
    assert set(tomllib.loads(text)) >= {"corpus", "model", "optim"}
    assert all(not table for table in tomllib.loads(text).values())  # nothing is set until somebody does
    uncommented = "\n".join(
        line[2:] if " = " in line and line.startswith("# ") else line for line in text.splitlines()
    )
    settings = tomllib.loads(
        "\n".join(line for line in uncommented.splitlines() if not line.startswith("# "))
    )
    assert settings.pop("plugins") == {"dir": ""}
    app = settings.pop("app")
    assert app.pop("train.pause") == "p"
    assert convert(app, Preferences) == Preferences()
    assert resolve([("file", settings)]).config == resolve([]).config
    assert cli("config", "init").code == 4


def test_preferences_of_the_app_are_shown_with_their_origins(cli, monkeypatch):
    file = config_dir() / "config.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text('[app]\ntheme = "nord"\nfsp = 3\n')
    monkeypatch.setenv("RNN_TUI_APP_FPS", "20")
    found = shown(cli)
    assert found["app.theme"] == ("nord", str(file))
    assert found["app.fps"] == (20, "RNN_TUI_APP_FPS")
    assert found["app.mouse"] == (True, "default")
    assert "there is no setting app.fsp; did you mean 'fps'?" in cli("config", "show", "--json").err
    rows = {row["id"]: row for row in cli("config", "keys", "--json").json}
    assert rows["app.help"]["keys"] == "question_mark"
    assert rows["train.pause"]["does"] == "Pause training; Go on training after a pause"


def test_a_plugin_that_a_run_was_made_with_and_is_missing_is_told_with_its_package(cli, tmp_path):
    (tmp_path / "book.txt").write_text("a short book\n" * 100)
    (tmp_path / "config.toml").write_text(
        '[model]\narch = "mgu"\n[tokenizer]\nname = "char"\n'
        '[about.architecture]\nname = "mgu"\ndistribution = "rnn-tui-mgu"\nversion = "1.0"\n'
        '[about.tokenizer]\nname = "char"\ndistribution = "elsewhere"\nversion = "1.0"\n'
    )
    done = cli("train", "book.txt", "--config", "config.toml", "--detach")
    assert done.code == 2
    assert "there is no architecture 'rnn-tui-mgu:mgu'" in done.refusal
    assert "install it with: " in done.refusal
    found = shown(cli, "--config", "config.toml", "--arch", "gru")
    assert (found["model.arch"][0], found["tokenizer.name"][0]) == ("gru", "char")


def test_notes_of_a_run_that_are_no_notes(cli, tmp_path):
    for about in (
        "about = 3",
        "[about]\narchitecture = 3",
        "[about.architecture]\nname = 3\ndistribution = 4",
    ):
        (tmp_path / "config.toml").write_text(f'{about}\n[model]\narch = "mgu"\n')
        assert shown(cli, "--config", "config.toml")["model.arch"] == ("mgu", "config.toml")
