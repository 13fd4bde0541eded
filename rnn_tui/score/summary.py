"""One sentence for each architecture that is scored, made of its figures by the rules that stand beside each part, and
one before them of what none of all could do.

Free of torch.
"""

from collections.abc import Iterator

from rnn_tui.score.card import Card, Contender, Row

REMEMBERED = "copy"
ADDED = "adding"
NESTED = "brackets"
READ = "text"
_ASKED = {REMEMBERED: "a lag of copying", ADDED: "a length of adding", NESTED: "a depth of brackets"}
_NUMBERS = {2: "neither of the two", 3: "none of the three", 4: "none of the four", 5: "none of the five"}


def summarise(card: Card) -> tuple[str, ...]:
    """Return a sentence for each architecture that is scored and has any figure, after that of what all lack."""
    unsolved = _solved_by_none(card)
    sentences = []
    if unsolved:
        who = _NUMBERS.get(len(card.contenders), f"none of the {len(card.contenders)}")
        sentences.append(f"{who} solved {_listed([_ASKED[measure] for measure in unsolved], 'or')}")
    for each in card.contenders:
        parts = list(_parts(card, each, unsolved)) if each.role == "scored" else []
        if parts:
            sentences.append(f"{each.name} {'; '.join(parts)}")
    return tuple(sentences)


def _solved_by_none(card: Card) -> list[str]:
    """The measures of which several architectures have figures, and none a lag, length or depth that is solved."""
    found = {
        measure: [solved[measure] for solved in card.solved.values() if measure in solved]
        for measure in _ASKED
    }
    return [measure for measure, most in found.items() if len(most) > 1 and not any(most)]


def _parts(card: Card, each: Contender, unsolved: list[str]) -> Iterator[str]:
    """Yield clauses about one architecture, what is `unsolved` by all left out."""
    peers = [other.name for other in card.contenders if other.role == "beside"]
    solved = {
        measure: most for measure, most in card.solved.get(each.name, {}).items() if measure not in unsolved
    }
    if REMEMBERED in solved:
        yield _remembers(card, solved[REMEMBERED], peers)
    if ADDED in solved:
        length = solved[ADDED]
        yield (f"adds over {_reached(card, ADDED, length)} steps" if length else "solved no length of adding")
    if NESTED in solved:
        depth = solved[NESTED]
        yield (
            f"nests brackets to depth {_reached(card, NESTED, depth)}"
            if depth
            else "solved no depth of brackets"
        )
    yield from _reads(card, each, peers)
    yield from _speed(card, each, peers)


def _reached(card: Card, measure: str, at: int) -> str:
    """A lag, length or depth; one that is the greatest of all that were tested is `or more`."""
    greatest = max(row.at for row in card.rows if row.measure == measure)
    return f"{at} or more" if at == greatest else str(at)


def _remembers(card: Card, lag: int, peers: list[str]) -> str:
    """The greatest lag up to which copying is solved, and those of all peers."""
    own = f"remembers {_reached(card, REMEMBERED, lag)} steps" if lag else "solved no lag of copying"
    lags = {peer: card.solved[peer][REMEMBERED] for peer in peers if REMEMBERED in card.solved.get(peer, {})}
    others = [
        f"{peer} {'holds ' * (place == 0)}{_reached(card, REMEMBERED, most) if most else 'none'}"
        for place, (peer, most) in enumerate(lags.items())
    ]
    return f"{own} where {_listed(others)}" if others else own


def _listed(words: list[str], last: str = "and") -> str:
    return f" {last} ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def _reads(card: Card, each: Contender, peers: list[str]) -> Iterator[str]:
    """Bits per character, beside the fewest among the peers."""
    row: Row | None = next((row for row in card.rows if row.measure == READ), None)
    if row is None or each.name not in row.cells:
        return
    bits = {peer: row.cells[peer].value for peer in peers if peer in row.cells}
    best = min(bits, key=lambda peer: bits[peer], default=None)
    beside = f" ({best} {bits[best]:.2f})" if best is not None else ""
    yield f"reads at {row.cells[each.name].value:.2f} bits per character{beside}"


def _speed(card: Card, each: Contender, peers: list[str]) -> Iterator[str]:
    """Both speeds as a share of those of the peer that trains fastest."""
    rates = {rate.architecture: rate for rate in card.rates if rate.train and rate.sample}
    own = rates.get(each.name)
    others = [rates[peer] for peer in peers if peer in rates]
    if own is None or not others:
        return
    peer = max(others, key=lambda rate: rate.train.median if rate.train else 0.0)
    assert own.train
    assert own.sample
    assert peer.train
    assert peer.sample
    yield (
        f"trains at {own.train.median / peer.train.median:.2f} and samples at "
        f"{own.sample.median / peer.sample.median:.2f} of {peer.architecture}'s speed"
    )
