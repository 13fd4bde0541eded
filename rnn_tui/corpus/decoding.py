"""Bytes to text in pieces, changing nothing and counting what a user should know.

Newlines, NUL and other controls stay as they are. What is not UTF-8 becomes U+FFFD and is counted, or is
refused. Another encoding is named as a suspicion, never guessed silently.
"""

import codecs
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

from rnn_tui.errors import InputError

CHUNK = 1 << 20
"""How much is read, encoded or counted at a time: bytes of a file, or characters of a text."""

MAX_NUL = 0.01
MAX_INVALID = 0.3
"""Above these shares of the bytes a file is not UTF-8: Chinese in GBK is far above, French in Latin-1 below."""

_SAMPLE = 1 << 16
_BOMS = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
_C1 = re.compile(rb"\xc2[\x80-\x9f]")
_NOT_CONTROLS = bytes(set(range(256)) - set(range(1, 32)) - {127} | {9, 10, 13})


@dataclass(frozen=True)
class TextReport:
    """What was found while a source was read, before any normalising step."""

    bytes: int = 0
    """Bytes read, BOMs included, the newlines put between the files of a folder not."""
    chars: int = 0
    lines: int = 0
    """Newline characters, and one more for an unfinished last line."""
    invalid_bytes: int = 0
    first_invalid_offset: int | None = None
    """Byte offset of the first invalid byte in `first_invalid_file`."""
    first_invalid_file: str = ""
    bom: bool = False
    crlf: int = 0
    nul: int = 0
    controls: int = 0
    """C0 and C1 controls and DEL other than NUL, tab, newline and the carriage return of a CRLF."""
    files: int = 0
    suspicion: str = ""
    """The encoding that the invalid bytes suggest, by the name that iconv knows; else empty."""


@dataclass
class Counts:
    """The running form of `TextReport`, over all files of a source."""

    bytes: int = 0
    invalid_bytes: int = 0
    first_invalid_offset: int | None = None
    first_invalid_file: str = ""
    bom: bool = False
    crlf: int = 0
    nul: int = 0
    controls: int = 0
    files: int = 0
    suspicion: str = ""
    newlines: int = 0

    def report(self, chars: int, *, unfinished: bool) -> TextReport:
        """Return the finished report; `unfinished` says that the last line has no newline."""
        found = vars(self) | {"chars": chars, "lines": self.newlines + unfinished}
        del found["newlines"]
        return TextReport(**found)


def decode(blocks: Iterable[bytes], counts: Counts, *, where: str, strict: bool) -> Iterator[str]:
    """Yield the text of one file that comes in non-empty blocks of any length.

    Args:
        blocks: The bytes of the file.
        counts: Added to; complete when the iterator is exhausted.
        where: The file's name for messages.
        strict: Refuse invalid UTF-8 instead of replacing it.

    Raises:
        InputError: for UTF-16 or UTF-32 with a byte order mark, for more than 1 % NUL or 30 % undecodable
            bytes (in a first block of 64 KiB or more, and in all), and under `strict` for an invalid byte.
    """
    file = Counts(files=1)
    pending, offset = b"", 0  # `offset` is the place of `pending` in the file
    sample, carriage_return = b"", False
    for block in chain(blocks, [b""]):
        first, final = not file.bytes, not block
        file.bytes += len(block)
        _count_controls(file, block)
        if first and _is_utf8_bom(block, where):
            file.bom, offset, block = True, len(codecs.BOM_UTF8), block[len(codecs.BOM_UTF8) :]
        data = pending + block if pending else block
        try:
            text, used = codecs.utf_8_decode(data, "strict", final)
        except UnicodeDecodeError as error:
            if strict:
                raise invalid_utf8(where, offset + error.start) from None
            if not file.invalid_bytes:
                file.first_invalid_offset = offset + error.start
                file.first_invalid_file = where.encode(
                    errors="backslashreplace"
                ).decode()  # the cache holds UTF-8
                file.suspicion = suspect(data)
            text, used = codecs.utf_8_decode(data, "replace", final)
            kept = codecs.utf_8_decode(data, "ignore", final)[0]
            file.invalid_bytes += used - len(kept.encode())
        sample = sample or block[:_SAMPLE]
        if final or (first and len(block) >= _SAMPLE):
            _refuse_binary(file, sample, where)
        if b"\xc2" in data:  # which most scripts do without; `used` ends a character
            file.controls += len(_C1.findall(data, 0, used))
        offset += used
        pending = data[used:]
        if text:
            returns = text.count("\r") if "\r" in text else 0  # the search is 20 times as fast as the count
            if returns or carriage_return:
                pairs = text.count("\r\n") + (carriage_return and text[0] == "\n")
                file.crlf += pairs
                file.controls += returns - pairs  # a pair across two blocks takes back what the first added
                carriage_return = text[-1] == "\r"
            yield text
    _add(counts, file)


