"""Reading a safetensors file from anywhere: our own limits and a strict parse, then plain reads.

The format is eight bytes (the header's length, little-endian), a JSON header, and the tensors' bytes. The library's
reader allows headers of 100 MB (81 s and 2.4 GB to load one), duplicate keys and a leading space, hangs on a FIFO
and dies of SIGBUS when a mapped file is cut short; once the header has been checked here, reading a tensor is one
`readinto` memory of our own. Writing is `packing`'s.

Torch is imported when a tensor is read, not before: the app looks at headers without it, and an array needs NumPy only.
"""

import math
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from rnn_tui.errors import InputError, OutOfMemoryError
from rnn_tui.model.strict_json import parse_json

if TYPE_CHECKING:
    import numpy.typing as npt
    from torch import Tensor

HEADER_LIMIT = 8 * 1024 * 1024
"""Bytes; a word vocabulary of 300,000 takes about 4 MB."""
_WIDE_LIMIT = 1024 * 1024
TENSOR_LIMIT = 4096
RANK_LIMIT = 8
NAME_LIMIT = 256
DIMENSION_LIMIT = 2**48
MESSAGE_LIMIT = 4096

# name in the file → name in torch and, but for bfloat16, in NumPy; bytes. Whatever is not here is refused
DTYPES = {
    "F64": ("float64", 8),
    "F32": ("float32", 4),
    "F16": ("float16", 2),
    "BF16": ("bfloat16", 2),
    "I64": ("int64", 8),
    "I32": ("int32", 4),
    "U8": ("uint8", 1),
    "BOOL": ("bool", 1),
}

