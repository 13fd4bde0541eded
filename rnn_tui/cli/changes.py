"""What the commands that use a model say of plugins that are no longer those it was trained with."""

from typing import TYPE_CHECKING

from rnn_tui.cli.output import say

if TYPE_CHECKING:
    from rnn_tui.model.header import ModelFile


def warn_of_changes(header: "ModelFile") -> None:
    """Say which plugins of a model changed since it was trained, a line for each."""
    from rnn_tui.model.provenance import changed_plugins

    for text in changed_plugins(header):
        say(f"warning: {text}")
