"""How fast models of equal size train and sample, side by side on one thread; measured as `rnn_tui.bench` does."""

from collections.abc import Callable, Mapping

import torch

from rnn_tui.bench.subjects import Sampling, Training, symbols
from rnn_tui.bench.timing import Spread, Timings, interleave, reason
from rnn_tui.model.recurrent_model import RecurrentModel
from rnn_tui.score.task import ROWS
from rnn_tui.score.text import LENGTH
from rnn_tui.score.wire import Rate, Speed
from rnn_tui.training.setup import seed_everything


def race(
    builders: Mapping[str, Callable[[], RecurrentModel] | str],
    vocab_size: int,
    *,
    quick: bool = False,
    told: Callable[[float], object] = lambda share: None,
) -> tuple[Rate, ...]:
    """Measure training, in windows of the text task, and then sampling, one stream.

    Args:
        builders: by name what builds the model, or why there is none.
        told: called with the share that is done.
    """
    repeats, seconds = (3, 0.05) if quick else (5, 0.2)
    seed_everything(1)
    windows = torch.randint(vocab_size, (ROWS, LENGTH + 1))
    problems = {name: build for name, build in builders.items() if isinstance(build, str)}
    timings: dict[str, Timings] = {}
    engines: dict[str, dict[str, str]] = {}
    turns = 2 * (repeats + 2) * len(builders)
    done = 0

    def turn(name: str) -> None:
        nonlocal done
        done += 1
        told(done / turns)

    for what in ("train", "sample"):
        subjects: dict[str, Training | Sampling] = {}
        for name, build in builders.items():
            turn(name)
            if isinstance(build, str) or name in problems:
                continue
            try:
                subjects[name] = _subject(what, build(), windows, vocab_size)
            except Exception as error:  # a plugin raises whatever it likes
                problems[name] = reason(error)
        timings[what] = interleave(subjects, repeats, seconds=seconds, told=turn)
        engines[what] = {name: subject.engine()[0] for name, subject in subjects.items()}
        problems |= timings[what].errors
    return tuple(
        Rate(
            architecture=name,
            train=_speed(timings["train"].rate(name)),
            sample=_speed(timings["sample"].rate(name)),
            train_engine=engines["train"].get(name, ""),
            sample_engine=engines["sample"].get(name, ""),
            problem=problems.get(name, ""),
        )
        for name in builders
    )


def _subject(what: str, model: RecurrentModel, windows: torch.Tensor, vocab_size: int) -> Training | Sampling:
    if what == "sample":
        return Sampling(model, symbols(vocab_size), traced=True)
    subject = Training(model, windows)
    subject.take("auto")
    return subject


def _speed(rate: Spread | None) -> Speed | None:
    if rate is None:
        return None
    return Speed(median=rate.median, least=rate.least, most=rate.most, busy=rate.busy)
