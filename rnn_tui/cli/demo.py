"""`rnn-tui demo`: one minute from nothing to a completion."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rnn_tui.cli.base import Command, json_option, runs_dir_option
from rnn_tui.cli.following import Figures
from rnn_tui.cli.launching import create_numbered, run_foreground, summary
from rnn_tui.cli.output import emit, figure, out, say, table
from rnn_tui.recipes import load_recipe
from rnn_tui.safetext import safe_text
from rnn_tui.tasks.metrics import perplexity

if TYPE_CHECKING:
    from rnn_tui.runs.folder import RunFolder

PROMPT = "def "


@click.command(
    cls=Command, examples="rnn-tui demo\nrnn-tui demo --minutes 3\nrnn-tui demo --json > demo.json"
)
@click.option("--minutes", type=click.FloatRange(0, min_open=True), help="How long to train.  [default: 1]")
@json_option
@runs_dir_option
def demo(minutes: float | None, as_json: bool, runs_dir: Path) -> None:
    """Train a small model on Python's own sources for about a minute, then let it complete a function.

    In a terminal the app shows it live. Without one, and with --minutes or --json, it runs here and prints the
    completion and the model's perplexity beside that of simple models.
    """
    from rnn_tui.cli.root import app_can_run

    if app_can_run() and not as_json and minutes is None:
        from rnn_tui.tui.app import run_app

        raise click.exceptions.Exit(run_app(runs_dir, demo=True))
    recipe = load_recipe("demo")
    layers = [recipe.layer]
    if minutes is not None:
        layers.append(("--minutes", {"budget": {"minutes": minutes}}))
    run = create_numbered(layers, "demo", runs_dir)
    say(f"{run.name}: {' '.join(recipe.about.partition('.')[0].split())}")
    figures, state = run_foreground(run, resume=False)
    if figures.exit_code:
        if as_json:
            emit(summary(run, figures, state))
        raise click.exceptions.Exit(figures.exit_code)
    text = complete(run)
    if as_json:
        emit(
            summary(run, figures, state)
            | {"prompt": PROMPT, "completion": text, "baselines": compared(figures)}
        )
    else:
        show(run, figures, text)


def complete(run: "RunFolder") -> str:
    """Return what the model makes of `PROMPT`."""
    from rnn_tui.inference.config import SamplingConfig
    from rnn_tui.inference.target import model_of
    from rnn_tui.inference.torch_reader import sample_text
    from rnn_tui.model.device import sample_on_one_thread
    from rnn_tui.model.file import load_model

    sample_on_one_thread()
    model, tokenizer, _ = load_model(model_of(run))
    return sample_text(model, tokenizer, PROMPT, SamplingConfig(temperature=0.6, length=300, seed=1))


def compared(figures: Figures) -> dict[str, Any]:
    """Return the perplexity of the model and of the baselines, on the same held-out text."""
    losses = {"this model": figures.best_loss, **figures.baselines}
    return {name: None if loss is None else perplexity(loss) for name, loss in losses.items()}


def show(run: "RunFolder", figures: Figures, text: str) -> None:
    """Write the outcome to be read."""
    out("A completion:")
    out()
    for line in safe_text(PROMPT + text, newlines=True).splitlines():
        out(f"    {line}".rstrip())
    out()
    table(
        ["perplexity per character, held-out text", ">"],
        [(name, figure(value, 2)) for name, value in compared(figures).items()],
    )
    out()
    out(f"The run lies in {run.path}")
    out("Next:")
    out(f'    rnn-tui prompt {run.name} "class "      complete something else')
    out(f"    rnn-tui eval {run.name}                 measure it")
    out("    rnn-tui train YOUR.txt --minutes 3     train on a text of your own")
    out("    rnn-tui                                the app")
