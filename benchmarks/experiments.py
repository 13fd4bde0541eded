"""The classic experiments, whole: `python -m benchmarks.experiments [NAME…]`.

Each runs by the command that its row of docs/experiments.md shows, through the real command line, and is then measured
by `rnn-tui eval`. What was measured lies in docs/experiments.json; the table of the document is made of it, so the
rows of experiments that were not run this time stay.
"""

import argparse
import datetime
import json
import os
import platform
import shlex
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rnn_tui.cli.output import count, duration, figure
from rnn_tui.corpus.sources import DOWNLOADS, download_path
from rnn_tui.model.device import cpu_count
from rnn_tui.recipes import load_recipe
from rnn_tui.runs.events import EventReader
from rnn_tui.runs.folder import RunFolder
from rnn_tui.tasks.metrics import perplexity

DOCS = Path(__file__).parents[1] / "docs"
BEGIN, END = "<!-- the table: begin -->", "<!-- the table: end -->"
SHORT = ("--steps", "15")

Row = dict[str, Any]


@dataclass(frozen=True)
class Experiment:
    """A row of the table.

    Attributes:
        published: the figure of the original, as it was printed.
        judged, at_most: which of the row's figures has to be how small; none: it is only reported.
        arguments: what is typed after the recipe's name.
        variant: what makes it another row than the recipe's own.
        needs: a file that must lie in the folder of corpora.
    """

    recipe: str
    published: str = ""
    judged: str = ""
    at_most: float | None = None
    arguments: tuple[str, ...] = ()
    variant: str = ""
    needs: str = ""

    @property
    def name(self) -> str:
        return f"{self.recipe}-{self.variant}" if self.variant else self.recipe

    @property
    def command(self) -> list[str]:
        return ["rnn-tui", "recipes", "run", self.recipe, *self.arguments]

    @property
    def goal(self) -> str:
        return "reported" if self.variant else load_recipe(self.recipe).goal


LAST_EPOCH, HELD_OUT = "last epoch perplexity", "validation loss"
TANG = ("--corpus", "tang-poems.txt", "--sample-prompt", "明月", "--sample-prompt", "春風")

EXPERIMENTS = [  # in the order of the table; the long ones last
    Experiment("hello-ohlol", "ohlol"),
    Experiment("sine-gru", "no figure", "one step", 0.05),
    Experiment("timemachine-rnn-scratch", "1.0 (1.0 to 1.2)", LAST_EPOCH, 1.1),
    Experiment("timemachine-rnn-random", "1.5 (1.3 to 1.5)", LAST_EPOCH, 1.5),
    Experiment("timemachine-rnn-nn", "1.3 (1.3 to 1.4)", LAST_EPOCH, 1.4),
    Experiment("timemachine-gru-scratch", "1.1 (1.1 to 1.3), 256 wide", LAST_EPOCH, 1.3),
    Experiment("timemachine-gru-nn", "1.0 (1.0 to 1.1)", LAST_EPOCH, 1.1),
    Experiment("timemachine-lstm-scratch", "1.3 (1.3 to 1.4)", LAST_EPOCH, 1.4),
    Experiment("timemachine-lstm-nn", "1.1", LAST_EPOCH, 1.1),
    Experiment("timemachine-lstm-deep", "1.0 (1.0 to 1.6)", LAST_EPOCH, 1.1),
    Experiment("lyrics-lstm", "1.02 on lyrics", LAST_EPOCH, 1.05),
    Experiment("lyrics-lstm-scratch", "4.27 on lyrics", LAST_EPOCH, 4.3),
    Experiment("lyrics-lstm", arguments=TANG, variant="tang", needs="tang-poems.txt"),
    Experiment("demo"),
    Experiment("random-chunks-rnn"),
    Experiment("shakespeare-3min", "1.88 (nanoGPT, CPU)", HELD_OUT, 1.55),
    Experiment("shakespeare-10min", "1.4697 (nanoGPT, A100)", HELD_OUT, 1.4697),
    Experiment("words-rnn"),
    Experiment("shakespeare-embedding-rnn"),
    Experiment("fairytales-lstm"),
    Experiment("fairytales-lstm-all"),
]


class FailedError(Exception):
    """An experiment that came to no figures."""


# -- running ------------------------------------------------------------------------------------------------------


