"""A copy of a file in UTF-8, for a text that is in another encoding. The file itself is never touched."""

import codecs
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from rnn_tui.corpus.decoding import CHUNK
from rnn_tui.corpus.snapshot import Progress
from rnn_tui.errors import InputError
from rnn_tui.files import disk_error, make_folders, write_durable
from rnn_tui.paths import data_dir


def convert(file: Path, encoding: str, *, progress: Progress | None = None) -> Path:
    """Write `file` in UTF-8 into the data folder, unless it is there already; return the copy.

    Args:
        encoding: By the name that iconv knows, as `rnn_tui.corpus.decoding` suspects it.
        progress: Told the bytes read.

    Raises:
        InputError: for a file that cannot be read, or an encoding that is not known or not that of the file.
        DiskError: when the copy cannot be written.
    """
    try:
        decoder = codecs.getincrementaldecoder(encoding)()
        info = file.stat()
    except LookupError:
        raise InputError(f"the encoding {encoding} is not known here; convert the file yourself") from None
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}; the text could not be read") from None
    stamp = f"{os.path.abspath(file)} {encoding} {info.st_size} {info.st_mtime_ns}"
    digest = hashlib.sha256(stamp.encode(errors="surrogateescape")).hexdigest()[:8]
    copy = data_dir() / "corpora" / "converted" / f"{file.stem[:80]}-{digest}.txt"
    if copy.exists():
        return copy
    temporary = copy.with_name(f".tmp-{digest}-{os.getpid()}")

    def converted() -> Iterator[bytes]:
        done = 0
        with file.open("rb") as stream:
            while block := stream.read(CHUNK):
                yield decoder.decode(block).encode()
                done += len(block)
                if progress is not None:
                    progress("converting", done, info.st_size)
        yield decoder.decode(b"", final=True).encode()

    try:
        make_folders(copy.parent)
        temporary.unlink(missing_ok=True)
        write_durable(temporary, converted())
        os.rename(temporary, copy)
    except UnicodeDecodeError as error:
        raise InputError(
            f"{file}: not {encoding} either: {error.reason}; convert the file yourself"
        ) from None
    except OSError as error:
        raise disk_error(error, f"could not write the converted copy {copy}") from error
    return copy
