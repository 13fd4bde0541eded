"""`rnn-tui plugins`: the architectures, tokenizers and steps in NumPy that are installed."""

import click

from rnn_tui.cli.base import Command, Entry, LazyGroup, json_option
from rnn_tui.cli.complete import plugins as complete_plugins
from rnn_tui.cli.output import emit, out, pairs, say, table
from rnn_tui.errors import UsageError, nearest


USE, WRITE = "What is installed", "Write one"
ENTRIES = {
    "list": Entry("rnn_tui.cli.plugins", "list_", USE, "List them; one that is broken with its error."),
    "show": Entry("rnn_tui.cli.plugins", "show", USE, "What one is, where it comes from, and its options."),
    "new": Entry("rnn_tui.cli.plugins_new", "new", WRITE, "Write a package to begin with."),
    "check": Entry("rnn_tui.cli.plugins_check", "check", WRITE, "Try every law that a plugin must keep."),
    "score": Entry("rnn_tui.cli.plugins_score", "score", WRITE, "What kind of memory an architecture is."),
}


@click.group(
    cls=LazyGroup,
    entries=ENTRIES,
    examples="rnn-tui plugins list\nrnn-tui plugins show gru\nrnn-tui plugins new my-cell",
)
def plugins() -> None:
    """Architectures, tokenizers and steps in NumPy, from this package and from others."""


@click.command("list", cls=Command, examples="rnn-tui plugins list\nrnn-tui plugins list --json")
@json_option
def list_(as_json: bool) -> None:
    """List the plugins. One that cannot be used is listed with its error.

    Each goes by the name in the list: that is package:name where another has the name alone.
    """
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
                each.remark or each.summary,
            )
            for each in found
        ],
    )


@click.command("show", cls=Command, examples="rnn-tui plugins show lstm\nrnn-tui plugins show word --json")
@click.argument("name", shell_complete=complete_plugins)
@json_option
def show(name: str, as_json: bool) -> None:
    """Show what a plugin is, where it comes from, and its options."""
    from rnn_tui.plugin.describe import describe_found
    from rnn_tui.plugin.registry import list_plugins

    installed = list_plugins()
    infos = [info for info in installed if name in (info.name, info.full_name)]
    infos = infos or [info for info in installed if name == info.own_name]  # several packages have it
    if not infos:
        names = {info.name for info in installed}
        raise UsageError(
            f"there is no plugin {name!r}{nearest(name, names)}; rnn-tui plugins list names them"
        )
    found = [describe_found(info) for info in infos]
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
                "clash": each.info.clash,
                "changes": each.changes,
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
