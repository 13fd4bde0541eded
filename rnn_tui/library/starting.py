"""Training from a program: settings in, a run out."""

import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from rnn_tui.errors import UsageError, nearest
from rnn_tui.library import arguments
from rnn_tui.library.boundary import safe_errors
from rnn_tui.library.places import StrPath, name_or_path, runs_folder
from rnn_tui.library.run import Run, followed
from rnn_tui.runs.eventline import Event
from rnn_tui.runs.folder import numbered
from rnn_tui.training.config import Layer, RunConfig, resolve, sections, to_dict
from rnn_tui.training.layers import combine

Settings = RunConfig | Mapping[str, Any] | str

_SHORT = {"corpus": "source", "tokenizer": "name", "task": "name"}
"""Sections that a text may be given for, and the setting that it then is."""


@safe_errors()
def train(
    config: Settings | None = None,
    *,
    name: str | None = None,
    runs_dir: StrPath | None = None,
    warm_start: StrPath | None = None,
    detach: bool = False,
    on_event: Callable[[Event], object] | None = None,
    **settings: Any,
) -> Run:
    """Train a model, as `rnn-tui train` and `rnn-tui recipes run` do, and return its run.

        >>> run = rnn_tui.train(corpus="fox.txt", arch="gru", hidden_size=8, steps=3, threads=1)
        >>> run.name, run.state
        ('gru-fox-1', 'finished')
        >>> run = rnn_tui.train(
        ...     {"model": {"hidden_size": 8}, "budget": {"steps": 2}, "runtime": {"threads": 1}}, corpus="fox.txt"
        ... )
        >>> run.history().step.tolist()[-1]
        2

    A worker process does the training, in a session of its own: it goes on when the notebook is closed, and all of
    `rnn-tui` and the app see it. This call follows it to its end unless `detach`. KeyboardInterrupt ends the
    following and is raised again, the run goes on: `open_run` finds it, and its `stop` ends it. The worker is
    started from scratch and not forked, so a script needs no `if __name__ == "__main__"`, and nothing of this
    program reaches it but the environment.

    What decides is what is given here: neither the user's file of settings nor `RNN_TUI_<SECTION>_<KEY>` counts.

    Args:
        config: where the settings begin: a `Config`, the name of a recipe, or a dict such as
            `{"model": {"arch": "gru"}, "steps": 500}`; None: the defaults.
        name: of the run; None: made of architecture and corpus, or of the recipe, and a number.
        runs_dir: where runs lie; None: `RNN_TUI_RUNS`, else `./runs`.
        warm_start: begin with the weights of a run or a model file, whose architecture and tokenizer are taken over.
        detach: return as soon as the worker is started.
        on_event: called with each event of the run while this call follows; what it raises comes out of here, and
            the run goes on.
        settings: over `config`, as for `configure`.

    Raises:
        UsageError: for an unknown or wrong setting; names it, and the nearest.
        InputError: when the corpus cannot be used.
        PluginError: when a plugin is missing, refuses its options or breaks its contract.
        BusyError: when there is a run of that name.
        DivergedError, OutOfMemoryError, DiskError, RnnTuiError: when the run fails.
    """
    from rnn_tui.training import launch

    if name is not None:
        arguments.text("name", name)
    arguments.switch("detach", detach)
    arguments.callback("on_event", on_event)
    where = runs_folder(runs_dir)
    layers, base = _layers(config, settings)
    model = None
    if warm_start is not None:
        from rnn_tui.inference.target import resolve_target
        from rnn_tui.training.warm_start import settings_of_model

        model = resolve_target(name_or_path("warm_start", warm_start), where)
        layers = [settings_of_model(model), *layers]
    checked = launch.prepare_run_config(combine(layers)).config

    def start(chosen: str | None) -> Run:
        return Run(launch.start(where, chosen, checked, warm_start=model))

    run = start(name) if name is not None or base is None else numbered(where, base, start)
    return run if detach else followed(run, on_event, fresh=True)


