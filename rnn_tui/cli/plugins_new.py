"""`rnn-tui plugins new`: the package of a new plugin."""

from pathlib import Path
from typing import get_args

import click

from rnn_tui.cli.base import Command, json_option
from rnn_tui.cli.output import emit, out, say
from rnn_tui.errors import UsageError
from rnn_tui.plugin.scaffold import Form, next_commands, scaffold, write_scaffold
from rnn_tui.plugin.single_file import plugins_folder


@click.command(
    cls=Command,
    examples="""
    rnn-tui plugins new peephole-lstm
    rnn-tui plugins new syllables --kind tokenizer --author 'Ada Lovelace <ada@example.org>'
    rnn-tui plugins new fast-weights --kind core --into ~/code
    rnn-tui plugins new sketch --single-file --into cells
    """,
)
@click.argument("name")
@click.option(
    "--kind",
    type=click.Choice(get_args(Form)),
    default="cell",
    help="cell: an architecture as one step; core: one with a faster way over a whole sequence; tokenizer: text to "
    "ids and back.  [default: cell]",
)
@click.option(
    "--into",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Where the folder rnn-tui-NAME, or the single file, will be.  [default: here; a single file: the folder of "
    "--plugins-dir, where there is one]",
)
@click.option("--author", metavar="NAME", help="For the metadata: a name, or 'Name <address>'.")
@click.option(
    "--single-file",
    is_flag=True,
    help="Only NAME.py with the class, to try out with --plugins-dir; nothing is installed.",
)
@json_option
def new(
    name: str, kind: Form, into: Path | None, author: str | None, single_file: bool, as_json: bool
) -> None:
    """Write the package of a plugin called NAME, to begin with: a class that works and its tests.

    NAME is what --arch or --tokenizer will call it: lower-case letters, digits and hyphens. Nothing is overwritten.
    """
    made = scaffold(name, kind, _folder(into, single_file), author=author, single_file=single_file)
    for warning in made.warnings:
        say(f"note: {warning}")
    write_scaffold(made)
    commands = next_commands(made)
    if as_json:
        emit(
            {
                "name": name,
                "kind": kind,
                "class": made.class_name,
                "path": made.path,
                "files": made.paths,
                "next": commands,
            }
        )
        return
    for path in made.paths:
        out(path)
    say("next:")
    for command in commands:
        say(f"  {command}")


def _folder(into: Path | None, single_file: bool) -> Path:
    if into is not None:
        return into
    folder = plugins_folder() if single_file else None
    if folder and folder.fault:
        raise UsageError(f"{folder.fault}; make it first, or choose another folder with --into")
    return folder.path if folder and folder.path else Path()
