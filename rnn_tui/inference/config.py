"""How a continuation is drawn, as settings. Free of torch and of NumPy, so that help and forms can be made of them."""

import reprlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from rnn_tui.errors import UsageError, nearest

Backend = Literal["torch", "numpy"]
"""What computes a trained model."""
BackendChoice = Literal["auto", "torch", "numpy"]
"""What is to compute it; `auto` leaves that to `rnn_tui.inference.reader.choose_backend`."""


@dataclass(frozen=True, kw_only=True)
class SamplingConfig:
    """How a continuation is drawn. Values out of bounds raise UsageError, naming the setting."""

    temperature: Annotated[
        float, Meta(ge=0, le=100, description="Divides the logits: below 1 safer, above 1 wilder; 0: greedy.")
    ] = 0.8
    top_k: Annotated[int, Meta(ge=0, le=2**31, description="Only the k most probable tokens; 0: all.")] = 0
    top_p: Annotated[
        float,
        Meta(
            gt=0,
            le=1,
            description="Only the fewest most probable tokens that reach this probability; 1: all.",
        ),
    ] = 1.0
    min_p: Annotated[
        float,
        Meta(ge=0, le=1, description="Only tokens at least this share as probable as the best one; 0: all."),
    ] = 0.0
    greedy: Annotated[bool, Meta(description="Always the most probable token.")] = False
    seed: (
        Annotated[int, Meta(ge=0, lt=2**62, description="Fixes the draws; none: different each time.")] | None
    ) = None
    length: Annotated[int, Meta(ge=0, le=10_000_000, description="Tokens to draw.")] = 200
    stop: Annotated[
        tuple[Annotated[str, Meta(min_length=1)], ...],
        Meta(max_length=64, description="Texts that end the continuation; they are not part of it."),
    ] = ()

    def __post_init__(self) -> None:
        for name, kind in _kinds().items():
            _check(name, getattr(self, name), kind)

    @property
    def deterministic(self) -> bool:
        """Whether no noise is drawn."""
        return self.greedy or self.temperature == 0

    @property
    def unfiltered(self) -> bool:
        """Whether no rule takes tokens out: the temperature alone decides."""
        return self.deterministic or (not self.top_k and self.top_p == 1 and not self.min_p)


@cache
def _kinds() -> dict[str, Any]:
    return get_type_hints(SamplingConfig, include_extras=True)


def _check(name: str, value: Any, kind: Any) -> Any:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError:
        raise UsageError(
            f"sampling setting {name} must be {_wanted(name)}, not {reprlib.repr(value)}"
        ) from None


def _wanted(name: str) -> str:
    """Say what a setting takes."""
    from rnn_tui.plugin.options import OptionInfo

    if name == "stop":
        return "at most 64 texts, none of them empty"
    kind, other = _kinds()[name], ""
    if get_origin(kind) is not Annotated:  # or None
        kind, other = get_args(kind)[0], ", or none"
    base, meta = get_args(kind)
    info = OptionInfo(
        name,
        base.__name__,
        None,
        "",
        minimum=meta.gt if meta.ge is None else meta.ge,
        maximum=meta.lt if meta.le is None else meta.le,
        above_minimum=meta.gt is not None,
        below_maximum=meta.lt is not None,
    )
    return info.expected() + other


def sampling_config(items: Mapping[str, Any], base: SamplingConfig | None = None) -> SamplingConfig:
    """Return `base` with `items` over it.

    Raises:
        UsageError: for an unknown name (with the nearest one) or a value out of bounds.
    """
    kinds = _kinds()
    for name in items:
        if name not in kinds:
            raise UsageError(f"there is no sampling setting {name!r}{nearest(name, kinds)}")
    values = {name: _check(name, value, kinds[name]) for name, value in items.items()}
    return SamplingConfig(**(asdict(base or SamplingConfig()) | values))
