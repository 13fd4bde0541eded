"""`rnn-tui bench`: how fast each architecture trains and samples here, beside torch's modules and the tutorials."""

import os
import sys
from typing import TYPE_CHECKING, Any

import click

from rnn_tui.cli.base import Command, json_option
from rnn_tui.cli.complete import architectures as complete_architectures
from rnn_tui.cli.output import count, duration, emit, out, progress_bar, say, table
from rnn_tui.cli.plots import bars
from rnn_tui.runs.supervisor import SPIN

if TYPE_CHECKING:
    from rnn_tui.bench.report import Group, Report, Row

QUICK: dict[str, Any] = {"hidden_sizes": (256,), "repeats": 3, "seconds": 0.1}


@click.command(
    cls=Command,
    examples="""
    rnn-tui bench
    rnn-tui bench --quick
    rnn-tui bench lstm my-cell --hidden-size 512 --engine eager
    rnn-tui bench gru --what train --threads 3 --json
    """,
)
@click.argument("architectures", nargs=-1, metavar="[ARCHITECTURE]...", shell_complete=complete_architectures)
@click.option(
    "--what",
    type=click.Choice(["all", "train", "sample"]),
    default="all",
    help="What is measured.  [default: all]",
)
@click.option(
    "--hidden-size",
    "hidden_sizes",
    type=click.IntRange(1, 65536),
    multiple=True,
    help="Width of the state; may be given several times.  [default: 256 and 512]",
)
@click.option("--num-layers", type=click.IntRange(1, 64), help="Layers on top of each other.  [default: 1]")
@click.option("--batch-size", type=click.IntRange(1, 65536), help="Windows side by side.  [default: 32]")
@click.option("--seq-len", type=click.IntRange(1, 65536), help="Tokens in a window.  [default: 64]")
@click.option("--vocab-size", type=click.IntRange(2, 50_000), help="Tokens to choose from.  [default: 97]")
@click.option("--threads", type=click.IntRange(0, 1024), help="CPU threads.  [default: timed at the start]")
@click.option(
    "--engine",
    type=click.Choice(["auto", "loop", "eager", "compiled", "graph"]),
    help="How a cell runs over time while training; auto: the fastest.  [default: auto]",
)
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda", "mps"]), help="Where.  [default: cpu]")
@click.option("--repeats", type=click.IntRange(1, 1000), help="Turns of each that is measured.  [default: 5]")
@click.option("--quick", is_flag=True, help="One size, three short turns: a first look.")
@json_option
def bench(architectures: tuple[str, ...], what: str, quick: bool, as_json: bool, **chosen: Any) -> None:
    """Measure how fast architectures train and sample on this machine; all that are installed unless some are named.

    Each stands beside the module of torch (nn.LSTM, nn.GRU or nn.RNN) whose tokens cost most nearly the same, in the
    form of input that is faster, beside the loop of the tutorials, and beside what this machine reaches. All are
    measured in turn, so that a busy moment hits all alike; figures are medians. Ctrl-C shows what is known so far.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        for name, value in SPIN.items():  # as in a worker; read once, when torch is loaded
            os.environ.setdefault(name, value)
    from rnn_tui.bench.measure import Bench
    from rnn_tui.bench.report import Plan

    settings: dict[str, Any] = {name: value for name, value in chosen.items() if value}
    if quick:
        settings = QUICK | settings
    if what != "all":
        settings["what"] = (what,)
    measurement = Bench(Plan(architectures=architectures, **settings))
    say(f"about {duration(measurement.estimate)}; Ctrl-C shows what is known by then")
    try:
        with progress_bar() as bar:
            measurement.run(bar or (lambda *_: None), say)
    except KeyboardInterrupt:
        say("interrupted; this is what was measured by then")
    report = measurement.report()
    if as_json:
        emit(report)
    else:
        _write(report)
    if not report.complete:
        raise click.exceptions.Exit(130)


def _write(report: "Report") -> None:
    out(report.machine)
    for group in report.groups:
        out()
        _write_group(report, group)
    for name, error in report.broken.items():
        out()
        out(f"{name} cannot be used: {error}")


def _write_group(report: "Report", group: "Group") -> None:
    plan = report.plan
    size = f"{plan.num_layers}x{group.hidden_size}, vocabulary {plan.vocab_size}"
    threads = f"{group.threads} thread{'s' * (group.threads != 1)}"
    if group.what == "train":
        out(f"training {size}, batch {plan.batch_size}, seq_len {plan.seq_len}, {threads}")
    else:
        out(f"sampling {size}, one stream, {threads}")
    measured = [row for row in group.rows if row.rate]
    if measured:
        table(
            [
                "",
                "rung",
                "tokens/s>",
                "least to most?",
                "x nn>",
                "x tut>",
                f"{group.unit}>",
                "of limit?>",
            ],
            [_cells(row) for row in measured],
        )
    for line in _notes(group):
        out(line)
    if measured and sys.stdout.isatty():
        out()
        bars("tokens/s", [(row.name, round(row.rate.median)) for row in measured if row.rate])


def _cells(row: "Row") -> list[str]:
    assert row.rate
    return [
        row.name,
        row.engine,
        f"{count(row.rate.median)}{'*' if row.rate.busy else ''}",
        f"{count(row.rate.least)} to {count(row.rate.most)}",
        f"{row.nn_ratio.median:.2f}" if row.nn_ratio else "",
        f"{row.tutorial_ratio.median:.2f}" if row.tutorial_ratio else "",
        f"{row.achieved:.1f}" if row.achieved else "",
        f"{row.of_limit:.0%}" if row.of_limit else "",
    ]


def _notes(group: "Group") -> list[str]:
    """What the table does not say: the limits, what stands beside what, why something is slow or not there."""
    limits = group.limits
    reached = []
    if "products" in limits:
        reached.append(f"{limits['products'].most:.0f} GFLOP/s in a large product")
    if "weights" in limits:
        reached.append(f"{limits['weights'].most:.1f} GB/s of weights")
    if "memory" in limits:
        reached.append(f"{limits['memory'].most:.1f} GB/s of memory")
    lines = [f"this machine reaches {', '.join(reached)}"] if reached else []
    beside: dict[tuple[str, str], list[str]] = {}
    for row in group.rows:
        if row.nn_ratio:
            beside.setdefault((row.nn, row.tutorial), []).append(row.name)
    lines += [
        f"{', '.join(names)}: x nn is beside {nn}, x tut beside the {tutorial}"
        for (nn, tutorial), names in beside.items()
    ]
    lines += [f"{row.name}: {row.engine_reason}" for row in group.rows if row.engine == "loop"]
    lines += [f"{row.name}: {row.error}" for row in group.rows if row.error]
    if any(row.rate and row.rate.busy for row in group.rows):
        lines.append(f"* while others kept {group.foreign:.1f} cores busy: slower than on a quiet machine")
    return lines
