"""Which settings have a row of their own in the form, and what its rows add up to."""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from rnn_tui.tui.panes.fields import Field

if TYPE_CHECKING:
    from rnn_tui.plugin.options import OptionInfo

# The rows that are always there; everything else is under "All settings".
BASIC = (
    ("Task, corpus and tokens", (("task", "name"), ("corpus", "source"), ("tokenizer", "name"))),
    ("Model", (("model", "arch"), ("model", "hidden_size"), ("model", "num_layers"), ("model", "dropout"))),
    (
        "Training",
        (
            ("data", "seq_len"),
            ("data", "batch_size"),
            ("optim", "optimizer"),
            ("optim", "lr"),
            ("budget", "minutes"),
            ("budget", "epochs"),
            ("budget", "steps"),
        ),
    ),
)
LABELS = {
    "task.name": "task", "corpus.source": "corpus", "tokenizer.name": "tokenizer", "model.arch": "architecture",
    "model.num_layers": "layers", "data.seq_len": "seq len", "optim.lr": "learning rate",
}  # fmt: skip
PLUGIN = {
    "model.arch": ("architecture", "model.options"),
    "tokenizer.name": ("tokenizer", "tokenizer.options"),
}
# A first run should end while one watches; without any budget the default is ten epochs.
FIRST_MINUTES = 3.0


def declarations() -> dict[str, "OptionInfo"]:
    """Return every setting's declaration by section.key."""
    from rnn_tui.plugin.options import option_infos
    from rnn_tui.training.config import sections

    return {
        f"{section}.{info.name}": info for section, kind in sections().items() for info in option_infos(kind)
    }


def culprit(fields: Iterable[Field], message: str) -> Field | None:
    """Return the row that a message is about, if it names a setting or quotes a value that only one row has."""
    rows = {field.path: field for field in fields}
    for field in sorted(rows.values(), key=lambda row: -len(row.path)):
        named = f"option {field.info.name}" if "." in field.section else field.path
        if re.search(rf"(?<![\w.]){re.escape(named)}(?![\w.-])", message):
            return field
    for path in ("run.warm_start", "corpus.source", "run.name"):
        if path in rows and str(rows[path].value) and str(rows[path].value) in message:
            return rows[path]
    return None


def nested(fields: Iterable[Field]) -> dict[str, dict[str, Any]]:
    """Return what is entered as section → key → value; of the options of plugins, in `options`, what is no default."""
    settings: dict[str, dict[str, Any]] = {}
    for field in fields:
        value, default = field.value, field.info.default
        section, _, deeper = field.section.partition(".")
        table = settings.setdefault(section, {})
        if not deeper:
            table[field.info.name] = value
        elif value != default and not (isinstance(value, list) and tuple(value) == default):
            table.setdefault(deeper, {})[field.info.name] = value
    return settings
