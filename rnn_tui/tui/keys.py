"""Keys and actions: the one table behind dispatch, footer, command palette and help.

The table is the `BINDINGS` of the app and of each pane, written with `bind`. Palette and help read the same
objects that dispatch keys, so they cannot drift from what a key does.
"""

from collections.abc import Iterable

from textual.binding import Binding, BindingType

from rnn_tui.safetext import safe_text


def bind(
    key: str,
    action: str,
    label: str,
    help_text: str,
    *,
    footer: bool = False,
    shown_as: str | None = None,
    priority: bool = False,
) -> Binding:
    """Return one row of the table.

    Args:
        key: Textual key names, several joined by commas.
        action: The action method's name without `action_`, with arguments if any.
        label: One or two words for the footer.
        help_text: One sentence for palette and help.
        footer: Show it in the footer; keep these to eight in all at 80 columns.
        shown_as: How the key is written where the name alone is not what a user presses.
        priority: Act even while an input has the focus; only for keys that type nothing.
    """
    return Binding(
        key,
        action,
        label,
        show=footer,
        key_display=shown_as,
        priority=priority,
        tooltip=safe_text(help_text),
        id=f"{action}",
    )


def rows(bindings: Iterable[BindingType]) -> list[Binding]:
    """Return the rows of a table that carry a help sentence."""
    return [row for row in bindings if isinstance(row, Binding) and row.tooltip]
