"""The failures a user can meet, each with the exit code that a script can rely on.

A message is one sentence: what failed, where, what is safe, what to do. It may hold text from outside; the
face that shows it passes it through `rnn_tui.safetext.safe_text` first.
"""

import difflib
from collections.abc import Iterable


class RnnTuiError(Exception):
    """Something the user can understand and act on; shown as one line, never as a traceback."""

    exit_code = 1


class UsageError(RnnTuiError):
    """A command, option or setting that is wrong as it was typed."""

    exit_code = 2


class InputError(RnnTuiError):
    """A file, corpus or run that cannot be used."""

    exit_code = 3


class BusyError(RnnTuiError):
    """Somebody else holds the run, or the name is taken."""

    exit_code = 4


class DiskError(RnnTuiError):
    """A write failed: no room, no permission, a broken disk."""

    exit_code = 5


class DivergedError(RnnTuiError):
    """The loss became NaN or infinite, or exploded, and there is no way back."""

    exit_code = 6


class OutOfMemoryError(RnnTuiError):
    """The host or the device has not enough memory for these settings."""

    exit_code = 7


class PluginError(RnnTuiError):
    """A plugin is missing, broken or breaks its contract."""

    exit_code = 8


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out: Python says so by type, torch by the text of a RuntimeError (the CPU's allocator, CUDA
    and MPS, cuBLAS and cuDNN each in their own words)."""
    words = ("out of memory", "can't allocate memory", "ALLOC_FAILED")
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(word in str(error) for word in words)
    )


def nearest(word: str, known: Iterable[str]) -> str:
    """Return `"; did you mean 'x'?"` for the closest of `known`, or the empty string."""
    match = difflib.get_close_matches(word[:256], list(known), n=1, cutoff=0.5)  # 4 MB took 0.4 s and 120 MB
    return f"; did you mean {match[0]!r}?" if match else ""
