"""Which runs are shown, and in which order: the filter and the sorting of `runs list` and of the Runs pane.

A filter is words, all of which must hold. `word` stands anywhere in the name, a tag, the corpus, the architecture or
the state; `key:text` means one that begins with it, `key=text` one that is it; `loss<1.6` compares numbers. A `-`
before a word turns it round. Capitals and small letters are the same.
"""

import math
import operator
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import PurePath

from rnn_tui.errors import UsageError, nearest
from rnn_tui.runs.listing import RunSummary

Test = Callable[[RunSummary], bool]

TEXTS: dict[str, Callable[[RunSummary], Sequence[str]]] = {
    "name": lambda run: (run.name,),
    "tag": lambda run: run.tags,
    "state": lambda run: (run.state,),
    "corpus": lambda run: (run.corpus, PurePath(run.corpus).name),
    "arch": lambda run: (run.arch,),
    "tokenizer": lambda run: (run.tokenizer,),
    "task": lambda run: (run.task,),
    "note": lambda run: (run.note,),
}
NUMBERS: dict[str, Callable[[RunSummary], float | None]] = {
    "loss": lambda run: run.best_loss if run.best_loss is not None else run.validation_loss,
    "train": lambda run: run.train_loss,
    "step": lambda run: run.step,
    "epoch": lambda run: run.epoch,
    "parameters": lambda run: run.parameters,
    "speed": lambda run: run.tokens_per_second,
    "size": lambda run: run.size_bytes,
    "created": lambda run: run.created,
    "updated": lambda run: run.updated,
}
"""Losses are as the task measures them, speeds in tokens per second, sizes in bytes, times unix."""
_AGES = {"created", "updated"}
_EVERYWHERE = ("name", "tag", "corpus", "arch", "state")
_SCALES = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9}
_SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_COMPARE = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "=": operator.eq}
_WORD = re.compile(r"(-?)([a-z]+)(:|<=|>=|<|>|=)(.*)", re.IGNORECASE | re.DOTALL)
_LARGE_FIRST = {"step", "epoch", "parameters", "speed", "size", "created", "updated"}
SORTS = (*TEXTS, *NUMBERS)


def parse_filter(text: str, *, now: float) -> Test:
    """Return whether a run passes the filter `text`; an empty one lets all pass.

    Args:
        now: Unix time from which the ages of `updated<2h` are counted.

    Raises:
        UsageError: for a key that is not known, with the nearest, or a number that is none.
    """
    tests = [_test(word, now) for word in text.split()]
    return lambda run: all(test(run) for test in tests)


def _test(word: str, now: float) -> Test:
    match = _WORD.fullmatch(word)
    if match is None:
        turned, wanted = word.startswith("-") and len(word) > 1, word.removeprefix("-").casefold()
        found: Test = lambda run: any(  # noqa: E731
            wanted in text.casefold() for key in _EVERYWHERE for text in TEXTS[key](run)
        )
    else:
        turned, key, how, wanted = bool(match[1]), match[2].lower(), match[3], match[4].casefold()
        if key in TEXTS and how in ":=":
            found = _text_test(key, wanted, whole=how == "=")
        elif key in NUMBERS and how != ":":
            found = _number_test(key, how, wanted, now)
        elif key in SORTS:
            example = f"{key}:text" if key in TEXTS else f"{key}<2d" if key in _AGES else f"{key}<1.5"
            raise UsageError(f"{word!r} says nothing of {key}; write {example}")
        else:
            raise UsageError(f"there is no {key!r} to filter by" + (nearest(key, SORTS) or _known()))
    return (lambda run: not found(run)) if turned else found


def _known() -> str:
    return f"; there are {', '.join(SORTS)}"


def _text_test(key: str, wanted: str, *, whole: bool) -> Test:
    texts = TEXTS[key]
    if whole:
        return lambda run: any(text.casefold() == wanted for text in texts(run))
    return lambda run: any(text.casefold().startswith(wanted) for text in texts(run))


def _number_test(key: str, how: str, wanted: str, now: float) -> Test:
    units = _SECONDS if key in _AGES else _SCALES
    match = re.fullmatch(r"([0-9.]+(?:e[+-]?[0-9]+)?)([a-z]*)", wanted)
    try:
        amount = float(match[1]) * units[match[2]] if match else math.nan
    except (ValueError, KeyError):
        amount = math.nan
    if math.isnan(amount):
        example = "3h, 2d" if key in _AGES else "1.5, 20k, 1e6"
        raise UsageError(f"{key} is compared with a number such as {example}, not {wanted!r}")
    value, compare = NUMBERS[key], _COMPARE[how]

    def test(run: RunSummary) -> bool:
        held = value(run)
        if held is None:
            return False
        return bool(compare(now - held if key in _AGES else held, amount))

    return test


def check_sort(key: str) -> str:
    """Return `key`, with or without a `-` before it, if runs can be sorted by it.

    Raises:
        UsageError: when they can't, with the nearest.
    """
    if key.removeprefix("-") not in SORTS:
        raise UsageError(
            f"there is no {key!r} to sort by" + (nearest(key.removeprefix("-"), SORTS) or _known())
        )
    return key


def falls(key: str) -> bool:
    """Whether the values of runs sorted by `key` get smaller from the first to the last."""
    return key.startswith("-") != (key.removeprefix("-") in _LARGE_FIRST)


def sort_runs(runs: Iterable[RunSummary], key: str) -> list[RunSummary]:
    """Return the runs in the order of `key`; of equal ones the newest first, and those without a value last.

    Texts go from a to z and losses from the best on, other numbers and times from the largest; `-key` turns it round.
    """
    turned, name = key.startswith("-"), key.removeprefix("-")
    runs = sorted(runs, key=lambda run: (-run.created, run.name))
    if name in TEXTS:
        values = {run.path: " ".join(TEXTS[name](run)).casefold() for run in runs}
        held = [run for run in runs if values[run.path]]
        held.sort(key=lambda run: values[run.path], reverse=turned)
    else:
        numbers = {run.path: NUMBERS[name](run) for run in runs}
        known = {
            path: value for path, value in numbers.items() if value is not None and not math.isnan(value)
        }
        held = [run for run in runs if run.path in known]
        held.sort(key=lambda run: known[run.path], reverse=falls(key))
    there = {run.path for run in held}
    return [*held, *(run for run in runs if run.path not in there)]
