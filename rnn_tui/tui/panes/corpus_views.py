"""A corpus's statistics as text for the pane: each function returns one block, sized by its caller."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from textual.content import Content

from rnn_tui.safetext import safe_text
from rnn_tui.tasks.metrics import perplexity
from rnn_tui.tui.format import count, size
from rnn_tui.tui.widgets.bars import MUTED, bars, table, visible

if TYPE_CHECKING:
    from rnn_tui.corpus.findings import Finding
    from rnn_tui.corpus.sources import NamedCorpus
    from rnn_tui.corpus.statistics import Bar, CorpusStatistics

_LEVELS = {"ok": ("ok", "$success"), "note": ("note", "$accent"), "warning": ("warning", "bold $error")}


def heading(text: str, aside: str = "") -> Content:
    """Return a block's first line."""
    return Content.assemble((safe_text(text), "bold"), (safe_text(f"  {aside}") if aside else "", MUTED))


def figures(found: "CorpusStatistics") -> Content:
    """Counts of the text and what tokens make of it."""
    report = found.report
    files = f"{report.files} files, {size(report.bytes)}" if report.files > 1 else size(report.bytes)
    left = [
        ("characters", count(found.chars)),
        ("distinct", count(found.distinct_chars)),
        ("lines", count(found.lines)),
        ("words", count(found.words)),
        ("bytes", count(found.bytes)),
    ]
    right = [
        ("tokens", count(found.tokens)),
        ("vocabulary", count(found.vocab_size)),
        ("used in training", count(found.used)),
        ("used there once", count(found.once)),
        ("characters a token", f"{found.chars_per_token:.2f}"),
    ]
    lines = zip(table(left).split("\n"), table(right).split("\n"), strict=True)
    both = Content("\n").join(one.append("     ").append(other) for one, other in lines)
    return heading(safe_text(found.name, limit=60), files) + "\n" + both


def splits(found: "CorpusStatistics") -> Content:
    """The splits with their sizes."""
    known = found.passages.known
    rows = [("split", "share", "characters", "tokens", "unknown", "seen in training")]
    for split in found.splits:
        share, seen = f"{split.chars / found.chars:.1%}", known.get(split.name)
        counts = (count(split.chars), count(split.tokens), count(split.unknown))
        rows.append((split.name, share, *counts, "" if seen is None else f"{seen:.1%}"))
    windows = f"{found.batch_size:d} windows of {found.seq_len:d} tokens"
    epoch = f"an epoch: {count(found.steps_per_epoch)} steps of {windows}"
    return Content.assemble(table(rows, heading=True), ("\n" + epoch, MUTED))


def baselines(found: "CorpusStatistics") -> Content:
    """What simple counts reach on the validation split."""
    if found.baselines is None:
        return Content.styled("no validation split, so no baselines", MUTED)
    bits = 1 / math.log(2) / found.chars_per_token
    rows = [("to beat", "nats a token", "perplexity", "bits a character")]
    for name, nats in asdict(found.baselines).items():
        rows.append((name, f"{nats:.3f}", f"{perplexity(nats):,.1f}", f"{nats * bits:.3f}"))
    return table(rows, heading=True)


def findings(found: "Sequence[Finding]") -> Content:
    """The doctor's findings, each with its fix."""
    lines: list[Content] = [heading("findings")]
    for finding in found:
        label, style = _LEVELS[finding.level]
        lines.append(Content.assemble((f"{label}  ", style), safe_text(finding.text, limit=500)))
        if finding.fix:
            lines.append(Content.styled("  " + safe_text(finding.fix, limit=500), MUTED))
    return Content("\n").join(lines)


def vocabulary(found: "CorpusStatistics", width: int, *, ascii: bool) -> Content:
    """The most frequent tokens of the training split."""
    tokens = next(split.tokens for split in found.splits if split.name == "train")
    most = found.top_tokens[0].count
    rows = [(visible(top.text), top.count / most, f"{top.count / tokens:.2%}") for top in found.top_tokens]
    title = heading("top tokens", f"of {count(found.used)}")
    return title + "\n" + bars(rows, width, ascii=ascii)


