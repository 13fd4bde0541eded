"""Whether the plugins of a model are what they were when it was trained. Free of torch; nothing is imported for it.

A model file notes of a plugin of another package its version and a hash of its source, of a single file its hash as
the version. For those that ship with rnn-tui the version of rnn-tui stands.
"""

from collections.abc import Mapping
from typing import Any

from rnn_tui.errors import RnnTuiError
from rnn_tui.model.header import ModelFile
from rnn_tui.plugin.registry import OWN, Kind, plugin_record, recorded_file, recorded_name


def difference(then: Mapping[str, Any], now: Mapping[str, Any], since: str) -> str:
    """Say in one clause that a plugin is another than it was; empty where it is not, or nothing is known against it.

    Args:
        then, now: its `plugin_record`s.
        since: what was at `then`, such as `step 60`.
    """
    if then["version"] == now["version"]:
        hashes = then.get("source"), now.get("source")
        if not all(hashes) or hashes[0] == hashes[1]:
            return ""
        name = now["name"].rpartition(":")[2]
        return f"the source of {name} ({now['distribution']} {now['version']}) changed since {since}"
    if (file := recorded_file(then)) is not None:
        return f"{file} was edited since {since}"
    if then["distribution"] == OWN or (then.get("source") and then.get("source") == now.get("source")):
        return ""
    return f"{then['distribution']} {then['version']} is {now['version']} now"


def changed_plugins(header: ModelFile) -> tuple[str, ...]:
    """Return what to tell of plugins that are no longer those that a model was trained with, a sentence for each.

    One that is missing or broken is none of them: whoever loads the model says so.
    """
    records: list[tuple[Kind, Mapping[str, Any] | None]] = [
        ("architecture", header.architecture),
        ("tokenizer", header.tokenizer),
    ]
    told: dict[str, None] = {}  # both may be of one package
    for kind, record in records:
        if record is None or record["distribution"] == OWN:
            continue
        try:
            now = plugin_record(kind, recorded_name(record))
        except RnnTuiError:
            continue
        if clause := difference(record, now, "this model was trained"):
            told[f"{clause}; its figures may not be the model's"] = None
    return tuple(told)
