"""The load of a machine in rows of text. Pure, so that each can be read in a test."""

from rnn_tui.tui import format as f
from rnn_tui.tui.machine import Gpu, Load
from rnn_tui.tui.widgets.lines import Line

GPUS = 4
"""Rows of GPUs that are shown."""


def load_flat(load: Load | None, width: int, *, ascii: bool = False) -> list[Line]:
    """Return one row with as much as fits; none while nothing is known."""
    if load is None:
        return []
    parts = [f"{label} {text}" for label, text in _facts(load, ascii=ascii)]
    while len(parts) > 1 and len("   ".join(parts)) > width:
        del parts[1 if load.gpus and len(parts) > 2 else -1]  # the machine goes before its GPU
    return [(("   ".join(parts)[:width], "muted"),)]


def load_tall(load: Load | None, *, ascii: bool = False) -> list[Line]:
    """Return a row for the worker, one for the machine and one for each GPU; none while nothing is known."""
    if load is None:
        return []
    return [((f"{label:<12}", "muted"), (text, "plain")) for label, text in _facts(load, ascii=ascii)]


def _facts(load: Load, *, ascii: bool) -> list[tuple[str, str]]:
    if load.host:
        return [("machine", f"on {f.one_line(load.host, 40)}, whose load is not seen here")]
    worker = [f"{load.cores:.1f} cores"] if load.cores is not None else []
    worker += [_bytes(load.memory)] if load.memory is not None else []
    machine = [f"{100 * load.machine:.0f} % of {load.count:d} cores"] if load.machine is not None else []
    machine += [_share(load.used, load.total)] if load.used is not None and load.total is not None else []
    facts = [("worker", ", ".join(worker)), ("machine", ", ".join(machine))]
    facts += [(f"GPU {gpu.index:d}", gpu_text(gpu, ascii=ascii)) for gpu in load.gpus[:GPUS]]
    return [(label, text) for label, text in facts if text]


def gpu_text(gpu: Gpu, *, ascii: bool = False) -> str:
    """Return load, memory, power and temperature of a GPU, as far as it tells them."""
    facts = [f"{100 * gpu.load:.0f} %"] if gpu.load is not None else []
    if gpu.memory is not None and gpu.memory_total is not None:
        facts.append(_share(gpu.memory, gpu.memory_total))
    facts += [f"{gpu.watts:.0f} W"] if gpu.watts is not None else []
    facts += [f"{gpu.celsius:.0f} {'C' if ascii else '°C'}"] if gpu.celsius is not None else []
    return ", ".join(facts)


def _bytes(amount: int) -> str:
    """Two digits or more of megabytes or gigabytes: what a third digit would say changes with every look."""
    return f"{amount / 1e9:.1f} GB" if amount >= 1e9 else f"{amount / 1e6:.0f} MB"


def _share(used: int, total: int) -> str:
    return f"{used / 1e9:.1f} of {total / 1e9:.0f} GB"