def _count_controls(file: Counts, block: bytes) -> None:
    """Count newlines and controls; most blocks hold no control but newlines, and are looked at only twice."""
    import numpy as np  # here: `download` names a type of this package, and starts without NumPy

    values = np.frombuffer(block, np.uint8)
    newlines = int(np.count_nonzero(values == ord("\n")))
    file.newlines += newlines
    if np.count_nonzero(values < ord(" ")) > newlines or b"\x7f" in block:
        file.nul += block.count(0)
        file.controls += len(block.translate(None, _NOT_CONTROLS))


def suspect(data: bytes) -> str:
    """Return the encoding that `data`, which is not valid UTF-8, may be in, or the empty string.

    The rules are plain: NULs at every other byte are UTF-16; where valid UTF-8 characters prevail it is damaged
    UTF-8; text that reads as GB18030 with mostly common Chinese characters is that; otherwise, with no valid
    character beside the invalid bytes, it is Latin-1, or its Windows form if that needs bytes 0x80 to 0x9f.
    """
    sample = data[:_SAMPLE]
    even, odd = binary_share(sample[::2]), binary_share(sample[1::2])
    if max(even, odd) > 0.4 and min(even, odd) < 0.1:
        return "UTF-16BE" if even > odd else "UTF-16LE"
    high = sample.translate(None, bytes(range(128)))
    valid = codecs.utf_8_decode(sample, "ignore", False)[0].encode().translate(None, bytes(range(128)))
    if len(valid) > len(high) / 2:
        return ""
    try:
        text = codecs.getincrementaldecoder("gb18030")().decode(sample)
    except UnicodeDecodeError:
        text = ""
    wide = [char for char in text if ord(char) > 127]
    common = sum("\u4e00" <= char <= "\u9fff" for char in wide)
    # Both bytes of a common Chinese character are high; a Latin-1 letter is followed by an ASCII one.
    if wide and common > 0.6 * len(wide) and len(high) > 1.5 * len(wide):
        return "GB18030"
    if len(high) <= MAX_INVALID * len(sample) and not valid:
        return "ISO-8859-1" if min(high, default=0) >= 0xA0 else "WINDOWS-1252"
    return ""


def invalid_utf8(where: str, offset: int) -> InputError:
    """Return the refusal of a file under `strict`."""
    return InputError(
        f"{where}: not valid UTF-8 at byte offset {offset:,}; convert the file, or leave out --strict "
        "to replace what is invalid"
    )


def binary_share(data: bytes) -> float:
    """Return the share of NUL bytes; above `MAX_NUL` a file is binary."""
    return data.count(0) / max(1, len(data))


def _is_utf8_bom(block: bytes, where: str) -> bool:
    for bom, encoding in _BOMS.items():
        if block.startswith(bom):
            raise InputError(f"{where}: looks like {encoding}, not UTF-8; {convert_hint(encoding)}")
    return block.startswith(codecs.BOM_UTF8)


def _refuse_binary(file: Counts, sample: bytes, where: str) -> None:
    if file.nul > MAX_NUL * file.bytes:
        encoding = suspect(sample)
        if encoding.startswith("UTF-16"):
            raise InputError(f"{where}: looks like {encoding}, not UTF-8; {convert_hint(encoding)}")
        share = 100 * file.nul / file.bytes
        raise InputError(
            f"{where}: {share:.0f} % of its bytes are NUL: a binary file, not text; give a text file"
        )
    if file.invalid_bytes > MAX_INVALID * file.bytes:
        share = 100 * file.invalid_bytes / file.bytes
        what = (
            f"looks like {file.suspicion}; {convert_hint(file.suspicion)}"
            if file.suspicion
            else "give a text file"
        )
        raise InputError(f"{where}: {share:.0f} % of its bytes are not UTF-8: {what}")


def convert_hint(encoding: str) -> str:
    """Return what to do about a text in `encoding`."""
    return f"convert it first: iconv -f {encoding} -t UTF-8 OLD > NEW"


def _add(counts: Counts, file: Counts) -> None:
    if counts.first_invalid_offset is None and file.first_invalid_offset is not None:
        counts.first_invalid_offset, counts.first_invalid_file = (
            file.first_invalid_offset,
            file.first_invalid_file,
        )
    for name in ("bytes", "invalid_bytes", "newlines", "crlf", "nul", "controls", "files"):
        setattr(counts, name, getattr(counts, name) + getattr(file, name))
    counts.bom |= file.bom
    counts.suspicion = counts.suspicion or file.suspicion
