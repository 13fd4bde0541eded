"""Where a corpus is cut, and what a corpus of any kind is once it has been read: a name, a fingerprint, its splits."""

from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

from rnn_tui.corpus.snapshot import Snapshot
from rnn_tui.errors import UsageError, nearest

Part = TypeVar("Part")


@dataclass(frozen=True, kw_only=True)
class Prepared(Generic[Part]):
    """What the preparations of texts, aligned lines and series have in common."""

    noun: ClassVar[str] = "corpus"

    name: str
    fingerprint: str
    """SHA-256 over all that decides what a model reads."""
    snapshot: Snapshot
    splits: dict[str, Part]
    """`train`, and `validation` and `test` where there is enough for them."""

    def split(self, name: str) -> Part:
        """Return one split.

        Raises:
            UsageError: when there is none of that name, with those that are there.
        """
        if name not in self.splits:
            there = ", ".join(self.splits)
            raise UsageError(
                f"the {self.noun} {self.name} has no split {name!r}, only {there}{nearest(name, self.splits)}"
            )
        return self.splits[name]


def split_bounds(chars: int, validation: float, test: float) -> dict[str, tuple[int, int]]:
    """Return the first and the past-the-end character of each split.

    Train comes first, then validation, then test: 1,115,394 characters with 0.1 for validation give 1,003,854
    and 111,540, which is nanoGPT's split of tiny Shakespeare.
    """
    # Rounded at the ninth digit, so that 0.3 + 0.4 leaves 3 of 10 characters and not 2.
    train = int(round(chars * (1 - validation - test), 9))
    held_out = int(round(chars * (1 - test), 9))
    return {"train": (0, train), "validation": (train, held_out), "test": (held_out, chars)}