def run(experiment: Experiment, *, folder: Path, runs_dir: Path, short: bool = False) -> Row:
    """Run an experiment in `folder` and measure it.

    Raises:
        FailedError: when a command fails; what it said is on standard error.
    """
    whole = experiment.recipe in ("hello-ohlol", "sine-gru")
    more = SHORT if short and not whole else ()
    command = [*experiment.command, *more]
    told = _json(*command, "--foreground", "--runs-dir", str(runs_dir), folder=folder)
    task = load_recipe(experiment.recipe).settings.get("task", {}).get("name", "next-token")
    splits = ["train", "validation"] if told["validation_loss"] is not None else ["train"]
    measured = {
        split: _json(
            *("rnn-tui", "eval", told["run"], "--split", split, "--runs-dir", str(runs_dir)), folder=folder
        )
        for split in splits
    }
    events = EventReader(RunFolder(Path(told["path"])).events_path).poll()
    speeds = [event.data["tokens_per_second"] for event in events if event.kind == "train"]
    start = next(event.data for event in events if event.kind == "start")
    row = {
        "name": experiment.name,
        "command": shlex.join(command),
        "published": experiment.published,
        "goal": experiment.goal,
        "date": datetime.date.today().isoformat(),
        "machine": machine(start),
        "seconds": told["elapsed"],
        "steps": told["steps"],
        "parameters": told["parameters"],
        "tokens_per_second": statistics.median(speeds),
        **{key: start[key] for key in ("engine", "threads", "precision", "unit")},
    }
    if task == "aligned":
        guesses = [(event.step, event.data["text"]) for event in events if event.kind == "transcription"]
        said = guesses[-1][1]
        since = next(step for step, text in guesses if text == said)
        figures: dict[str, Any] = {"said": said, "since": since, "train loss": measured["train"]["loss"]}
    elif task == "series":
        horizons = measured[splits[-1]]["horizons"]
        figures = {"one step": horizons[0]["mse"], "horizons": horizons}
    else:
        figures = _of_text(measured) | {"last epoch perplexity": perplexity(told["train_loss"])}
    return row | {"figures": figures, "reached": judge(experiment, figures)}


def judge(experiment: Experiment, figures: Row) -> bool | None:
    """Return whether the figures are what the recipe is to reach; None where it is only reported."""
    if "said" in figures:
        return bool(figures["said"] == experiment.goal)
    return None if experiment.at_most is None else bool(figures[experiment.judged] <= experiment.at_most)


def _json(*command: str, folder: Path) -> Row:
    """Run `rnn-tui …` of this tree in `folder` and return what it reports."""
    done = subprocess.run(
        [sys.executable, "-m", "rnn_tui", *command[1:], "--json"],
        cwd=folder,
        stdout=subprocess.PIPE,
        text=True,
    )
    if done.returncode:
        raise FailedError(f"{shlex.join(command)} ended with {done.returncode}")
    result: Row = json.loads(done.stdout)
    return result


def _of_text(measured: dict[str, Row]) -> dict[str, float]:
    """Return the figures of a model of a text, floats by the names that `Experiment.judged` knows."""
    found: dict[str, float] = {}
    for split, report in measured.items():
        for kind, figures in (("", report), ("cold ", report["cold"])):
            for name in ("loss", "perplexity", "bpc", "bpb"):
                found[f"{kind}{split} {name}"] = float(figures[name])  # infinity is written as a word
    trigram = measured.get("validation", {}).get("baselines", {}).get("trigram")
    return found | ({"trigram": float(trigram["loss"])} if trigram else {})


def machine(start: Row) -> str:
    """Describe what computed, in one line."""
    cpu = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):  # another system
        pass
    device = "" if start["device"] == "cpu" else f"{start['device_name']}, "
    return f"{device}{cpu}, {cpu_count()} cores, torch {version('torch')}, Python {platform.python_version()}"


# -- the table ----------------------------------------------------------------------------------------------------


def ours(row: Row) -> str:
    """Return what was reached, in the units of what was published."""
    figures = row["figures"]
    if "said" in figures:
        return f"{figures['said']}, from epoch {figures['since']} on"
    if "horizons" in figures:
        parts = [
            f"{one['mse']:.4f} at {one['horizon']} ({one['persistence']:.4f})" for one in figures["horizons"]
        ]
        return f"squared error (of persistence): {', '.join(parts)}"
    if "validation loss" not in figures:
        again = [f"{figure(figures[f'{kind}train perplexity'], 3)}" for kind in ("", "cold ")]
        return f"**{figure(figures[LAST_EPOCH], 3)}**; read again {again[0]}, cold {again[1]}"
    parts = [
        f"**{figure(figures['validation loss'])}** nats",
        f"perplexity {figure(figures['validation perplexity'], 2)}",
        f"{figure(figures['validation bpb'], 3)} bits/byte",
    ]
    if "trigram" in figures:
        parts.append(f"trigram {figure(figures['trigram'])} nats")
    parts.append(
        f"train {figure(figures['train loss'])} nats, perplexity {figure(figures['train perplexity'], 2)}"
    )
    return "; ".join(parts)


