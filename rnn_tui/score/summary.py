"""One sentence for each architecture that is scored, made of its figures by the rules that stand beside each part.

Free of torch.
"""

from collections.abc import Iterator

from rnn_tui.score.card import Card, Contender, Row

REMEMBERED = "copy"
ADDED = "adding"
NESTED = "brackets"
READ = "text"


def summarise(card: Card) -> tuple[str, ...]:
    """Return a sentence for each architecture that is scored and has any figure."""
    sentences = []
    for each in card.contenders:
        parts = list(_parts(card, each)) if each.role == "scored" else []
        if parts:
            sentences.append(f"{each.name} {'; '.join(parts)}")
    return tuple(sentences)


def _parts(card: Card, each: Contender) -> Iterator[str]:
    peers = [other.name for other in card.contenders if other.role == "beside"]
    solved = card.solved.get(each.name, {})
    if REMEMBERED in solved:
        yield _remembers(card, solved[REMEMBERED], peers)
    if ADDED in solved:
        length = solved[ADDED]
        yield (
            f"adds over {_reached(card, ADDED, length)} steps"
            if length
            else "adds over no length that was tested"
        )
    if NESTED in solved:
        depth = solved[NESTED]
        yield (
            f"nests brackets to depth {_reached(card, NESTED, depth)}"
            if depth
            else "nests brackets to no depth that was tested"
        )
    yield from _reads(card, each, peers)
    yield from _speed(card, each, peers)


def _reached(card: Card, measure: str, at: int) -> str:
    """A lag, length or depth; one that is the greatest of all that were tested is `or more`."""
    greatest = max(row.at for row in card.rows if row.measure == measure)
    return f"{at} or more" if at == greatest else str(at)


def _remembers(card: Card, lag: int, peers: list[str]) -> str:
    """The greatest lag up to which copying is solved, and those of all peers."""
    own = (
        f"remembers {_reached(card, REMEMBERED, lag)} steps"
        if lag
        else "remembers over no lag that was tested"
    )
    lags = {peer: card.solved[peer][REMEMBERED] for peer in peers if REMEMBERED in card.solved.get(peer, {})}
    others = [
        f"{peer} {'holds ' * (place == 0)}{_reached(card, REMEMBERED, most) if most else 'none'}"
        for place, (peer, most) in enumerate(lags.items())
    ]
    return f"{own} where {_listed(others)}" if others else own


def _listed(words: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


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
