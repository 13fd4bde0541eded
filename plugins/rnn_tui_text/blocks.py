"""Text that comes in pieces of any length, regrouped."""

from collections.abc import Iterable, Iterator


def blocks(texts: Iterable[str], size: int) -> Iterator[str]:
    """Join short pieces and cut long ones: `size` to twice as many characters each, the last of any length."""
    held: list[str] = []
    length = 0
    for text in texts:
        for start in range(0, len(text), size):
            held.append(text[start : start + size])
            length += len(held[-1])
            if length >= size:
                yield "".join(held)
                held, length = [], 0
    if held:
        yield "".join(held)
