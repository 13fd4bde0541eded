"""The keys of the Inspect pane, and what it says while there is nothing to see."""

from textual.binding import BindingType
from textual.content import Content

from rnn_tui.tui.keys import bind

VIEWS = {
    "text": ("t", "Text", "Show the text in the colours of a unit"),
    "units": ("f", "Find units", "Find units that fire on a pattern"),
    "map": ("m", "Map", "Show all units over time as a heat map"),
    "gates": ("a", "Gates", "Show how far gates are open and shut"),
    "reach": ("b", "Back in time", "Show how far back the gradient of the loss reaches"),
}
"""Key, title and a sentence for each view."""

ASKS = {
    "text": "a text to read; ctrl+j is a newline; empty: the run's own; esc leaves",
    "file": "path of a text file; its beginning is read; esc leaves",
    "regex": r"a regular expression, such as \d+ or (?<=\. )[A-Z]; esc leaves",
    "unit": "a unit's number, or part:number, such as 12 or layer 1 c:12; esc leaves",
}
"""What can be asked for in the last row, and what stands there before it is typed."""

KEYS: list[BindingType] = [
    bind("o", "ask('unit')", "Go to unit", "Go to a unit by its number"),
    *(bind(key, f"view('{name}')", title, told) for name, (key, title, told) in VIEWS.items()),
    bind("c", "patterns", "Pattern", "Choose the pattern to find units for"),
    bind("e", "ask('regex')", "Expression", "Find units that fire on a regular expression"),
    bind("i", "ask('text')", "Type text", "Type the text to read", footer=True),
    bind("slash", "ask('file')", "File", "Read the text of a file", shown_as="/"),
    bind("f5", "choose", "Model", "Choose a run or a model file"),
    bind("r", "reload", "Reload", "Load the model again, as a run that trains has written it since"),
    bind("escape", "leave", "Stop", "End what is being computed; else leave the line or the list"),
]

NOTHING = Content.assemble(
    ("Look inside a model\n\n", "bold"),
    "What each unit of the state does on a text: coloured letter by letter,\n"
    "and over time as a map; how far the gates are open, and how far back\n"
    "the gradient of the loss reaches.\n\n",
    ("alt+2", "bold $accent"), "  train a model first\n",
    ("f5", "bold $accent"), "     choose a run or a model file\n",
)  # fmt: skip
FAILED = Content.assemble(
    ("Nothing was read\n\n", "bold"),
    ("r", "bold $accent"), "   try again\n",
    ("i", "bold $accent"), "   type another text\n",
    ("f5", "bold $accent"), "  choose another model\n",
)  # fmt: skip
