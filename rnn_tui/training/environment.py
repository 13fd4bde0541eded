"""What the bits of a result depend on beside the settings: versions, machine, threads, the way over time.

Stands in the manifest of every checkpoint, so that a run that goes on elsewhere can say what differs.
"""

import platform
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from rnn_tui import __version__
from rnn_tui.plugin.registry import find_plugin, recorded_name
from rnn_tui.plugin.source import source_hash
from rnn_tui.training.loop import Trainer
from rnn_tui.training.plugins import OF_PLUGINS
from rnn_tui.training.setup import device_name


def surroundings(record: Mapping[str, Any], tokenizer: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return as much of it as stays the same in this process.

    Args:
        record, tokenizer: of the architecture and the tokenizer, as they stand in a model file.
    """
    return {
        "rnn_tui": __version__,
        "torch": str(torch.__version__),
        "maths": _maths(torch.__config__.show()),
        "processor": _processor(),
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "architecture": _package(record),
        "architecture_source": source_hash(find_plugin("architecture", recorded_name(record))),
        "tokenizer": _package(tokenizer) if tokenizer else "",
    }


def environment(trainer: Trainer, fixed: Mapping[str, Any]) -> dict[str, Any]:
    """Return all of it.

    Args:
        fixed: `surroundings`.
    """
    device = trainer.model.device
    return {
        **fixed,
        "device": device_name(device),
        "threads": trainer.pace.threads if device.type == "cpu" else 0,
        "engine": trainer.update.engine()[0],
    }


def compare_environment(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return what differs, each in half a sentence. What an earlier version did not note does not.

    Of plugins, `plugins.differing_plugins` tells it.
    """
    return [
        f"{key.replace('_', ' ')} {then[key]} is now {value}"
        for key, value in now.items()
        if key in then and then[key] != value and key not in OF_PLUGINS
    ]


def exactness(trainer: Trainer) -> str:
    """Say what a resumed or repeated run shares with this one."""
    runtime, device = trainer.config.runtime, trainer.model.device
    if device.type != "cpu" and not runtime.exact:
        return f"to rounding: kernels on {device.type} may differ from run to run; --exact refuses those"
    threads = f"{trainer.pace.threads} thread{'s' if trainer.pace.threads > 1 else ''}"
    told = f"bit for bit on this machine with torch {torch.__version__} and {threads}"
    return told + (", up to the step at which the minutes end" if trainer.config.budget.minutes else "")


def _package(record: Mapping[str, Any]) -> str:
    return f"{record['distribution']} {record['version']}"


def _processor() -> str:
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found[1].strip() if found else platform.processor() or platform.machine()


def _maths(built_with: str) -> str:
    """Return the versions of the libraries that multiply, from torch's account of itself."""
    patterns = {"MKL": r"Math Kernel Library Version (\S+) Build (\d+)", "oneDNN": r"MKL-DNN v(\S+)"}
    found = {name: re.search(pattern, built_with) for name, pattern in patterns.items()}
    return ", ".join(f"{name} {' '.join(match.groups())}" for name, match in found.items() if match)
