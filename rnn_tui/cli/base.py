"""What every command is made of: examples and `--debug` on each, groups whose members are imported on use."""

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import click
from click.shell_completion import CompletionItem

from rnn_tui.errors import UsageError, nearest
from rnn_tui.paths import default_runs_dir

F = TypeVar("F", bound=Callable[..., Any])


class Entry(NamedTuple):
    """Where a command lives, and the line that stands for it in the list of commands."""

    module: str
    attribute: str
    section: str
    summary: str


def _set_debug(context: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        context.find_root().ensure_object(dict)["debug"] = True


class HeadedOption(click.Option):
    """An option that the help lists under a heading of its own."""

    def __init__(self, *args: Any, heading: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.heading = heading


class Command(click.Command):
    """A command with examples under its help and `--debug` among its options."""

    def __init__(self, *args: Any, examples: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = examples
        self.params.append(
            click.Option(
                ["--debug"],
                is_flag=True,
                expose_value=False,
                callback=_set_debug,
                help="Show a traceback on failure.",
            )
        )

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        headings: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record and record[1]:  # arguments are told in the text
                headings.setdefault(getattr(parameter, "heading", "Options"), []).append(record)
        for heading in sorted(headings, key="Options".__eq__):  # the command's own options last
            with formatter.section(heading):
                formatter.write_dl(headings[heading])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        write_examples(self.examples, formatter)


class Group(click.Group):
    """A group of commands of this program."""

    command_class = Command

    def __init__(self, *args: Any, examples: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = examples

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        known = self.list_commands(ctx)
        if not ctx.resilient_parsing and not name.startswith("-") and name not in known:
            raise click.UsageError(f"there is no command {name!r}{nearest(name, known)}", ctx)
        return super().resolve_command(ctx, args)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        write_examples(self.examples, formatter)


class LazyGroup(Group):
    """A group that knows its members by a table and imports one only when it is used."""

    def __init__(self, *args: Any, entries: Mapping[str, Entry], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.entries = entries

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.entries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.entries:
            return None
        entry = self.entries[cmd_name]
        command: click.Command = getattr(importlib.import_module(entry.module), entry.attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(map(len, self.entries))
        for section in dict.fromkeys(entry.section for entry in self.entries.values()):
            with formatter.section(section):
                formatter.write_dl(
                    [(n.ljust(width), e.summary) for n, e in self.entries.items() if e.section == section]
                )

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete from the table; click's own way would import every command."""
        items = [
            CompletionItem(name, help=entry.summary)
            for name, entry in self.entries.items()
            if name.startswith(incomplete)
        ]
        return [*items, *click.Command.shell_complete(self, ctx, incomplete)]


def write_examples(examples: str, formatter: click.HelpFormatter) -> None:
    """Write `examples`, one a line, as they are to be typed."""
    if examples:
        with formatter.section("Examples"):
            for line in examples.strip().splitlines():
                formatter.write(f"{'':>{formatter.current_indent}}{line.strip()}\n")


def key_value(origin: str, text: str) -> tuple[str, str]:
    """Take `KEY=VALUE` apart; `origin` is the flag that it was given with. UsageError where it is none."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise UsageError(f"{origin} takes KEY=VALUE, not {text!r}")
    return key.strip(), value.strip()


def runs_dir_option(command: F) -> F:
    """Add `--runs-dir`, given to the function as `runs_dir: Path`."""

    def chosen(context: click.Context, _: click.Parameter, value: Path | None) -> Path:
        above: Path | None = context.find_root().params.get("runs_dir")
        return value or above or default_runs_dir()

    return click.option(
        "--runs-dir",
        type=click.Path(path_type=Path, file_okay=False),
        callback=chosen,
        metavar="DIR",
        help="Where runs lie.  [default: RNN_TUI_RUNS or ./runs]",
    )(command)


def backend_option(*choices: str) -> Callable[[F], F]:
    """Add `--backend`, given to the function as `backend`; the first of `choices` is the default."""
    auto = " auto: the one that is done sooner." if "auto" in choices else ""
    return click.option(
        "--backend",
        type=click.Choice(choices),
        default=choices[0],
        help="What computes. numpy: an independent way without torch, for architectures that have a step in it."
        + auto,
    )


def json_option(command: F) -> F:
    """Add `--json`, given to the function as `as_json: bool`."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")(
        command
    )
