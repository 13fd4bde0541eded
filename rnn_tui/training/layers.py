"""Where settings come from beside flags and forms: the user's file, the environment, and how such layers go together.

What both faces read, so that a run started from either gets the same settings.
"""

import functools
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rnn_tui.paths import settings_file
from rnn_tui.plugin.options import OptionInfo, option_infos
from rnn_tui.plugin.registry import Kind, list_plugins, recorded_name
from rnn_tui.training.config import BUDGETS, Layer, read_toml, sections

NOT_SETTINGS = {"about", "app", "plugins"}
"""Tables that are no settings of a run: what a run's own config.toml says of it, how the user wants the app, and where
single-file plugins lie."""
PLUGINS = {"model": "arch", "tokenizer": "name"}
"""Sections whose `options` belong to the plugin that this key names."""
RECORDED: dict[Kind, str] = {"architecture": "model", "tokenizer": "tokenizer"}
"""Plugins that `[about]` records, and the sections that name them."""


@functools.cache
def setting_infos(section: str) -> dict[str, OptionInfo]:
    """Return the declarations of a section by key."""
    return {info.name: info for info in option_infos(sections()[section])}


def literal(text: str, section: str = "", key: str = "") -> Any:
    """Read a value as TOML writes it; what is no TOML, and all for a setting that holds text, is a string."""
    info = setting_infos(section).get(key) if section in sections() else None
    if info and info.many and not text.startswith("["):
        return [text] if info.type == "str" else [literal(part) for part in text.split(",")]
    if info and info.type in ("str", "choice") and not info.many:
        return text
    if info and info.type == "choices" and not text.startswith("["):
        return [word.strip() for word in text.split(",") if word.strip()]
    try:
        found = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    return found["value"] if len(found) == 1 else text  # a text may go on with a line of its own


def environment_layers(environment: Mapping[str, str]) -> list[Layer]:
    """Return the settings given as `RNN_TUI_<SECTION>_<KEY>`."""
    layers: list[Layer] = []
    for name, value in sorted(environment.items()):
        match = re.fullmatch(rf"RNN_TUI_({'|'.join(sections())})_(\w+)", name, re.IGNORECASE)
        if match and name.isupper() and name != "RNN_TUI_DATA_DIR":  # that one is `rnn_tui.paths`'s
            section, key = match[1].lower(), match[2].lower()
            layers.append((name, {section: {key: literal(value, section, key)}}))
    return layers


def file_layers(named: Path | None) -> list[Layer]:
    """Return the settings of the user's file, where there is one, and of the file that `--config` names."""
    files = [*([settings_file()] if settings_file().is_file() else []), *([named] if named else [])]
    layers: list[Layer] = []
    for path in files:
        values = read_toml(str(path))
        _name_in_full(values)
        layers.append((str(path), {key: value for key, value in values.items() if key not in NOT_SETTINGS}))
    return layers


def _name_in_full(values: Mapping[str, Any]) -> None:
    """Put the package before the name of a plugin that a run's own file records and whose name leads to none here.

    The refusal then tells which package to install, and where several have the name it is the run's that is taken.
    """
    about = values.get("about")
    for kind, section in RECORDED.items():
        record = about.get(kind) if isinstance(about, dict) else None
        match record, values.get(section):
            case {"name": str(name), "distribution": str(distribution)}, dict(settings):
                key = PLUGINS[section]
                known = {info.name for info in list_plugins(kind)}
                if settings.get(key) == name and name not in known:
                    settings[key] = recorded_name({"name": name, "distribution": distribution})


def combine(layers: Sequence[Layer]) -> list[Layer]:
    """Return `layers`, weakest first, so that what belongs together is replaced together.

    - Options of a plugin add up while the layers mean the same plugin; they go when one names another.
    - Of steps, epochs and minutes, the strongest source that sets any decides alone: `--minutes 3` on a recipe
      of 500 epochs trains three minutes. All flags are one source, and so is the environment.
    """
    combined: list[Layer] = []
    budget_source = ""
    options: dict[str, dict[str, Any]] = {section: {} for section in PLUGINS}
    names = {section: getattr(sections()[section](), key) for section, key in PLUGINS.items()}
    for origin, settings in layers:
        merged: dict[str, Any] = {
            key: dict(v) if isinstance(v, Mapping) else v for key, v in settings.items()
        }
        for section, key in PLUGINS.items():
            values = merged.get(section)
            if not isinstance(values, dict):
                continue
            if values.get(key, names[section]) != names[section]:
                names[section] = values[key]
                if options[section]:
                    options[section] = {}
                    values.setdefault("options", {})
            if isinstance(values.get("options"), Mapping):
                options[section] = values["options"] = options[section] | dict(values["options"])
        budget = merged.get("budget")
        if isinstance(budget, dict) and any(key in budget for key in BUDGETS):
            if _source(origin) != budget_source:
                merged["budget"] = dict.fromkeys(BUDGETS, 0) | budget
            budget_source = _source(origin)
        combined.append((origin, merged))
    return combined


def _source(origin: str) -> str:
    return "flags" if origin.startswith("-") else "environment" if origin.startswith("RNN_TUI_") else origin
