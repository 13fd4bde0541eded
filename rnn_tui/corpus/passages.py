"""Passages that a text repeats: how much of it they are, the longest, and how much held-out text training has seen.

A byte is repeated if it lies in a passage of at least `MINIMUM` bytes that begins earlier in the text, too; a held-out
byte is known if such a passage lies in the training split. Bytes, so that 60 letters and 20 ideographs, which say
about as much, weigh alike.

How (Bentley and McIlroy 1999, "Data compression using long common strings"): an index holds the hash of the `GRAM`
bytes at every `stride`-th place; a hash that rolls over the text is looked up at every place. A repeat of
`GRAM + stride - 1` bytes covers a whole gram of the index, wherever it lies. Every hit is then compared byte for
byte, so nothing counts that is not a repeat. The stride grows with the text and so the index does not: up to 88 MB
every repeat of `MINIMUM` bytes meets the index, beyond that `Passages.found_from` says how long one must be.

What may be missed: of the earlier places with the same gram, the nearest four are compared. A repeat that goes on
beyond the gram at none of these, for all its grams, is overlooked. Above 88 MB, where a stretch of `stride` bytes is
full of hits, some 60 of them are followed.
"""

import mmap
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from rnn_tui.corpus.grams import GRAM, PIECE, Bytes, GramIndex, Places, Words
from rnn_tui.corpus.prepare import PreparedCorpus
from rnn_tui.errors import InputError

MINIMUM = 60
"""Bytes in the shortest passage that counts."""

_TRIED = 4
_MOST_TRIED = 32  # hits of a stretch in the last round; by then a stretch of GRAM places has no other left
_LISTED = 5
_OFFERED = 8  # chains of a piece that are followed to their ends
_SHOWN = 80
_FORGET = 1 << 24  # bytes after which the mapped pages are given back
_NONE = (np.empty(0, np.int64),) * 3


@dataclass(frozen=True)
class Passage:
    """A passage that comes twice, as far as it is the same."""

    char: int
    """Where it is first, in characters from the start of the text."""
    again: int
    """Where it is next. The two may overlap, as in a long row of dashes."""
    chars: int
    times: int
    """How often all of it is in the text, overlaps counted."""
    text: str
    """Its beginning."""


@dataclass(frozen=True)
class Passages:
    """How much of a text is repetition."""

    share: float
    """Of the bytes, those in a passage that occurred before."""
    count: int
    """Stretches that these bytes form."""
    known: dict[str, float]
    """For each held-out split, the share of its bytes in a passage that the training split holds, too."""
    longest: tuple[Passage, ...]
    """The longest first; one that for the most part is in another is left out."""
    minimum: int
    """Bytes in the shortest passage that counts."""
    found_from: int
    """Repeats of so many bytes all meet the index; shorter ones may."""


def passages(prepared: PreparedCorpus) -> Passages:
    """Look for repeated passages in all splits together; 100 MB take a few seconds, in memory that does not grow.

    Raises:
        InputError: when the cache was deleted.
    """
    taken = prepared.snapshot
    bounds = {}
    for name, split in prepared.splits.items():
        begin = taken.byte_offset(split.start_char)
        bounds[name] = (begin, begin + split.bytes)
    end = max(stop for _, stop in bounds.values())
    try:
        with taken.path.open("rb") as file:
            mapped = mmap.mmap(file.fileno(), end, access=mmap.ACCESS_READ)
    except (OSError, ValueError):
        raise InputError(f"{taken.path}: the cache was deleted or cut short; start again") from None
    return _passages(mapped, bounds, taken.marks)


