"""`rnn-tui runs tag, note, rename, rm, restore, trash, export`: what is done with runs that are there."""

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rnn_tui.cli.base import Command, json_option, runs_dir_option
from rnn_tui.cli.complete import runs as complete_runs
from rnn_tui.cli.complete import tags as complete_tags
from rnn_tui.cli.complete import trashed as complete_trashed
from rnn_tui.cli.output import emit, out, say, size, table
from rnn_tui.errors import UsageError
from rnn_tui.safetext import safe_text

if TYPE_CHECKING:
    from rnn_tui.runs.folder import RunFolder
    from rnn_tui.runs.labels import Labels

run_argument = click.argument("run", shell_complete=complete_runs)
yes_option = click.option("--yes", is_flag=True, help="Do not ask.")


class Tagging(Command):
    """A command that takes `-a`, a tag to be removed, where others take options."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        # no tag begins with a sign, so `+-a` can mean nothing else
        signs = [f"+{a}" if a.startswith("-") and not a.startswith("--") and a != "-h" else a for a in args]
        return super().parse_args(ctx, signs)


@click.command(
    cls=Tagging, examples="rnn-tui runs tag lstm-book-1 +keep +paper -draft\nrnn-tui runs tag lstm-book-1"
)
@run_argument
@click.argument("changes", nargs=-1, metavar="[+TAG] [-TAG] ...", shell_complete=complete_tags)
@json_option
@runs_dir_option
def tag(run: str, changes: tuple[str, ...], as_json: bool, runs_dir: Path) -> None:
    """Give RUN tags, or take them from it; without any, tell those it has."""
    from rnn_tui.runs.folder import find_run
    from rnn_tui.runs.labels import change_tags, read_labels

    folder = find_run(runs_dir, run)
    remove = [change[2:] for change in changes if change.startswith("+-")]
    add = [change.removeprefix("+") for change in changes if not change.startswith("+-")]
    labels = change_tags(folder, add, remove) if changes else read_labels(folder)
    _tell(folder, labels, " ".join(labels.tags), as_json=as_json)


@click.command(
    cls=Command,
    examples="rnn-tui runs note lstm-book-1 'the one of the paper'\nrnn-tui runs note lstm-book-1 ''",
)
@run_argument
@click.argument("text", required=False)
@json_option
@runs_dir_option
def note(run: str, text: str | None, as_json: bool, runs_dir: Path) -> None:
    """Write a note of one line on RUN, or remove it with an empty TEXT; without TEXT, tell the one it has."""
    from rnn_tui.runs.folder import find_run
    from rnn_tui.runs.labels import read_labels, set_labels

    folder = find_run(runs_dir, run)
    labels = read_labels(folder) if text is None else set_labels(folder, note=text)
    _tell(folder, labels, labels.note, as_json=as_json)


def _tell(folder: "RunFolder", labels: "Labels", line: str, *, as_json: bool) -> None:
    if labels.warning:
        say(f"run {folder.name}: {labels.warning}")
    if as_json:
        emit({"run": folder.name, "tags": labels.tags, "note": labels.note})
    elif line:
        out(line)


@click.command(cls=Command, examples="rnn-tui runs rename lstm-book-1 baseline")
@run_argument
@click.argument("name")
@json_option
@runs_dir_option
def rename(run: str, name: str, as_json: bool, runs_dir: Path) -> None:
    """Give RUN, which must not be running, the name NAME."""
    from rnn_tui.runs.folder import find_run, rename_run

    folder = rename_run(find_run(runs_dir, run), name)
    _report({"run": folder.name, "path": folder.path}, as_json=as_json)


@click.command(
    cls=Command,
    examples="rnn-tui runs export lstm-book-1 book.safetensors\nrnn-tui runs export lstm-book-1 models/",
)
@run_argument
@click.argument("target", type=click.Path(path_type=Path))
@json_option
@runs_dir_option
def export(run: str, target: Path, as_json: bool, runs_dir: Path) -> None:
    """Copy the best model of RUN to the file TARGET, or into the folder TARGET. No file is replaced."""
    from rnn_tui.runs.folder import export_model, find_run

    path = export_model(find_run(runs_dir, run), target)
    _report({"run": str(path), "path": path}, as_json=as_json)


def _report(result: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        emit(result)
    else:
        out(result["run"])


@click.command(cls=Command, examples="rnn-tui runs rm lstm-book-1\nrnn-tui runs rm old-1 old-2 --yes --now")
@click.argument("names", nargs=-1, required=True, metavar="RUN ...", shell_complete=complete_runs)
@yes_option
@click.option("--now", is_flag=True, help="Delete for good, and not into the trash.")
@json_option
@runs_dir_option
def rm(names: tuple[str, ...], yes: bool, now: bool, as_json: bool, runs_dir: Path) -> None:
    """Delete runs, with their models and checkpoints: into the trash, from which `restore` brings them back."""
    from rnn_tui.runs.folder import check_removable, find_run, remove_run
    from rnn_tui.runs.trash import discard

    _check_can_ask(yes, "rm asks before it deletes")
    folders = [find_run(runs_dir, name) for name in dict.fromkeys(names)]
    for folder in folders:  # before the first is gone
        check_removable(folder)
    done: list[dict[str, Any]] = []
    for folder in folders:
        question = f"Delete {folder.path} for good?" if now else f"Move {folder.path} into the trash?"
        if not yes and not click.confirm(safe_text(question), err=True):
            say(f"{folder.name} is kept")
            continue
        place = None
        if now:
            remove_run(folder)
        else:
            place = discard(folder)
        done.append({"run": folder.name, "trash": place})
        if not as_json:
            out(folder.name)
    if as_json:
        emit(done)
    elif done and not now:
        say(f"in the trash; rnn-tui runs restore {done[-1]['run']} brings it back")


@click.command(
    cls=Command,
    examples="rnn-tui runs restore lstm-book-1\nrnn-tui runs restore lstm-book-1 --as lstm-book-old",
)
@click.argument("name", shell_complete=complete_trashed)
@click.option("--as", "other", metavar="NAME", help="What it is to be called from now on.")
@json_option
@runs_dir_option
def restore(name: str, other: str | None, as_json: bool, runs_dir: Path) -> None:
    """Bring the run NAME back from the trash; of several the one deleted last."""
    from rnn_tui.runs import trash as bin_
    from rnn_tui.runs.trash import find_trashed

    folder = bin_.restore(find_trashed(runs_dir, name).path, other)
    _report({"run": folder.name, "path": folder.path}, as_json=as_json)


@click.command(
    cls=Command,
    examples="rnn-tui runs trash\nrnn-tui runs trash --empty\nrnn-tui runs trash --empty --older-than 30 --yes",
)
@click.option("--empty", "emptying", is_flag=True, help="Delete what is in the trash for good.")
@click.option(
    "--older-than", type=click.FloatRange(0), metavar="DAYS", help="Only what was deleted so long ago."
)
@yes_option
@json_option
@runs_dir_option
def trash(emptying: bool, older_than: float | None, yes: bool, as_json: bool, runs_dir: Path) -> None:
    """List the runs in the trash, the newest first, or delete them for good, which nothing else ever does."""
    from rnn_tui.runs.trash import empty, list_trash

    age = (older_than or 0.0) * 86400
    found = [one for one in list_trash(runs_dir) if time.time() - one.deleted >= age]
    total = sum(one.size_bytes for one in found)
    if emptying:
        _check_can_ask(yes, "--empty asks before it deletes")
        question = f"Delete {len(found)} runs ({size(total)}) for good?"
        if found and not yes and not click.confirm(safe_text(question), err=True):
            say("the trash is left as it is")
            found = []
        elif found:
            found = list(empty(runs_dir, age))
    if as_json:
        emit(found)
        return
    if not found:
        say("nothing was deleted" if emptying else "the trash is empty")
        return
    if emptying:
        say(f"deleted for good: {len(found)} runs, {size(total)}")
        return
    table(
        ["run", "deleted", "size>", "folder?"],
        [
            (
                one.name,
                time.strftime("%Y-%m-%d %H:%M", time.localtime(one.deleted)),
                size(one.size_bytes),
                one.path.name,
            )
            for one in found
        ],
    )
    say(f"{len(found)} runs, {size(total)}; rnn-tui runs trash --empty deletes them for good")


def _check_can_ask(yes: bool, why: str) -> None:
    if not yes and not sys.stdin.isatty():
        raise UsageError(f"{why}; give --yes where nobody can answer")