def table(rows: list[Row]) -> str:
    """Return the table in Markdown, and below it what its machines are."""
    machines = list(dict.fromkeys(row["machine"] for row in rows))
    heads = ["recipe", "published", "to reach", "ours", "reached", "time", "tokens/s", "machine", "command"]
    lines = [f"| {' | '.join(heads)} |", "|---|---|---|---|---|---|---|---|---|"]
    for row in rows:
        cells = [
            row["name"],
            row["published"] or "–",
            row["goal"],
            ours(row),
            {True: "yes", False: "**no**", None: "–"}[row["reached"]],
            duration(row["seconds"]),
            count(row["tokens_per_second"]),
            _letter(machines.index(row["machine"])),
            f"`{row['command']}`",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    told = [f"{_letter(index)}: {name}." for index, name in enumerate(machines)]
    return "\n".join([*lines, "", *told])


def _letter(index: int) -> str:
    return chr(ord("A") + index)


def write(rows: dict[str, Row], data: Path, document: Path) -> None:
    """Keep all rows in `data`, and put the table of those that are known here in the place of the one in `document`."""
    data.write_text(json.dumps(rows, indent=1, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8")
    text = document.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise FailedError(f"{document} lacks the two lines between which its table stands: {BEGIN} and {END}")
    known = [rows[experiment.name] for experiment in EXPERIMENTS if experiment.name in rows]
    document.write_text(f"{before}{BEGIN}\n\n{table(known)}\n\n{END}{after}", encoding="utf-8")


# -- the command --------------------------------------------------------------------------------------------------


def main() -> int:
    names = [experiment.name for experiment in EXPERIMENTS]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.experiments", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"all of them without one: {', '.join(names)}"
    )
    parser.add_argument("--data", type=Path, metavar="DIR", help="where timemachine.txt and the like lie")
    parser.add_argument("--runs-dir", type=Path, default=Path("runs/experiments"), metavar="DIR")
    parser.add_argument("--json", type=Path, default=DOCS / "experiments.json", metavar="FILE")
    parser.add_argument(
        "--short", action="store_true", help="a few steps of each; writes the table to standard output only"
    )
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(names):
        parser.error(f"no experiment {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    chosen = [one for one in EXPERIMENTS if not arguments.names or one.name in arguments.names]
    folder = (arguments.data or Path()).absolute()
    rows: dict[str, Row] = {}
    if arguments.json.exists() and not arguments.short:
        rows = json.loads(arguments.json.read_text(encoding="utf-8"))
    failures = []
    with tempfile.TemporaryDirectory() as found:
        if arguments.data:
            os.environ["RNN_TUI_DATA_DIR"] = corpora(folder, Path(found))
        for experiment in chosen:
            print(f"\n{experiment.name}: {shlex.join(experiment.command)}", file=sys.stderr, flush=True)
            try:
                if experiment.needs and not (folder / experiment.needs).exists():
                    raise FailedError(f"it needs {experiment.needs}; --data DIR says where that lies")
                row = run(
                    experiment, folder=folder, runs_dir=arguments.runs_dir.absolute(), short=arguments.short
                )
            except FailedError as error:
                failures.append(f"{experiment.name}: {error}")
                print(failures[-1], file=sys.stderr)
                continue
            rows[experiment.name] = row
            print(f"{experiment.name}: {ours(row)}; reached: {row['reached']}", file=sys.stderr)
            if not arguments.short:
                write(rows, arguments.json, DOCS / "experiments.md")
    if arguments.short:
        print(table(list(rows.values())))
    for failure in failures:
        print(f"not measured: {failure}", file=sys.stderr)
    return 1 if failures else 0


def corpora(folder: Path, home: Path) -> str:
    """Give the named corpora that lie in `folder`, and those downloaded before, to the commands; return where."""
    (home / "corpora").mkdir()
    for name in DOWNLOADS:
        for file in (folder / f"{name}.txt", download_path(name)):
            if file.exists():
                (home / "corpora" / f"{name}.txt").symlink_to(file.absolute())
                break
    return str(home)


if __name__ == "__main__":
    sys.exit(main())