def _passages(
    mapped: mmap.mmap, bounds: Mapping[str, tuple[int, int]], marks: tuple[tuple[int, int], ...]
) -> Passages:
    search = _Search(mapped)
    longest = _Longest(mapped, search.data)
    repeated, count = search.repeated(0, len(mapped), longest=longest)
    known = {
        name: search.repeated(*bound, source_end=bounds["train"][1])[0] / (bound[1] - bound[0])
        for name, bound in bounds.items()
        if name != "train"
    }
    listed = tuple(_told(mapped, search.data, marks, *found) for found in longest.found)
    return Passages(repeated / len(mapped), count, known, listed, MINIMUM, GRAM + search.index.stride - 1)


class _Search:
    """Finds what is repeated in a text, piece by piece."""

    def __init__(self, mapped: mmap.mmap) -> None:
        self._mapped = mapped
        self.data: Bytes = np.frombuffer(mapped, np.uint8)
        self.index = GramIndex(self.data, MINIMUM - GRAM + 1, partial(_forget, mapped))
        # further from its gram than this, a passage that is the same meets another one
        self._reach = self.index.stride - 1
        self._stretch = max(GRAM, self.index.stride)
        self._width = self._reach + GRAM + self._reach
        text = self.data
        if len(text) < self._width:
            text = np.pad(text, (0, self._width - len(text)))
        # row i is what stands around a gram at i + reach; taking rows of one item is ten times as fast as of bytes
        self._rows = np.ndarray(len(text) - self._width + 1, f"V{self._width}", text, strides=(1,))

    def repeated(
        self, begin: int, end: int, *, source_end: int | None = None, longest: "_Longest | None" = None
    ) -> tuple[int, int]:
        """Return how many bytes of [begin, end) are in passages that occurred before, and how many stretches they are.

        Args:
            source_end: Count what the text before this place holds, instead of what occurred before.
            longest: Is offered every passage.
        """
        total = count = 0
        open_begins = open_ends = np.empty(0, np.int64)
        for place in range(begin, end - GRAM + 1, PIECE):
            stop = min(place + PIECE, end - GRAM + 1)
            begins, ends, backs = self._found(place, stop, begin, end, source_end)
            if longest is not None:
                longest.offer(begins, ends, backs)
            begins, ends = _merged(np.append(open_begins, begins), np.append(open_ends, ends))
            # what the next piece finds may reach back so far
            done = ends < stop - self._reach
            total += int((ends - begins)[done].sum())
            count += int(done.sum())
            open_begins, open_ends = begins[~done], ends[~done]
            _forget(self._mapped, place, stop)
        return total + int((open_ends - open_begins).sum()), count + len(open_begins)

    def _found(
        self, begin: int, end: int, first: int, last: int, source_end: int | None
    ) -> tuple[Places, Places, Places]:
        """Return passages around the grams that begin in [begin, end), which cover all that is repeated there.

        A passage lies within [first, last). Of each: begin, end, and how far back it occurred.
        """
        places, hashes = self.index.hits(self.data, begin, end)
        found = [_NONE]
        most = 1
        while len(places) and most <= _MOST_TRIED:
            # First one hit of each stretch; then twice as many of those that are left, evenly spread. Where much is
            # repeated, most of them lie inside a passage by then.
            stretches = places // self._stretch
            _, heads, of, counts = np.unique(
                stretches, return_index=True, return_inverse=True, return_counts=True
            )
            taken = (np.arange(len(places)) - heads[of]) % -(-counts // most)[of] == 0
            found += self._tried(places[taken], hashes[taken], first, last, source_end)
            begins, ends, _ = map(np.concatenate, zip(*found, strict=True))
            lows = np.maximum(places - self._reach, first)
            highs = np.minimum(places + GRAM + self._reach, last)
            left = ~taken & ~_inside(*_merged(begins, ends), lows, highs)
            places, hashes, most = places[left], hashes[left], 2 * most
        begins, ends, backs = map(np.concatenate, zip(*found, strict=True))
        return begins, ends, backs

    def _tried(
        self, places: Places, hashes: Words, first: int, last: int, source_end: int | None
    ) -> Iterator[tuple[Places, Places, Places]]:
        """Yield the passages around the grams at `places`, by the other place they are compared with."""
        before = places if source_end is None else np.full_like(places, max(0, source_end - GRAM + 1))
        which, entries = self.index.look_up(hashes, before)
        source_end = last if source_end is None else source_end
        for _ in range(_TRIED):
            places, hashes = places[which], hashes[which]
            yield self._compared(places, self.index.places(entries), first, last, source_end)
            which = np.flatnonzero(self.index.same(entries - 1, hashes))
            entries = entries[which] - 1

    def _compared(
        self, places: Places, sources: Places, first: int, last: int, source_end: int
    ) -> tuple[Places, Places, Places]:
        """Compare the text around `places` and around `sources`; return the passages that are long enough."""
        reach = self._reach
        different = self._around(places) != self._around(sources)
        before = _first(different[:, :reach][:, ::-1])
        before = np.minimum(before, np.minimum(places - first, sources))
        after = _first(different[:, reach + GRAM :])
        after = np.minimum(after, np.minimum(last - places, source_end - sources) - GRAM)
        long = ~different[:, reach : reach + GRAM].any(axis=1) & (before + GRAM + after >= MINIMUM)
        return (places - before)[long], (places + GRAM + after)[long], (places - sources)[long]

    def _around(self, places: Places) -> Bytes:
        """Return the text around some grams, (n, reach + GRAM + reach); beyond its ends there is anything."""
        begins = places - self._reach
        whole = np.clip(begins, 0, len(self._rows) - 1)
        around = self._rows[whole].view(np.uint8).reshape(-1, self._width)
        for row in np.flatnonzero(begins != whole):
            around[row] = np.roll(around[row], whole[row] - begins[row])
        return around


class _Longest:
    """The longest passages so far, none of them for the most part in another."""

    def __init__(self, mapped: mmap.mmap, data: Bytes) -> None:
        self._mapped, self._data = mapped, data
        self.found: list[tuple[int, int]] = []
        """Begin and end, the longest first."""

    def offer(self, begins: Places, ends: Places, backs: Places) -> None:
        """Take note of passages, given in pieces that overlap."""
        if not len(begins):
            return
        order = np.lexsort((begins, backs))
        begins, ends, backs = begins[order], ends[order], backs[order]
        breaks = np.flatnonzero((np.diff(backs) != 0) | (begins[1:] > ends[:-1])) + 1
        heads, tails = np.append(0, breaks), np.append(breaks, len(begins)) - 1
        chains = np.argsort(begins[heads] - ends[tails], kind="stable")[:_OFFERED]
        for chain in chains:
            begin, end = int(begins[heads[chain]]), int(ends[tails[chain]])
            if not any(low <= begin and end <= high for low, high in self.found):
                self._take(self._whole(begin, end, int(backs[heads[chain]])))

    def _whole(self, begin: int, end: int, back: int) -> tuple[int, int]:
        """Follow a passage to its ends in both directions."""
        begin, end = self._followed(begin, end, back)
        if (
            back < end - begin
        ):  # it overlaps itself, as a row of dashes does: the nearest it comes again, it is longest
            source = begin - back
            again = self._mapped.find(memoryview(self._mapped)[begin:end], source + 1)
            begin, end = self._followed(again, again + end - begin, again - source)
        return begin, end

    def _followed(self, begin: int, end: int, back: int) -> tuple[int, int]:
        data = self._data
        before = _same(data[:begin][::-1], data[: begin - back][::-1])
        return begin - before, end + _same(data[end:], data[end - back :])

    def _take(self, new: tuple[int, int]) -> None:
        length = new[1] - new[0]
        longer = [other for other in self.found if other[1] - other[0] >= length]
        if len(longer) < _LISTED and not any(self._mostly_in(new, other) for other in longer):
            shorter = [other for other in self.found[len(longer) :] if not self._mostly_in(other, new)]
            self.found = [*longer, new, *shorter][:_LISTED]

    def _mostly_in(self, shorter: tuple[int, int], longer: tuple[int, int]) -> bool:
        """Whether the middle half of one passage is in the other."""
        quarter = (shorter[1] - shorter[0]) // 4
        # a view: it may be half the text
        middle = memoryview(self._mapped)[shorter[0] + quarter : shorter[1] - quarter]
        return self._mapped.find(middle, *longer) >= 0


def _told(
    mapped: mmap.mmap, data: Bytes, marks: tuple[tuple[int, int], ...], begin: int, end: int
) -> Passage:
    """Return a passage for a reader: whole characters, and where it is in the text."""
    while data[begin] & 0xC0 == 0x80:  # within a character
        begin += 1
    while end < len(data) and data[end] & 0xC0 == 0x80:
        end -= 1
    content = memoryview(mapped)[begin:end]
    places = _places(mapped, content)
    first, again = next(places), next(places)
    return Passage(
        char=_char(data, marks, first),
        again=_char(data, marks, again),
        chars=_chars(data[begin:end]),
        times=2 + sum(1 for _ in places),
        text=bytes(content[: 4 * _SHOWN]).decode(errors="ignore")[:_SHOWN],
    )


def _places(mapped: mmap.mmap, content: memoryview) -> Iterator[int]:
    """Yield every place at which the content begins."""
    for start in range(0, len(mapped), _FORGET):
        stop = start + _FORGET + len(content) - 1
        place = mapped.find(content, start, stop)
        while place >= 0:
            yield place
            place = mapped.find(content, place + 1, stop)
        _forget(mapped, start, stop)


def _char(data: Bytes, marks: tuple[tuple[int, int], ...], place: int) -> int:
    """Return the character that begins at a byte."""
    char, byte = marks[bisect_right(marks, place, key=lambda mark: mark[1]) - 1]
    return char + _chars(data[byte:place])


def _chars(data: Bytes) -> int:
    return sum(
        int(np.count_nonzero(data[start : start + PIECE] & 0xC0 != 0x80))
        for start in range(0, len(data), PIECE)
    )


def _forget(mapped: mmap.mmap, begin: int, end: int) -> None:
    """Give the pages that were read back to the system, now and then: the process shall not seem to grow."""
    if begin // _FORGET != end // _FORGET and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)


def _merged(begins: Places, ends: Places) -> tuple[Places, Places]:
    """Return stretches in order that neither overlap nor touch."""
    if not len(begins):
        return begins, ends
    order = np.argsort(begins, kind="stable")
    begins, ends = begins[order], np.maximum.accumulate(ends[order])
    breaks = np.flatnonzero(begins[1:] > ends[:-1])
    return begins[np.append(0, breaks + 1)], ends[np.append(breaks, len(ends) - 1)]


def _inside(begins: Places, ends: Places, lows: Places, highs: Places) -> npt.NDArray[np.bool_]:
    """Return which of the stretches from `lows` to `highs` lie inside one of the others."""
    if not len(begins):
        return np.zeros(len(lows), bool)
    at = np.searchsorted(begins, lows, side="right") - 1
    inside: npt.NDArray[np.bool_] = (at >= 0) & (ends[at] >= highs)
    return inside


def _first(marks: npt.NDArray[np.bool_]) -> Places:
    """Return where each row has its first mark; its length where there is none."""
    first = marks.argmax(axis=1)
    marked: Places = np.where(marks.any(axis=1), first, marks.shape[1])
    return marked


def _same(one: Bytes, other: Bytes) -> int:
    """Return how long two texts are the same from their beginnings."""
    length, step = min(len(one), len(other)), 64
    start = 0
    while start < length:
        stop = min(start + step, length)
        different = np.flatnonzero(one[start:stop] != other[start:stop])
        if len(different):
            return start + int(different[0])
        start, step = stop, min(2 * step, 1 << 20)
    return length
