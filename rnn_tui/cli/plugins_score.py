"""`rnn-tui plugins score`: what kind of memory an architecture is, beside others of equal size."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from rnn_tui.cli.base import Command, json_option, key_value
from rnn_tui.cli.complete import architectures as complete_architectures
from rnn_tui.cli.output import count, duration, emit, out, plain, progress_bar, say, table
from rnn_tui.cli.plots import bar
from rnn_tui.errors import InputError

if TYPE_CHECKING:
    from rnn_tui.score.card import Card, Row

SEEDS = 3
DISAGREE = 0.1
"""Least and most of a score so far apart are told."""
_BAR = 6


@click.command(
    "score",
    cls=Command,
    examples="""
    rnn-tui plugins score my-cell
    rnn-tui plugins score my-cell --quick
    rnn-tui plugins score my-cell -o gate_bias=1 --beside gru --parameters 50000
    rnn-tui plugins score lstm my-cell --seeds 5 --save card.json
    """,
)
@click.argument("names", nargs=-1, required=True, metavar="NAME...", shell_complete=complete_architectures)
@click.option(
    "--beside",
    default="rnn,gru,lstm",
    metavar="NAME,NAME",
    help="Architectures of equal size that they stand beside; none: ''.  [default: rnn,gru,lstm]",
)
@click.option(
    "-o",
    "--option",
    "options",
    multiple=True,
    metavar="KEY=VALUE",
    help="An option of the architectures named; rnn-tui plugins show NAME lists them.",
)
@click.option(
    "--task",
    "tasks",
    multiple=True,
    metavar="TASK",
    help="Only this: copy, adding, reber, brackets, text (with reach) or speed. May be given several times.",
)
@click.option(
    "--parameters",
    type=click.IntRange(100, 10_000_000),
    default=20_000,
    help="Parameters of every model; the hidden size that comes nearest is found.  [default: 20000]",
)
@click.option("--quick", is_flag=True, help="One seed, fewer lags and updates, no reber: a first look.")
@click.option("--seed", type=click.IntRange(0, 2**31), default=1, help="The first seed.  [default: 1]")
@click.option(
    "--seeds", type=click.IntRange(1, 100), help=f"Trainings of each.  [default: {SEEDS}; with --quick 1]"
)
@click.option(
    "--limit",
    type=click.FloatRange(0.1),
    default=300.0,
    metavar="SECONDS",
    help="Processor time for an architecture on a group of tasks, all seeds together.  [default: 300]",
)
@click.option(
    "--save",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the JSON there, too.",
)
@json_option
def score(
    names: tuple[str, ...],
    beside: str,
    options: tuple[str, ...],
    tasks: tuple[str, ...],
    parameters: int,
    quick: bool,
    seed: int,
    seeds: int | None,
    limit: float,
    save: Path | None,
    as_json: bool,
) -> None:
    """Score architectures: what kind of memory is this?

    Each learns small tasks, with the same recipe and with as many parameters as those beside it. A score is 0 for
    guessing and 1 for no mistake; a figure is the median over the seeds.

    \b
    copy            give back 3 symbols, each 1 of 8, after a lag; a training a lag
    adding          sum the two marked numbers of a row; a training a length
    reber memory    embedded Reber grammar: the second-but-last symbol, by length
    reber legal     the same: positions at which just what is legal is preferred
    brackets        which of 4 kinds of bracket closes next, by depth
    text            bits per character of a small English text; less is better
    reach           steps back from which on a gradient has a share of its size
    speed           tokens per second of training and sampling, on one thread

    Lags, lengths and depths with a + are beyond all that was trained. * marks the best of a row that is clearly above
    chance and above the others, ~ a score that differs by more than 0.1 between seeds. Solved are those from the
    first one on with a score of 0.9 or more. What the architectures beside have learnt is kept for the next card.
    Ctrl-C shows what is known so far.
    """
    from rnn_tui.score.card import Plan, document
    from rnn_tui.score.measure import Score

    if save is not None and not save.parent.is_dir():  # said now, and not when all is measured
        raise InputError(f"--save {save}: there is no folder {save.parent}")
    plan = Plan(
        names=names,
        beside=tuple(name.strip() for name in beside.split(",") if name.strip()),
        options=dict(key_value("-o", text) for text in options),
        tasks=tasks,
        parameters=parameters,
        seeds=tuple(range(seed, seed + (seeds or (1 if quick else SEEDS)))),
        quick=quick,
        limit=limit,
    )
    measurement = Score(plan)
    said = tuple(measurement.notes)
    for note in said:
        say(note)
    say("Ctrl-C shows what is known by then")
    try:
        with progress_bar() as progress:
            measurement.run(
                progress or _nothing, announced=say, finished=_nothing if progress is not None else say
            )
    except KeyboardInterrupt:
        say("interrupted; this is what was found by then")
    card = measurement.card()
    if as_json:
        emit(document(card))
    else:
        _write(card, said)
    if save is not None:
        _save(card, save)
    if not card.complete:
        raise click.exceptions.Exit(130)


def _nothing(*_: object) -> None:
    pass


def _save(card: "Card", path: Path) -> None:
    import json

    from rnn_tui.files import replace_file
    from rnn_tui.score.card import document

    replace_file(path, json.dumps(plain(document(card)), indent=2, allow_nan=False).encode() + b"\n")
    say(f"written to {path}")


def _write(card: "Card", said: tuple[str, ...]) -> None:
    """Write all but the notes that were `said` at the start."""
    who = [each.name for each in card.contenders]
    plan = card.plan
    out(card.machine)
    seeds = f"seed {plan.seeds[0]}" if len(plan.seeds) == 1 else f"{len(plan.seeds)} seeds"
    out(f"about {count(plan.parameters)} parameters each, {seeds}, {duration(card.seconds)}")
    if plan.quick:
        out(f"quick: {'one seed' if len(plan.seeds) == 1 else seeds} and short trainings, no verdict")
    out()
    rows = [[_label(row), *(_figure(row, name) for name in who)] for row in card.rows]
    table(["", *(f"{name}>" for name in who)], [*rows, *_solved(card), *_facts(card)])
    legend = _legend(card, rows)
    if legend:
        out()
        out(legend)
    _plot(card, "copy")
    _plot(card, "adding")
    notes = [*_problems(card), *card.notes[len(said) :], *_busy(card), *_sizes(card)]
    if notes:
        out()
    for line in notes:
        out(line)
    for sentence in card.summary:
        out()
        out(sentence)


def _legend(card: "Card", rows: list[list[str]]) -> str:
    """What the signs in the table mean, those that there are."""
    from rnn_tui.score.card import SOLVED

    figures = "".join(figure for row in rows for figure in row[1:])
    meanings = {
        "* clearly the best of its row": "*" in figures,
        f"~ seeds differ by more than {DISAGREE:g}": "~" in figures,
        f"solved to: from the first one on, all up to there score {SOLVED:g} or more": any(
            row.axis for row in card.rows
        ),
    }
    return "; ".join(meaning for meaning, there in meanings.items() if there)


def _label(row: "Row") -> str:
    if row.axis:
        return f"{row.measure}, {row.axis} {_place(row)}"
    return f"{row.measure}, bits per character" if row.unit == "bits per character" else row.measure


def _place(row: "Row") -> str:
    return f"{row.at}{'+' * row.beyond}"


def _figure(row: "Row", name: str) -> str:
    cell = row.cells.get(name)
    if cell is None:
        return "-  "
    mark = "*" if name in row.best else " "
    if cell.score is None:
        return f"{cell.value:.2f} {mark}" if row.better else f"{count(cell.value)}  "
    return f"{cell.score:.2f}{'~' if row.spread(name) > DISAGREE else ' '}{mark}"


def _solved(card: "Card") -> list[list[str]]:
    measures = dict.fromkeys(row.measure for row in card.rows if row.axis)
    return [
        [
            f"{measure}, solved to",
            *(f"{card.solved.get(each.name, {}).get(measure, '-') or 'none'}  " for each in card.contenders),
        ]
        for measure in measures
    ]


def _facts(card: "Card") -> list[list[str]]:
    """Speeds, rungs and sizes."""
    rates = {rate.architecture: rate for rate in card.rates}
    rows = []
    for label, what in (("training, tokens/s", "train"), ("sampling, tokens/s", "sample")):
        speeds = [getattr(rates.get(each.name), what, None) for each in card.contenders]
        if any(speeds):
            measured = [speed for speed in speeds if speed]
            best = max(measured, key=lambda speed: speed.median)
            clear = best.median - min(speed.median for speed in measured) > best.most - best.least
            marks = [
                f"{count(speed.median)} {'*' if clear and speed is best else ' '}" if speed else "-"
                for speed in speeds
            ]
            rows.append([label, *marks])
    groups = dict.fromkeys(group for each in card.contenders for group in each.sizes)
    if groups:
        shown = "text" if "text" in groups else next(iter(groups))
        sizes = [each.sizes.get(shown) for each in card.contenders]
        rows.append(["rung", *(f"{each.engine or '-'}  " for each in card.contenders)])
        rows.append([f"hidden size, on {shown}", *(f"{count(size[0]) if size else '-'}  " for size in sizes)])
        rows.append([f"parameters, on {shown}", *(f"{count(size[1]) if size else '-'}  " for size in sizes)])
    return rows


def _plot(card: "Card", measure: str) -> None:
    rows = [row for row in card.rows if row.measure == measure]
    if not rows:
        return
    names = [each.name for each in card.contenders]
    width = max(map(len, [*names, measure]))
    out()
    places = "".join(f"{_place(row):<{_BAR + 2}}" for row in rows)
    out(f"{measure:<{width}}  {places}".rstrip())
    for name in names:
        cells = [row.cells.get(name) for row in rows]
        bars = [bar(cell.score, _BAR) if cell and cell.score else "" for cell in cells]
        drawn = "".join(f"{each:<{_BAR + 2}}" for each in bars)
        out(f"{name:<{width}}  {drawn}".rstrip())


def _problems(card: "Card") -> list[str]:
    lines = [
        f"{each.name}, {group}: {problem}"
        for each in card.contenders
        for group, problem in each.problems.items()
    ]
    lines += [f"{rate.architecture}, speed: {rate.problem}" for rate in card.rates if rate.problem]
    lines += [f"{each.name}: {each.engine_reason}" for each in card.contenders if each.engine == "loop"]
    return lines


def _busy(card: "Card") -> list[str]:
    speeds = [speed for rate in card.rates for speed in (rate.train, rate.sample) if speed]
    busy = any(speed.busy for speed in speeds)
    return ["others kept the machine busy while speeds were taken: they are lower than on a quiet one"] * busy


def _sizes(card: "Card") -> list[str]:
    """Those whose size is off."""
    from rnn_tui.score.card import TOLERANCE

    wanted = card.plan.parameters
    return [
        f"{each.name}, {group}: {count(found)} parameters is as near as its hidden size gets to {count(wanted)}"
        for each in card.contenders
        for group, (_, found) in each.sizes.items()
        if abs(found - wanted) > TOLERANCE * wanted
    ]
