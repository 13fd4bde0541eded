"""Where a text comes from: a file, a folder, standard input, or a corpus with a name.

An existing path beats a name. Nothing is read here beyond the first bytes of a folder's files.
"""

import os
import sysconfig
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from rnn_tui.corpus.decoding import MAX_NUL, binary_share
from rnn_tui.errors import InputError, UsageError, nearest
from rnn_tui.paths import data_dir

STDIN = "-"
STDLIB_BYTES = 2_000_000
"""The most that `stdlib` takes; 8.8 MB are there in Python 3.11."""

_SNIFF = 8192
# Tests, programs, generated tables and other people's packages are not the library's own prose.
_STDLIB_WITHOUT = frozenset(
    {"test", "tests", "idlelib", "turtledemo", "lib2to3", "pydoc_data", "encodings", "ensurepip", "msilib"}
    | {"site-packages", "dist-packages", "lib-dynload", "__pycache__"}
)


@dataclass(frozen=True)
class NamedCorpus:
    """A corpus that needs no path."""

    name: str
    summary: str
    available: bool
    how: str
    """`built in`, or the command that fetches it."""
    licence: str


@dataclass(frozen=True)
class Source:
    """The files that make up one text, in order; none for standard input."""

    name: str
    files: tuple[Path, ...]
    notes: tuple[str, ...] = ()
    root: Path | None = None
    """What the files' names are shown relative to."""

    def label(self, file: Path) -> str:
        """Return the name of one file for messages."""
        return str(file.relative_to(self.root)) if self.root else str(file)


_NAMED = {
    "stdlib": ("Python source: the standard library of this machine, 2 MB", "PSF-2.0"),
    "fables-en": ("short fables in English, written for this project", "MIT"),
    "fables-zh": ("short fables in Chinese, written for this project", "MIT"),
    "hello": ("one line for the task aligned: hello, and the label of each letter", "MIT"),
    "sine": ("numbers for the task series: sin(0.01 t) with noise, 1,000 rows, made for this project", "MIT"),
    "timemachine": (
        "H. G. Wells, The Time Machine, as Dive into Deep Learning uses it, 179 kB",
        "public domain",
    ),
    "tinyshakespeare": (
        "40,000 lines of Shakespeare, the sample of char-rnn and nanoGPT, 1.1 MB",
        "public domain",
    ),
}
DOWNLOADS = ("timemachine", "tinyshakespeare")


def named_corpora() -> list[NamedCorpus]:
    """Return the corpora that have a name, those built in first."""
    return [
        NamedCorpus(
            name=name,
            summary=summary,
            available=_named_path(name).exists(),
            how=f"rnn-tui corpus get {name}" if name in DOWNLOADS else "built in",
            licence=licence,
        )
        for name, (summary, licence) in _NAMED.items()
    ]


def download_path(name: str) -> Path:
    """Return where the downloaded corpus `name` lies."""
    return data_dir() / "corpora" / f"{name}.txt"


def check_source(source: str) -> None:
    """Refuse a source that cannot be read, without reading it.

    Raises:
        UsageError: when it is empty.
        InputError: when there is no such file or name (with the nearest), or it is no readable text.
    """
    if source == STDIN:
        return
    path = _path(source)
    if not os.path.exists(path):  # unlike Path.exists, False for any name that the system refuses
        raise _unknown(source)
    if not path.is_dir() and not path.is_file():
        raise InputError(f"{source}: neither a file nor a folder; pass a pipe as standard input, with '-'")
    if not os.access(path, os.R_OK):
        raise InputError(f"{source}: permission denied; give a file that you may read")
    if path.is_file() and path.stat().st_size == 0:
        raise InputError(f"{source}: the file is empty; give a text")