# What people give instead, by the first bytes. Pickles are named, never opened.
_OTHER_KINDS = (
    (b"PK\x03\x04", "a zip archive, probably a .pt or .pth file of torch.save"),
    (b"\x1f\x8b", "a gzip archive; unpack it first"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive; unpack it first"),
    (b"\xfd7zXZ", "an xz archive; unpack it first"),
    (
        b"version https://git-lfs",
        "a Git LFS pointer, not the file itself; run git lfs pull where it came from",
    ),
    (b"GGUF", "a GGUF file"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\x89PNG", "a PNG image"),
    (b"\x7fELF", "a program"),
    (b"<", "a web page or XML; the download went wrong"),
    (b'{"', "a JSON text; the download went wrong"),
    (b"\x80", "a Python pickle, which rnn-tui never opens"),
)
_PICKLES = (b"PK\x03\x04", b"\x80")  # of torch.save today, and before 1.6
_NOT_FILES = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class BadModelFile(InputError):
    """A file that is not, or not wholly, a model of rnn-tui; the message names it and what is wrong.

    What the file states may be part of the message, which is therefore cut at `MESSAGE_LIMIT` characters.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message if len(message) <= MESSAGE_LIMIT else message[: MESSAGE_LIMIT - 1] + "…")


class PickleFile(BadModelFile):
    """A file of `torch.save`, or another pickle, which is never opened."""


@dataclass(frozen=True)
class Entry:
    """Where a tensor lies: `start` in bytes from the start of the file."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    nbytes: int

    def __str__(self) -> str:
        return f"{self.dtype} {list(self.shape)}"


@dataclass(frozen=True)
class Container:
    """An open file whose header has been checked."""

    path: Path
    file: BufferedReader
    stamp: tuple[int, int]
    """Size and time of the last change, as they were when it was opened."""
    metadata: dict[str, str]
    entries: dict[str, Entry]

    def read(self, name: str) -> "Tensor":
        """Return one tensor on the CPU, in memory of its own.

        Raises:
            BadModelFile: when the file has been cut short since it was opened, or a BOOL is neither 0 nor 1.
        """
        import torch

        entry = self.entries[name]
        raw = torch.empty(entry.nbytes, dtype=torch.uint8)
        self._read_into(raw.numpy(), entry)
        return raw.view(getattr(torch, DTYPES[entry.dtype][0])).view(entry.shape)

    def read_array(self, name: str) -> "npt.NDArray[Any]":
        """Return one tensor as an array; float16 and bfloat16, which NumPy is slow with or lacks, as float32.

        Raises:
            BadModelFile: as `read`.
        """
        import numpy as np

        entry = self.entries[name]
        raw = np.empty(entry.nbytes, np.uint8)
        self._read_into(raw, entry)
        if entry.dtype == "BF16":  # the upper half of a float32
            array = (raw.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
        else:
            array = raw.view(DTYPES[entry.dtype][0])
        return (array.astype(np.float32) if entry.dtype == "F16" else array).reshape(entry.shape)

    def _read_into(self, buffer: Any, entry: Entry) -> None:
        self.file.seek(entry.start)
        if self.file.readinto(buffer) != entry.nbytes:
            raise self._changed()
        if entry.dtype == "BOOL" and (buffer > 1).any():  # what torch computes with such a byte is undefined
            name = next(name for name, other in self.entries.items() if other is entry)
            raise BadModelFile(f"{self.path}: tensor {name!r} holds bytes that are neither true nor false")

    def _changed(self) -> BadModelFile:
        return BadModelFile(f"{self.path}: changed while it was read; try again")

    def check_unchanged(self) -> None:
        """Raise BadModelFile if the file was written to since it was opened: tensors read may be of two versions."""
        if _stamp(self.file) != self.stamp:
            raise self._changed()

    def check_memory(self) -> None:
        """Raise OutOfMemoryError when the tensors, read and copied once, do not fit into free memory."""
        needed = 2 * sum(entry.nbytes for entry in self.entries.values())
        free = psutil.virtual_memory().available
        if needed > free:
            raise OutOfMemoryError(
                f"{self.path}: loading it takes {needed / 1e9:.1f} GB of memory and {free / 1e9:.1f} GB are free"
            )


@contextmanager
def open_container(path: Path) -> Iterator[Container]:
    """Open `path` once, check its header and keep it open for `Container.read`.

    Raises:
        BadModelFile: naming what the file is instead, or where its header is wrong.
    """
    try:
        with _open_regular(path) as file:
            stamp = _stamp(file)
            # the header is not kept: it may be as large as the metadata that is
            metadata, entries = _check_header(*_read_header(file, stamp[0], path), stamp[0], path)
            yield Container(path, file, stamp, metadata, entries)
    except OSError as error:
        raise BadModelFile(f"{path}: {error.strerror or error}") from None


def _stamp(file: BufferedReader) -> tuple[int, int]:
    info = os.fstat(file.fileno())
    return info.st_size, info.st_mtime_ns


def _open_regular(path: Path) -> BufferedReader:
    # Reading from a FIFO waits for ever and opening a device may do something: look before opening, do not wait
    # while opening, and look again in case it was exchanged in between.
    try:
        mode = path.stat().st_mode
    except ValueError:  # a name with a NUL in it
        raise BadModelFile(f"{path}: no file can have this name; give a run or a .safetensors file") from None
    if not stat.S_ISREG(mode):
        kind = next((kind for holds, kind in _NOT_FILES if holds(mode)), "not a regular file")
        raise BadModelFile(f"{path}: {kind}; give a run or a .safetensors file")
    file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC), "rb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise BadModelFile(f"{path}: not a regular file")
    return file


def _read_header(file: BufferedReader, size: int, path: Path) -> tuple[bytes, int]:
    """Return the header's bytes and the position where the tensors begin."""
    start = file.read(64)
    length = int.from_bytes(start[:8], "little")
    too_long = size < 8 or 8 + length > size
    if too_long or start[8:9] != b"{":  # the first bytes of a gzip archive are a length, too
        for magic, kind in _OTHER_KINDS:
            if start.lstrip().startswith(magic):
                bad = PickleFile if magic in _PICKLES else BadModelFile
                raise bad(f"{path}: not a model file but {kind}")
    if too_long:
        reason = "empty" if not size else f"not a safetensors file, or cut short: it is {size} bytes long"
        raise BadModelFile(f"{path}: {reason}; copy or download it again")
    if length > HEADER_LIMIT:
        raise BadModelFile(
            f"{path}: states a header of {length} bytes; more than {HEADER_LIMIT} is not accepted"
        )
    file.seek(8)
    return file.read(length), 8 + length


def _check_header(
    header: bytes, begin: int, size: int, path: Path
) -> tuple[dict[str, str], dict[str, Entry]]:
    def bad(reason: str) -> BadModelFile:
        return BadModelFile(f"{path}: damaged header: {reason}")

    if not header.startswith(b"{"):
        raise bad("it does not begin with {")
    # as text, one wide character makes all of them four bytes wide; what is written here is ASCII
    if len(header) > _WIDE_LIMIT and not header.isascii():
        raise bad(f"it is longer than {_WIDE_LIMIT} bytes and not ASCII")
    # counted before parsing, so that it is this that is said
    if header.count(b'"data_offsets"') > TENSOR_LIMIT:
        raise bad(f"more than {TENSOR_LIMIT} tensors")
    try:
        table = parse_json(header.decode())
    except ValueError as error:
        raise bad(str(error)) from None
    metadata = table.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise bad("its metadata is not a table of texts")
    if len(table) > TENSOR_LIMIT:
        raise bad(f"more than {TENSOR_LIMIT} tensors")
    entries = {}
    for name, fields in table.items():
        if len(name) > NAME_LIMIT:
            raise bad(f"a tensor's name of {len(name)} characters")
        entry = _entry(fields, begin)
        if isinstance(entry, str):
            raise bad(f"tensor {name!r}: {entry}")
        entries[name] = entry
    if wrong := _misplaced(entries, begin):
        raise bad(wrong)
    end = begin + sum(entry.nbytes for entry in entries.values())
    if end > size:
        raise BadModelFile(f"{path}: cut short: {size} bytes of {end}; copy or download it again")
    if end < size:
        raise BadModelFile(f"{path}: {size - end} bytes too many at its end")
    return metadata, entries


def _misplaced(entries: dict[str, Entry], begin: int) -> str:
    """Return what is wrong where tensors do not lie side by side from `begin` on; else the empty string."""
    for name, entry in sorted(entries.items(), key=lambda item: (item[1].start, item[1].nbytes)):
        if entry.start != begin:
            return (
                f"tensor {name!r} {'overlaps another' if entry.start < begin else 'leaves a hole before it'}"
            )
        begin += entry.nbytes
    return ""


def _entry(fields: Any, begin: int) -> Entry | str:
    """Return one tensor's entry, or what is wrong with it."""
    if not isinstance(fields, dict) or set(fields) != {"dtype", "shape", "data_offsets"}:
        return "not described by dtype, shape and data_offsets"
    dtype, shape, offsets = fields["dtype"], fields["shape"], fields["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        return f"dtype {str(dtype)[:16]!r} is not accepted"
    if not _whole_numbers(shape) or len(shape) > RANK_LIMIT or any(size > DIMENSION_LIMIT for size in shape):
        return "its shape is not accepted"
    if not _whole_numbers(offsets) or len(offsets) != 2 or offsets[1] < offsets[0]:
        return "its data_offsets are not accepted"
    nbytes = offsets[1] - offsets[0]
    if nbytes != math.prod(shape) * DTYPES[dtype][1]:
        return f"{nbytes} bytes do not hold {dtype} {shape}"
    return Entry(dtype, tuple(shape), begin + offsets[0], nbytes)


def _whole_numbers(values: Any) -> bool:
    # True is an int to Python, but not to the format
    return isinstance(values, list) and all(type(value) is int and value >= 0 for value in values)
