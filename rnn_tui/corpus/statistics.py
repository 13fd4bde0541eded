"""What a corpus is like before anything is trained on it: numbers, and findings with what to do about them."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from rnn_tui.corpus.baselines import Baselines, baselines
from rnn_tui.corpus.counting import Bar, TextCounter, count_tokens
from rnn_tui.corpus.decoding import CHUNK, TextReport
from rnn_tui.corpus.findings import Finding, no_validation, text_findings, window_findings
from rnn_tui.corpus.passages import Passages, passages
from rnn_tui.corpus.prepare import Ids, PreparedCorpus, Split, Tokenizer

__all__ = ["Bar", "CorpusStatistics", "Finding", "SplitStatistics", "TokenCount", "statistics"]

_TOP = 100
_CURVE_POINTS = 200


@dataclass(frozen=True)
class SplitStatistics:
    """The size of one split."""

    name: str
    chars: int
    bytes: int
    tokens: int
    unknown: int


@dataclass(frozen=True)
class TokenCount:
    """A token of the vocabulary and how often it occurs in the training split."""

    token: int
    text: str
    count: int


@dataclass(frozen=True)
class CorpusStatistics:
    """All figures; those about the text are of the normalised and cut one, `report` is of the source."""

    name: str
    fingerprint: str
    report: TextReport
    notes: tuple[str, ...]
    chars: int
    bytes: int
    lines: int
    words: int
    """Runs between white space."""
    distinct_chars: int
    tokens: int
    vocab_size: int
    used: int
    """Different tokens in the training split."""
    once: int
    """Of these, how many occur there once."""
    chars_per_token: float
    bytes_per_token: float
    splits: tuple[SplitStatistics, ...]
    top_tokens: tuple[TokenCount, ...]
    """The most frequent of the training split, first the most frequent."""
    coverage: tuple[tuple[int, float], ...]
    """(k, share of the training tokens that are among the k most frequent)."""
    rank_frequency: tuple[tuple[int, int], ...]
    """(rank from 1, count), at ranks evenly spaced on a log axis."""
    line_lengths: tuple[Bar, ...]
    mean_line: float
    longest_line: int
    word_lengths: tuple[Bar, ...]
    duplicate_lines: float
    """Share of the lines, blank ones apart, that occurred before."""
    passages: Passages
    held_out_only: tuple[str, ...]
    """Characters that occur in validation or test but not in training, in code point order."""
    batch_size: int
    seq_len: int
    steps_per_epoch: int
    """Whole windows in each of `batch_size` equal parts of the training split; an offset may cost an epoch one."""
    baselines: Baselines | None
    """Of the validation split; None where there is none, or they were not asked for."""
    findings: tuple[Finding, ...]


def statistics(
    prepared: PreparedCorpus, *, batch_size: int = 32, seq_len: int = 64, with_baselines: bool = True
) -> CorpusStatistics:
    """Count everything once; 100 MB took 6 s on one core, repeats 4 of these, in memory that does not grow with it."""
    text = TextCounter()
    for name in prepared.splits:
        for piece in prepared.pieces(name):
            text.add(piece, training=name == "train")
    text.finish()
    train, splits = prepared.splits["train"], tuple(prepared.splits.values())
    tokenizer = prepared.tokenizer
    counts = count_tokens(_pieces(train), tokenizer.vocab_size)
    order = np.argsort(-counts, kind="stable")
    ranked = counts[order]
    used = int(np.count_nonzero(counts))
    chars, size, tokens = (
        sum(getattr(part, what) for part in splits) for what in ("chars", "bytes", "tokens")
    )
    measured = CorpusStatistics(
        name=prepared.name,
        fingerprint=prepared.fingerprint,
        report=prepared.snapshot.report,
        notes=prepared.snapshot.notes,
        chars=chars,
        bytes=size,
        lines=text.lines.total,
        words=text.words.total,
        distinct_chars=int(np.count_nonzero(text.seen_in_training | text.seen_held_out)),
        tokens=tokens,
        vocab_size=tokenizer.vocab_size,
        used=used,
        once=int(np.count_nonzero(counts == 1)),
        chars_per_token=chars / tokens,
        bytes_per_token=size / tokens,
        splits=tuple(SplitStatistics(p.name, p.chars, p.bytes, p.tokens, p.unknown) for p in splits),
        top_tokens=tuple(_top(tokenizer, order[: min(_TOP, used)], counts)),
        coverage=_coverage(ranked[:used]),
        rank_frequency=_rank_frequency(ranked[:used]),
        line_lengths=text.lines.bars(),
        mean_line=text.lines.characters / max(1, text.lines.total),
        longest_line=text.lines.longest,
        word_lengths=text.words.bars(),
        duplicate_lines=text.lines.repeated(),
        passages=passages(prepared),
        held_out_only=tuple(map(chr, np.flatnonzero(text.seen_held_out & ~text.seen_in_training))),
        batch_size=batch_size,
        seq_len=seq_len,
        steps_per_epoch=(train.tokens - 1) // batch_size // seq_len,
        baselines=_baselines(prepared) if with_baselines else None,
        findings=(),
    )
    found = [*text_findings(measured.report), *_findings(measured)]
    said = {finding.sentence for finding in found}
    found += [Finding("note", note) for note in measured.notes if note not in said]
    return replace(measured, findings=tuple(found or [Finding("ok", "nothing to remark")]))


def _pieces(split: Split) -> Iterator[Ids]:
    """Yield the ids of a split, mapped anew for each piece: pages of one that stays mapped count as the process's."""
    for start in range(0, split.tokens, CHUNK):
        yield split.ids()[start : start + CHUNK]


