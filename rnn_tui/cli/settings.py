"""The flags that are settings of a run, and the layers that come before them.

Types, choices, defaults and help come from the dataclasses of `rnn_tui.training.config`; the table here says
only which settings have a flag of their own. Every other one is reached by `--set section.key=value`.
"""

import functools
import os
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click

from rnn_tui.cli.base import HeadedOption
from rnn_tui.cli.complete import architectures, tokenizers
from rnn_tui.errors import UsageError
from rnn_tui.paths import config_dir
from rnn_tui.plugin.options import OptionInfo, option_infos
from rnn_tui.training.config import BUDGETS, Layer, read_toml, sections

NOT_SETTINGS = {"about"}
"""Tables of a run's own config.toml that are no settings, so that `--config runs/NAME/config.toml` works."""
PLUGINS = {"model": "arch", "tokenizer": "name"}
"""Sections whose `options` belong to the plugin that this key names."""


class Flag(NamedTuple):
    """A setting with a flag of its own."""

    name: str
    section: str
    key: str


FLAGS = [
    Flag("--tokenizer", "tokenizer", "name"),
    Flag("--normalise", "corpus", "normalise"),
    Flag("--first-tokens", "corpus", "first_tokens"),
    Flag("--validation", "corpus", "validation"),
    Flag("--strict", "corpus", "strict"),
    Flag("--task", "task", "name"),
    Flag("--column", "task", "columns"),
    Flag("--arch", "model", "arch"),
    Flag("--hidden-size", "model", "hidden_size"),
    Flag("--num-layers", "model", "num_layers"),
    Flag("--encoder", "model", "encoder"),
    Flag("--bidirectional", "model", "bidirectional"),
    Flag("--dropout", "model", "dropout"),
    Flag("--sampling", "data", "sampling"),
    Flag("--seq-len", "data", "seq_len"),
    Flag("--batch-size", "data", "batch_size"),
    Flag("--loss-on", "data", "loss_on"),
    Flag("--optimizer", "optim", "optimizer"),
    Flag("--lr", "optim", "lr"),
    Flag("--clip", "optim", "clip"),
    Flag("--schedule", "optim", "schedule"),
    Flag("--steps", "budget", "steps"),
    Flag("--epochs", "budget", "epochs"),
    Flag("--minutes", "budget", "minutes"),
    Flag("--patience", "budget", "patience"),
    Flag("--sample-prompt", "watch", "sample_prompts"),
    Flag("--device", "runtime", "device"),
    Flag("--precision", "runtime", "precision"),
    Flag("--threads", "runtime", "threads"),
    Flag("--engine", "runtime", "engine"),
    Flag("--exact", "runtime", "exact"),
    Flag("--seed", "runtime", "seed"),
]
HEADINGS = {
    "corpus": "Text",
    "tokenizer": "Text",
    "task": "Model",
    "model": "Model",
    "data": "Batches",
    "optim": "Optimiser",
    "budget": "Budget (the strongest of flags, environment, file and recipe that sets one decides)",
    "watch": "Running",
    "runtime": "Running",
}
COMPLETIONS = {"--arch": architectures, "--tokenizer": tokenizers}


def _option(flag: Flag) -> HeadedOption:
    info = _infos(flag.section)[flag.key]
    attributes: dict[str, Any] = {"default": None}
    declaration, text = flag.name, info.help
    if info.type == "bool":
        declaration = f"{flag.name}/--no-{flag.name[2:]}"
    elif info.type == "choice":
        attributes["type"] = click.Choice(info.choices)
    elif info.type == "choices":
        attributes["metavar"] = "STEP,STEP"
        text += f" Steps: {', '.join(info.choices)}."
    elif flag.key == "seq_len":
        attributes["metavar"] = "N|MIN-MAX"
        text += " A range draws each window's length from it."
    else:
        attributes |= {"type": {"int": int, "float": float, "str": str}[info.type]}
        if info.many:
            attributes |= {"multiple": True}
            text += " May be given several times."
    if flag.name in COMPLETIONS:
        attributes["shell_complete"] = COMPLETIONS[flag.name]
    if info.default not in ("", (), ("",), 0, 0.0, False):
        text += f"  [default: {info.default}]"
    return HeadedOption(
        [declaration, _parameter(flag)], heading=HEADINGS[flag.section], help=text, **attributes
    )


@functools.cache
def _infos(section: str) -> dict[str, OptionInfo]:
    return {info.name: info for info in option_infos(sections()[section])}


def _parameter(flag: Flag) -> str:
    return f"setting_{flag.section}_{flag.key}"


