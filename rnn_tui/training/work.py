"""What a run works on: its task, and what belongs to that task in the model, the model file and the event log.

The one place beside the two faces that knows the tasks by name; the loop and the checkpoints see only a `Work`.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from rnn_tui.corpus.copied import SampleMeter
from rnn_tui.corpus.pairs import PreparedPairs
from rnn_tui.corpus.prepare import PreparedCorpus
from rnn_tui.corpus.series import PreparedSeries
from rnn_tui.inference.config import SamplingConfig
from rnn_tui.inference.forecast import forecast, forecast_event
from rnn_tui.inference.torch_reader import TorchReader, sample_text, undisturbed
from rnn_tui.inference.transcribe import transcribe
from rnn_tui.model.recurrent_model import RecurrentModel
from rnn_tui.plugin.registry import plugin_record
from rnn_tui.plugin.tokenizer import Tokenizer
from rnn_tui.tasks.aligned import Aligned
from rnn_tui.tasks.conclusion import conclude
from rnn_tui.tasks.next_token import NextToken
from rnn_tui.tasks.series import Series
from rnn_tui.tasks.task import Task
from rnn_tui.training.config import RunConfig
from rnn_tui.training.data import Prepared

LINES_SHOWN = 5
"""Lines of an aligned corpus whose transcription is shown while training, where no prompts are set."""


@dataclass(frozen=True)
class Work:
    """What a run works on.

    Attributes:
        inputs: what `build_model` is to be told of inputs and outputs: `vocab_size` or `columns`.
        codec: what a model file holds so that its inputs and outputs can be read: `tokenizer` and `scaling`, one of
            them None.
        ratios: `chars_per_token` and `bytes_per_token`, where tokens are of a text.
        look: given the model and the step, events that show what it does.
        conclude: given the model, the figures of a run that is complete; None where there are none.
    """

    task: Task
    inputs: dict[str, int]
    codec: dict[str, Any]
    look: Callable[[RecurrentModel, int], Iterator[tuple[str, dict[str, Any]]]]
    ratios: dict[str, float] = field(default_factory=dict)
    conclude: Callable[[RecurrentModel], dict[str, Any]] | None = None


def work_of(config: RunConfig, prepared: Prepared) -> Work:
    """Return the work of a run on its prepared data."""
    match prepared:
        case PreparedSeries():
            return _series(config, prepared)
        case PreparedPairs():
            return _aligned(config, prepared)
        case PreparedCorpus():
            return _next_token(config, prepared)


def _next_token(config: RunConfig, corpus: PreparedCorpus) -> Work:
    tokenizer = corpus.tokenizer
    assert isinstance(tokenizer, Tokenizer)  # the corpus knows less of it than a plugin is
    task = NextToken(
        corpus, config.data, seed=config.runtime.seed, validation_tokens=config.watch.validation_tokens
    )
    meter = SampleMeter(corpus)

    def look(model: RecurrentModel, step: int) -> Iterator[tuple[str, dict[str, Any]]]:
        watch = config.watch
        if not watch.sample_length:
            return
        for prompt in watch.sample_prompts:
            for temperature in watch.sample_temperatures:
                sampling = SamplingConfig(
                    temperature=temperature,
                    length=watch.sample_length,
                    # follows from the run's, so that a resumed run writes the same
                    seed=(config.runtime.seed * 1_000_003 + step) % 2**62,
                )
                text = sample_text(model, tokenizer, prompt, sampling)
                shown = {"prompt": prompt, "text": text, "temperature": temperature}
                yield "sample", shown | meter.measure(prompt, text)

    return Work(
        task,
        {"vocab_size": tokenizer.vocab_size},
        _tokenizer_codec(config, tokenizer),
        look,
        ratios={"chars_per_token": task.chars_per_token, "bytes_per_token": task.bytes_per_token},
        conclude=lambda model: conclude(task, model, config.data.seq_len),
    )


def _aligned(config: RunConfig, pairs: PreparedPairs) -> Work:
    tokenizer = pairs.tokenizer
    assert isinstance(tokenizer, Tokenizer)
    shown = "validation" if "validation" in pairs.splits else "train"
    asked = [prompt for prompt in config.watch.sample_prompts if prompt]
    sources = asked or [
        pairs.text(shown, line)[0] for line in range(min(LINES_SHOWN, len(pairs.split(shown))))
    ]

    def look(model: RecurrentModel, step: int) -> Iterator[tuple[str, dict[str, Any]]]:
        for source in sources:
            with undisturbed(model):
                text = transcribe(TorchReader(model), tokenizer, source).text
            yield "transcription", {"source": source, "text": text}

    return Work(
        Aligned(
            pairs,
            config.data,
            seed=config.runtime.seed,
            validation_tokens=config.watch.validation_tokens,
        ),
        {"vocab_size": tokenizer.vocab_size},
        _tokenizer_codec(config, tokenizer),
        look,
    )


def _series(config: RunConfig, series: PreparedSeries) -> Work:
    split = "validation" if "validation" in series.splits else "train"

    def look(model: RecurrentModel, step: int) -> Iterator[tuple[str, dict[str, Any]]]:
        found = forecast(model, series, split=split, horizons=config.task.horizons)
        yield "forecast", forecast_event(found)

    return Work(
        Series(series, config.data, seed=config.runtime.seed, validation_rows=config.watch.validation_tokens),
        {"columns": len(series.scaling.columns)},
        {"tokenizer": None, "scaling": asdict(series.scaling)},
        look,
    )


def _tokenizer_codec(config: RunConfig, tokenizer: Tokenizer) -> dict[str, Any]:
    record = plugin_record("tokenizer", config.tokenizer.name)
    return {"tokenizer": {**record, "state": tokenizer.to_state()}, "scaling": None}
