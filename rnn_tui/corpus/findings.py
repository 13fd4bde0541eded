"""What a user should be told about a text, as data: a snapshot's notes and the doctor's words."""

from collections.abc import Iterator
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


def window_findings(
    length: int, batch_size: int, seq_len: int, steps_per_epoch: int, noun: str
) -> Iterator[Finding]:
    """Yield what there is to say of a training split of so many tokens, or whatever `noun` says, cut into windows."""
    if steps_per_epoch == 0:
        text = (
            f"training has {length:,} {noun}, but one step with batch size {batch_size} and seq_len {seq_len} needs "
            f"{batch_size * seq_len + 1:,}"
        )
        small = max(1, (length - 1) // seq_len)
        short = max(1, (length - 1) // batch_size)
        ways = [f"--batch-size {small}"] if small * seq_len < length else []
        ways += [f"--seq-len {short}"] if short * batch_size < length else []
        fix = f"use {' or '.join(ways) or '--batch-size 1 --seq-len 1'}, or more data"
        yield Finding("warning", text, fix)
    elif steps_per_epoch < 10:
        text = f"an epoch has only {steps_per_epoch} steps of {batch_size} windows of {seq_len} {noun}"
        if batch_size > 1:
            fix = f"use a smaller batch: --batch-size {max(1, (length - 1) // (10 * seq_len))}"
            yield Finding("note", text, fix)
        else:
            yield Finding("note", text, f"use shorter windows: --seq-len {max(1, (length - 1) // 10)}")


def no_validation(test: bool) -> Finding:
    """Return the word about a missing validation split; `test` says whether there is a test split."""
    fix = "give validation a share" if test else "hold some data out: --set corpus.validation=0.1"
    return Finding("note", "there is no validation split, so overfitting cannot be seen", fix)
