"""`rnn-tui plugins check`: the laws of the conformance kit, tried on an installed plugin."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from rnn_tui.cli.base import Command, json_option, key_value
from rnn_tui.cli.complete import plugins as complete_plugins
from rnn_tui.cli.output import emit, out, say
from rnn_tui.errors import PluginError, UsageError

if TYPE_CHECKING:
    from rnn_tui.bench.checking import Checked
    from rnn_tui.plugin.registry import PluginInfo
    from rnn_tui.plugin.testing.laws import Verdict

LIMIT = 120
SLOW = 0.5
"""Seconds from which a law's time is shown."""


@click.command(
    cls=Command,
    examples="""
    rnn-tui plugins check my-cell
    rnn-tui plugins check my-cell -o gate_bias=2
    rnn-tui plugins check my-cell --skip "numerical ones"
    rnn-tui plugins check --json
    """,
)
@click.argument("name", required=False, shell_complete=complete_plugins)
@click.option(
    "-o",
    "--option",
    "options",
    multiple=True,
    metavar="KEY=VALUE",
    help="An option of the plugin, other than its default.",
)
@click.option(
    "--skip",
    multiple=True,
    metavar="WORDS",
    help="Leave out the laws whose name has these words; may be repeated.",
)
@click.option(
    "--limit",
    type=click.FloatRange(1, 86_400),
    default=LIMIT,
    metavar="SECONDS",
    help=f"What one law may take.  [default: {LIMIT}]",
)
@json_option
def check(
    name: str | None, options: tuple[str, ...], skip: tuple[str, ...], limit: float, as_json: bool
) -> None:
    """Try every law that a plugin must keep; without NAME, of all plugins that do not ship with rnn-tui.

    Each law is shown with pass, skipped or FAIL; a FAIL with what was done, what was expected, what came, and the most
    likely cause, or with the law that failed before it and may be why: begin with that one. The laws are those of
    rnn_tui.plugin.testing, and how the host runs an architecture. They are tried in a process of its own, so a plugin
    that hangs or crashes fails the law in which it does. Exit code 8 if one fails.
    """
    from rnn_tui.bench.checking import Checked, check_plugin
    from rnn_tui.plugin.describe import describe_found
    from rnn_tui.plugin.options import check_items

    if name is None and options:
        raise UsageError("-o needs the NAME of the plugin that has the option")
    chosen = dict(key_value("-o", text) for text in options)
    found: list[Checked] = []
    for info in _wanted(name):
        if info.kind == "architecture":
            say(f"{info}: loading torch and the plugin ...")
        description = describe_found(info)
        if description.error is not None:
            found.append(Checked(info, error=description.error))
        else:
            values = check_items(description.options, chosen, owner=f"{info.kind} {info.name}")
            if not as_json:
                out(info)
            told = (lambda verdict: None) if as_json else _writer()
            found.append(check_plugin(info, values, limit=limit, skip=skip, told=told))
        if name is not None and found[-1].error is not None:
            raise PluginError(f"{info}: {found[-1].error}")
        if not as_json:
            _sum_up(found[-1])
    lost = [each for each in found if each.error is not None]
    if as_json:
        emit({"plugins": [_plain(each) for each in found]})
    elif lost:  # their lines may have gone by long ago
        out(f"{len(lost)} could not be loaded: {'; '.join(str(each.info) for each in lost)}")
    if not all(each.good for each in found):
        raise click.exceptions.Exit(PluginError.exit_code)


def _wanted(name: str | None) -> "list[PluginInfo]":
    """Return the architectures and tokenizers that are to be checked."""
    from rnn_tui.plugin.registry import list_plugins, missing

    installed = [info for info in list_plugins() if info.kind != "numpy-step"]
    if name is None:
        others = [info for info in installed if not info.ours]
        if not others:
            say(
                "no plugin is installed beside those that ship with rnn-tui; give the name of one to check it"
            )
        return others
    wanted = [info for info in installed if name in (info.name, info.full_name)]
    wanted = wanted or [info for info in installed if name == info.own_name]
    if not wanted:
        hint = missing(name, {info.name for info in installed})
        raise UsageError(
            f"there is no architecture and no tokenizer {name!r} (rnn-tui plugins list names them){hint}"
        )
    return wanted


def _writer() -> "Callable[[Verdict], None]":
    """Return what writes the verdicts of one plugin, each counterexample once."""
    shown: dict[str, str] = {}

    def write(verdict: "Verdict") -> None:
        law = shown.setdefault(verdict.text, verdict.law)
        if verdict.outcome == "FAIL" and law != verdict.law and not verdict.follows:
            verdict = replace(verdict, text=f"as in: {law}")
        _write(verdict)

    return write


def _write(verdict: "Verdict") -> None:
    first, *rest = verdict.text.splitlines() or [""]
    time = f" ({verdict.seconds:.1f} s)" if verdict.seconds >= SLOW else ""
    if verdict.follows:  # what it says would be a guess at another cause
        out(f"  {verdict.outcome:<9}{verdict.law}{time} (may follow from: {verdict.follows})")
        return
    inline = first and verdict.outcome != "FAIL"
    out(f"  {verdict.outcome:<9}{verdict.law}{time}{f': {first}' if inline else ''}")
    for line in rest if inline else [first, *rest]:
        if line:
            out(f"{'':<11}{line}")


def _sum_up(checked: "Checked") -> None:
    if checked.error is not None:
        out(f"{checked.info}: {checked.error}")
        return
    counts = ", ".join(
        f"{checked.count(outcome)} {word}"
        for outcome, word in (("pass", "passed"), ("FAIL", "failed"), ("skipped", "skipped"))
    )
    first = f"; begin with: {checked.begin_with}" if checked.begin_with else ""
    out(f"{counts} in {checked.seconds:.1f} s, of which loading {checked.loading:.1f} s{first}")


def _plain(checked: "Checked") -> dict[str, Any]:
    info = checked.info
    return {
        "kind": info.kind,
        "name": info.name,
        "package": info.distribution,
        "version": info.version,
        "error": checked.error,
        "passed": checked.count("pass"),
        "failed": checked.count("FAIL"),
        "skipped": checked.count("skipped"),
        "seconds": round(checked.seconds, 3),
        "loading_seconds": round(checked.loading, 3),
        "laws": [
            {
                "law": each.law,
                "outcome": each.outcome.lower(),
                "text": each.text,
                "follows": each.follows or None,
                "seconds": round(each.seconds, 3),
            }
            for each in checked.verdicts
        ],
    }
