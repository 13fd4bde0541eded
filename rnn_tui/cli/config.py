"""`rnn-tui config`: what the settings are and which layer each comes from."""

import json
from dataclasses import asdict

import click

from rnn_tui.cli.base import Group, json_option
from rnn_tui.cli.complete import recipes
from rnn_tui.cli.output import emit, out, say, shown, table
from rnn_tui.cli.settings import settings_options
from rnn_tui.paths import settings_file
from rnn_tui.plugin.single_file import SECTION as PLUGINS
from rnn_tui.plugin.single_file import PluginSettings, plugins_folder
from rnn_tui.preferences import SECTION, Preferences, read
from rnn_tui.training.config import Layer, resolve, sections, to_dict
from rnn_tui.training.layers import combine


@click.group(cls=Group, examples="rnn-tui config show\nrnn-tui config path\nrnn-tui config init")
def config() -> None:
    """Settings: flag > environment > config file > recipe > default."""


@config.command(
    "show",
    examples="""
    rnn-tui config show
    rnn-tui config show --recipe lyrics-lstm --lr 0.005
    RNN_TUI_OPTIM_LR=1e-3 rnn-tui config show --json
    """,
)
@settings_options
@click.option("--recipe", "recipe_name", shell_complete=recipes, metavar="NAME", help="Start from a recipe.")
@json_option
@click.pass_context
def show(context: click.Context, layers: list[Layer], recipe_name: str | None, as_json: bool) -> None:
    """Show every setting, its value, and where the value comes from."""
    if recipe_name:
        from rnn_tui.recipes import load_recipe

        layers = [load_recipe(recipe_name).layer, *layers]
    resolved = resolve(combine(layers))
    values = {
        f"{section}.{key}": (value, resolved.origins.get(f"{section}.{key}", "default"))
        for section, settings in to_dict(resolved.config).items()
        for key, value in settings.items()
    }
    app = read()
    for key, value in asdict(app.chosen).items():
        values[f"{SECTION}.{key}"] = (value, app.origins.get(key, "default"))
    found = plugins_folder()
    origin = "--plugins-dir" if context.find_root().params.get("plugins_dir") else found.origin
    values[f"{PLUGINS}.dir"] = (str(found.path or ""), origin or "default")
    for complaint in [*app.told, *filter(None, [found.fault])]:
        say(f"warning: {complaint}")
    if as_json:
        emit({name: {"value": value, "origin": origin} for name, (value, origin) in values.items()})
    else:
        table(
            ["setting", "value", "origin"],
            [(n, shown(value), origin) for n, (value, origin) in values.items()],
        )


@config.command("path", examples="rnn-tui config path\n$EDITOR $(rnn-tui config path)")
@json_option
def path(as_json: bool) -> None:
    """Print where your own settings file is looked for."""
    file = settings_file()
    if as_json:
        emit({"path": file, "exists": file.is_file()})
    else:
        out(file)
        if not file.is_file():
            say("it does not exist yet; rnn-tui config init writes one with every setting commented out")


@config.command("init", examples="rnn-tui config init")
def init() -> None:
    """Write your settings file, every setting in it explained and commented out."""
    import tomli_w

    from rnn_tui.errors import BusyError
    from rnn_tui.files import disk_error, replace_file
    from rnn_tui.plugin.options import option_infos

    file = settings_file()
    if file.exists():
        raise BusyError(f"{file} exists already; edit it, or move it away first")
    lines = ["# Your own settings for rnn-tui. Remove the # in front of a line to set it.", ""]
    for section, declared in (sections() | {PLUGINS: PluginSettings, SECTION: Preferences}).items():
        lines.append(f"[{section}]")
        for info in option_infos(declared):
            # of one line each: a list as JSON has it is one in TOML, too
            value = json.dumps(info.default, ensure_ascii=False) if isinstance(info.default, tuple) else None
            setting = f"{info.name} = {value}" if value else tomli_w.dumps({info.name: info.default}).strip()
            lines += [f"# {info.help}", f"# {setting}"]
        lines.append("")
    lines += [
        "# Keys of your own; rnn-tui config keys lists the names.",
        f"# [{SECTION}.keys]",
        '# "train.pause" = "p"',
        "",
    ]
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise disk_error(error, f"could not create {file.parent}") from error
    replace_file(file, "\n".join(lines).encode())
    out(file)


@config.command("keys", examples="rnn-tui config keys\nrnn-tui config keys --json")
@json_option
def keys(as_json: bool) -> None:
    """List what keys of the app do, with the name that [app.keys] knows each by."""
    from rnn_tui.tui.key_tables import key_tables

    by_id: dict[str, dict[str, str]] = {}
    for row in (row for rows in key_tables().values() for row in rows):
        entry = by_id.setdefault(str(row.id), {"id": str(row.id), "keys": row.key, "does": ""})
        entry["does"] = "; ".join(dict.fromkeys(filter(None, (entry["does"], row.tooltip))))
    listed = list(by_id.values())
    if as_json:
        emit(listed)
    else:
        table(["id", "keys", "does"], [(row["id"], row["keys"], row["does"]) for row in listed])