def coverage(found: "CorpusStatistics", width: int, *, tall: bool, ascii: bool) -> Content:
    """How much of the training split the k most frequent tokens make up; without height, only for powers of ten."""
    points = found.coverage
    if not tall and len(points) > 7:
        points = tuple(point for point in points if str(point[0]).strip("0") == "1" or point == points[-1])
    rows = [(f"top {count(k)}", share, f"{share:.1%}") for k, share in points]
    return heading("coverage") + "\n" + bars(rows, width, ascii=ascii, colour="$chart-3")


def lengths(title: str, unit: str, found: "Sequence[Bar]", width: int, *, ascii: bool) -> Content:
    """A histogram of lengths."""
    most = max((entry.count for entry in found), default=1) or 1
    rows = [
        (count(entry.low) if entry.low == entry.high else f"{count(entry.low)}-{count(entry.high)}",
         entry.count / most, count(entry.count))
        for entry in found
    ]  # fmt: skip
    return heading(title, unit) + "\n" + bars(rows, width, ascii=ascii, colour="$chart-2")


def line_figures(found: "CorpusStatistics") -> Content:
    """What is to say of lines and of symbols that training never sees."""
    rows = [
        ("mean line", f"{found.mean_line:.1f} characters"),
        ("longest line", f"{count(found.longest_line)} characters"),
        ("repeated lines", f"{found.duplicate_lines:.1%} of those that are not blank"),
    ]
    passages = found.passages
    stretches = f"in {count(passages.count)} passages of {passages.minimum} bytes or more"
    rows.append(("repeated text", f"{passages.share:.1%}, {stretches}"))
    strange = found.held_out_only
    shown = " ".join(visible(symbol) for symbol in strange[:40]) + (" …" if len(strange) > 40 else "")
    rows.append(
        ("only held out", f"{count(len(strange))} characters  {shown}" if strange else "no character")
    )
    return table(rows, left=2)


def repeated(found: "CorpusStatistics", width: int) -> Content:
    """The longest passages that come twice or more, a line each."""
    rows: list[tuple[str, ...]] = [("repeated passage", "characters", "times", "first at", "again at")]
    for one in found.passages.longest:
        numbers = (one.chars, one.times, one.char, one.again)
        rows.append((visible(one.text, max(10, (width - 48) // 2)), *map(count, numbers)))
    return table(rows, heading=True) if len(rows) > 1 else Content("")


def beginning(text: str, lines: int = 12) -> Content:
    """The first lines of the training split."""
    shown = safe_text("\n".join(text.split("\n", lines)[:lines]), newlines=True, limit=200)
    return heading("the text begins") + "\n" + shown


def named(corpus: "NamedCorpus") -> Content:
    """One entry of the list of corpora that have a name."""
    if corpus.available:
        return Content.assemble((f"{safe_text(corpus.name):<17}", "bold"), safe_text(corpus.summary))
    return Content.assemble(
        (f"{safe_text(corpus.name):<17}", MUTED),
        ("g downloads it   ", "$accent"),
        (safe_text(corpus.summary), MUTED),
    )


def step_names() -> list[str]:
    from typing import get_args

    from rnn_tui.corpus.config import Step

    return list(get_args(Step))


def task_names() -> list[str]:
    from typing import get_args, get_type_hints

    from rnn_tui.tasks.config import TaskConfig

    return list(get_args(get_type_hints(TaskConfig)["name"]))


EMPTY = Content.assemble(
    ("Look at a text before you train on it\n\n", "bold"),
    ("b", "bold $accent"), "  the built-in corpus: Python's own sources, on this machine already\n",
    ("/", "bold $accent"), "  a file or a folder of yours\n",
    ("enter", "bold $accent"), "  one of these:",
)  # fmt: skip
