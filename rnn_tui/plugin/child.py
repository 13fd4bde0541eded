"""A child process in which plugins are looked at, checked or scored: a module of ours, with a pipe for its answers."""

import os
import signal
import subprocess
import sys
from typing import IO

from rnn_tui.errors import PluginError


def start_child(
    module: str,
    purpose: str,
    *,
    stdout: int | IO[bytes] = subprocess.DEVNULL,
    stderr: int | IO[bytes] | None = subprocess.DEVNULL,
) -> tuple["subprocess.Popen[bytes]", int]:
    """Start `python -m MODULE FD`, the leader of a session of its own; its standard input is a pipe.

    Args:
        purpose: what it is for, as in `no process could be started to …`.
        stdout: as for `subprocess.Popen`, and `stderr` too; None is that of this process.

    Returns:
        The process, and the descriptor from which what it writes to FD is read; the caller closes it.

    Raises:
        PluginError: when no process can be started.
    """
    read, write = os.pipe()
    try:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", module, str(write)],
            # so that both find the same plugins; some of them fork, which goes best with one thread
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"},
            pass_fds=[write],
            stdin=subprocess.PIPE,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,  # Ctrl-C is for the command, which ends it
        )
    except OSError as error:
        os.close(read)
        raise PluginError(f"no process could be started to {purpose}: {error.strerror}") from error
    finally:
        os.close(write)
    return process, read


def ending(status: int) -> str:
    """Say how a process ended, from its status as `subprocess` gives it."""
    if status >= 0:
        return f"exit code {status}"
    return next((each.name for each in signal.Signals if each == -status), f"signal {-status}")
