"""The form, up to the moment a worker would start."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from textual.app import App
from textual.widgets import Collapsible, Input

from rnn_tui.plugin.options import OptionInfo, check_items
from rnn_tui.tui.app import RnnTuiApp
from rnn_tui.tui.panes.fields import Field
from rnn_tui.tui.panes.form_rows import declarations
from rnn_tui.tui.panes.train import TrainPane
from rnn_tui.tui.panes.train_form import TrainForm

pytestmark = pytest.mark.usefixtures("no_children")


@pytest.fixture
def started(
    no_children: None, monkeypatch: pytest.MonkeyPatch, make_run: Callable[..., Any]
) -> list[tuple[str | None, Any]]:
    """What would have been started: name and configuration. Everything before that is the real thing."""
    found: list[tuple[str | None, Any]] = []

    def start(
        runs_dir: Path, name: str | None, config: Any, progress: Any = None, warm_start: Any = None
    ) -> Any:
        found.append((name, config))
        progress("encoding", 1, 2)
        return make_run(name or "made-1").folder

    def check(kind: str, name: str, items: Any) -> Any:
        """As `check_options`, from the descriptions of these tests."""
        known = next(d for d in describe_plugins() if (d.info.kind, d.info.name) == (kind, name))
        return check_items(known.options, items, owner=f"{kind} {name}")

    from rnn_tui.plugin.describe import describe_plugins

    monkeypatch.setattr("rnn_tui.training.launch.start", start)
    monkeypatch.setattr("rnn_tui.training.launch.check_options", check)
    return found


@pytest.fixture
def all_plugins(no_children: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plugins of the recipes."""
    from rnn_tui.plugin.describe import describe_plugins

    gru, lstm, _, char, byte = describe_plugins()
    char = replace(char, options=(OptionInfo("max_vocabulary", "int", 0, ""),))
    more = [
        replace(gru, info=replace(gru.info, name=name), options=())
        for name in ("nn-rnn", "nn-gru", "nn-lstm")
    ]
    monkeypatch.setattr(
        "rnn_tui.plugin.describe.describe_plugins", lambda **_: [gru, lstm, *more, char, byte]
    )


@pytest.fixture
def no_checks(started: list[Any], all_plugins: None, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """As `started`, for corpora and plugins that are not here."""
    monkeypatch.setattr("rnn_tui.training.launch.check_source", lambda source: None)
    monkeypatch.setattr("rnn_tui.training.launch.check_options", lambda kind, name, items: dict(items))
    return started


async def open_form(pilot: Any, app: RnnTuiApp, until: Any) -> TrainForm:
    await pilot.press("n")
    await until(pilot, lambda: bool(app.query(TrainForm)) and app.query_one(TrainPane)._mode == "form")
    form = app.query_one(TrainForm)
    await until(pilot, lambda: form.field("model.options.forget_bias") is not None)
    return form


async def test_defaults_start_a_short_run(
    runs_dir: Path, until: Any, screen_text: Any, started: list[Any]
) -> None:
    app = RnnTuiApp(runs_dir)
    async with app.run_test(size=(80, 24)) as pilot:
        await open_form(pilot, app, until)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: bool(started) and "made-1" in screen_text(app))
    name, config = started[0]
    assert name is None
    assert (config.model.arch, config.tokenizer.name, config.corpus.source) == ("lstm", "char", "stdlib")
    assert config.budget.minutes == 3.0


async def test_what_is_entered_arrives(runs_dir: Path, until: Any, started: list[Any]) -> None:
    app = RnnTuiApp(runs_dir)
    async with app.run_test(size=(100, 30)) as pilot:
        form = await open_form(pilot, app, until)
        for path, value in {
            "run.name": "mine", "model.arch": "gru", "model.hidden_size": "1,024", "optim.lr": "2e-3",
            "budget.minutes": "0", "budget.steps": "500", "optim.optimizer": "sgd",
        }.items():  # fmt: skip
            field = form.field(path)
            assert field is not None
            field.set_value(value)
        await until(pilot, lambda: len(form.query("#model-options Field #label")) == 1)
        form.field("model.options.reset").set_value("after")  # type: ignore[union-attr]
        await pilot.pause()
        await pilot.press("ctrl+s")
        await until(pilot, lambda: bool(started))
    name, config = started[0]
    assert name == "mine"
    assert config.model.arch == "gru"
    assert config.model.options == {"reset": "after"}
    assert config.model.hidden_size == 1024
    assert (config.optim.lr, config.optim.optimizer) == (0.002, "sgd")
    assert (config.budget.steps, config.budget.minutes) == (500, 0)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("model.hidden_size", "many"),
        pytest.param("optim.lr", "-1", marks=pytest.mark.slow),
        ("corpus.source", "tinyshakespear"),
        pytest.param("data.batch_size", "0", marks=pytest.mark.slow),
        ("model.options.forget_bias", "many"),
    ],
)
async def test_an_error_is_shown_at_its_row_and_nothing_is_lost(
    runs_dir: Path, until: Any, screen_text: Any, started: list[Any], path: str, value: str
) -> None:
    app = RnnTuiApp(runs_dir)
    async with app.run_test(size=(100, 30)) as pilot:
        form = await open_form(pilot, app, until)
        form.field("model.num_layers").set_value("3")  # type: ignore[union-attr]
        field = form.field(path)
        assert field is not None
        field.set_value(value)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: field.has_class("-wrong"))
        assert started == []
        assert app.focused is field.children[1]
        assert [f.path for f in form.fields() if f.has_class("-wrong")] == [path]
        assert form.field("model.num_layers").value == 3  # type: ignore[union-attr]
        # correcting it takes the mark away
        await pilot.press("6")
        await until(pilot, lambda: not field.has_class("-wrong"))


