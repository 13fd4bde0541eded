"""What a user should be told about a text, as data: a snapshot's notes and the doctor's words."""

from dataclasses import dataclass
from typing import Literal

from rnn_tui.corpus.decoding import TextReport, convert_hint


@dataclass(frozen=True)
class Finding:
    """One remark, and what to do about it where something can be done."""

    level: Literal["ok", "note", "warning"]
    text: str
    fix: str = ""

    @property
    def sentence(self) -> str:
        """Both parts in one line."""
        return f"{self.text}; {self.fix}" if self.fix else self.text


def text_findings(report: TextReport) -> list[Finding]:
    """Return what the bytes of a source gave reason to say."""
    found = []
    if report.invalid_bytes:
        where = f"offset {report.first_invalid_offset:,} of {report.first_invalid_file}"
        fix = (
            convert_hint(report.suspicion)
            if report.suspicion
            else "repair the file, or refuse it with --strict"
        )
        looks = f"; it looks like {report.suspicion}" if report.suspicion else ""
        text = f"{report.invalid_bytes:,} bytes are not UTF-8 and became U+FFFD, the first at {where}{looks}"
        found.append(Finding("warning", text, fix))
    if report.bom:
        found.append(Finding("note", "a byte order mark at the start was left out"))
    if report.crlf:
        text = f"{report.crlf:,} lines end in CRLF; the carriage returns are kept and learned"
        found.append(
            Finding("note", text, "convert the line ends first to be rid of them: sed -i 's/\\r$//' FILE")
        )
    if report.nul:
        found.append(
            Finding("warning", f"{report.nul:,} NUL characters are in the text", "remove them: tr -d '\\0'")
        )
    if report.controls:
        text = f"{report.controls:,} control characters are in the text and kept"
        found.append(Finding("note", text, "remove them if they are not meant to be learned"))
    return found
