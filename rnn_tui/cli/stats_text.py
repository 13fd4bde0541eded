"""Statistics of a corpus as text to be read, for each task."""

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rnn_tui.cli.output import count, duration, figure, out, pairs, plain, size, table
from rnn_tui.cli.plots import bar, bars, curve
from rnn_tui.tasks.metrics import perplexity

if TYPE_CHECKING:
    from rnn_tui.corpus.counting import Bar
    from rnn_tui.corpus.findings import Finding
    from rnn_tui.corpus.pair_statistics import PairStatistics
    from rnn_tui.corpus.passages import Passages
    from rnn_tui.corpus.remedies import Remedy
    from rnn_tui.corpus.series_statistics import SeriesStatistics
    from rnn_tui.corpus.statistics import CorpusStatistics, TokenCount
    from rnn_tui.corpus.vocabulary import Vocabulary
    from rnn_tui.training.estimate import Estimate

_TOP = 10


def show_text(stats: "CorpusStatistics", tokens: "Vocabulary | None") -> None:
    """Write what there is to say of a text, and of its whole vocabulary where that was counted."""
    from rnn_tui.corpus.vocabulary import zipf_slope

    held_out = "".join(stats.held_out_only)
    pairs(
        {
            "corpus": stats.name,
            "text": f"{count(stats.chars)} characters, {size(stats.bytes)}, {count(stats.lines)} lines, "
            f"{count(stats.words)} words",
            "lines": f"{figure(stats.mean_line, 1)} characters on average, the longest {count(stats.longest_line)}; "
            f"{stats.duplicate_lines:.1%} repeat an earlier one",
            "vocabulary": f"{count(stats.vocab_size)} tokens, {count(stats.used)} of them in the training split, "
            f"{count(stats.once)} once",
            "a token": f"{figure(stats.chars_per_token, 2)} characters, {figure(stats.bytes_per_token, 2)} bytes",
            "only held out": f"{count(len(held_out))} characters: {held_out[:60]}"
            if held_out
            else "no character",
            "repeated": _repeated(stats.passages),
            "an epoch": f"{count(stats.steps_per_epoch)} steps of {stats.batch_size} windows of {stats.seq_len} tokens",
        }
    )
    out()
    table(
        ["split", "characters>", "tokens>", "unknown>", "seen in training>"],
        [
            (
                part.name,
                count(part.chars),
                count(part.tokens),
                count(part.unknown),
                f"{stats.passages.known[part.name]:.1%}" if part.name in stats.passages.known else "",
            )
            for part in stats.splits
        ],
    )
    out()
    _tokens("token", stats.top_tokens, next(part.tokens for part in stats.splits if part.name == "train"))
    out()
    table(["most frequent>", "cover>"], [(count(k), f"{share:.1%}") for k, share in stats.coverage])
    if tokens is not None:
        needed = ", ".join(f"{share:.0%} {count(tokens.needed(share))}" for share in (0.5, 0.9, 0.99))
        out(f"needed to cover the training text: {needed}")
    if len(stats.rank_frequency) > 1:
        out()
        ranks, counts = zip(*stats.rank_frequency, strict=True)
        curve("how often the token of each rank occurs, both logarithmic", ranks, counts, log=True)
        slope = zipf_slope(ranks, counts)
        if slope is not None:
            out(f"slope {slope:.2f}; by Zipf's law -1")
    out()
    _lengths("line lengths in characters", stats.line_lengths)
    out()
    _lengths("word lengths in characters", stats.word_lengths)
    if stats.passages.longest:
        out()
        table(
            ["repeated passage", "characters>", "times>", "first at>", "again at>"],
            [
                (repr(one.text[:34]), count(one.chars), count(one.times), count(one.char), count(one.again))
                for one in stats.passages.longest
            ],
        )
    if stats.baselines:
        out()
        table(
            ["baseline", "nats/token>", "perplexity>"],
            [
                (name, figure(loss), figure(perplexity(loss), 2))
                for name, loss in plain(stats.baselines).items()
            ],
        )


def show_pairs(stats: "PairStatistics") -> None:
    """Write what there is to say of lines with labels."""
    strange = stats.held_out_only
    pairs(
        {
            "corpus": stats.name,
            "lines": f"{count(stats.lines)}, {figure(stats.mean_line, 1)} tokens on average, the longest "
            f"{count(stats.longest_line)}",
            "tokens": f"{count(stats.tokens)}, and as many labels",
            "vocabulary": f"{count(stats.vocab_size)} tokens for both sides",
            "labels": f"{count(stats.labels)} different ones in the training split; {stats.copied:.1%} are the token "
            "they stand for",
            "only held out": f"{count(len(strange))} labels: {' '.join(strange[:20])}"
            if strange
            else "no label",
            "an epoch": f"{count(stats.steps_per_epoch)} steps of {stats.batch_size} lines",
        }
    )
    out()
    table(
        ["split", "lines>", "tokens>", "characters>", "unknown>", "sources seen before>"],
        [
            (
                part.name,
                count(part.lines),
                count(part.tokens),
                count(part.chars),
                count(part.unknown),
                f"{part.known:.1%}",
            )
            for part in stats.splits
        ],
    )
    out()
    _tokens("label", stats.top_labels, next(part.tokens for part in stats.splits if part.name == "train"))
    out()
    _lengths("line lengths in tokens", stats.line_lengths)


