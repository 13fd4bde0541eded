"""Importing one plugin into this process: checked against the interface, watched, and known by name when it fails."""

import importlib
import traceback
from pathlib import Path
from types import TracebackType
from typing import Any

from rnn_tui.errors import PluginError
from rnn_tui.plugin import API_VERSION
from rnn_tui.plugin.guard import captured, unchanged
from rnn_tui.plugin.options import option_infos
from rnn_tui.plugin.registry import Kind, PluginInfo
from rnn_tui.plugin.single_file import import_file

_loaded: dict[PluginInfo, str] = {}


def load_guarded(info: PluginInfo) -> type:
    """Import a plugin, check it, and put back what that changed of this process.

    Raises:
        PluginError: when it fails in any way; the message begins with the plugin.
    """
    said: list[str] = []
    try:
        with captured() as said, unchanged() as changes:
            plugin = load_target(info)
    except PluginError as error:
        raise PluginError(f"{info}: {error}{last_said(said)}") from error
    _loaded.setdefault(info, changes.told() or "")
    return plugin


def plugin_notes() -> list[str]:
    """Return what the plugins that this process imported changed of it, a sentence for each that did."""
    return [f"{info}: {changes}" for info, changes in _loaded.items() if changes]


def last_said(said: list[str]) -> str:
    """Say in half a clause what a plugin printed last."""
    return f" (it said: {said[0]})" if said else ""


def load_target(info: PluginInfo) -> type:
    """Import the class that `info` points at and check it.

    Raises:
        PluginError: as `load_plugin`, the message being one clause that does not name the plugin.
    """
    attributes = info.target.partition(":")[2]
    try:
        found: Any = (
            import_file(info.file, info.version) if info.file else importlib.import_module(info.module)
        )
        for attribute in attributes.split("."):
            found = getattr(found, attribute)
        _check_class(info.kind, found)
    except (PluginError, KeyboardInterrupt):
        raise
    except BaseException as error:  # imports raise OSError, RuntimeError and sys.exit as well
        raise PluginError(
            f"importing {info.target} failed{_line(error, info)}: {describe_error(error)}"
        ) from error
    plugin: type = found
    return plugin


def _line(error: BaseException, info: PluginInfo) -> str:
    """Say in which line of a single file an error arose; of a package, the traceback does."""
    lines = [
        frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == info.file
    ]
    return f" in line {lines[-1]}" if lines else ""


def describe_error(error: BaseException) -> str:
    """Return type and text, one line of it, of an error that a plugin raised: it may be one that cannot be printed.

    Of a SyntaxError with the path and the line of source that it is in.
    """
    try:
        if isinstance(error, SyntaxError) and error.filename and error.lineno:
            source = f": {error.text.strip()[:200]}" if error.text and error.text.strip() else ""
            where = f"line {error.lineno} of {error.filename}{source}"
            return f"{type(error).__name__}: {str(error.msg)[:500]} in {where}"
        text = str(error).strip().partition("\n")[0][:500]
        return f"{type(error).__name__}: {text}" if text else type(error).__name__
    except Exception:
        return f"{type(error).__name__}, which cannot be printed"


def interface(kind: Kind) -> tuple[type, ...]:
    """Return the classes of which a plugin of this kind is a subclass of one. Loads torch for an architecture."""
    if kind == "architecture":
        from rnn_tui.plugin.core import Cell, Core

        return Cell, Core
    if kind == "numpy-step":
        from rnn_tui.plugin.numpy_step import NumpyStep

        return (NumpyStep,)
    from rnn_tui.plugin.tokenizer import Tokenizer

    return (Tokenizer,)


def blamed(error: BaseException) -> PluginError | None:
    """Return the error as that of the plugin in whose code it arose; None where it is none of theirs.

    Of the code of plugins and of rnn-tui, what was called last counts: torch fails on behalf of whoever called it.
    """
    modules = {info.module: info for info in _loaded}
    packages = {module.partition(".")[0]: info for module, info in modules.items()}
    culprit: PluginInfo | None = None
    where = ""
    trace: TracebackType | None = error.__traceback__
    while trace is not None:
        module = str(trace.tb_frame.f_globals.get("__name__", ""))
        package = module.partition(".")[0]
        if package in packages:
            culprit = modules.get(module, packages[package])
            where = _where(trace, package, culprit)
        elif package == __name__.partition(".")[0]:
            culprit = None
        trace = trace.tb_next
    return PluginError(f"{culprit}: {describe_error(error)}{where}") if culprit else None


def _where(trace: TracebackType, package: str, info: PluginInfo) -> str:
    """Say in which line of a plugin's code a traceback is; a single file is named by the plugin itself."""
    if info.file:
        return f" in line {trace.tb_lineno}"
    path = Path(trace.tb_frame.f_code.co_filename)
    folder = next((folder for folder in path.parents if folder.name == package), path)
    return f" in line {trace.tb_lineno} of {path.relative_to(folder.parent)}"


def _check_class(kind: Kind, found: Any) -> None:
    bases = interface(kind)
    if not (isinstance(found, type) and issubclass(found, bases)):
        raise PluginError(f"{found!r} is no subclass of {' or '.join(base.__name__ for base in bases)}")
    version: Any = getattr(found, "api_version", None)
    if version != API_VERSION:
        raise PluginError(
            f"written for plugin interface {version!r}, this rnn-tui has {API_VERSION}; "
            "install versions that go together"
        )
    options: Any = getattr(found, "Options", None)
    if options is not None:
        if not getattr(getattr(options, "__dataclass_params__", None), "frozen", False):
            raise PluginError("its Options is no frozen dataclass")
        option_infos(options)
