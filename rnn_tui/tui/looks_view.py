"""How samples, transcriptions and forecasts are written on the screen. Pure, so that each can be read in a test."""

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from textual.content import Content

from rnn_tui.safetext import SafeStream, safe_text
from rnn_tui.tui import format as f
from rnn_tui.tui.looks import Forecast, Sample, Transcription

if TYPE_CHECKING:
    from rnn_tui.corpus.copied import Copied
    from rnn_tui.tui.widgets.chart import Series

COPIED = "underline $text-warning"
"""The style of a passage that stands in the training text; the underline is seen without colours too."""
MUTED = "$foreground 60%"
STEPS = 4
"""Steps whose samples are shown where there is room."""
_LONGEST = 4096
"""Characters of a sample, which is more than a screen of it."""

Part = Content | str | tuple[str, str]


def novelty(copied: "Copied") -> str:
    """Return how much of a text is new, in one line."""
    held_out = "" if copied.held_out is None else f" (held-out text {100 * copied.held_out:.0f} %)"
    return f"new {100 * copied.novel:.0f} % of {copied.n:d}-grams{held_out}, longest copy {f.count(copied.longest)}"


def title(
    looks: Sequence[Sample | Transcription], width: int, *, roomy: bool, place: tuple[int, int] = (1, 1)
) -> str:
    """Return the heading over the looks of one step: what they are, and what fits of how they were made.

    Args:
        place: Which of how many steps it is, counted from the first.
    """
    if not looks:
        return "sample"
    newest = looks[-1]
    at = f"at step {f.count(newest.step)}{_of(place)}"
    if isinstance(newest, Transcription):
        return f"transcription {at}"
    if len(looks) > 1:
        return f"samples {at}"
    facts = [f"sample {at}, temperature {newest.temperature:.2g}"]
    if newest.copied is not None and not roomy:
        told = novelty(newest.copied)
        facts = [f"{facts[0]}: {told}", f"sample {at}: {told}", f"sample: {told}", *facts]
    return next((text for text in facts if len(text) <= width), f"sample {at}")


def content(
    looks: Iterable[Sample | Transcription], *, width: int, roomy: bool, ascii: bool = False
) -> Content:
    """Return what the model wrote, the newest step first; what does not fit is cut off below.

    Args:
        roomy: Samples have their line breaks, and remarks of their own; else several of one step get a row each.
    """
    steps = [list(group) for _, group in groupby(looks, lambda look: look.step)][::-1]
    parts: list[Part] = []
    for index, group in enumerate(steps):
        if isinstance(group[0], Transcription) or (not roomy and len(steps[0]) > 1):
            for row, look in enumerate(group):
                parts.append("\n" if index or row else "")
                parts += _row(look, width, several=len(group) > 1, old=index > 0, ascii=ascii)
            continue
        if index == STEPS:
            break
        if index:
            parts.append((f"\n\nat step {f.count(group[0].step)}\n", MUTED))
        for row, look in enumerate(group):
            if row:
                parts.append("\n\n")
            parts += _whole(look, several=len(group) > 1, roomy=roomy)
    return Content.assemble(*parts)


def _whole(look: Sample | Transcription, *, several: bool, roomy: bool) -> list[Part]:
    assert isinstance(look, Sample)  # the looks of a step are of one kind
    told = [f"temperature {look.temperature:.2g}"] if several else []
    told += [novelty(look.copied)] if roomy and look.copied else []
    head = f"{': '.join(told)}\n" if told else ""
    return [(head, MUTED), *marked(look, SafeStream().clean, from_first_letter=not roomy)]


def _row(look: Sample | Transcription, width: int, *, several: bool, old: bool, ascii: bool) -> list[Part]:
    """Return one row, which begins with what tells it from the others."""
    told = [f"step {f.count(look.step)}"] if old else []
    if isinstance(look, Transcription):
        arrow = " -> " if ascii else " → "
        parts: list[Part] = [(safe_text(look.source), MUTED), (arrow, MUTED), (safe_text(look.text), "bold")]
    else:
        told += [f"temperature {look.temperature:.2g}"] if several else []
        told += [f"new {100 * look.copied.novel:.0f} %"] if look.copied else []
        stream = SafeStream()
        parts = marked(look, lambda text: stream.clean(text.replace("\n", "␊").replace("\t", "␉")))
    head = f"{', '.join(told)}: " if told else ""
    return [Content.assemble((head, MUTED), *parts).truncate(width, ellipsis=True)]


def marked(sample: Sample, clean: Callable[[str], str], *, from_first_letter: bool = False) -> list[Part]:
    """Return the prompt and the text of a sample, with its copied passages marked.

    Args:
        clean: Makes the next piece of a text safe, knowing those before: a flood of marks may be cut into stretches.
        from_first_letter: Leave out the empty lines that the text begins with.
    """
    text = sample.text[:_LONGEST].rstrip("\n")
    spans = sample.copied.spans if sample.copied else ()
    left_out = len(text) - len(text.lstrip("\n")) if from_first_letter and not sample.prompt else 0
    cut = [(max(begin, left_out), end, copied) for begin, end, copied in stretches(spans, len(text))]
    return [
        (clean(sample.prompt[:_LONGEST]), "bold"),
        *((clean(text[begin:end]), COPIED if copied else "") for begin, end, copied in cut if begin < end),
    ]


def stretches(spans: Iterable[tuple[int, int]], length: int) -> list[tuple[int, int, bool]]:
    """Cut `length` characters at the ascending `spans`: begin, end, and whether it is one of them."""
    found, at = [], 0
    for begin, end in spans:
        begin, end = max(begin, at), min(end, length)
        if begin < end:
            found += [(at, begin, False), (begin, end, True)]
            at = end
    return [stretch for stretch in [*found, (at, length, False)] if stretch[0] < stretch[1]]


def _of(place: tuple[int, int]) -> str:
    return f" ({place[0]:d} of {place[1]:d})" if place[1] > 1 else ""


def forecast_title(forecast: Forecast, place: tuple[int, int] = (1, 1)) -> str:
    """Return the heading over the errors of a forecast."""
    name = f" of {f.one_line(forecast.column, 30)}" if forecast.column else ""
    return f"forecast{name} at step {f.count(forecast.step)}{_of(place)}"


def forecast_table(forecast: Forecast) -> Content:
    """Return the mean squared errors by horizon, beside those of persistence, in three rows."""
    horizons = list(forecast.forecasts)
    rows = [
        ("rows ahead", [f"{k:d}" for k in horizons], MUTED),
        ("squared error", [_error(forecast.errors.get(k)) for k in horizons], "bold"),
        ("persistence", [_error(forecast.persistence.get(k)) for k in horizons], ""),
    ]
    parts: list[Part] = []
    for label, values, style in rows:
        parts += [(f"{label:<14}", MUTED), ("".join(f"{value:>8}" for value in values) + "\n", style)]
    return Content.assemble(*parts).rstrip()


def _error(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def forecast_series(forecast: Forecast) -> "list[Series]":
    """Return the truth and each horizon as curves; the errors stand in the legend."""
    from rnn_tui.tui.widgets.chart import Series

    curves = [Series("truth", forecast.rows, forecast.truth, 0)]
    for index, (horizon, (rows, values)) in enumerate(forecast.forecasts.items(), 1):
        ahead = f"{horizon} ahead" if index == 1 else f"{horizon}"
        error = forecast.errors.get(horizon)
        known = "" if error is None else f" ({error:.2g})"
        curves.append(Series(f"{ahead}{known}", rows, values, index % 8))
    return curves