def settings_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the settings flags; the function gets `layers`: the files, the environment, the flags, weakest first."""

    @functools.wraps(command)
    def wrapped(
        *args: Any,
        config_file: Path | None,
        arch_options: tuple[str, ...],
        tokenizer_options: tuple[str, ...],
        assignments: tuple[str, ...],
        **kwargs: Any,
    ) -> Any:
        layers = file_layers(config_file) + environment_layers(os.environ)
        for flag in FLAGS:
            value = kwargs.pop(_parameter(flag))
            if value not in (None, ()):
                layers.append((flag.name, {flag.section: _flag_values(flag, value)}))
        layers += [_plugin_option("-o", "model", text) for text in arch_options]
        layers += [_plugin_option("--tokenizer-option", "tokenizer", text) for text in tokenizer_options]
        layers += [assignment_layer(text) for text in assignments]
        return command(*args, layers=layers, **kwargs)

    parameters = [
        *map(_option, FLAGS),
        HeadedOption(
            ["-t", "--tokenizer-option", "tokenizer_options"],
            heading=HEADINGS["tokenizer"],
            multiple=True,
            metavar="KEY=VALUE",
            help="An option of the tokenizer; rnn-tui plugins show NAME lists them.",
        ),
        HeadedOption(
            ["-o", "--option", "arch_options"],
            heading=HEADINGS["model"],
            multiple=True,
            metavar="KEY=VALUE",
            help="An option of the architecture; rnn-tui plugins show NAME lists them.",
        ),
        HeadedOption(
            ["--set", "assignments"],
            heading="Any setting",
            multiple=True,
            metavar="SECTION.KEY=VALUE",
            help="Any setting; rnn-tui config show lists them.",
        ),
        HeadedOption(
            ["--config", "config_file"],
            heading="Any setting",
            type=click.Path(path_type=Path, dir_okay=False),
            metavar="FILE",
            help="A TOML file of settings; a run's own config.toml is one.",
        ),
    ]
    for parameter in reversed(parameters):
        _attach(wrapped, parameter)
    return wrapped


def _attach(command: Callable[..., Any], parameter: click.Parameter) -> None:
    """What `click.option` does, for a parameter that exists already."""
    known: list[click.Parameter] = getattr(command, "__click_params__", [])
    command.__click_params__ = [*known, parameter]  # type: ignore[attr-defined]


def _flag_values(flag: Flag, value: Any) -> dict[str, Any]:
    if flag.key == "normalise":
        return {"normalise": [step.strip() for step in value.split(",") if step.strip()]}
    if flag.key == "seq_len":
        match = re.fullmatch(r"(?:(\d+)-)?(\d+)", value.strip())
        if not match:
            raise UsageError(f"--seq-len takes a number such as 64 or a range such as 10-40, not {value!r}")
        return {"seq_len": int(match[2]), "seq_len_min": int(match[1] or 0)}
    return {flag.key: value}


def _split(origin: str, text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise UsageError(f"{origin} takes KEY=VALUE, not {text!r}")
    return key.strip(), value.strip()


def _plugin_option(origin: str, section: str, text: str) -> Layer:
    key, value = _split(origin, text)
    return origin, {
        section: {"options": {key: value}}
    }  # the plugin's own declaration turns the text into a value


def assignment_layer(text: str) -> Layer:
    """Read `section.key=value`, and `section.options.name=value` for the options of a plugin."""
    name, value = _split("--set", text)
    section, *keys = name.split(".")
    if not 1 <= len(keys) <= 2 or (len(keys) == 2 and keys[0] != "options"):
        raise UsageError(f"--set takes SECTION.KEY=VALUE, such as optim.lr=1e-3, not {text!r}")
    if len(keys) == 2:
        return "--set", {section: {"options": {keys[1]: literal(value)}}}
    return "--set", {section: {keys[0]: literal(value, section, keys[0])}}


def literal(text: str, section: str = "", key: str = "") -> Any:
    """Read a value as TOML writes it; what is no TOML, and all for a setting that holds text, is a string."""
    info = _infos(section).get(key) if section in sections() else None
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


def user_config_file() -> Path:
    """Return where the user's own settings are looked for."""
    return config_dir() / "config.toml"


def file_layers(named: Path | None) -> list[Layer]:
    """Return the settings of the user's file, where there is one, and of the file that `--config` names."""
    files = [*([user_config_file()] if user_config_file().is_file() else []), *([named] if named else [])]
    layers: list[Layer] = []
    for path in files:
        values = {key: value for key, value in read_toml(str(path)).items() if key not in NOT_SETTINGS}
        layers.append((str(path), values))
    return layers


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
