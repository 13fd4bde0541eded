"""Every recipe is ordinary settings that this installation takes."""

import pytest

from rnn_tui.cli.settings import combine
from rnn_tui.errors import UsageError
from rnn_tui.plugin.describe import check_options
from rnn_tui.recipes import load_recipe, recipe_names
from rnn_tui.training.config import resolve
from rnn_tui.training.launch import prepare_run_config

CLASSICS = {
    *("timemachine-rnn-scratch", "timemachine-rnn-random", "timemachine-rnn-nn", "timemachine-gru-scratch"),
    *("timemachine-gru-nn", "timemachine-lstm-scratch", "timemachine-lstm-nn", "timemachine-lstm-deep"),
    *("lyrics-lstm", "lyrics-lstm-scratch", "shakespeare-embedding-rnn", "random-chunks-rnn", "words-rnn"),
    *("fairytales-lstm", "demo"),
}


def test_the_classics_are_there():
    assert set(recipe_names()) >= CLASSICS


@pytest.mark.parametrize("name", recipe_names())
def test_recipe_loads_and_its_settings_hold(name):
    recipe = load_recipe(name)
    assert recipe.name == name
    assert all((recipe.title, recipe.source, recipe.about, recipe.original_faults, recipe.expected))
    assert "\n" not in recipe.title
    config = resolve(combine([recipe.layer])).config
    check_options("architecture", config.model.arch, config.model.options)
    check_options("tokenizer", config.tokenizer.name, config.tokenizer.options)
    assert config.budget.steps or config.budget.epochs or config.budget.minutes


def test_settings_of_the_first_classic_are_those_of_the_original():
    config = resolve([load_recipe("timemachine-rnn-scratch").layer]).config
    assert (config.model.arch, config.model.hidden_size, config.model.init_std, config.model.encoder) == (
        "rnn",
        512,
        0.01,
        "one-hot",
    )
    assert (config.data.batch_size, config.data.seq_len, config.data.sampling) == (32, 35, "sequential")
    assert (config.optim.optimizer, config.optim.lr, config.optim.clip, config.optim.schedule) == (
        "sgd",
        1,
        1,
        "constant",
    )
    assert (config.corpus.first_tokens, config.budget.epochs) == (10_000, 500)
    random = resolve([load_recipe("timemachine-rnn-random").layer]).config
    assert random.data.sampling == "random"
    assert random.model == config.model


def test_corpus_that_is_not_there_is_told_in_one_line():
    with pytest.raises(Exception, match="rnn-tui corpus get timemachine") as caught:
        prepare_run_config([load_recipe("timemachine-lstm-nn").layer])
    assert "\n" not in str(caught.value)


def test_unknown_recipe_names_the_nearest():
    with pytest.raises(UsageError, match="'lyrics-lstm'"):
        load_recipe("lyric-lstm")
