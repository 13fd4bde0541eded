"""The keys of the prompt pane. Its line has the focus nearly always, so none of them types anything."""

from textual.binding import BindingType

from rnn_tui.tui.keys import bind

KEYS: list[BindingType] = [
    bind("escape", "leave", "Stop", "End the completion; else leave the list or the line", footer=True),
    bind("ctrl+r", "retry", "Retry", "The last completion again with another seed", footer=True),
    bind(
        "f2",
        "settings",
        "Panel",
        "Show or hide sampling settings and the next-token table",
        footer=True,
    ),
    bind("f3", "colour", "Colour", "Colour the text by surprise, entropy, rank, or not at all", footer=True),
    bind("f4", "undo", "Undo", "Take the last turn back"),
    bind("f5", "choose", "Model", "Choose a run, a checkpoint or a model file"),
    bind("f6", "steer", "Steer", "Pick the next token by hand, from the table"),
    bind("f7", "turns", "Turns", "Every turn and branch: go to one, undo to it, copy it", footer=True),
    bind("f8", "batch", "Batch", "Five completions at once, to pick one from"),
    bind("ctrl+n", "compare", "Compare", "Another model beside this one, on the same prompts"),
    bind("f10", "next_column", "Next column", "Make the next column the active one"),
    bind("alt+w", "close_column", "Close column", "Take the active column away"),
    bind("ctrl+o", "edit", "Edit", "Write the prompt in several lines"),
    bind("ctrl+t", "elsewhere", "Editor", "Write the prompt in the editor of $EDITOR"),
    bind("ctrl+l", "reset", "Reset", "Empty transcript, fresh state"),
    bind("alt+h", "commands", "Commands", "List what can be typed after a slash"),
    bind("pageup", "page(-1)", "Page up", "Scroll the transcript back"),
    bind("pagedown", "page(1)", "Page down", "Scroll the transcript forward"),
]
