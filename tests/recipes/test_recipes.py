"""Every recipe is ordinary settings that this installation takes, and is told in a form that fits a terminal."""

import json
import tomllib

import pytest

from rnn_tui.cli.root import run
from rnn_tui.errors import UsageError
from rnn_tui.plugin.describe import check_options
from rnn_tui.recipes import all_recipes, load_recipe, recipe_names, settings_text
from rnn_tui.training.config import resolve
from rnn_tui.training.layers import combine

CLASSICS = [
    *("demo", "timemachine-rnn-scratch", "timemachine-rnn-random", "timemachine-rnn-nn"),
    *("timemachine-gru-scratch", "timemachine-gru-nn", "timemachine-lstm-scratch", "timemachine-lstm-nn"),
    *(
        "timemachine-lstm-deep",
        "lyrics-lstm",
        "lyrics-lstm-scratch",
        "fairytales-lstm",
        "fairytales-lstm-all",
    ),
    *("shakespeare-embedding-rnn", "random-chunks-rnn", "words-rnn", "hello-ohlol", "sine-gru"),
    *("shakespeare-3min", "shakespeare-10min"),
]


def config_of(name):
    return resolve([load_recipe(name).layer]).config


@pytest.fixture
def cli(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        return run(list(arguments)), capsys.readouterr()

    return call


def test_the_classics_are_there_in_order():
    assert recipe_names() == CLASSICS
    orders = [recipe.order for recipe in all_recipes()]
    assert len(set(orders)) == len(orders)


@pytest.mark.parametrize("name", CLASSICS)
def test_recipe_loads_and_its_settings_hold(name):
    recipe = load_recipe(name)
    assert recipe.name == name
    assert all((recipe.source, recipe.about, recipe.original_faults, recipe.expected))
    assert 0 < len(recipe.title) <= 34
    assert 0 < len(recipe.goal) <= 17
    assert len(name) <= 25
    config = resolve(combine([recipe.layer])).config
    check_options("architecture", config.model.arch, config.model.options)
    check_options("tokenizer", config.tokenizer.name, config.tokenizer.options)
    assert config.budget.steps or config.budget.epochs or config.budget.minutes
    assert tomllib.loads(settings_text(name)) == recipe.settings


def test_settings_of_the_first_classic_are_those_of_the_original():
    config = config_of("timemachine-rnn-scratch")
    model, data, optim, watch = config.model, config.data, config.optim, config.watch
    assert (model.arch, model.hidden_size, model.init_std, model.encoder) == ("rnn", 512, 0.01, "one-hot")
    assert (data.batch_size, data.seq_len, data.sampling) == (32, 35, "sequential")
    assert (optim.optimizer, optim.lr, optim.clip, optim.schedule) == ("sgd", 1, 1, "constant")
    assert (config.corpus.first_tokens, config.budget.epochs) == (10_000, 500)
    assert (watch.every_epochs, watch.sample_temperatures) == (10, (0.0,))
    assert watch.sample_prompts == ("time traveller", "traveller")
    random = config_of("timemachine-rnn-random")
    assert random.data.sampling == "random"
    assert (random.model, random.optim) == (model, optim)


def test_two_fairy_tales_differ_in_the_positions_of_the_loss_alone():
    last, whole = load_recipe("fairytales-lstm").settings, load_recipe("fairytales-lstm-all").settings
    assert (last["data"].pop("loss_on"), whole["data"].pop("loss_on")) == ("last", "all")
    assert last == whole


def test_prompts_of_the_lyrics_are_in_the_vocabulary_of_the_built_in_text():
    from rnn_tui.corpus.prepare import prepare
    from rnn_tui.plugin.registry import load_plugin

    for name in ("lyrics-lstm", "lyrics-lstm-scratch"):
        config = config_of(name)
        tokenizer = prepare(config.corpus, load_plugin("tokenizer", "char"), None).tokenizer
        assert config.watch.sample_prompts == ("分开", "不分开")
        assert tokenizer.unknown("".join(config.watch.sample_prompts)) == []


def test_list_fits_80_columns(cli, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    code, said = cli("recipes", "list")
    heading, *lines = said.out.splitlines()
    assert (code, heading.split()) == (0, ["name", "what", "it", "is", "to", "reach"])
    assert [line.split()[0] for line in lines] == CLASSICS
    assert max(map(len, [heading, *lines])) <= 80
    code, said = cli("recipes", "list", "--json")
    assert [one["name"] for one in json.loads(said.out)] == CLASSICS


@pytest.mark.parametrize("name", CLASSICS)
def test_show_tells_all_of_it_in_80_columns(name, cli, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    recipe = load_recipe(name)
    code, said = cli("recipes", "show", recipe.name)
    assert code == 0
    words = " ".join(said.out.split())
    for text in (recipe.title, recipe.source, recipe.about, recipe.original_faults, recipe.expected):
        assert " ".join(text.split()) in words
    assert f'arch = "{recipe.settings["model"]["arch"]}"' in said.out
    assert said.out.rstrip().endswith(f"rnn-tui recipes run {name}")
    assert max(map(len, said.out.splitlines())) <= 80
    _, said = cli("recipes", "show", name, "--json")
    assert json.loads(said.out)["settings"] == recipe.settings


def test_settings_that_show_writes_are_a_config_file(cli, tmp_path):
    (tmp_path / "mine.toml").write_text(settings_text("words-rnn"), encoding="utf-8")
    _, from_file = cli("config", "show", "--config", "mine.toml", "--json")
    _, from_recipe = cli("config", "show", "--recipe", "words-rnn", "--json")

    def values(said):
        return {name: setting["value"] for name, setting in json.loads(said.out).items()}

    assert values(from_file) == values(from_recipe)


def test_corpus_that_is_not_there_is_told_in_one_line(cli, tmp_path):
    code, said = cli("recipes", "run", "timemachine-lstm-nn")
    assert (code, said.out) == (3, "")
    [line] = said.err.splitlines()
    assert "rnn-tui corpus get timemachine" in line
    assert not (tmp_path / "runs").exists()


def test_unknown_recipe_names_the_nearest():
    with pytest.raises(UsageError, match="'lyrics-lstm'"):
        load_recipe("lyric-lstm")