@safe_errors()
def configure(config: Settings | None = None, **settings: Any) -> RunConfig:
    """Return the whole configuration of a run, every setting with its value; nothing is read or started.

        >>> config = rnn_tui.configure("timemachine-gru-nn", hidden_size=64, steps=100)
        >>> config.model.arch, config.model.hidden_size, config.budget.epochs
        ('nn-gru', 64, 0.0)
        >>> config == rnn_tui.configure(config)
        True

    Args:
        config: as for `train`; what a dict holds is named as `settings` are.
        settings: sections with a dict of their settings, `optim={"lr": 1e-3, "clip": 1.0}`, and single settings by
            their own names, `lr=1e-3`. `corpus`, `tokenizer` and `task` take a text too: the file, folder or named
            corpus, and the names of the others. A name that two sections have, such as `options`, has to be given
            within its section: `model={"options": {"reset": "after"}}`. `Config` lists them all.
            Of steps, epochs and minutes, those given here decide alone.

    Raises:
        UsageError: for an unknown or wrong setting; names it, and the nearest.
    """
    return resolve(combine(_layers(config, settings)[0])).config


def _layers(config: Settings | None, settings: Mapping[str, Any]) -> tuple[list[Layer], str | None]:
    """Return the settings, weakest first, and the recipe's name where they begin with one."""
    layers: list[Layer] = []
    base = None
    match config:
        case None:
            pass
        case RunConfig():
            layers.append(("config", to_dict(config)))
        case str():
            layers.append(_recipe(base := config))
        case Mapping():
            layers.append(("config", _tables("config", config)))
        case _:
            raise UsageError(
                f"config must be a Config, the name of a recipe or a dict of sections, not {type(config).__name__}"
            )
    layers.append(("settings", _tables("settings", settings)))
    return layers, base


def _recipe(name: str) -> Layer:
    from rnn_tui.recipes import load_recipe

    try:
        return load_recipe(name).layer
    except UsageError as error:
        if os.path.exists(name):
            raise UsageError(f"{error}; to train on the file {name}, give it as corpus={name!r}") from None
        raise


def _tables(origin: str, settings: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return settings by section: whole sections, and single settings by their own names."""
    homes: dict[str, list[str]] = {}
    for section, kind in sections().items():
        for key in kind.__dataclass_fields__:  # type: ignore[attr-defined]
            homes.setdefault(key, []).append(section)
    tables: dict[str, dict[str, Any]] = {}
    for name, value in settings.items():
        name, value = str(name), _plain(value)
        if name in sections():
            if isinstance(value, str) and name in _SHORT:
                value = {_SHORT[name]: value}
            if not isinstance(value, Mapping):
                example = f", or a text: its {_SHORT[name]}" if name in _SHORT else ""
                raise UsageError(
                    f"{origin}: {name} must be a dict of the section's settings{example}, not {value!r}"
                )
            given = dict(value)
        elif name not in homes:
            known = [*homes, *sections()]
            raise UsageError(f"{origin}: there is no setting {name!r}{nearest(name, known)}")
        elif len(homes[name]) > 1:
            ways = " or ".join(f"{section}={{{name!r}: …}}" for section in homes[name])
            raise UsageError(f"{origin}: {name!r} is the name of {len(homes[name])} settings; give {ways}")
        else:
            given = {name: value}
        section = name if name in sections() else homes[name][0]
        if twice := tables.get(section, {}).keys() & given.keys():
            raise UsageError(f"{origin}: {section}.{sorted(twice)[0]} is given twice")
        tables.setdefault(section, {}).update(given)
    return tables


def _plain(value: Any) -> Any:
    """Return a value with paths as texts, and NumPy's numbers as Python's."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, np.generic):
        return value.item()
    return os.fspath(value) if isinstance(value, os.PathLike) else value
