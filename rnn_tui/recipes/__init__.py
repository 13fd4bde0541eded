"""The classic experiments by name: a TOML file each, of ordinary settings and a [recipe] table about them.

Whatever a recipe needs is a setting that any user can make; there is no code per recipe.
"""

from dataclasses import dataclass, fields
from importlib.resources import files
from typing import Any

from rnn_tui.errors import InputError, UsageError, nearest
from rnn_tui.training.config import Layer, read_toml


@dataclass(frozen=True)
class Recipe:
    """An experiment.

    Attributes:
        title: One line for a list.
        source: Where the experiment comes from.
        about: What it is and what it shows.
        original_faults: What the original got wrong, and what is done here instead.
        expected: The figure to reach.
        settings: section → key → value, a layer for `rnn_tui.training.config.resolve`.
    """

    name: str
    title: str
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
    """Return the names of all recipes, sorted."""
    return sorted(path.name[:-5] for path in files(__name__).iterdir() if path.name.endswith(".toml"))


def load_recipe(name: str) -> Recipe:
    """Return a recipe.

    Raises:
        UsageError: when there is none of that name; names the nearest.
        InputError: when its file is damaged.
    """
    names = recipe_names()
    if name not in names:
        raise UsageError(
            f"there is no recipe {name!r}{nearest(name, names)}; rnn-tui recipes list names them"
        )
    path = files(__name__) / f"{name}.toml"
    settings = read_toml(str(path))
    told = settings.pop("recipe", {})
    wanted = [field.name for field in fields(Recipe) if field.name != "settings"]
    if not isinstance(told, dict) or sorted(told) != sorted(wanted) or told["name"] != name:
        raise InputError(
            f"{path}: its [recipe] table must hold {', '.join(wanted)}, and name must be {name!r}"
        )
    return Recipe(**{key: str(value).strip() for key, value in told.items()}, settings=settings)
