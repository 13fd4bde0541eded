"""`rnn-tui recipes`: the classic experiments by name."""

import shutil
import textwrap
from collections.abc import Iterator
from pathlib import Path

import click

from rnn_tui.cli.base import Group, json_option, runs_dir_option
from rnn_tui.cli.complete import corpora
from rnn_tui.cli.complete import recipes as complete_recipes
from rnn_tui.cli.launching import check_staying, create, create_numbered, launch_and_stay, staying_options
from rnn_tui.cli.output import emit, out, table
from rnn_tui.cli.settings import settings_options
from rnn_tui.recipes import all_recipes, load_recipe, settings_text
from rnn_tui.training.config import Layer


@click.group(cls=Group, examples="rnn-tui recipes list\nrnn-tui recipes run timemachine-rnn-scratch")
def recipes() -> None:
    """The classic experiments by name."""


@recipes.command("list", examples="rnn-tui recipes list\nrnn-tui recipes list --json | jq '.[].name'")
@json_option
def list_(as_json: bool) -> None:
    """List the recipes, and what each is to reach."""
    found = all_recipes()
    if as_json:
        emit(
            [{key: getattr(recipe, key) for key in ("name", "title", "goal", "expected")} for recipe in found]
        )
    else:
        table(["name", "what it is", "to reach"], [(one.name, one.title, one.goal) for one in found])


@recipes.command("show", examples="rnn-tui recipes show lyrics-lstm")
@click.argument("name", shell_complete=complete_recipes)
@json_option
def show(name: str, as_json: bool) -> None:
    """Tell what a recipe is, where it comes from, what the original got wrong, and its settings."""
    recipe = load_recipe(name)
    if as_json:
        emit(recipe)
        return
    out(f"{recipe.name}: {recipe.title}")
    out()
    for heading, text in {
        "What it is": recipe.about,
        "From": recipe.source,
        "What the original got wrong, and what is done here": recipe.original_faults,
        "To reach": recipe.expected,
    }.items():
        out(heading)
        for line in wrapped(text):
            out(f"  {line}".rstrip())
        out()
    out("Settings")
    for line in settings_text(name).splitlines():
        out(f"  {line}".rstrip())
    out()
    out(f"rnn-tui recipes run {recipe.name}")


def wrapped(text: str) -> Iterator[str]:
    """Yield the lines of paragraphs, broken for this terminal and an indentation of two."""
    width = min(100, shutil.get_terminal_size().columns) - 2
    for number, paragraph in enumerate(text.split("\n\n")):
        if number:
            yield ""
        yield from textwrap.wrap(paragraph, max(20, width), break_on_hyphens=False, break_long_words=False)


@recipes.command(
    "run",
    examples="""
    rnn-tui recipes run timemachine-lstm-nn
    rnn-tui recipes run lyrics-lstm --corpus lyrics.txt --name jay
    rnn-tui recipes run words-rnn --minutes 2 --foreground --json
    """,
)
@click.argument("name", metavar="RECIPE", shell_complete=complete_recipes)
@click.option("--corpus", shell_complete=corpora, help="Another text than the recipe's.")
@settings_options
@click.option("--name", "run_name", help="Name of the run.  [default: the recipe's, numbered]")
@staying_options
@json_option
@runs_dir_option
def run(
    name: str,
    corpus: str | None,
    layers: list[Layer],
    run_name: str | None,
    detach: bool,
    foreground: bool,
    as_json: bool,
    runs_dir: Path,
) -> None:
    """Train as RECIPE says. Every training flag overrides it."""
    check_staying(detach, foreground)
    layers = [load_recipe(name).layer, *layers]
    if corpus is not None:
        layers.append(("--corpus", {"corpus": {"source": corpus}}))
    folder = create(layers, run_name, runs_dir) if run_name else create_numbered(layers, name, runs_dir)
    launch_and_stay(folder, detach=detach, foreground=foreground, as_json=as_json)
