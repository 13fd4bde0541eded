"""What each slash command of the prompt pane does; settings, which need no entry, are applied by the pane."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from rnn_tui.errors import UsageError
from rnn_tui.tui.panes.prompt_batch import MOST
from rnn_tui.tui.panes.prompt_commands import read_count
from rnn_tui.tui.panes.prompt_model import resolve_model
from rnn_tui.tui.widgets.tail_text import LEVELS

if TYPE_CHECKING:
    from rnn_tui.tui.panes.prompt import PromptPane


def _branch(pane: "PromptPane", name: str) -> None:
    talk = pane.column.talk
    branch = talk.branch(talk.last, name.strip())
    pane.column.say(f"branch {branch.name} begins here; f7 shows all")


def _model(pane: "PromptPane", name: str) -> None:
    if name.strip():
        models = pane.column.models
        models.post_message(models.Chosen(resolve_model(name, pane.shell.runs_dir)))
    else:
        pane.action_choose()


def _colour(pane: "PromptPane", measure: str) -> None:
    wanted = measure.strip().lower()
    if wanted not in ("", "off", *LEVELS):
        raise UsageError(f"text is coloured by {', '.join(LEVELS)}, or off; not by {wanted!r}")
    if wanted:
        pane.show_colours(wanted)
    else:
        pane.action_colour()


HANDLERS: Mapping[str, Callable[["PromptPane", str], object]] = {
    "retry": lambda pane, _: pane.feed.retry(),
    "continue": lambda pane, text: pane.feed.go_on(text),
    "undo": lambda pane, text: pane.action_undo(read_count(text, 1, 500)[0]),
    "reset": lambda pane, _: pane.action_reset(),
    "batch": lambda pane, text: pane.feed.batch(*read_count(text, 5, MOST)),
    "turns": lambda pane, _: pane.action_turns(),
    "branch": _branch,
    "branches": lambda pane, name: (
        pane.stage.show_branch(name.strip()) if name.strip() else pane.action_turns()
    ),
    "save": lambda pane, text: pane.files.save(text),
    "go": lambda pane, name: pane.stage.go_to(name.strip()),
    "snapshots": lambda pane, _: pane.stage.show_snapshots(),
    "restore": lambda pane, name: pane.files.restore(name),
    "model": _model,
    "compare": lambda pane, name: pane.run_worker(pane.action_compare(name)),
    "close": lambda pane, _: pane.run_worker(pane.action_close_column()),
    "colour": _colour,
    "file": lambda pane, name: pane.files.give(name),
    "edit": lambda pane, _: pane.run_worker(pane.action_edit()),
    "export": lambda pane, name: pane.files.export(name),
    "help": lambda pane, _: pane.action_commands(),
}
