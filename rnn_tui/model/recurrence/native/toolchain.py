"""From C source to a loaded library, by the compiler of this machine, kept in the cache.

A library is kept as `<key>.<SHA-256 of the file>.so`. The key covers all that decides what the compiler makes; the
digest tells a file that is whole from a damaged one. A library is code, so none is loaded that another user could have
written. Where the cache cannot be used it is loaded from a temporary folder, which goes at once: what is loaded needs
no name.
"""

import ctypes
import hashlib
import os
import platform
import shlex
import shutil
import signal
import subprocess
import tempfile
import threading
from contextlib import suppress
from functools import cache
from importlib.resources import files
from pathlib import Path

from rnn_tui.errors import DiskError
from rnn_tui.files import replace_file
from rnn_tui.paths import cache_dir

TIMEOUT = 60.0
"""Seconds for one call of the compiler; a step takes 0.5 to 1."""

FLAGS = "-std=gnu11 -O3 -fPIC -shared -pipe -w".split()
FLAGS += (
    "-ffp-contract=fast -fno-math-errno -fno-trapping-math".split()
)  # -ffast-math would lose infinities and NaN
NATIVE = "-march=native" if platform.machine() in ("x86_64", "AMD64", "i686") else "-mcpu=native"
VARIANTS = [[NATIVE, "-fopenmp"], ["-fopenmp"], [NATIVE], []]
"""Options tried in this order: not every compiler has OpenMP, nor knows every processor."""

_lock = threading.Lock()
_results: dict[str, ctypes.CDLL | str] = {}
"""Of this process, by source: the library, or why there is none."""


class NoCompiler(Exception):
    """This machine cannot run a step as C; the message is the reason, half a sentence."""


class _Failed(Exception):
    """A command ended with an error; the message is its first complaint."""


@cache
def runtime_source() -> str:
    """`runtime.h`, to be put before a source."""
    return files(__package__).joinpath("runtime.h").read_text(encoding="utf-8")


def compile_library(source: str) -> ctypes.CDLL:
    """Compile C source and load it, or load it from the cache; any thread may call this.

    Args:
        source: all of it, `runtime_source()` included.

    Raises:
        NoCompiler: whatever goes wrong, so that the caller takes another way.
    """
    with _lock:
        if source not in _results:
            try:
                _results[source] = _obtain(source)
            except NoCompiler as error:
                _results[source] = str(error)  # a compiler that hangs is waited for once
        result = _results[source]
    if isinstance(result, str):
        raise NoCompiler(result)
    return result


def _obtain(source: str) -> ctypes.CDLL:
    compiler = _find_compiler()
    try:
        folder, key = cache_dir() / "native", _key(compiler, source)
        with suppress(OSError):  # a folder that must not be used, or a library of another system
            kept = _find(folder, key)
            if kept is not None:
                return ctypes.CDLL(str(kept))
        with tempfile.TemporaryDirectory(prefix="rnn-tui-") as scratch:
            built = _build(compiler, source, Path(scratch))
            with suppress(OSError, DiskError):  # no room, no permission, nothing may be run from there
                return ctypes.CDLL(str(_keep(built, folder, key)))
            return ctypes.CDLL(str(built))
    except _Failed as error:
        raise NoCompiler(f"the C compiler failed: {error}") from error
    except subprocess.TimeoutExpired as error:
        raise NoCompiler(f"the C compiler did not end within {TIMEOUT:g} seconds") from error
    except OSError as error:
        raise NoCompiler(f"it could not be loaded: {error.strerror or error}") from error


# ---- the compiler ----


def _find_compiler() -> list[str]:
    """The command: of `RNN_TUI_CC` alone where it is set (empty: none), else of `CC`, else a usual name."""
    chosen = os.environ.get("RNN_TUI_CC")
    for name in [os.environ.get("CC", ""), "cc", "gcc", "clang"] if chosen is None else [chosen]:
        with suppress(ValueError):  # a quote that is not closed
            words = shlex.split(name)
            path = shutil.which(words[0]) if words else None
            if path is not None:
                return [path, *words[1:]]
    raise NoCompiler("RNN_TUI_CC is empty" if chosen == "" else "there is no C compiler here")


def _build(compiler: list[str], source: str, scratch: Path) -> Path:
    """Compile in `scratch` with the best options that the compiler takes.

    Raises:
        _Failed: it takes none; with the complaint about the best.
        subprocess.TimeoutExpired: it hangs.
    """
    (scratch / "step.c").write_text(source, encoding="utf-8")
    complaints = []
    for variant in VARIANTS:
        try:
            _run([*compiler, *FLAGS, *variant, "-o", "step.so", "step.c", "-lm"], scratch)
            return scratch / "step.so"
        except _Failed as error:
            complaints.append(error)
    raise complaints[0]


def _run(command: list[str], folder: Path) -> str:
    """Run a command in `folder`, where its temporary files stay too, and return what it prints."""
    environment = os.environ | {"LC_ALL": "C", "TMPDIR": str(folder)}
    with subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        try:
            printed, complaint = process.communicate(timeout=TIMEOUT)
        except BaseException:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # a compiler calls others
            raise
    if process.returncode != 0:
        lines = complaint.strip().splitlines()
        errors = [line for line in lines if "error" in line]
        raise _Failed([*errors, *lines, f"exit status {process.returncode}"][0].strip())
    return printed


# ---- the cache ----


def _key(compiler: list[str], source: str) -> str:
    """A name for what the compiler will make of a source on this processor."""
    version = _run([*compiler, "--version"], Path(tempfile.gettempdir()))
    known = [source, *compiler, version, *FLAGS, str(VARIANTS), _processor()]
    return hashlib.sha256("\0".join(known).encode()).hexdigest()[:32]


@cache
def _processor() -> str:
    """What `native` stands for; two machines may share a home."""
    kinds = ("vendor_id", "cpu family", "model", "stepping", "flags", "Features", "CPU ")
    with suppress(OSError, ValueError):  # another system, or one that hides it
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return "\n".join(sorted({line for line in lines if line.startswith(kinds)}))
    return f"{platform.platform()} {platform.processor()}"


def _find(folder: Path, key: str) -> Path | None:
    """The library of that key, if it is there and whole.

    Raises:
        OSError: the folder or the file must not be used.
    """
    if not folder.is_dir():
        return None
    _check_ours(folder)
    for path in folder.glob(f"{key}.*.so"):
        _check_ours(path)
        if path.suffixes[0] == "." + hashlib.sha256(path.read_bytes()).hexdigest():
            return path
        path.unlink(missing_ok=True)
    return None


def _keep(built: Path, folder: Path, key: str) -> Path:
    """Put a library into the cache; two processes that do so at once put the same.

    Raises:
        OSError, DiskError: it could not be kept.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _check_ours(folder)
    data = built.read_bytes()
    path = folder / f"{key}.{hashlib.sha256(data).hexdigest()}.so"
    replace_file(path, data)
    return path


def _check_ours(path: Path) -> None:
    """Refuse what another user owns or may write, and links."""
    status = path.lstat()
    if status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise PermissionError(f"{path} belongs to or may be written by another user")