async def test_an_error_that_names_no_row_is_shown_on_top(
    runs_dir: Path, until: Any, screen_text: Any, started: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from rnn_tui.errors import DiskError

    def full(*_: Any, **__: Any) -> None:
        raise DiskError("no space left [/bold] on the disk")

    monkeypatch.setattr("rnn_tui.training.launch.start", full)
    app = RnnTuiApp(runs_dir)
    async with app.run_test(size=(80, 24)) as pilot:
        await open_form(pilot, app, until)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "no space left [/bold] on the disk" in screen_text(app))
        assert app.query_one(TrainPane)._mode == "form"


async def test_plugins_that_cannot_be_used_are_not_offered(runs_dir: Path, until: Any) -> None:
    app = RnnTuiApp(runs_dir)
    async with app.run_test(size=(80, 24)) as pilot:
        form = await open_form(pilot, app, until)
        field = form.field("model.arch")
        assert field is not None
        assert field.info.choices == ("gru", "lstm")
        assert field.value == "lstm"


async def test_all_settings_are_there_when_asked_for(runs_dir: Path, until: Any, started: list[Any]) -> None:
    app = RnnTuiApp(runs_dir)
    async with app.run_test(size=(100, 40)) as pilot:
        form = await open_form(pilot, app, until)
        before = len(form.fields())
        await pilot.click("CollapsibleTitle")
        await until(pilot, lambda: len(form.fields()) > before + 20)
        assert {field.path for field in form.fields()} >= set(declarations())
        form.field("corpus.normalise").set_value("lowercase, letters-only")  # type: ignore[union-attr]
        form.field("runtime.seed").set_value("7")  # type: ignore[union-attr]
        await pilot.press("ctrl+s")
        await until(pilot, lambda: bool(started))
    config = started[0][1]
    assert config.corpus.normalise == ("lowercase", "letters-only")
    assert config.runtime.seed == 7


async def test_settings_of_another_run_fill_the_form(runs_dir: Path, until: Any, started: list[Any]) -> None:
    from rnn_tui.training.config import RunConfig, to_dict

    source = RunConfig()
    source = replace(
        source,
        model=replace(source.model, arch="gru", options={"reset": "after"}, num_layers=2),
        optim=replace(source.optim, warmup_steps=7),
        budget=replace(source.budget, steps=40),
    )
    app = RnnTuiApp(runs_dir)
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: app.descriptions is not None)
        app.new_run(to_dict(source))
        await until(pilot, lambda: len(app.query("#model-options Field")) == 1)
        form = app.query_one(TrainForm)
        await until(pilot, lambda: form.field("model.arch").value == "gru")  # type: ignore[union-attr]
        await until(pilot, lambda: form.field("model.options.reset") is not None)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: bool(started))
    config = started[0][1]
    assert config.model.arch == "gru"
    assert config.model.options == {"reset": "after"}
    assert (config.model.num_layers, config.optim.warmup_steps) == (2, 7)
    assert (config.budget.steps, config.budget.minutes) == (40, 0)


async def choose_recipe(pilot: Any, app: RnnTuiApp, until: Any, name: str) -> TrainForm:
    form = await open_form(pilot, app, until)
    recipe = form.field("run.recipe")
    assert recipe is not None
    recipe.set_value(name)
    await until(pilot, lambda: str(form.field("run.name").value).startswith(name))  # type: ignore[union-attr]
    await pilot.pause()
    return form


RECIPES = ["hello-ohlol", "sine-gru", "timemachine-gru-scratch", "fairytales-lstm"]


@pytest.mark.parametrize(
    "name", [*RECIPES[:2], *(pytest.param(name, marks=pytest.mark.slow) for name in RECIPES[2:])]
)
async def test_a_recipe_is_started_as_it_stands(
    runs_dir: Path, until: Any, no_checks: list[Any], name: str
) -> None:
    """What starts is what `recipes run` would start: every setting, those without a row of their own too."""
    from rnn_tui.recipes import load_recipe
    from rnn_tui.training.config import resolve

    app = RnnTuiApp(runs_dir)
    async with app.run_test(size=(100, 30)) as pilot:
        form = await choose_recipe(pilot, app, until, name)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: bool(no_checks))
        assert not [field.path for field in form.fields() if field.has_class("-wrong")]
    run, config = no_checks[0]
    assert run == f"{name}-1"
    expected = resolve([load_recipe(name).layer]).config
    given = {
        k: v for k, v in expected.model.options.items() if (k, v) != ("reset", "before")
    }  # that is the default
    assert config == replace(expected, model=replace(expected.model, options=given))


