"""`rnn-tui plugins`: the architectures, tokenizers and steps in NumPy that are installed."""

from typing import TYPE_CHECKING

import click

from rnn_tui.cli.base import Command, Entry, LazyGroup, json_option
from rnn_tui.cli.complete import plugins as complete_plugins
from rnn_tui.cli.output import emit, out, pairs, say, table
from rnn_tui.errors import UsageError
from rnn_tui.plugin.source import local_install, module_file

if TYPE_CHECKING:
    from rnn_tui.plugin.describe import PluginDescription
    from rnn_tui.plugin.registry import PluginInfo

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
    """List the plugins. One that cannot be used is listed with its error, and what to do.

    Each goes by the name in the list: that is package:name where another has the name alone. No plugin is imported by
    this process: what is not known of one yet is asked of another.

    --json gives an object for each: kind, name, package, version, class, file (that of its module; null where it is
    not found), editable (whether its package is installed from a folder that may change), form, summary, doc, options,
    error and advice (null where it works), clash, changes, and install, the command that gets it.
    """
    from rnn_tui.plugin.describe import describe_plugins

    found = describe_plugins()
    if as_json:
        emit([_row(each) for each in found])
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
                each.info.origin,
                each.remark or each.summary,
            )
            for each in found
        ],
    )


def _row(one: "PluginDescription") -> dict[str, object]:
    """A plugin as --json gives it."""
    info = one.info
    local = local_install(info.distribution)
    return {
        "kind": info.kind,
        "name": info.name,
        "package": info.distribution,
        "version": info.version,
        "class": info.target,
        "file": module_file(info),
        "editable": local is not None and local.editable,
        "form": one.form,
        "summary": one.summary,
        "doc": one.doc,
        "options": one.options,
        "error": one.error,
        "advice": one.advice or None,
        "clash": info.clash,
        "changes": one.changes,
        "install": one.installing or None,
    }


def shown_file(info: "PluginInfo") -> str:
    """The file of its module, and whether that is one to be worked on."""
    file, local = module_file(info), local_install(info.distribution)
    return f"{file or ''}{' (editable)' if file and local and local.editable else ''}"


@click.command("show", cls=Command, examples="rnn-tui plugins show lstm\nrnn-tui plugins show word --json")
@click.argument("name", shell_complete=complete_plugins)
@json_option
def show(name: str, as_json: bool) -> None:
    """Show what a plugin is, where it comes from, and its options."""
    from rnn_tui.plugin.describe import describe_found
    from rnn_tui.plugin.registry import list_plugins, missing

    installed = list_plugins()
    infos = [info for info in installed if name in (info.name, info.full_name)]
    infos = infos or [info for info in installed if name == info.own_name]  # several packages have it
    if not infos:
        hint = missing(name, {info.name for info in installed})
        raise UsageError(f"there is no plugin {name!r} (rnn-tui plugins list names those that are){hint}")
    found = [describe_found(info) for info in infos]
    if as_json:
        emit([_row(each) for each in found])
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
                "file": shown_file(each.info),
                "error": each.error,
                "advice": each.advice,
                "clash": each.info.clash,
                "changes": each.changes,
            }
        )
        if each.doc:
            out()
        for line in each.doc.splitlines():
            out(line)
        if each.options:
            out()
            table(
                ["option", "default", "takes", "meaning"],
                [(f"{flag} {o.name}=", o.default, o.expected(), o.help) for o in each.options],
            )
