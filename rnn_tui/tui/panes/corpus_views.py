"""A corpus's statistics as text for the pane: each function returns one block, sized by its caller."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from textual.content import Content

from rnn_tui.safetext import safe_text
from rnn_tui.tasks.metrics import perplexity
from rnn_tui.tui.format import count, size
from rnn_tui.tui.widgets.bars import MUTED, table, visible

if TYPE_CHECKING:
    from rnn_tui.corpus.findings import Finding
    from rnn_tui.corpus.sources import NamedCorpus
    from rnn_tui.corpus.statistics import CorpusStatistics

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
        share, seen = f"{100 * (split.chars / found.chars):.1f} %", known.get(split.name)
        counts = (count(split.chars), count(split.tokens), count(split.unknown))
        rows.append((split.name, share, *counts, "" if seen is None else f"{100 * seen:.1f} %"))
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
    return Content("\n").join([heading("findings", "f: what to do about them"), *map(finding_lines, found)])


def finding_lines(finding: "Finding", *, advice: bool = True) -> Content:
    """One finding, on a line of its own its fix."""
    label, style = _LEVELS[finding.level]
    told = Content.assemble((f"{label}  ", style), safe_text(finding.text, limit=500))
    if advice and finding.fix:
        told = told + Content.styled("\n  " + safe_text(finding.fix, limit=500), MUTED)
    return told


def line_figures(found: "CorpusStatistics") -> Content:
    """What is to say of lines and of symbols that training never sees."""
    rows = [
        ("mean line", f"{found.mean_line:.1f} characters"),
        ("longest line", f"{count(found.longest_line)} characters"),
        ("repeated lines", f"{100 * found.duplicate_lines:.1f} % of those that are not blank"),
    ]
    passages = found.passages
    stretches = f"in {count(passages.count)} passages of {passages.minimum} bytes or more"
    rows.append(("repeated text", f"{100 * passages.share:.1f} %, {stretches}"))
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


def corpus_line(corpus: "NamedCorpus") -> Content:
    """One entry of the list of corpora that have a name."""
    if corpus.available:
        return Content.assemble((f"{safe_text(corpus.name):<17}", "bold"), safe_text(corpus.summary))
    return Content.assemble(
        (f"{safe_text(corpus.name):<17}", MUTED),
        ("d downloads it   ", "$accent"),
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
    ("    b", "bold $accent"), "  the built-in corpus: Python's own sources, on this machine already\n",
    ("    e", "bold $accent"), "  a file or a folder of yours\n",
    ("enter", "bold $accent"), "  one of these:",
)  # fmt: skip
