"""`rnn-tui runs`: what has been trained, side by side."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rnn_tui.cli.base import Group, json_option, runs_dir_option
from rnn_tui.cli.complete import runs as complete_runs
from rnn_tui.cli.complete import tags as complete_tags
from rnn_tui.cli.output import count, duration, emit, figure, out, pairs, plain, say, shown, size, table
from rnn_tui.cli.runs_keeping import export, note, rename, restore, rm, tag, trash
from rnn_tui.errors import UsageError

if TYPE_CHECKING:
    from rnn_tui.runs.folder import RunFolder

CURVE_POINTS = 12


@click.group(cls=Group, examples="rnn-tui runs list\nrnn-tui runs compare lstm-book-1 gru-book-1")
def runs() -> None:
    """The runs in ./runs, or where --runs-dir or RNN_TUI_RUNS says."""


@runs.command(
    "list",
    examples="""
    rnn-tui runs list
    rnn-tui runs list --filter 'arch:lstm loss<1.6' --sort loss
    rnn-tui runs list --tag keep --json | jq '.[].name'
    """,
)
@click.option(
    "--filter",
    "wanted",
    default="",
    metavar="WORDS",
    help="Only runs that all WORDS hold for: part of a name, tag, corpus, architecture or state; key:text, such as "
    "tag:keep state:running arch:lstm; numbers as in loss<1.6 step>=2k updated<3h; -word turns a word round.",
)
@click.option("--tag", "tagged", multiple=True, shell_complete=complete_tags, help="Only runs with this tag.")
@click.option(
    "--sort",
    "order",
    default="created",
    metavar="KEY",
    help="The order: name, state, loss, step, updated, size, …; -KEY the other way round.  [default: created]",
)
@json_option
@runs_dir_option
def list_(wanted: str, tagged: tuple[str, ...], order: str, as_json: bool, runs_dir: Path) -> None:
    """List the runs, the newest first."""
    from rnn_tui.runs.listing import list_runs
    from rnn_tui.runs.query import check_sort, parse_filter, sort_runs

    holds, order = parse_filter(wanted, now=time.time()), check_sort(order)
    known = list_runs(runs_dir)
    found = sort_runs((run for run in known if holds(run) and set(tagged) <= set(run.tags)), order)
    if as_json:
        emit(found)
        return
    if not found:
        none = f"there are no runs in {runs_dir} yet; rnn-tui demo makes one in a minute"
        say(none if not known else f"none of the {len(known)} runs in {runs_dir} is like that")
        return
    columns = [
        "run",
        "state",
        "architecture?",
        "tokenizer?",
        "corpus",
        "step>",
        "loss?>",
        "validation>",
        "best?>",
    ]
    # where no run has tags or a note, neither has a column
    extra = [name for name in ("tags", "note") if any(getattr(run, name) for run in found)]
    table(
        [*columns, "size?>", *(f"{name}?" for name in extra)],
        [
            (
                run.name,
                run.state,
                run.arch,
                run.tokenizer,
                Path(run.corpus).name,
                count(run.step),
                figure(run.train_loss),
                figure(run.validation_loss),
                figure(run.best_loss),
                size(run.size_bytes),
                *(shown(getattr(run, name)) for name in extra),
            )
            for run in found
        ],
    )


@runs.command(
    "show", examples="rnn-tui runs show lstm-book-1\nrnn-tui runs show lstm-book-1 --json | jq .validation"
)
@click.argument("run", shell_complete=complete_runs)
@json_option
@runs_dir_option
def show(run: str, as_json: bool, runs_dir: Path) -> None:
    """Show the settings, state, curve and checkpoints of RUN."""
    from rnn_tui.runs.folder import find_run

    record = gather(find_run(runs_dir, run))
    if as_json:
        emit(record)
        return
    status: Mapping[str, Any] = record["status"] or {}
    pairs(
        {
            "run": f"{record['run']}  {record['path']}",
            "state": " ".join(
                filter(None, (record["state"], record["message"] and f"({record['message']})"))
            ),
            "tags": " ".join(record["tags"]),
            "note": record["note"],
            "parameters": count(record["parameters"]),
            "steps": count(status.get("step")),
            "time": duration(status.get("elapsed")),
            "speed": f"{count(speed)} tokens/s" if (speed := status.get("tokens_per_second")) else "",
            "computed": computed(record["start"] or {}),
            "repeatable": (record["start"] or {}).get("exactness"),
            "loss in": (record["start"] or {}).get("unit"),
            "best": f"{figure(status.get('best_loss'))} at step {count(status.get('best_step'))}"
            if status.get("best_step") is not None
            else "",
            "checkpoints": ", ".join(record["checkpoints"]),
        }
    )
    if record["validation"]:
        out()
        table(
            ["step>", "validation>", *(f"{name}>" for name in record["measures"])],
            [
                (count(p["step"]), *(figure(p[name]) for name in ("loss", *record["measures"])))
                for p in thinned(record["validation"])
            ],
        )
    out()
    table(["setting", "value"], [(key, shown(value)) for key, value in flat(record["settings"]).items()])


def computed(start: Mapping[str, Any]) -> str:
    """Say on what, and in which way over time, a run is computed; empty before it begins."""
    threads = f", threads: {start.get('threads')}" if start.get("device") == "cpu" else ""
    return f"{start.get('device')}{threads}, {start.get('engine')}" if start else ""


def gather(run: "RunFolder") -> dict[str, Any]:
    """Return what is known of a run."""
    import msgspec

    from rnn_tui.runs.events import EventReader, effective, number
    from rnn_tui.runs.labels import read_labels
    from rnn_tui.runs.status import run_state
    from rnn_tui.runs.switches import SWITCHES, in_force

    seen, labels = run_state(run), read_labels(run)
    if labels.warning:
        say(f"run {run.name}: {labels.warning}")
    reader = EventReader(run.events_path)
    events = effective(reader.poll())
    if reader.bad_lines:
        say(f"run {run.name}: {reader.bad_lines} damaged records in its event log were left out")
    start: dict[str, Any] | None = None
    for event in events:
        if event.kind in ("start", "resume"):
            start = event.data
        elif event.kind in SWITCHES:
            start = in_force(start or {}, event)
    measures = [str(name) for name in start.get("measures", ())] if start else []
    evaluations = [event.data for event in events if event.kind == "evaluation"]
    return {
        "run": run.name,
        "path": run.path,
        "state": seen.state,
        "message": seen.message,
        "tags": labels.tags,
        "note": labels.note,
        "status": msgspec.to_builtins(seen.status) if seen.status else None,
        "parameters": start.get("parameters") if start else None,
        "start": start,
        "train": [
            {"step": event.step, "loss": number(event.data.get("loss")), "lr": number(event.data.get("lr"))}
            for event in events
            if event.kind == "train"
        ],
        "measures": measures,
        "validation": [
            {"step": event.step} | {key: number(event.data.get(key)) for key in ("loss", *measures)}
            for event in events
            if event.kind == "validation"
        ],
        "evaluation": evaluations[-1] if evaluations else None,
        "checkpoints": sorted(path.name for path in run.checkpoints.glob("step-*")),
        "settings": run.read_config(),
    }


def thinned(points: Sequence[Any]) -> list[Any]:
    """Return at most `CURVE_POINTS` of the points, evenly spread, the first and the last among them."""
    if len(points) <= CURVE_POINTS:
        return list(points)
    last = len(points) - 1
    return [points[round(i * last / (CURVE_POINTS - 1))] for i in range(CURVE_POINTS)]


def flat(settings: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Return nested tables as `section.key` → value."""
    values: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            values |= flat(value, f"{above}{key}.")
        else:
            values[above + key] = value
    return values


