"""The flags that are settings of a run; what comes before them is read in `rnn_tui.training.layers`.

Types, choices, defaults and help come from the dataclasses of `rnn_tui.training.config`; the table here says
only which settings have a flag of their own. Every other one is reached by `--set section.key=value`.
"""

import functools
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import click

from rnn_tui.cli.base import HeadedOption, key_value
from rnn_tui.cli.complete import architectures, tokenizers
from rnn_tui.errors import UsageError
from rnn_tui.training.config import Layer
from rnn_tui.training.layers import environment_layers, file_layers, literal, setting_infos


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
    info = setting_infos(flag.section)[flag.key]
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


def _plugin_option(origin: str, section: str, text: str) -> Layer:
    key, value = key_value(origin, text)
    return origin, {
        section: {"options": {key: value}}
    }  # the plugin's own declaration turns the text into a value


def assignment_layer(text: str) -> Layer:
    """Read `section.key=value`, and `section.options.name=value` for the options of a plugin."""
    name, value = key_value("--set", text)
    section, *keys = name.split(".")
    if not 1 <= len(keys) <= 2 or (len(keys) == 2 and keys[0] != "options"):
        raise UsageError(f"--set takes SECTION.KEY=VALUE, such as optim.lr=1e-3, not {text!r}")
    if len(keys) == 2:
        return "--set", {section: {"options": {keys[1]: literal(value)}}}
    return "--set", {section: {keys[0]: literal(value, section, keys[0])}}
