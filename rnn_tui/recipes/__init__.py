"""The classic experiments by name: a TOML file each, of ordinary settings and a [recipe] table about them.

Whatever a recipe needs is a setting that any user can make; there is no code per recipe.
"""

import re
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import msgspec

from rnn_tui.errors import InputError, UsageError, nearest
from rnn_tui.training.config import Layer, read_toml


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """An experiment: its [recipe] table, and its settings.

    Attributes:
        order: Where it stands in a list.
        title, goal: One line for a list, and a few words: 34 and 17 characters at most, so that both stand beside the
            name in 80 columns.
        source: Where the experiment comes from.
        about: What it is and what it shows, in paragraphs.
        original_faults: What the original got wrong, and what is done here instead.
        expected: The figure to reach, and the one that was published.
        settings: section → key → value, a layer for `rnn_tui.training.config.resolve`.
    """

    name: str
    order: int
    title: str
    goal: str
    source: str
    about: str
    original_faults: str
    expected: str
    settings: dict[str, Any]

    @property
    def layer(self) -> Layer:
        """The settings under the name that `config show` gives for their origin."""
        return f"recipe {self.name}", self.settings


def recipe_names() -> list[str]:
    """Return the names of all recipes, in their order."""
    return [recipe.name for recipe in all_recipes()]


def all_recipes() -> list[Recipe]:
    """Return all recipes, in their order. Raises as `load_recipe`."""
    return sorted(map(_read, _files()), key=lambda recipe: (recipe.order, recipe.name))


def load_recipe(name: str) -> Recipe:
    """Return a recipe.

    Raises:
        UsageError: when there is none of that name; names the nearest.
        InputError: when its file is damaged.
    """
    if name not in _files():
        raise UsageError(
            f"there is no recipe {name!r}{nearest(name, _files())}; rnn-tui recipes list names them"
        )
    return _read(name)


def settings_text(name: str) -> str:
    """Return the settings of a recipe as they stand in its file, with their comments: a file for `--config`."""
    text = (files(__name__) / f"{name}.toml").read_text(encoding="utf-8")
    first = re.search(r"^\[(?!recipe\])", text, re.MULTILINE)
    return text[first.start() :] if first else ""


def _files() -> list[str]:
    """Return the names of all recipes by the files that are there."""
    return [
        path.name.removesuffix(".toml") for path in files(__name__).iterdir() if path.name.endswith(".toml")
    ]


def _read(name: str) -> Recipe:
    path = files(__name__) / f"{name}.toml"
    settings = read_toml(str(path))
    try:
        told = {
            key: value.strip() if isinstance(value, str) else value
            for key, value in settings.pop("recipe").items()
        }
        recipe = msgspec.convert(told | {"settings": settings}, Recipe)
    except (KeyError, AttributeError, msgspec.ValidationError) as error:
        raise InputError(f"{path}: its [recipe] table cannot be read: {error}") from None
    if recipe.name != name:
        raise InputError(f"{path}: the name in its [recipe] table must be {name!r}, not {recipe.name!r}")
    return recipe
