"""The slash commands of the prompt pane: one table for dispatch, completion and help."""

import re
from dataclasses import dataclass

from rnn_tui.errors import UsageError, nearest
from rnn_tui.tui.panes.prompt_settings import SETTINGS
from rnn_tui.tui.widgets.tail_text import Span


@dataclass(frozen=True)
class Command:
    """What can be typed after a slash, and what it does."""

    name: str
    argument: str
    help: str


COMMANDS = (
    Command("retry", "", "the last completion again, with another seed"),
    Command("continue", "[TEXT]", "go on from the last state; an empty line does the same"),
    Command("undo", "[N]", "take the last turn back, or the last N"),
    Command("reset", "", "empty transcript, fresh state"),
    Command("batch", "[N] [TEXT]", "N completions at once, to pick one from"),
    Command("turns", "", "all turns and branches: go to one, undo to it, copy it"),
    Command("branch", "[NAME]", "go on in a new branch; this one is kept"),
    Command("branches", "[NAME]", "show another branch, or all turns and branches"),
    Command("save", "NAME [FILE]", "keep this place under a name, and perhaps in a file"),
    Command("go", "NAME", "go on from a snapshot, in a branch of its own"),
    Command("snapshots", "", "the snapshots: go to one, forget it"),
    Command("restore", "FILE", "go on from a state that was saved in a file"),
    Command("model", "[MODEL]", "another model here: a run, RUN@STEP or a file"),
    Command("compare", "[MODEL]", "a model beside this one, on the same prompts"),
    Command("close", "", "take this column away"),
    Command("colour", "[MEASURE]", "colour the text by surprise, entropy or rank, or off"),
    Command("file", "FILE", "give the text of a file as prompt"),
    Command("edit", "", "write the prompt in several lines"),
    Command("export", "FILE", "write the transcript to a .txt, .md or .json file"),
    Command("help", "", "this list"),
)
_NAME_CELLS = 19
"""Cells of the column in which /help writes what is typed."""
_NAMES = {command.name: command.name for command in COMMANDS} | {"color": "colour"}
_NAMES |= {setting.command: setting.command for setting in SETTINGS}


def suggestions() -> list[str]:
    """Return what a line that begins with a slash may become."""
    return [f"/{command.name}" for command in COMMANDS] + [f"/{setting.command}" for setting in SETTINGS]


def parse_command(line: str) -> tuple[str, str]:
    """Split `/name argument`; the name is one of `COMMANDS` or a setting's.

    Raises:
        UsageError: for an unknown name, with the nearest.
    """
    name, _, argument = line[1:].partition(" ")
    if name not in _NAMES:
        near = nearest(name, set(_NAMES.values()))
        raise UsageError(
            f"there is no command /{name}{near}; /help lists all; a prompt with a slash starts with //"
        )
    return _NAMES[name], argument


def read_count(text: str, default: int, most: int) -> tuple[int, str]:
    """Split a number that may stand first from the text after it.

    Raises:
        UsageError: when it is not from 1 to `most`.
    """
    first, _, rest = text.partition(" ")
    if not re.fullmatch(r"-?[0-9]+", first):
        return default, text
    if len(first) > 9 or not 1 <= int(first) <= most:  # Python refuses to read thousands of digits
        raise UsageError(f"the number must be from 1 to {most}, not {first[:20]}")
    return int(first), rest


def help_text() -> str:
    """Return the list that /help writes."""
    rows = [(f"/{command.name} {command.argument}", command.help) for command in COMMANDS]
    rows += [(f"/{setting.command}", setting.help) for setting in SETTINGS]
    return "\n".join(f"{name:<{_NAME_CELLS}}{text}" for name, text in rows)


def help_spans() -> list[Span]:
    """Return the list that /help writes, in the colours of a transcript: what is typed, and what it does."""
    spans: list[Span] = []
    for line in help_text().split("\n"):
        spans += [Span(line[:_NAME_CELLS], "prompt"), Span(line[_NAME_CELLS:] + "\n")]
    return [*spans[:-1], spans[-1]._replace(text=spans[-1].text[:-1])]