async def test_an_edited_field_overrides_the_recipe(
    runs_dir: Path, until: Any, screen_text: Any, no_checks: list[Any]
) -> None:
    app = RnnTuiApp(runs_dir)
    async with app.run_test(size=(100, 30)) as pilot:
        form = await choose_recipe(pilot, app, until, "hello-ohlol")
        assert "To reach: the guess becomes ohlol" in screen_text(app)
        form.field("model.hidden_size").set_value("256")  # type: ignore[union-attr]
        form.field("budget.epochs").set_value("0")  # type: ignore[union-attr]
        form.field("budget.steps").set_value("5")  # type: ignore[union-attr]
        await pilot.press("ctrl+s")
        await until(pilot, lambda: bool(no_checks))
    config = no_checks[0][1]
    assert config.model.hidden_size == 256  # the default, not the recipe's 8
    assert (config.budget.steps, config.budget.epochs, config.budget.minutes) == (5, 0, 0)
    assert config.model.embedding_size == 10  # which no row shows


async def test_a_second_recipe_leaves_nothing_of_the_first(
    runs_dir: Path, until: Any, no_checks: list[Any]
) -> None:
    from rnn_tui.recipes import load_recipe
    from rnn_tui.training.config import resolve

    app = RnnTuiApp(runs_dir)
    async with app.run_test(size=(100, 30)) as pilot:
        form = await choose_recipe(pilot, app, until, "timemachine-gru-scratch")
        form.query_one(Collapsible).collapsed = False
        await until(pilot, lambda: form.field("corpus.normalise") is not None)
        form.field("run.recipe").set_value("hello-ohlol")  # type: ignore[union-attr]
        await until(pilot, lambda: form.field("run.name").value == "hello-ohlol-1")  # type: ignore[union-attr]
        await pilot.press("ctrl+s")
        await until(pilot, lambda: bool(no_checks))
    assert no_checks[0][1] == resolve([load_recipe("hello-ohlol").layer]).config


async def test_the_name_of_a_recipe_is_numbered(
    runs_dir: Path, until: Any, no_checks: list[Any], make_run: Callable[..., Any]
) -> None:
    make_run("sine-gru-1")
    app = RnnTuiApp(runs_dir)
    async with app.run_test(size=(100, 30)) as pilot:
        form = await choose_recipe(pilot, app, until, "sine-gru")
        assert form.field("run.name").value == "sine-gru-2"  # type: ignore[union-attr]
        tokenizer = form.field("tokenizer.name")
        assert tokenizer is not None
        assert not tokenizer.display  # numbers have no tokens
        form.field("task.name").set_value("aligned")  # type: ignore[union-attr]
        await until(pilot, lambda: tokenizer.display)


async def test_a_recipe_whose_architecture_is_not_installed(
    runs_dir: Path, until: Any, started: list[Any]
) -> None:
    app = RnnTuiApp(runs_dir)
    async with app.run_test(size=(100, 30)) as pilot:
        form = await choose_recipe(pilot, app, until, "hello-ohlol")  # wants nn-rnn
        field = form.field("model.arch")
        assert field is not None
        await until(pilot, lambda: field.has_class("-wrong"))


async def test_nothing_installed_is_said(
    runs_dir: Path, until: Any, screen_text: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rnn_tui.plugin.describe.describe_plugins", lambda **_: [])
    app = RnnTuiApp(runs_dir)
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.press("n")
        await until(pilot, lambda: "no architecture is installed" in screen_text(app))
        assert "no tokenizer is installed" in screen_text(app)
        assert "lstm" not in screen_text(app)


@pytest.mark.parametrize(
    ("type_", "typed", "value"),
    [
        ("int", "1, 4,16", [1, 4, 16]),
        ("float", "0.1, 1e-3", [0.1, 0.001]),
        ("float", "0.1, much", [0.1, "much"]),
        ("str", '"def ", "a, b"', ["def ", "a, b"]),
        ("str", "time traveller", ["time traveller"]),
        ("str", "", []),
    ],
)
async def test_rows_of_lists(type_: str, typed: str, value: list[Any]) -> None:
    row = Field("x", OptionInfo("many", type_, (), "", many=True))
    app: App[None] = App()
    async with app.run_test() as pilot:
        await app.mount(row)
        row.query_one(Input).value = typed
        await pilot.pause()
        assert row.value == value
        if "much" not in value:
            row.set_value(value)
            assert row.value == value


async def test_escape_leaves_the_input_then_the_form(runs_dir: Path, until: Any) -> None:
    app = RnnTuiApp(runs_dir)
    async with app.run_test(size=(80, 24)) as pilot:
        await open_form(pilot, app, until)
        assert isinstance(app.focused, Input)
        await pilot.press("q")  # typed, not quit
        assert app.is_running
        await pilot.press("escape")
        assert app.focused is app.query_one(TrainPane)
        await pilot.press("escape")
        assert app.query_one(TrainPane)._mode == "nothing"