def find_source(source: str) -> Source:
    """Return the files behind `source`.

    Raises:
        UsageError, InputError: as `check_source`; and for a folder that holds no text.
    """
    check_source(source)
    if source == STDIN:
        return Source("stdin", ())
    path = Path(source)
    if not os.path.exists(path):
        if source == "stdlib":
            return _stdlib(_named_path(source))
        return Source(source, (_named_path(source),))
    notes: tuple[str, ...] = ()
    if source in _NAMED:
        notes = (f"{source} here is the path ./{source}; the corpus of that name is hidden by it",)
    if path.is_dir():
        return _folder(path, notes)
    return Source(path.stem or path.name, (path,), notes)


def _path(source: str) -> Path:
    if not source:
        raise UsageError(
            "no corpus given; give a file, a folder, '-' for standard input, or a name from: "
            "rnn-tui corpus list"
        )
    path = Path(source)
    if source in _NAMED and not os.path.exists(path):
        return _named_path(source)
    return path


def _named_path(name: str) -> Path:
    if name == "stdlib":
        return Path(sysconfig.get_path("stdlib")) / "abc.py"
    if name in DOWNLOADS:
        return download_path(name)
    folder, stem = Path(str(resources.files("rnn_tui.corpus") / "data")), name.replace("-", "_")
    return next(folder.glob(f"{stem}.*"), folder / f"{stem}.txt")  # the suffix is that of its format


def _unknown(source: str) -> InputError:
    if source in DOWNLOADS:
        return InputError(
            f"the corpus {source} is not on this machine; fetch it with: rnn-tui corpus get {source}"
        )
    if source in _NAMED:
        return InputError(f"the corpus {source} is not part of this installation; give a file instead")
    path = Path(source)
    try:
        beside = {str(path.with_name(name)) for name in os.listdir(path.parent)}
    except (OSError, ValueError):
        beside = set()
    hint = nearest(source, [*_NAMED, *sorted(beside)])
    return InputError(
        f"{source}: no such file, folder or named corpus{hint}; rnn-tui corpus list shows the names"
    )


def _folder(path: Path, notes: tuple[str, ...]) -> Source:
    files, hidden, binary = [], 0, 0
    for file in _walk(path):
        if any(part.startswith(".") for part in file.relative_to(path).parts):
            hidden += 1
        elif _is_binary(file):
            binary += 1
        else:
            files.append(file)
    left_out = f"{hidden:,} hidden and {binary:,} binary files left out"
    if not files:
        raise InputError(f"{path}: no text file in this folder ({left_out})")
    if hidden or binary:
        notes += (f"{len(files):,} files read, {left_out}",)
    return Source(path.resolve().name or "folder", tuple(files), notes, root=path)


def _walk(root: Path, without: frozenset[str] = frozenset()) -> list[Path]:
    """Return the regular files below `root` in the order of their paths, not those behind linked folders."""

    def refuse(error: OSError) -> None:
        raise InputError(f"{error.filename}: {error.strerror}; make the folder readable or move it away")

    found = []
    for folder, folders, names in os.walk(root, onerror=refuse):
        folders[:] = [name for name in folders if name not in without]
        found += [os.path.join(folder, name) for name in names]
    found.sort(key=lambda path: path.split(os.sep))
    return [Path(path) for path in found if os.path.isfile(path)]


def _is_binary(file: Path) -> bool:
    try:
        with file.open("rb") as stream:
            return binary_share(stream.read(_SNIFF)) > MAX_NUL
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}; make it readable or move it out of the folder") from None


def _stdlib(abc: Path) -> Source:
    """The library's own modules in the order of their paths: whole files, until one would pass the limit."""
    files, total = [], 0
    for path in _walk(abc.parent, _STDLIB_WITHOUT):
        if path.suffix != ".py" or path.name.startswith(
            "_sysconfigdata"
        ):  # the latter holds this machine's paths
            continue
        total += path.stat().st_size
        if total > STDLIB_BYTES:
            break
        files.append(path)
    return Source("stdlib", tuple(files), root=abc.parent)
