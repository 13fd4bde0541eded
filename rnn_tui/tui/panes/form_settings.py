"""What the form is filled in with, and where it comes from: the user's file and environment, a recipe, a run."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rnn_tui.tui.panes.form_rows import FIRST_MINUTES, PLUGIN

Settings = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Filling:
    """A value for every setting, and by section.key who gave it, where that is not the default of rnn-tui."""

    settings: Settings
    origins: Mapping[str, str]


def users_own(recipe: "Sequence[tuple[str, Settings]]" = ()) -> Filling:
    """Return what `rnn-tui train` would take where no flag is given, over `recipe` if there is one.

    Without any budget the first run gets a few minutes.

    Raises:
        UsageError, InputError: when the user's file or environment is wrong.
    """
    from rnn_tui.training.config import BUDGETS, resolve, to_dict
    from rnn_tui.training.layers import combine, environment_layers, file_layers

    own = [*file_layers(None), *environment_layers(os.environ)]
    resolved = resolve(combine([*recipe, *own]))
    settings = to_dict(resolved.config)
    if not any(settings["budget"][key] for key in BUDGETS):
        settings["budget"]["minutes"] = FIRST_MINUTES
    names = {layer for layer, _ in own}
    origins = {path: _short(origin) for path, origin in resolved.origins.items() if origin in names}
    # the budgets that another source ruled out are nobody's choice
    return Filling(settings, {path: name for path, name in origins.items() if settings_at(settings, path)})


def _short(origin: str) -> str:
    return Path(origin).name if os.sep in origin else origin


def settings_at(settings: Settings, path: str) -> Any:
    """Return a value by section.key, None where there is none."""
    section, _, key = path.partition(".")
    return settings.get(section, {}).get(key)


def with_those_of(filling: Filling, given: Settings) -> Filling:
    """Return `filling` with the settings of another run, or some of one, over it.

    Options belong to the plugin that is named with them, and of the budgets those of the other run stand alone.
    """
    from rnn_tui.training.config import BUDGETS

    settings = {section: dict(values) for section, values in filling.settings.items()}
    for section, values in given.items():
        table = settings.setdefault(section, {})
        if any(section == path.split(".")[0] and path.split(".")[1] in values for path in PLUGIN):
            table["options"] = {}
        if section == "budget" and any(values.get(key) for key in BUDGETS):
            table |= dict.fromkeys(BUDGETS, 0)
        table |= values
    origins = {
        path: name
        for path, name in filling.origins.items()
        if settings_at(settings, path) == settings_at(filling.settings, path)
        and settings_at(given, path) is None
    }
    return Filling(settings, origins)
