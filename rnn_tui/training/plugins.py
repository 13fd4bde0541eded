"""The plugins of a run that is to go on: still there, from where they were, and whether they are what they were.

Free of torch: a run whose plugins are missing is refused before a worker is started, and stays as it was.
"""

from collections.abc import Mapping
from typing import Any

from rnn_tui.errors import InputError, PluginError, UsageError
from rnn_tui.model.header import ModelFile, read_header
from rnn_tui.model.provenance import difference
from rnn_tui.plugin.describe import describe_found
from rnn_tui.plugin.registry import Kind, find_plugin, list_plugins, recorded_name, recorded_origin, remedy
from rnn_tui.runs.layout import RunFolder

OF_PLUGINS = ("architecture", "architecture_source", "tokenizer")
"""What `environment.surroundings` has of them."""


def look_for_plugins(run: RunFolder) -> None:
    """Make sure that the plugins that a run was made with are there and can be used.

    Of a run without a checkpoint, or whose newest one is damaged, nothing is said: its worker finds what there is.

    Raises:
        PluginError: as `check_plugins`; or when one is broken.
    """
    newest = run.newest_checkpoint()
    try:
        header = None if newest is None else read_header(newest / "model.safetensors")
    except InputError:
        return
    if header is None:
        return
    check_plugins(run, header)
    for kind, record in _records(header):
        info = find_plugin(kind, recorded_name(record))
        if info.ours:  # the worker imports them anyway
            continue
        found = describe_found(info)
        if found.error is not None:
            raise PluginError(f"{found.info}: {found.error}; {found.advice}; run {run.name} is as it was")


def check_plugins(run: RunFolder, header: ModelFile) -> None:
    """Make sure that the plugins of a run come from the packages that they came from; another version may serve.

    Raises:
        PluginError: when one does not. No other package's is put in its place.
    """
    for kind, record in _records(header):
        name, own_name = record["name"], record["name"].rpartition(":")[2]
        made_with = f"run {run.name} was made with the {kind} {name} of {recorded_origin(record)}"
        infos = [info for info in list_plugins(kind) if info.own_name == own_name]
        try:
            owner = find_plugin(kind, recorded_name(record)).distribution
        except UsageError:
            owner = None
        others = [info.origin for info in infos if info.distribution != owner]
        never = f"; {' and '.join(others)} may not take its place" if others else ""
        if owner is None:
            raise PluginError(
                f"{made_with}, which is not there{never}; {remedy(record['distribution'], own_name)}; then resume "
                "again, nothing was changed"
            )
        try:
            leads_to = find_plugin(kind, name).distribution
        except UsageError:  # several have it
            leads_to = None
        if leads_to != owner:
            raise PluginError(
                f"{made_with}, to which that name no longer leads{never}; uninstall what is in the way and resume "
                "again, nothing was changed"
            )


def differing_plugins(
    then: ModelFile,
    then_around: Mapping[str, Any],
    now: Mapping[str, Mapping[str, Any] | None],
    now_around: Mapping[str, Any],
    step: int,
) -> list[str]:
    """Return which plugins of a run are no longer what they were at its checkpoint of `step`, each in half a sentence.

    Args:
        then_around, now_around: the `environment` of the checkpoint and of now. They have the source of an
            architecture that ships with rnn-tui, too.
        now: the records of what is used now, by kind.
    """
    told: dict[str, None] = {}  # both may be of one file
    for kind, record in _records(then):
        found = now.get(kind)
        if found is None:
            continue
        key = f"{kind}_source"
        before, after = {"source": then_around.get(key), **record}, {"source": now_around.get(key), **found}
        if clause := difference(before, after, f"step {step}"):
            told[f"{clause}, and the weights go on under the changed code"] = None
    return list(told)


def _records(header: ModelFile) -> list[tuple[Kind, Mapping[str, Any]]]:
    records: list[tuple[Kind, Mapping[str, Any] | None]] = [
        ("architecture", header.architecture),
        ("tokenizer", header.tokenizer),
    ]
    return [(kind, record) for kind, record in records if record is not None]
