"""The manifest of a checkpoint: it makes a folder one, is written last and read first.

    {"format":1,"run":id,"step":1200,"environment":{…},"files":{name:{"size":…,"sha256":…},…},"check":"…"}

`check` is the SHA-256 of all bytes that stand before `,"check":`, the opening brace included: with the sums of the
files it leaves no byte of a checkpoint that could change unnoticed. Manifests that were written before it was are read
without. Whatever a later format changes, `format`, `check` and `environment.rnn_tui` stay, so that an older
version can tell a checkpoint that it cannot read from a damaged one.
"""

import hashlib
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from rnn_tui.errors import InputError
from rnn_tui.model.strict_json import parse_json
from rnn_tui.runs.records import RECORD_FILE_LIMIT, read_small

FORMAT = 1
FILES = frozenset({"model.safetensors", "train.safetensors", "state.json"})
"""What a checkpoint consists of beside its manifest."""

_CHECK = b',"check":"'


class NewerFormat(InputError):
    """A checkpoint that a later version made; nothing is wrong with it."""


class _Entry(msgspec.Struct, forbid_unknown_fields=True):
    size: Annotated[int, Meta(ge=0)]
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]


class _Manifest(msgspec.Struct, forbid_unknown_fields=True):
    format: int
    run: str
    step: Annotated[int, Meta(ge=0)]
    environment: dict[str, Any]
    files: dict[str, _Entry]
    check: str = ""


def encode_manifest(
    run: str, step: int, environment: Mapping[str, Any], files: Mapping[str, Mapping[str, Any]]
) -> bytes:
    """Return the bytes of a manifest; `files` has `size` and `sha256` of each."""
    body = msgspec.json.encode(
        {"format": FORMAT, "run": run, "step": step, "environment": environment, "files": files}
    )[:-1]
    return body + _CHECK + _sum(body) + b'"}'


def read_manifest(folder: Path, step: int) -> dict[str, Any]:
    """Return the manifest of the checkpoint in `folder`, which by its name is of `step`.

    Raises:
        NewerFormat: when a later version made it.
        InputError: when there is none, or it is not what was written.
    """
    where = f"checkpoint {folder.name}: manifest.json"
    try:
        raw = read_small(folder / "manifest.json", RECORD_FILE_LIMIT)
        values = parse_json(raw.decode())
        if not isinstance(values, dict):
            raise ValueError("it is not a table")
        if "check" in values:
            body, _, check = raw.rpartition(_CHECK)
            if check != _sum(body) + b'"}':
                raise ValueError("it is not what was written")
        version = values.get("format")
        if type(version) is int and version > FORMAT:
            environment = values.get("environment")
            maker = environment.get("rnn_tui", "") if isinstance(environment, dict) else ""
            raise NewerFormat(
                f"checkpoint {folder.name} was made by rnn-tui {maker or 'of a later version'} (format {version}), "
                f"this one reads {FORMAT}; upgrade"
            )
        manifest = msgspec.convert(values, _Manifest)
        if manifest.format != FORMAT or manifest.step != step or set(manifest.files) != FILES:
            raise ValueError(f"it does not describe a checkpoint of step {step}")
    except OSError as error:
        raise InputError(f"{where}: {error.strerror}") from None
    except ValueError as error:  # msgspec.ValidationError is one too
        raise InputError(f"{where} is damaged: {error}") from None
    return values


def is_whole(path: Path, entry: Mapping[str, Any]) -> bool:
    """Whether a file has the size and the SHA-256 of its entry; a link is not followed, a pipe not waited for.

    Raises:
        OSError: as the system reports it.
    """
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(fd, "rb") as file:
        info = os.fstat(fd)
        if not stat.S_ISREG(info.st_mode) or info.st_size != entry["size"]:
            return False
        return bool(hashlib.file_digest(file, "sha256").hexdigest() == entry["sha256"])


def check_file(folder: Path, name: str, entry: Mapping[str, Any]) -> None:
    """Raise InputError unless a file of the checkpoint in `folder` is what the manifest states."""
    try:
        whole = is_whole(folder / name, entry)
    except OSError as error:
        raise InputError(f"checkpoint {folder.name}: {name}: {error.strerror}") from None
    if not whole:
        raise InputError(f"checkpoint {folder.name}: {name} is damaged: it is not what the manifest states")


def _sum(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest().encode()
