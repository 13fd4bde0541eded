"""`rnn-tui plugins`: the architectures, tokenizers and steps in NumPy that are installed."""

from typing import get_args

import click

from rnn_tui.cli.base import Group, json_option
from rnn_tui.cli.complete import plugins as complete_plugins
from rnn_tui.cli.output import emit, out, pairs, say, table
from rnn_tui.errors import UsageError, nearest


@click.group(cls=Group, examples="rnn-tui plugins list\nrnn-tui plugins show gru")
def plugins() -> None:
    """Architectures, tokenizers and steps in NumPy, from this package and from others."""


@plugins.command("list", examples="rnn-tui plugins list\nrnn-tui plugins list --json")
@json_option
def list_(as_json: bool) -> None:
    """List the plugins. One that cannot be used is listed with its error."""
    from rnn_tui.plugin.describe import describe_plugins

    found = describe_plugins()
    if as_json:
        emit(found)
        return
    if not found:
        say("no plugin is installed, or RNN_TUI_PLUGINS allows none; install rnn-tui again to have its own")
    table(
        ["kind", "name", "form", "package", "what it is"],
        [
            (
                each.info.kind,
                each.info.name,
                each.form,
                f"{each.info.distribution} {each.info.version}",
                f"error: {each.error}" if each.error else each.summary,
            )
            for each in found
        ],
    )


@plugins.command("show", examples="rnn-tui plugins show lstm\nrnn-tui plugins show word --json")
@click.argument("name", shell_complete=complete_plugins)
@json_option
def show(name: str, as_json: bool) -> None:
    """Show what a plugin is, where it comes from, and its options."""
    from rnn_tui.plugin.describe import describe_plugin
    from rnn_tui.plugin.registry import Kind, list_plugins

    kinds: list[Kind] = [kind for kind in get_args(Kind) if any(i.name == name for i in list_plugins(kind))]
    if not kinds:
        names = {info.name for info in list_plugins()}
        raise UsageError(
            f"there is no plugin {name!r}{nearest(name, names)}; rnn-tui plugins list names them"
        )
    found = [describe_plugin(kind, name) for kind in kinds]
    if as_json:
        emit(found)
        return
    for index, each in enumerate(found):
        if index:
            out()
        flag = "-o" if each.info.kind == "architecture" else "-t"
        pairs(
            {
                each.info.kind: each.info.name,
                "form": each.form,
                "package": f"{each.info.distribution} {each.info.version}",
                "class": each.info.target,
                "error": each.error,
            }
        )
        out()
        for line in each.doc.splitlines():
            out(line)
        if each.options:
            out()
            table(
                ["option", "default", "takes", "meaning"],
                [(f"{flag} {o.name}=", o.default, o.expected(), o.help) for o in each.options],
            )