def _top(
    tokenizer: Tokenizer, order: npt.NDArray[np.int64], counts: npt.NDArray[np.int64]
) -> Iterator[TokenCount]:
    for token in map(int, order):
        yield TokenCount(token, tokenizer.token_text(token), int(counts[token]))


def _coverage(ranked: npt.NDArray[np.int64]) -> tuple[tuple[int, float], ...]:
    summed = np.cumsum(ranked)
    steps = [k * 10**power for power in range(10) for k in (1, 2, 5)]
    return tuple(
        (k, float(summed[k - 1] / summed[-1])) for k in [*(k for k in steps if k < len(ranked)), len(ranked)]
    )


def _rank_frequency(ranked: npt.NDArray[np.int64]) -> tuple[tuple[int, int], ...]:
    ranks = np.unique(np.geomspace(1, len(ranked), _CURVE_POINTS).round().astype(np.int64))
    return tuple((int(rank), int(ranked[rank - 1])) for rank in ranks)


def _baselines(prepared: PreparedCorpus) -> Baselines | None:
    if "validation" not in prepared.splits:
        return None
    train, held_out = prepared.splits["train"].ids(), prepared.splits["validation"].ids()
    return baselines(train, held_out, prepared.tokenizer.vocab_size)


def _findings(found: CorpusStatistics) -> Iterator[Finding]:
    sizes: dict[str, Any] = {split.name: split for split in found.splits}
    yield from window_findings(
        sizes["train"].tokens, found.batch_size, found.seq_len, found.steps_per_epoch, "tokens"
    )
    if "validation" not in sizes:
        yield no_validation("test" in sizes)
    elif sizes["validation"].tokens < 1000:
        text = f"validation has only {sizes['validation'].tokens:,} tokens; its loss will be noisy"
        yield Finding("note", text, "give a longer text, or hold out more of it")
    if found.used == 1:
        text = "the training text holds one token only; the loss will be 0 and nothing is learned"
        yield Finding("warning", text, "give a text with more than one symbol")
    yield from _held_out_findings(found, sizes)
    share = sizes["train"].unknown / sizes["train"].tokens
    if share > 0.05:
        text = f"{share:.0%} of the training tokens are unknown"
        yield Finding("note", text, "allow a larger vocabulary or rarer tokens, or use smaller tokens")
    if found.used >= 1000 and found.once > found.used / 2:
        text = f"{found.once:,} of the {found.used:,} tokens occur only once in training"
        yield Finding("note", text, "raise the tokenizer's minimum frequency, or use characters")
    if found.duplicate_lines > 0.4:
        text = f"{found.duplicate_lines:.0%} of the lines occurred before: validation holds training text"
        yield Finding("note", text, "remove the repeats if they are not meant: awk '!seen[$0]++' OLD > NEW")
    for name, share in found.passages.known.items():
        if share > 0.02:
            text = (
                f"{share:.0%} of the {name} text lies in passages of {found.passages.minimum} bytes or more that "
                "training holds, too; the loss on it flatters the model"
            )
            fix = "remove what is repeated, or hold out a part that is not"
            yield Finding("warning" if share > 0.1 else "note", text, fix)


def _held_out_findings(found: CorpusStatistics, sizes: dict[str, Any]) -> Iterator[Finding]:
    held_out = [sizes[name] for name in ("validation", "test") if name in sizes]
    unknown, tokens = (sum(getattr(split, what) for split in held_out) for what in ("unknown", "tokens"))
    if found.held_out_only:
        shown = " ".join(found.held_out_only[:10]) + (" …" if len(found.held_out_only) > 10 else "")
        count = len(found.held_out_only)
        what = "1 character occurs" if count == 1 else f"{count:,} characters occur"
        text = f"{what} only in held-out text: {shown}"
        yield Finding("note", text, "use a longer training text, or clean both alike with normalising steps")
    if unknown > 0.01 * tokens:
        text = f"{unknown / tokens:.1%} of the held-out tokens are unknown; the loss on them says little"
        yield Finding(
            "warning",
            text,
            "give more training text or a larger vocabulary, or use smaller tokens, such as bytes",
        )
