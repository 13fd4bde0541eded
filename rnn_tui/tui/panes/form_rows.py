"""Which settings have a row of their own in the form, and what its rows add up to."""

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
    "model.num_layers": "layers", "data.seq_len": "seq_len", "optim.lr": "learning rate",
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


def nested(fields: Iterable[Field]) -> dict[str, dict[str, Any]]:
    """Return what differs from the defaults as section → key → value; plugin options lie in `options`."""
    settings: dict[str, dict[str, Any]] = {}
    for field in fields:
        value, default = field.value, field.info.default
        if value == default or (isinstance(value, list) and tuple(value) == default):
            continue
        section, _, deeper = field.section.partition(".")
        table = settings.setdefault(section, {})
        if deeper:
            table = table.setdefault(deeper, {})
        table[field.info.name] = value
    return settings
