"""Which process wrote something, and whether that very process still lives."""

import ctypes
import errno
import os
import resource
import signal
import sys
from functools import cache
from pathlib import Path

import msgspec
import psutil


class Identity(msgspec.Struct, frozen=True):
    """A process that cannot be mistaken for a later one with the same pid.

    `start_ticks` counts from boot and is 0 when it could not be found out; `pid_namespace` tells containers
    apart.
    """

    pid: int
    start_ticks: int
    boot_id: str
    host: str
    pid_namespace: str = ""


@cache
def boot_id() -> str:
    """A word that changes when the machine starts anew."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return str(int(psutil.boot_time()))


@cache
def pid_namespace() -> str:
    """Which set of pids ours belongs to; empty where there are no namespaces."""
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def start_ticks(pid: int) -> int | None:
    """Return when the process started, in ticks; None when it is gone or a zombie, which is as good as gone."""
    try:
        # the name in parentheses may hold anything, parentheses too; fields after it: state is 3, start time
        # 22
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        return None if fields[0] in (b"Z", b"X") else int(fields[19])
    except (FileNotFoundError, ProcessLookupError):
        if os.path.exists("/proc/self/stat"):
            return None
    try:  # no /proc, as on macOS
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else int(process.create_time() * 100)
    except psutil.Error:
        return None


def identify(pid: int) -> Identity:
    """Return the identity of a process of this machine."""
    return Identity(pid, start_ticks(pid) or 0, boot_id(), os.uname().nodename, pid_namespace())


def is_here(who: Identity) -> bool:
    """Whether the pid means something in this process: same machine, same boot, same pid namespace."""
    return who.boot_id == boot_id() and who.pid_namespace in ("", pid_namespace())


def is_alive(who: Identity) -> bool:
    """Whether that very process runs here. A zombie or a later process with its pid does not count."""
    return is_here(who) and who.pid > 0 and start_ticks(who.pid) == who.start_ticks


def send_signal(who: Identity, number: signal.Signals) -> bool:
    """Signal exactly that process; False when it is gone.

    The identity is checked after the pid is pinned by a pidfd, so the signal cannot reach a stranger. Where
    the system has no pidfd a gap of microseconds remains.
    """
    try:
        pidfd = os.pidfd_open(who.pid)
    except ProcessLookupError:
        return False
    except (AttributeError, OSError):  # macOS, or a kernel or sandbox without it
        if not is_alive(who):
            return False
        try:
            os.kill(who.pid, number)
        except ProcessLookupError:
            return False
        return True
    try:
        if not is_alive(who):
            return False
        signal.pidfd_send_signal(pidfd, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(pidfd)
    return True


_PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int | None = None) -> bool:
    """Ask Linux for a SIGTERM when the parent of this process dies; False when it is dead already.

    Args:
        parent: who started this process, where that is known: it may have died before this was called.
    """
    parent = parent or os.getppid()
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    return os.getppid() == parent


def limit_reached(error: OSError) -> str:
    """Name the limit that `error` says was reached, and its height; empty where it is about something else."""
    if error.errno == errno.EMFILE:
        return f"this process may open no more than {_limit(resource.RLIMIT_NOFILE)} files (ulimit -n)"
    if error.errno == errno.ENFILE:
        return "the whole system may open no more files (sysctl fs.file-max)"
    if error.errno == errno.EAGAIN:
        return f"this user may have no more than {_limit(resource.RLIMIT_NPROC)} processes and threads (ulimit -u)"
    if error.errno == errno.ENOMEM:
        return "there is no memory left for another process"
    return ""


def _limit(which: int) -> str:
    soft = resource.getrlimit(which)[0]
    return "its share of" if soft == resource.RLIM_INFINITY else str(soft)
