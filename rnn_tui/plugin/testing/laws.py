"""What a law is, and how one is tried.

A law is a method `test_*` without parameters. It returns where the law holds, raises what `broken` makes where it does
not, and calls `skip` where it cannot be tried. pytest collects these methods as they are; `rnn-tui plugins check` tries
them one by one with `try_law`, which needs no pytest. A method `tell_*` is no law: it returns what is worth knowing.
Free of torch: tokenizers have laws too.
"""

import sys
import time
import traceback
from dataclasses import dataclass
from typing import Literal, NoReturn
from unittest import SkipTest

from rnn_tui.errors import RnnTuiError
from rnn_tui.plugin.loading import describe_error

Outcome = Literal["pass", "skipped", "FAIL", "info"]

NOT_MEASURED = "not measured"
"""Begins what is said of a speed that the plugin's failing left unknown."""

_OTHERS = {"rnn_tui", "torch", "numpy", "hypothesis", "_pytest", "pluggy", *sys.stdlib_module_names}
"""Packages whose code is not the author's."""


@dataclass(frozen=True)
class Verdict:
    """What became of one law.

    Attributes:
        law: its name, in words.
        text: why it was skipped, what breaks it, or what is worth knowing of it; may have several lines.
        seconds: that it took.
        follows: another law that does not hold, which may be why this one does not either; its name, in words.
    """

    law: str
    outcome: Outcome
    text: str = ""
    seconds: float = 0.0
    follows: str = ""


def broken(what: str, *, expected: str = "", came: str = "", likely: str = "") -> AssertionError:
    """Return the error of a law that does not hold, to be raised.

    Args:
        what: what was done, or what is wrong, as one clause.
        expected: what should have come of it.
        came: what came instead; of an error, what `raised` makes of it.
        likely: the most probable cause, in the words of whoever wrote the plugin.
    """
    lines = {"expected": expected, "came": came, "likely": likely}
    return AssertionError("\n".join([what, *(f"{name:<10}{text}" for name, text in lines.items() if text)]))


def skip(reason: str) -> NoReturn:
    """End a law that cannot be tried; pytest takes this as its own way to skip."""
    raise SkipTest(reason)


def laws_of(case: type) -> list[str]:
    """Return the methods that are laws or tell something, as they are written, those of a base first."""
    names: dict[str, None] = {}
    for base in reversed(case.__mro__):
        names |= dict.fromkeys(name for name in vars(base) if name.startswith(("test_", "tell_")))
    return [name for name in names if callable(getattr(case, name))]


def law_name(method: str) -> str:
    """`test_rows_do_not_mix` → `rows do not mix`."""
    return method.partition("_")[2].replace("_", " ")


def try_law(case: object, method: str) -> Verdict:
    """Try one law; whatever the plugin raises is a law that does not hold."""
    outcome: Outcome = "pass"
    begin = time.perf_counter()
    setup = getattr(case, "setup_method", None)  # as pytest does
    try:
        if setup is not None:
            setup()
        text = str(getattr(case, method)() or "")
    except SkipTest as reason:
        outcome, text = "skipped", str(reason)
    except AssertionError as error:
        outcome, text = "FAIL", str(error) or raised(error)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit too
        outcome, text = "FAIL", raised(error)
    finally:
        if setup is not None:
            case.teardown_method()  # type: ignore[attr-defined]
    if method.startswith("tell_"):
        outcome = "info"
    return Verdict(law_name(method), outcome, text, time.perf_counter() - begin)


def raised(error: BaseException) -> str:
    """Describe an exception by its type, its text and the last line of the author's code that it came through."""
    while isinstance(error, BaseExceptionGroup):  # of hypothesis, for one that comes differently each time
        error = error.exceptions[0]
    said, place = str(error) if isinstance(error, RnnTuiError) else describe_error(error), _place(error)
    lines = [said.partition(" Hint: ")[0]]  # which is for who can call torch
    if place:
        lines.append(f"{'in':<10}{place}")
    if "modified by an inplace operation" in said:
        # it is found in the backward pass, which has no line of the author's
        lines.append(f"{'likely':<10}step writes to a tensor in place: use c = c * f, not c.mul_(f)")
    for note in getattr(error, "__notes__", ()):  # hypothesis: "Failing test case: law(\n    text='0',\n)"
        if "law(" in note:
            example = " ".join(note.partition("law(")[2].rpartition(")")[0].split()).rstrip(",")
            lines.append(f"{'with':<10}{example}")
    return "\n".join(lines)


def _place(error: BaseException | None) -> str:
    """Return the last line of the author's code that an error came through, or else the one that it was made of."""
    place = ""
    while error is not None and not place:
        for frame, number in traceback.walk_tb(error.__traceback__):
            name = str(frame.f_globals.get("__name__", ""))
            if name.partition(".")[0] not in _OTHERS or name == "__main__":
                code = frame.f_code
                source = traceback.FrameSummary(code.co_filename, number, code.co_name).line or ""
                place = f"{code.co_filename}:{number}, {code.co_name}: {source.strip()}"
        error = error.__cause__
    return place
