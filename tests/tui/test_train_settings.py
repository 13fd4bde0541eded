"""What the form is filled in with: the user's own settings, those of another run, those of a model."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rnn_tui.errors import UsageError
from rnn_tui.paths import config_dir
from rnn_tui.tui.app import RnnTuiApp
from rnn_tui.tui.panes import form_settings
from rnn_tui.tui.panes.form_settings import Filling, users_own, with_those_of
from rnn_tui.tui.panes.train_form import TrainForm
from rnn_tui.tui.panes.warm_start_row import WarmStartRow

pytestmark = pytest.mark.usefixtures("no_children")


def write_own(text: str) -> None:
    config_dir().mkdir(parents=True, exist_ok=True)
    (config_dir() / "config.toml").write_text(text)


def test_without_settings_of_ones_own_a_run_takes_three_minutes(runs_dir: Path) -> None:
    own = users_own()
    assert own.settings["budget"]["minutes"] == 3.0
    assert own.settings["model"]["arch"] == "lstm"
    assert own.origins == {}


def test_the_environment_is_stronger_than_the_file(runs_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_own(
        '[model]\nhidden_size = 64\n[optim]\nlr = 0.001\n[budget]\nsteps = 500\n[app]\ntheme = "rnn-light"\n'
    )
    monkeypatch.setenv("RNN_TUI_OPTIM_LR", "0.002")
    own = users_own()
    assert (own.settings["model"]["hidden_size"], own.settings["optim"]["lr"]) == (64, 0.002)
    assert (own.settings["budget"]["steps"], own.settings["budget"]["minutes"]) == (500, 0)
    assert own.origins == {
        "model.hidden_size": "config.toml", "optim.lr": "RNN_TUI_OPTIM_LR", "budget.steps": "config.toml",
    }  # fmt: skip


def test_a_recipe_lies_under_the_users_own(runs_dir: Path) -> None:
    write_own("[model]\nhidden_size = 64\n")
    recipe = ("recipe", {"model": {"hidden_size": 8, "num_layers": 2}, "budget": {"epochs": 3}})
    own = users_own([recipe])
    assert (own.settings["model"]["hidden_size"], own.settings["model"]["num_layers"]) == (64, 2)
    assert (own.settings["budget"]["epochs"], own.settings["budget"]["minutes"]) == (3, 0)
    assert own.origins == {"model.hidden_size": "config.toml"}


def test_what_is_wrong_names_its_file(runs_dir: Path) -> None:
    write_own("[model]\nhiden_size = 64\n")
    with pytest.raises(UsageError, match=r"config\.toml.*hidden_size"):
        users_own()


def test_settings_of_another_run_stand_over_it() -> None:
    base = Filling(
        {
            "model": {"arch": "lstm", "hidden_size": 64, "options": {"forget_bias": 1.0}},
            "budget": {"steps": 0, "epochs": 0.0, "minutes": 3.0},
        },
        {"model.hidden_size": "config.toml", "model.arch": "config.toml"},
    )
    found = with_those_of(base, {"model": {"arch": "gru"}, "budget": {"steps": 40}})
    assert found.settings == {
        "model": {"arch": "gru", "hidden_size": 64, "options": {}},  # options were those of lstm
        "budget": {"steps": 40, "epochs": 0, "minutes": 0},
    }
    assert found.origins == {"model.hidden_size": "config.toml"}
    kept = with_those_of(base, {"corpus": {"source": "x"}})
    assert kept.settings["model"] == base.settings["model"]
    assert kept.settings["budget"]["minutes"] == 3.0
    assert form_settings.settings_at(kept.settings, "corpus.source") == "x"


async def opened(pilot: Any, app: RnnTuiApp, until: Any) -> TrainForm:
    await pilot.press("n")
    await until(pilot, lambda: bool(app.query(TrainForm)))
    form = app.query_one(TrainForm)
    await until(pilot, lambda: form.field("model.options.forget_bias") is not None)
    return form


async def test_the_form_shows_whose_a_value_is_until_it_is_changed(
    runs_dir: Path, until: Any, screen_text: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_own("[model]\nhidden_size = 64\n[optim]\nwarmup_steps = 7\n")
    monkeypatch.setenv("RNN_TUI_OPTIM_LR", "0.002")
    app = RnnTuiApp(runs_dir)
    async with app.run_test(size=(120, 40)) as pilot:
        form = await opened(pilot, app, until)
        await until(pilot, lambda: "from RNN_TUI_OPTIM_LR: Learning rate" in screen_text(app))
        assert "from config.toml: " in screen_text(app)
        assert form.settings()["optim"]["warmup_steps"] == 7  # which no row shows yet
        size, rate = form.field("model.hidden_size"), form.field("optim.lr")
        assert size is not None
        assert rate is not None
        assert (size.value, rate.value) == (64, 0.002)
        rate.focus_editor()
        await pilot.press("end", "5")
        await until(pilot, lambda: "from RNN_TUI_OPTIM_LR" not in screen_text(app))
        # what is set back to the default of rnn-tui stays so
        size.set_value(256)
        await pilot.pause()
        assert form.settings()["model"]["hidden_size"] == 256


async def test_settings_that_are_wrong_are_told_on_top(runs_dir: Path, until: Any, screen_text: Any) -> None:
    write_own("[model]\nhiden_size = 64\n")
    app = RnnTuiApp(runs_dir)
    async with app.run_test(size=(100, 30)) as pilot:
        form = await opened(pilot, app, until)
        await until(pilot, lambda: "hiden_size" in screen_text(app))
        assert form.settings()["model"]["hidden_size"] == 256


async def test_a_warm_start_takes_over_the_model(
    runs_dir: Path,
    until: Any,
    screen_text: Any,
    make_run: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_run("older")
    model = {
        "model": {"arch": "gru", "hidden_size": 32, "options": {"reset": "after"}},
        "tokenizer": {"name": "byte"},
    }
    model["task"] = {"name": "next-token"}
    started: list[tuple[Any, ...]] = []

    def resolve_target(target: str, folder: Path) -> Path:
        if target != "older":
            raise UsageError(f"there is no run {target}")
        return folder / "older" / "model.safetensors"

    def start(runs_dir: Path, name: Any, config: Any, *, progress: Any, warm_start: Any) -> Any:
        started.append((warm_start, config))
        return make_run("newer").folder

    monkeypatch.setattr("rnn_tui.inference.target.resolve_target", resolve_target)
    monkeypatch.setattr("rnn_tui.training.warm_start.settings_of_model", lambda path: (str(path), model))
    monkeypatch.setattr("rnn_tui.training.launch.start", start)
    monkeypatch.setattr("rnn_tui.training.launch.check_options", lambda kind, name, items: dict(items))
    app = RnnTuiApp(runs_dir)
    async with app.run_test(size=(100, 40)) as pilot:
        form = await opened(pilot, app, until)
        form.field("optim.lr").set_value("1e-3")  # type: ignore[union-attr]
        warm = form.field("run.warm_start")
        assert warm is not None
        warm.set_value("oldest")
        await pilot.pause()
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "there is no run oldest" in screen_text(app))
        assert started == []
        warm.set_value("older")
        await pilot.pause()
        form.query_one(WarmStartRow).take_over(lambda: None)
        await until(pilot, lambda: form.field("model.options.reset") is not None)
        await until(pilot, lambda: form.field("model.options.reset").value == "after")  # type: ignore[union-attr]
        await pilot.press("ctrl+s")
        await until(pilot, lambda: bool(started))
    path, config = started[0]
    assert path == runs_dir / "older" / "model.safetensors"
    assert (config.model.arch, config.model.hidden_size, config.tokenizer.name) == ("gru", 32, "byte")
    assert config.model.options == {"reset": "after"}
    assert config.optim.lr == 0.001  # entered before, and not the model's
