"""What lines of `source<TAB>target` are like before anything is trained on them."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from rnn_tui.corpus.counting import Bar, histogram
from rnn_tui.corpus.decoding import TextReport
from rnn_tui.corpus.findings import Finding, no_validation, text_findings
from rnn_tui.corpus.pairs import Pairs, PreparedPairs
from rnn_tui.corpus.statistics import TokenCount

_TOP = 100
_BARS = 40


@dataclass(frozen=True)
class PairSplit:
    """The size of one split."""

    name: str
    lines: int
    tokens: int
    """Of the sources, and just as many labels."""
    chars: int
    """Of the sources."""
    unknown: int
    """How many of the source tokens are the unknown token."""
    known: float
    """Share of its lines whose source is one of a training line; of training, of an earlier one."""


@dataclass(frozen=True)
class PairStatistics:
    """All figures; `report` is of the source, before the steps."""

    name: str
    fingerprint: str
    report: TextReport
    notes: tuple[str, ...]
    lines: int
    tokens: int
    vocab_size: int
    splits: tuple[PairSplit, ...]
    line_lengths: tuple[Bar, ...]
    """Tokens in a line, of all splits."""
    mean_line: float
    longest_line: int
    labels: int
    """Different labels in the training split."""
    top_labels: tuple[TokenCount, ...]
    """The most frequent of these, first the most frequent."""
    copied: float
    """Share of the training labels that are the token they stand for."""
    held_out_only: tuple[str, ...]
    """Labels of validation or test that training never gives, by id."""
    batch_size: int
    padded_line: int
    """Tokens in the longest line of a batch of the training split, about."""
    steps_per_epoch: int
    findings: tuple[Finding, ...]


def pair_statistics(prepared: PreparedPairs, *, batch_size: int) -> PairStatistics:
    """Count lines, tokens and labels."""
    train, splits = prepared.splits["train"], tuple(prepared.splits.values())
    tokenizer = prepared.tokenizer
    lengths = np.concatenate([split.lengths for split in splits])
    counts = np.bincount(train.targets, minlength=tokenizer.vocab_size)
    held_out = [split.targets for split in splits if split.name != "train"]
    strange = np.unique(np.concatenate(held_out)) if held_out else np.empty(0, np.int64)
    order = np.argsort(-counts, kind="stable")[: min(_TOP, np.count_nonzero(counts))].tolist()
    found = PairStatistics(
        name=prepared.name,
        fingerprint=prepared.fingerprint,
        report=prepared.snapshot.report,
        notes=prepared.snapshot.notes,
        lines=len(lengths),
        tokens=int(lengths.sum()),
        vocab_size=tokenizer.vocab_size,
        splits=tuple(_splits(prepared)),
        line_lengths=histogram(lengths, _BARS),
        mean_line=float(lengths.mean()),
        longest_line=int(lengths.max()),
        labels=int(np.count_nonzero(counts)),
        top_labels=tuple(
            TokenCount(token, tokenizer.token_text(token), int(counts[token])) for token in order
        ),
        copied=float((train.inputs == train.targets).mean()),
        held_out_only=tuple(tokenizer.token_text(token) for token in strange.tolist() if not counts[token]),
        batch_size=batch_size,
        # of n equally likely lengths the longest is about the quantile n / (n + 1)
        padded_line=int(np.quantile(train.lengths, batch_size / (batch_size + 1), method="higher")),
        steps_per_epoch=math.ceil(len(train) / batch_size),
        findings=(),
    )
    told = [*text_findings(replace(found.report, crlf=0)), *_findings(found)]
    # the words about line ends are for those who learn them
    idle = text_findings(TextReport(crlf=found.report.crlf))
    said = {finding.sentence for finding in [*told, *idle]}
    told += [Finding("note", note) for note in found.notes if note not in said]
    return replace(found, findings=tuple(told or [Finding("ok", "nothing to remark")]))


def _splits(prepared: PreparedPairs) -> Iterator[PairSplit]:
    seen: set[bytes] = set()
    for pairs in prepared.splits.values():
        sources = [_source(pairs, line) for line in range(len(pairs))]
        if pairs.name == "train":
            seen = set(sources)
            known = 1 - len(seen) / len(sources)
        else:
            known = sum(source in seen for source in sources) / len(sources)
        unknown = prepared.tokenizer.unknown_id
        missing = 0 if unknown is None else int(np.count_nonzero(pairs.inputs == unknown))
        yield PairSplit(pairs.name, len(pairs), pairs.tokens, pairs.chars, missing, known)


def _source(pairs: Pairs, line: int) -> bytes:
    return pairs.line(line)[0].tobytes()


def _findings(found: PairStatistics) -> Iterator[Finding]:
    splits = {split.name: split for split in found.splits}
    if "validation" not in splits:
        yield no_validation("test" in splits)
    elif splits["validation"].lines < 20:
        text = f"validation has only {splits['validation'].lines:,} lines; its figures will be rough"
        yield Finding("note", text, "give more lines, or hold out more of them")
    if found.labels == 1:
        yield Finding(
            "warning", "every training label is the same; nothing is learned", "give lines with more than one"
        )
    for name, split in splits.items():
        if name != "train" and split.known > 0.02:
            text = f"{split.known:.0%} of the {name} lines have the source of a training line; their figures flatter"
            yield Finding(
                "warning" if split.known > 0.1 else "note", text, "remove the lines that come twice"
            )
        if split.unknown > 0.01 * split.tokens:
            text = f"{split.unknown / split.tokens:.1%} of the tokens in the {name} sources are unknown"
            yield Finding("note", text, "allow a larger vocabulary, or use smaller tokens")
    if found.held_out_only:
        shown = " ".join(found.held_out_only[:10]) + (" …" if len(found.held_out_only) > 10 else "")
        text = f"{len(found.held_out_only):,} labels occur only in held-out lines: {shown}"
        yield Finding("note", text, "give more training lines, or mix the lines: shuf OLD > NEW")