def show_series(stats: "SeriesStatistics") -> None:
    """Write what there is to say of numbers."""
    pairs(
        {
            "series": stats.name,
            "rows": f"{count(stats.rows)}: "
            + ", ".join(f"{part.name} {count(part.rows)}" for part in stats.splits),
            "an epoch": f"{count(stats.steps_per_epoch)} steps of {stats.batch_size} windows of {stats.seq_len} rows",
        }
    )
    out()
    table(
        ["column", "mean>", "std>", "min>", "max>", "persistence>", "outside?>"],
        [
            (
                one.name,
                *(f"{value:.4g}" for value in (one.mean, one.std, one.min, one.max, one.persistence)),
                f"{one.outside:.1%}",
            )
            for one in stats.columns
        ],
    )
    out(f"persistence: root mean squared error of the row before, on {stats.measured_on}")
    out(f"outside: share of the {stats.measured_on} rows beyond the range of the training rows")
    for one in stats.columns[:4]:
        out()
        last = len(one.curve) - 1
        rows = [1 + round(index * (stats.rows - 1) / (last or 1)) for index in range(len(one.curve))]
        curve(f"column {one.name}", rows, one.curve, digits=3)


def show_findings(answers: "Sequence[tuple[Finding, Remedy | None]]") -> None:
    """Write the doctor's words, and the flag that answers each."""
    for finding, remedy in answers:
        out(f"{finding.level}: {finding.sentence}")
        flag = "" if remedy is None else flag_of(remedy)
        if flag:
            out(f"  {flag}")


def flag_of(remedy: "Remedy") -> str:
    """Return what to add to the command so that a remedy acts; the empty string where that is no flag."""
    value = remedy.value
    match remedy.path:
        case "corpus.normalise":
            return f"--normalise {','.join(value)}"
        case "corpus.validation":
            return f"--validation {value:g}"
        case "data.batch_size" | "data.seq_len":
            return f"--{remedy.path.split('.')[1].replace('_', '-')} {value}"
        case "tokenizer.options":
            return " ".join(f"-t {key}={one}" for key, one in value.items())
        case "task.columns":
            return " ".join(f"--column {shlex.quote(one)}" for one in value)
        case "tokenizers":
            return "--compare shows what other tokenizers make of it"
    return ""


def show_estimate(found: "Estimate", noun: str) -> None:
    """Write what training would take; `noun` is what a model reads."""
    memory = found.memory
    pairs(
        {
            "parameters": count(found.parameters),
            "memory": f"{size(memory.peak)} beside {size(memory.base)} for torch: weights {size(memory.weights)}, "
            f"gradients {size(memory.gradients)}, optimiser {size(memory.optimiser)}, the rest {size(memory.working)}"
            if memory
            else "",
            "speed": f"{_milliseconds(found.seconds_per_step)} a step, {count(found.tokens_per_second)} {noun} "
            f"a second ({found.device}, threads {found.threads}, {found.engine})"
            if found.seconds_per_step
            else "",
            "time": f"{_time(found.seconds_per_epoch)} an epoch, {_time(found.seconds)} in all"
            if found.seconds_per_epoch and found.seconds is not None
            else "",
            "estimate": found.note,
        }
    )


def _milliseconds(seconds: float | None) -> str:
    return f"{1000 * (seconds or 0):.3g} ms"


def _time(seconds: float | None) -> str:
    return _milliseconds(seconds) if seconds is not None and seconds < 1 else duration(seconds)


def _repeated(found: "Passages") -> str:
    told = f"{found.share:.1%} of the text, in {count(found.count)} passages of {found.minimum} bytes or more"
    if found.found_from > found.minimum:
        told += f"; those below {count(found.found_from)} only where they happened to be met"
    return told


def _tokens(what: str, top: "Sequence[TokenCount]", total: int) -> None:
    table(
        [what, "count>", "share>", ""],
        [
            (repr(one.text), count(one.count), f"{one.count / total:.2%}", bar(one.count / top[0].count))
            for one in top[:_TOP]
        ],
    )


def _lengths(title: str, found: "Sequence[Bar]") -> None:
    bars(
        title,
        [
            (count(one.low) if one.low == one.high else f"{count(one.low)}-{count(one.high)}", one.count)
            for one in found
        ],
    )
