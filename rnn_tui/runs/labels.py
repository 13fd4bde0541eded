"""What a user says of a run: tags and a note, in a small file of its own in the run folder.

`labels.json` is written by the two faces only, never by a worker, and nothing of training reads it. It is
`{"tags": ["keep"], "note": "the one for the paper"}`. What stands in it may be anything: `read_labels` never raises.
"""

import contextlib
import errno
import fcntl
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rnn_tui.errors import InputError, UsageError
from rnn_tui.files import disk_error, replace_file
from rnn_tui.runs.layout import RunFolder
from rnn_tui.runs.records import RECORD_FILE_LIMIT, read_small
from rnn_tui.safetext import safe_text

MOST_TAGS = 20
LONGEST_TAG = 40
LONGEST_NOTE = 500


@dataclass(frozen=True)
class Labels:
    """Tags in the order in which they were given, and a note of one line. Both are safe to show.

    Attributes:
        warning: What of the file could not be used; empty when all is well.
    """

    tags: tuple[str, ...] = ()
    note: str = ""
    warning: str = ""


def check_tag(tag: str) -> str:
    """Return `tag` if it is one: printable, without spaces and commas, and not like an option or `+tag`.

    Raises:
        UsageError: when it is not.
    """
    plain = tag.isprintable() and safe_text(tag) == tag and not any(c.isspace() or c == "," for c in tag)
    if not plain or not 0 < len(tag) <= LONGEST_TAG or tag[0] in "+-":
        raise UsageError(
            f"{safe_text(tag, limit=60)!r} cannot be a tag; use up to {LONGEST_TAG} characters without spaces and "
            "commas, not beginning with + or -"
        )
    return tag


def check_tags(tags: Iterable[str]) -> tuple[str, ...]:
    """Return `tags`, each once, if a run may have them.

    Raises:
        UsageError: when one is none, or there are too many.
    """
    found = tuple(dict.fromkeys(map(check_tag, tags)))
    if len(found) > MOST_TAGS:
        raise UsageError(f"a run has up to {MOST_TAGS} tags, not {len(found)}")
    return found


def check_note(note: str) -> str:
    """Return `note` without spaces around it, if it is one line of up to 500 characters; empty is no note.

    Raises:
        UsageError: when it is not.
    """
    note = note.strip()
    if safe_text(note) != note:
        raise UsageError("a note is one line of printable characters")
    if len(note) > LONGEST_NOTE:
        raise UsageError(f"a note has up to {LONGEST_NOTE} characters, this one {len(note)}")
    return note


def read_labels(run: RunFolder) -> Labels:
    """Return the labels of a run; of a file that is damaged what can be used, with a warning."""
    try:
        held = json.loads(read_small(run.labels_path, RECORD_FILE_LIMIT))
    except FileNotFoundError:
        return Labels()
    except OSError as error:
        why = "a symbolic link, which is not followed" if error.errno == errno.ELOOP else error.strerror
        return Labels(warning=f"labels.json: {why}")
    except (ValueError, RecursionError):
        return Labels(warning="labels.json is damaged")
    if not isinstance(held, dict):
        return Labels(warning="labels.json is damaged")
    tags, wrong = _usable(held.get("tags", []))
    note = held.get("note", "")
    try:
        note = check_note(note)
    except (UsageError, AttributeError, TypeError):
        note, wrong = safe_text(note, limit=LONGEST_NOTE) if isinstance(note, str) else "", True
    return Labels(tags, note, "labels.json is damaged in part" if wrong else "")


def _usable(held: Any) -> tuple[tuple[str, ...], bool]:
    """Return the tags of a list that are some, each once, and whether there was anything else."""
    found: dict[str, None] = {}
    for tag in held if isinstance(held, list) else ():
        with contextlib.suppress(UsageError, AttributeError):
            found[check_tag(tag)] = None
    tags = tuple(found)[:MOST_TAGS]
    return tags, not isinstance(held, list) or len(tags) < len(held)


def change_tags(run: RunFolder, add: Iterable[str] = (), remove: Iterable[str] = ()) -> Labels:
    """Give a run tags and take others from it; return what it has now.

    Raises:
        UsageError: for what is no tag, one that the run does not have, or too many.
        InputError, DiskError: as `set_labels`.
    """
    add, remove = list(map(check_tag, add)), list(remove)
    with _alone(run):
        now = read_labels(run)
        for tag in remove:
            if tag not in now.tags:
                raise UsageError(f"run {run.name} has no tag {tag!r}; it has {', '.join(now.tags) or 'none'}")
        kept = [tag for tag in now.tags if tag not in remove]
        return _write(run, [*kept, *add], now.note)


def set_labels(run: RunFolder, *, tags: Iterable[str] | None = None, note: str | None = None) -> Labels:
    """Replace the tags of a run, its note, or both; return what it has now. A damaged file is kept beside it.

    Raises:
        UsageError: for what is no tag or no note, or too many tags.
        InputError: when the run is a symbolic link, or gone.
        DiskError: when it cannot be written; what was there is whole.
    """
    with _alone(run):
        now = read_labels(run)
        return _write(run, now.tags if tags is None else tags, now.note if note is None else note)


def _write(run: RunFolder, tags: Iterable[str], note: str) -> Labels:
    labels = Labels(check_tags(tags), check_note(note))
    if read_labels(run).warning:
        try:
            os.rename(run.labels_path, run.labels_path.with_name("labels.json.damaged"))
        except OSError as error:
            raise disk_error(error, f"could not put the damaged {run.labels_path} aside") from error
    record: Mapping[str, Any] = {"tags": labels.tags, "note": labels.note}
    replace_file(run.labels_path, json.dumps(record, ensure_ascii=False, indent=1).encode() + b"\n")
    return labels


@contextlib.contextmanager
def _alone(run: RunFolder) -> Iterator[None]:
    """Let one face at a time read and write the labels of a run; a file system without locks lets all."""
    try:
        fd = os.open(run.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.ENOENT):
            raise InputError(
                f"{run.path} is no folder of its own (a symbolic link is not followed), so it gets no labels"
            ) from None
        raise disk_error(error, f"could not label run {run.name}") from error
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
