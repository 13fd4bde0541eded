"""The settings of a run that exists, in its config.toml: read, compared, and given another budget. Free of torch."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import tomli_w

from rnn_tui import __version__
from rnn_tui.errors import InputError, UsageError
from rnn_tui.files import replace_file
from rnn_tui.runs.layout import RunFolder
from rnn_tui.runs.lock import RunLock
from rnn_tui.runs.status import run_state
from rnn_tui.training.config import BUDGETS, RunConfig, from_dict


def stored_config(run: RunFolder) -> RunConfig:
    """Return the settings of a run.

    Raises:
        InputError: when config.toml cannot be read, or was written by a version that knows more settings.
        UsageError: when it was edited and is wrong.
    """
    return _checked(run, run.read_config())


def _checked(run: RunFolder, values: Mapping[str, Any]) -> RunConfig:
    settings = {section: table for section, table in values.items() if section != "about"}
    try:
        return from_dict(settings, f"run {run.name}: config.toml")
    except UsageError as error:
        made_by = _about(values).get("rnn_tui", __version__)
        if made_by == __version__:
            raise
        raise InputError(
            f"{error}; it was written by rnn-tui {made_by}, and this is {__version__}: upgrade, nothing was changed"
        ) from None


def identity(run: RunFolder) -> str:
    """Return what tells a run from all others wherever its folder lies, and whatever it is called.

    That is `about.id` of config.toml. Runs of earlier versions have none; their name has to do.

    Raises:
        InputError: when config.toml cannot be read.
    """
    return str(_about(run.read_config()).get("id", run.name))


def _about(values: Mapping[str, Any]) -> Mapping[str, Any]:
    about = values.get("about")
    return about if isinstance(about, Mapping) else {}


def changes(then: RunConfig, now: RunConfig) -> dict[str, str]:
    """Return of each setting that differs, by `section.key`, half a sentence: `model.hidden_size 16 is now 32`."""
    was, is_ = _flat(asdict(then)), _flat(asdict(now))
    return {
        name: f"{name} {_shown(was.get(name))} is now {_shown(is_.get(name))}"
        for name in {**was, **is_}
        if was.get(name) != is_.get(name)
    }


def differing(differences: Sequence[str]) -> str:
    """Name differences, at most five of them."""
    more = f" and {len(differences) - 5} more" if len(differences) > 5 else ""
    return f"{', '.join(differences[:5])}{more}"


def _flat(settings: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, dict):
            values |= _flat(value, f"{above}{key}.")
        else:
            values[above + key] = value
    return values


def _shown(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_shown, value))}]"
    return repr(value) if value in ("", None) or (isinstance(value, str) and " " in value) else f"{value}"


def extend(run: RunFolder, budget: Mapping[str, float]) -> RunConfig:
    """Give a run that is not training another budget, durably, and return its settings; nothing is trained yet.

    Of steps, epochs and minutes, those that are not in `budget` no longer limit the run.

    Args:
        budget: some of `BUDGETS`.

    Raises:
        UsageError: when the run has done as much already, or a value is out of bounds.
        BusyError: when its worker is alive.
        InputError, DiskError: when config.toml cannot be read or written; it is as it was then.
    """
    with RunLock.acquire(run):
        values = run.read_config()
        before = values.get("budget")
        section = dict.fromkeys(BUDGETS, 0) | dict(budget)
        replaced = values | {"budget": {**(before if isinstance(before, Mapping) else {}), **section}}
        config = _checked(run, replaced)
        status = run_state(run).status
        if status is not None:
            done = {"steps": status.step, "epochs": status.epoch, "minutes": status.elapsed / 60}
            for key, value in budget.items():
                if value <= done[key]:
                    raise UsageError(
                        f"run {run.name} has done {done[key]:,.5g} {key} already; --{key} takes what it is to have "
                        "done in the end, so give more"
                    )
        replace_file(run.config_path, tomli_w.dumps(replaced).encode())
    return config
