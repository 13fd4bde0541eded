"""What an evaluation found, for each task. The faces show these, and `--json` writes them whole. Free of torch."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from rnn_tui.inference.dynamic import DynamicConfig
    from rnn_tui.inference.forecast import HorizonReport


@dataclass(frozen=True, kw_only=True)
class Figures:
    """One loss in the units in which models can be compared.

    Attributes:
        loss: nats per token.
        bpc, bpb: bits per character and per UTF-8 byte.
    """

    loss: float
    perplexity: float
    bpc: float
    bpb: float


@dataclass(frozen=True, kw_only=True)
class ColdFigures(Figures):
    """In fresh windows, the state zero at the start of each.

    Attributes:
        window: tokens predicted in each; what the model was trained with.
        by_position: nats per token, entry i after i + 1 tokens of context; all have within one as many tokens behind
            them.
    """

    window: int
    by_position: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class DynamicFigures(Figures):
    """While the weights adapted to the text, see `rnn_tui.inference.dynamic`: not the model's own loss."""

    settings: "DynamicConfig"


@dataclass(frozen=True, kw_only=True)
class _Evaluated:
    """What every report tells.

    Attributes:
        step, run, validation_loss: as the model file states them.
        corpus, split: what was read.
        notes: whole sentences that a reader should be told.
    """

    model: str
    run: str
    step: int
    validation_loss: float | None
    corpus: str
    split: str
    seconds: float
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class EvaluationReport(_Evaluated, Figures):
    """How well a model predicts a text. Its own figures are the warm ones: the state carried throughout.

    Attributes:
        cold, dynamic: None where not asked for.
        tokens: those predicted, one fewer than the split has.
        unknown: how many of them the vocabulary lacks; each is predicted as the unknown token, which is easy.
        lanes: stretches read side by side, see `rnn_tui.tasks.evaluation.evaluate`.
        baselines: by name, simple models of the model's training split, and `xz` after it, on the same tokens; empty
            where that split could not be had.
        seconds: of the warm pass.
    """

    cold: ColdFigures | None
    dynamic: DynamicFigures | None
    baselines: dict[str, Figures]
    tokens: int
    chars: int
    bytes: int
    unknown: int
    lanes: int
    tokens_per_second: float


@dataclass(frozen=True, kw_only=True)
class AlignedReport(_Evaluated):
    """How well a model labels the tokens of lines.

    Attributes:
        loss: nats per label.
        accuracy: share of the labels that the model thinks likeliest.
        exact: share of the lines without a wrong label.
        baselines: by name, nats per label, see `rnn_tui.tasks.aligned.label_baselines`; empty as above.
    """

    loss: float
    accuracy: float
    exact: float
    labels: int
    lines: int
    baselines: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class SeriesReport(_Evaluated):
    """How well a model forecasts a series, at each horizon, in the units of the data."""

    columns: tuple[str, ...]
    rows: int
    horizons: "tuple[HorizonReport, ...]"


Report: TypeAlias = EvaluationReport | AlignedReport | SeriesReport