@runs.command(
    "compare", examples="rnn-tui runs compare lstm-book-1 gru-book-1\nrnn-tui runs compare a b c --json"
)
@click.argument("names", nargs=-1, metavar="RUN RUN ...", shell_complete=complete_runs)
@json_option
@runs_dir_option
def compare(names: tuple[str, ...], as_json: bool, runs_dir: Path) -> None:
    """Compare runs: the settings in which they differ, and their figures."""
    from rnn_tui.runs.folder import find_run

    if len(names) < 2:
        raise UsageError("compare takes two or more runs")
    records = [gather(find_run(runs_dir, name)) for name in names]
    settings = [flat({key: table for key, table in r["settings"].items() if key != "about"}) for r in records]
    keys = dict.fromkeys(key for values in settings for key in values)
    differing = {
        key: [values.get(key) for values in settings]
        for key in keys
        if len({str(values.get(key)) for values in settings}) > 1
    }
    statuses = [record["status"] or {} for record in records]
    figures = {
        "state": [record["state"] for record in records],
        "parameters": [record["parameters"] for record in records],
        "loss in": [(record["start"] or {}).get("unit") for record in records],
        **{
            key: [plain(status.get(key)) for status in statuses]
            for key in (
                "step",
                "elapsed",
                "train_loss",
                "validation_loss",
                "best_loss",
                "best_step",
                "tokens_per_second",
            )
        },
    }
    if as_json:
        emit({"runs": [record["run"] for record in records], "settings": differing, "figures": figures})
        return
    rows = [(key, *map(shown, values)) for key, values in differing.items()]
    rows += [(key, *map(_cell, values)) for key, values in figures.items()]
    table(["", *[str(record["run"]) for record in records]], rows)


def _cell(value: object) -> str:
    if isinstance(value, float) and abs(value) < 1000:
        return figure(value)
    return count(value) if isinstance(value, int | float) else shown(value)


for command in (tag, note, rename, rm, restore, trash, export):
    runs.add_command(command)
