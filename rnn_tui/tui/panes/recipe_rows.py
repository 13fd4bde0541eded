"""The first rows of the form: which recipe it is filled in from, and what that one is about."""

from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from rnn_tui.safetext import safe_text
from rnn_tui.tui.panes.fields import Field

if TYPE_CHECKING:
    from rnn_tui.recipes import Recipe

NONE = "none"
_HELP = "A classic experiment by name; it fills in the form"


class RecipeRows(Vertical):
    """The choice of a recipe; below it what it is and what it is to reach."""

    DEFAULT_CSS = """
    RecipeRows { height: auto; }
    RecipeRows #about { height: auto; display: none; padding-left: 2; color: $foreground 75%; }
    """

    class Chosen(Message):
        """The form is to be filled in from this recipe."""

        def __init__(self, recipe: "Recipe") -> None:
            super().__init__()
            self.recipe = recipe

    def compose(self) -> ComposeResult:
        from rnn_tui.plugin.options import OptionInfo
        from rnn_tui.recipes import all_recipes

        self._recipes = {recipe.name: recipe for recipe in all_recipes()}
        yield Field("run", OptionInfo("recipe", "choice", NONE, _HELP, choices=(NONE, *self._recipes)))
        yield Static("", id="about")

    def on_field_changed(self, event: Field.Changed) -> None:
        event.stop()
        recipe = self._recipes.get(event.field.value)
        about = self.query_one("#about", Static)
        about.display = recipe is not None
        event.field.set_help(f"{recipe.title}; to reach: {recipe.goal}" if recipe else _HELP)
        if recipe is not None:
            about.update(described(recipe))
            self.post_message(self.Chosen(recipe))


def described(recipe: "Recipe") -> Content:
    """Return what a recipe is to reach and what it is, without the line breaks of its file."""
    about = " ".join(recipe.about.split("\n\n")[0].split())
    return Content.assemble(
        ("To reach: ", "bold"),
        safe_text(" ".join(recipe.expected.split())),
        "\n",
        safe_text(about),
        (f"\nrnn-tui recipes show {safe_text(recipe.name)} tells more", "dim"),
    )
