"""`watch, pause, resume, stop, checkpoint, set`: a run that exists already."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rnn_tui.cli.base import Command, json_option, runs_dir_option
from rnn_tui.cli.complete import runs as complete_runs
from rnn_tui.cli.launching import check_staying, follow, launch_and_stay, report, staying_options
from rnn_tui.cli.output import count, emit, out, say
from rnn_tui.errors import BusyError, UsageError, nearest

if TYPE_CHECKING:
    from rnn_tui.runs.events import Event
    from rnn_tui.runs.folder import RunFolder

run_argument = click.argument("run", shell_complete=complete_runs)


@click.command(
    cls=Command, examples="rnn-tui watch lstm-book-1\nrnn-tui watch lstm-book-1 --json 2>/dev/null"
)
@run_argument
@json_option
@runs_dir_option
def watch(run: str, as_json: bool, runs_dir: Path) -> None:
    """Follow RUN to its end. Ctrl-C stops following, not the run. Of a run that has ended, show the outcome."""
    from rnn_tui.runs.folder import find_run

    folder = find_run(runs_dir, run)
    figures, state = follow(folder, since=time.time())
    report(folder, figures, state, as_json=as_json)
    raise click.exceptions.Exit(figures.exit_code or 0)


@click.command(cls=Command, examples="rnn-tui pause lstm-book-1")
@run_argument
@json_option
@runs_dir_option
def pause(run: str, as_json: bool, runs_dir: Path) -> None:
    """Pause RUN at its next step; rnn-tui resume goes on."""
    request(runs_dir, run, "pause", "paused", as_json=as_json)


@click.command(cls=Command, examples="rnn-tui checkpoint lstm-book-1")
@run_argument
@json_option
@runs_dir_option
def checkpoint(run: str, as_json: bool, runs_dir: Path) -> None:
    """Write a checkpoint of RUN now."""
    request(runs_dir, run, "checkpoint", "wrote a checkpoint", as_json=as_json)


@click.command(cls=Command, examples="rnn-tui stop lstm-book-1\nrnn-tui stop lstm-book-1 --json")
@run_argument
@json_option
@runs_dir_option
def stop(run: str, as_json: bool, runs_dir: Path) -> None:
    """Write a checkpoint of RUN and stop it; rnn-tui resume goes on from there."""
    request(runs_dir, run, "stop", "stopped", as_json=as_json)


@click.command("set", cls=Command, examples="rnn-tui set lstm-book-1 lr=1e-3")
@run_argument
@click.argument("assignment", metavar="lr=VALUE")
@json_option
@runs_dir_option
def set_(run: str, assignment: str, as_json: bool, runs_dir: Path) -> None:
    """Change a setting of RUN while it trains: lr, the rate of its next step; the schedule goes on from there."""
    key, equals, value = assignment.partition("=")
    if not equals or key != "lr":
        raise UsageError(f"set takes lr=VALUE, not {assignment!r}{nearest(key, ['lr']) if equals else ''}")
    try:
        rate = float(value)
    except ValueError:
        raise UsageError(f"lr takes a number such as 1e-3, not {value!r}") from None
    request(runs_dir, run, "set", f"set lr to {rate:g}", {"lr": rate}, as_json=as_json)


@click.command(
    cls=Command, examples="rnn-tui resume lstm-book-1\nrnn-tui resume lstm-book-1 --steps 4000 --detach"
)
@run_argument
@click.option("--steps", type=click.IntRange(1), help="Train until so many steps are done in all.")
@click.option("--epochs", type=click.FloatRange(0, min_open=True), help="Until so many epochs are, in all.")
@click.option("--minutes", type=click.FloatRange(0, min_open=True), help="Until so many minutes are, in all.")
@click.option("--accept-data", is_flag=True, help="Go on even if the corpus is not what RUN began with.")
@staying_options
@json_option
@runs_dir_option
def resume(
    run: str,
    steps: int | None,
    epochs: float | None,
    minutes: float | None,
    accept_data: bool,
    detach: bool,
    foreground: bool,
    as_json: bool,
    runs_dir: Path,
) -> None:
    """Go on with RUN: a paused one at once, a stopped or crashed one from its last checkpoint.

    With --steps, --epochs or --minutes RUN gets that budget in the place of its own, so that one that is complete has
    more to do. A cosine schedule then goes over the new budget.
    """
    from rnn_tui.runs.folder import find_run
    from rnn_tui.runs.status import run_state
    from rnn_tui.training.plugins import look_for_plugins
    from rnn_tui.training.stored import extend

    check_staying(detach, foreground)
    folder = find_run(runs_dir, run)
    seen = run_state(folder)
    asked = {"steps": steps, "epochs": epochs, "minutes": minutes}
    budget = {key: value for key, value in asked.items() if value is not None}
    if seen.alive and seen.state == "paused":
        if budget or accept_data or foreground:
            raise UsageError(
                f"run {folder.name} is paused, and its worker goes on as it was started; to change that, first "
                f"rnn-tui stop {folder.name}"
            )
        request(runs_dir, run, "resume", "goes on", as_json=as_json)
        return
    if seen.alive or seen.state == "starting":
        raise BusyError(f"run {folder.name} is {seen.state} already; rnn-tui watch {folder.name} follows it")
    look_for_plugins(folder)
    if budget:
        extend(folder, budget)
        amount = " or ".join(f"{value:,} {key}" for key, value in budget.items())
        say(f"{folder.name}: to be trained for {amount} in all")
    launch_and_stay(
        folder, detach=detach, foreground=foreground, as_json=as_json, resume=True, accept_data=accept_data
    )


def request(
    runs_dir: Path, name: str, command: str, done: str, args: dict[str, float] | None = None, *, as_json: bool
) -> None:
    """Ask a living worker for something, wait until it is done and report it. Raises as `rnn_tui.runs.asking.ask`."""
    from rnn_tui.runs.asking import ask
    from rnn_tui.runs.folder import find_run

    run = find_run(runs_dir, name)
    tell(run, command, done, ask(run, command, args, origin="cli"), as_json=as_json)


def tell(run: "RunFolder", command: str, done: str, answer: "Event", *, as_json: bool) -> None:
    """Report a worker's answer."""
    if as_json:
        emit({"run": run.name, "command": command, "args": answer.data.get("args", {}), "step": answer.step})
    else:
        out(f"{run.name}: {done} at step {count(answer.step)}")
