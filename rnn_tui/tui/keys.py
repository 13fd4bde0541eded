"""Keys and actions: the one table behind dispatch, footer, command palette, help and the user's own keys.

The table is the `BINDINGS` of the app, of each pane and of widgets that have keys, written with `bind`. Palette and
help read the same objects that dispatch keys, so they cannot drift from what a key does.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

from textual.binding import Binding, BindingType

from rnn_tui.errors import nearest
from rnn_tui.safetext import safe_text

_KEY = re.compile(r"[A-Za-z0-9_+]{1,40}|[^\s\W]|[!-/:-@[-`{-~]")
"""The name of a key, or what it types: it is shown in the footer as it stands."""


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
    )


def named(owner: str, bindings: Iterable[BindingType]) -> list[BindingType]:
    """Return the rows of a table with the ids by which a user's settings name them: `train.pause`.

    Rows with one key share the id of the first, so that a key goes with all that it does; a second row of the same
    label has a number.
    """
    found: list[BindingType] = []
    by_key: dict[str, str] = {}
    taken: set[str] = set()
    for row in bindings:
        if isinstance(row, Binding) and row.tooltip and row.id is None:
            name = f"{owner}.{re.sub('[^a-z0-9]+', '-', row.description.lower()).strip('-')}"
            chosen, number = name, 2
            while chosen in taken:
                chosen, number = f"{name}-{number}", number + 1
            chosen = by_key.setdefault(row.key, chosen)
            taken.add(chosen)
            row = replace(row, id=chosen)
        found.append(row)
    return found


def rows(bindings: Iterable[BindingType]) -> list[Binding]:
    """Return the rows of a table that carry a help sentence."""
    return [row for row in bindings if isinstance(row, Binding) and row.tooltip]


def in_force(table: Iterable[Binding], keymap: Mapping[str, str]) -> list[Binding]:
    """Return the rows with the keys that `keymap`, id → keys, gives them."""
    return [
        replace(row, key=keymap[row.id], key_display=None) if row.id and row.id in keymap else row
        for row in table
    ]


def check_keymap(
    wanted: Mapping[str, str], tables: Mapping[str, Iterable[Binding]]
) -> tuple[dict[str, str], list[str]]:
    """Return the part of a user's keymap that can be used, and a sentence for each entry that can't.

    Args:
        wanted: id → keys, several joined by commas.
        tables: owner → rows, as `named` made them; the keys of `app` act everywhere.
    """
    known = {str(row.id): owner for owner, table in tables.items() for row in table if row.id}
    usable: dict[str, str] = {}
    told: list[str] = []
    for name, keys in wanted.items():
        if name not in known:
            told.append(f"app.keys: there is no {name[:60]!r}{nearest(name[:60], known)}")
            continue
        if not keys.strip():
            told.append(f"app.keys: {name} needs a key")
            continue
        wanted_keys = [key.strip() for key in keys.split(",")]
        wrong = next((key for key in wanted_keys if not _KEY.fullmatch(key) or not key.isprintable()), None)
        if wrong is not None:
            told.append(
                f"app.keys: {name} = {wrong[:40]!r} is no key; write ctrl+k, f5, slash or one character"
            )
            continue
        usable[name] = ",".join(wanted_keys)
    for name in list(usable):
        near = {known[name], "app"} if known[name] != "app" else set(tables)
        others = [row for owner in near for row in in_force(tables[owner], usable) if row.id != name]
        mine = set(usable[name].split(","))
        clash = next((row for row in others if mine & set(row.key.split(","))), None)
        if clash is not None:
            told.append(
                f"app.keys: {name} = {usable[name][:40]!r} is the key of {clash.id}; give that another one"
            )
            del usable[name]
    return usable, told
