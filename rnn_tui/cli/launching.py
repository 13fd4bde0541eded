"""Starting a run and staying with it: what `train`, `recipes run`, `demo` and `resume` have in common."""

import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from rnn_tui.cli.following import Figures, show_events, view
from rnn_tui.cli.output import count, duration, emit, figure, out, pairs, progress_bar, say
from rnn_tui.errors import DiskError, UsageError
from rnn_tui.tasks.metrics import perplexity
from rnn_tui.training.layers import combine

if TYPE_CHECKING:
    from rnn_tui.runs.folder import RunFolder
    from rnn_tui.training.config import Layer

STATES = {"early-stop": "finished", "preempted": "stopped"}
"""Reasons of an end that are no names of states."""
BROKEN = frozenset({"failed", "diverged", "crashed"})


def staying_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--detach` and `--foreground`."""
    command = click.option(
        "--foreground",
        is_flag=True,
        help="Tie the run to this command: Ctrl-C stops it, its exit code is ours.",
    )(command)
    return click.option("--detach", is_flag=True, help="Return at once; the run goes on by itself.")(command)


def check_staying(detach: bool, foreground: bool) -> None:
    """Refuse the two together."""
    if detach and foreground:
        raise UsageError("--detach and --foreground exclude each other; give one of them")


def create(
    layers: Sequence["Layer"], name: str | None, runs_dir: Path, *, warm_start: Path | None = None
) -> "RunFolder":
    """Check the settings and make the run's folder; nothing runs yet."""
    from rnn_tui.training import launch

    resolved = launch.prepare_run_config(combine(layers))
    with progress_bar() as progress:
        return launch.create(runs_dir, name, resolved.config, progress=progress, warm_start=warm_start)


def create_numbered(layers: Sequence["Layer"], base: str, runs_dir: Path) -> "RunFolder":
    """`create` under the name `base-1`, or the first number that no run has."""
    from rnn_tui.runs.folder import numbered

    return numbered(runs_dir, base, lambda name: create(layers, name, runs_dir))


def launch_and_stay(
    run: "RunFolder",
    *,
    detach: bool,
    foreground: bool,
    as_json: bool,
    resume: bool = False,
    accept_data: bool = False,
) -> None:
    """Start the worker of `run`, stay with it as asked for, report, and leave with its exit code."""
    from rnn_tui.runs.folder import remove_run
    from rnn_tui.runs.supervisor import REFUSALS, start_worker
    from rnn_tui.runs.surroundings import warnings

    for text in warnings(run.path.parent):
        say(f"warning: {text}")
    if detach:
        process = start_worker(run, resume=resume, accept_data=accept_data)
        if as_json:
            emit({"run": run.name, "path": run.path, "pid": process.pid})
        else:
            out(run.name)
            say(f"{run.name} is training by itself; rnn-tui watch {run.name} follows it")
        return
    stay = run_foreground if foreground else run_followed
    figures, state = stay(run, resume=resume, accept_data=accept_data)
    if not resume and not figures.step and figures.reason == "failed" and figures.exit_code in REFUSALS:
        remove_run(run)
    else:
        report(run, figures, state, as_json=as_json)
    raise click.exceptions.Exit(figures.exit_code or 0)


def run_followed(run: "RunFolder", *, resume: bool, accept_data: bool = False) -> tuple[Figures, str]:
    """Start a detached worker and follow it; Ctrl-C stops the following, not the run."""
    from rnn_tui.runs.supervisor import start_worker

    start_worker(run, resume=resume, accept_data=accept_data)
    say(f"{run.name}: starting; Ctrl-C stops following, not the run")
    return follow(run, since=time.time() if resume else 0.0)


def follow(run: "RunFolder", *, since: float = 0.0) -> tuple[Figures, str]:
    """Follow a run to its end; return its figures and the state it is left in."""
    from rnn_tui.runs import supervisor
    from rnn_tui.runs.status import run_state

    figures = Figures()
    try:
        show_events(supervisor.follow(run), view(), figures, since=since)
    except KeyboardInterrupt:
        say(f"no longer following; {run.name} goes on: rnn-tui watch {run.name}, or rnn-tui stop {run.name}")
        figures.exit_code = 130
        return figures, run_state(run).state
    return conclude(run, figures)


def conclude(run: "RunFolder", figures: Figures) -> tuple[Figures, str]:
    """Work out how a run that no longer lives ended, and tell it unless all went well."""
    from rnn_tui.runs.status import run_state

    if figures.reason:
        if figures.exit_code in (130, 143):
            say(
                f"{run.name} stopped at step {count(figures.step)}; rnn-tui resume {run.name} goes on from there"
            )
        elif figures.exit_code:
            say(f"rnn-tui: error: run {run.name}: {figures.message or figures.reason}")
        return figures, STATES.get(figures.reason, figures.reason)
    seen = run_state(run)
    figures.exit_code = figures.exit_code or 1
    what = figures.message = seen.message or "its worker died without a word"
    if figures.exit_code == DiskError.exit_code:  # not even its log could be written
        what = f"its worker could not write to {run.path}; free some room there"
    say(
        f"rnn-tui: error: run {run.name}: {what}; {run.log_path} may say more; rnn-tui resume {run.name} goes on"
    )
    return figures, seen.state


def run_foreground(run: "RunFolder", *, resume: bool, accept_data: bool = False) -> tuple[Figures, str]:
    """Start a worker that lives and dies with this process, pass signals on to it, and follow it."""
    from rnn_tui.runs import supervisor

    figures, begin = Figures(), time.time()
    process = supervisor.start_worker(run, resume=resume, foreground=True, accept_data=accept_data)
    with passing_signals(process):
        show_events(supervisor.follow(run), view(), figures, since=begin if resume else 0.0)
        code = process.wait()
    if code or figures.reason:
        figures.exit_code = code if code >= 0 else 128 - code
    return conclude(run, figures)


@contextmanager
def passing_signals(process: "subprocess.Popen[bytes]") -> Iterator[None]:
    """Hand SIGINT, SIGTERM and SIGHUP on to the worker, which writes a checkpoint and ends."""

    def pass_on(number: int, _: FrameType | None) -> None:
        if process.poll() is None:  # the worker outlives a hang-up by design, so that one becomes SIGTERM
            process.send_signal(signal.SIGTERM if number == signal.SIGHUP else number)

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, pass_on) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def summary(run: "RunFolder", figures: Figures, state: str) -> dict[str, Any]:
    """Return what `--json` reports of a run that was followed."""
    return {
        "run": run.name,
        "path": run.path,
        "state": state,
        "reason": figures.reason,
        "message": figures.message,
        "steps": figures.step,
        "epochs": figures.epoch,
        "elapsed": figures.elapsed,
        "train_loss": figures.train_loss,
        "validation_loss": figures.validation_loss,
        "best_loss": figures.best_loss,
        "best_step": figures.best_step,
        "unit": figures.unit,
        "perplexity": judged(figures),
        "measures": figures.measures,
        "baselines": figures.baselines,
        "evaluation": figures.evaluation,
        "tokens_per_second": figures.mean_tokens_per_second,
        "parameters": figures.parameters,
        "exit_code": figures.exit_code,
    }


def judged(figures: Figures) -> float | None:
    """Return the perplexity of the held-out text, or where there is none of the training text."""
    loss = figures.train_loss if figures.validation_loss is None else figures.validation_loss
    return None if loss is None or figures.unit != "nats per token" else perplexity(loss)


def concluded(evaluation: dict[str, Any]) -> dict[str, str]:
    """Return rows for what was measured when a run was complete; none where nothing was."""
    if not evaluation:
        return {}
    cold, window, gap = evaluation["cold"]["loss"], evaluation["window"], evaluation["gap"]
    above = ""
    if gap is not None:
        above = f"; {evaluation['split']} is {figure(abs(gap))} {'above' if gap > 0 else 'below'} it"
    return {
        "fresh windows": f"{figure(cold)} in windows of {count(window)} that begin without a state",
        "training text": f"{figure(evaluation['train_loss'])} on its beginning{above}",
    }


def _next(run: "RunFolder", figures: Figures, state: str) -> str:
    """Return the commands that come after this; of a run that failed, what goes on with it, and where more is said."""
    if state in BROKEN:
        goes_on = run.newest_checkpoint_step() is not None
        said = f"{run.log_path} may say more"
        return f"rnn-tui resume {run.name}   {said}" if goes_on else said
    prompting = "" if figures.task == "series" else f'rnn-tui prompt {run.name} "…"   '
    return (prompting + f"rnn-tui eval {run.name}") if figures.step else ""


def report(run: "RunFolder", figures: Figures, state: str, *, as_json: bool) -> None:
    """Write the outcome of a run to standard output."""
    if as_json:
        emit(summary(run, figures, state))
        return
    measured = figures.measures
    if not any(value is not None for value in measured.values()):  # nothing was held out
        measured = {"perplexity": judged(figures)}
    best = (
        f" (best {figure(figures.best_loss)} at step {count(figures.best_step)})" if figures.best_step else ""
    )
    pairs(
        {
            "run": f"{run.name}  {run.path}",
            "state": state,
            "reason": figures.message if state != "finished" or figures.reason == "early-stop" else "",
            "steps": f"{count(figures.step)} in {duration(figures.elapsed)}, {figure(figures.epoch, 2)} epochs"
            if figures.step
            else "",
            "train loss": figure(figures.train_loss),
            "validation loss": figure(figures.validation_loss) + best,
            **{name: figure(value) for name, value in measured.items() if value is not None},
            **concluded(figures.evaluation),
            "baselines": ", ".join(
                f"{name} {figure(value)}" for name, value in figures.baselines.items() if value is not None
            ),
            "last sample": figures.sample,
            "speed": f"{count(figures.mean_tokens_per_second)} tokens/s"
            if figures.mean_tokens_per_second
            else "",
            "next": _next(run, figures, state),
        }
    )
