import torch

from rnn_tui.inference.pieces import Piece, until_stop


def brute_force_stop(texts, stop):
    """Cut the whole text at the first stop that would be seen when it arrives piece by piece."""
    text = ""
    for part in texts:
        text += part
        found = [text.find(word) for word in stop if word in text]
        if found:
            return text[: min(found)], True
    return text, False


def test_until_stop_against_brute_force():
    generator = torch.Generator().manual_seed(0)

    def draw(high):
        return int(torch.randint(high, (), generator=generator))

    for _ in range(3000):
        texts = ["".join("ab"[draw(2)] for _ in range(draw(4))) for _ in range(draw(8))]
        stop = tuple("".join("ab"[draw(2)] for _ in range(1 + draw(4))) for _ in range(draw(3)))
        pieces = until_stop((Piece(text, 0, 0.0, 0.0) for text in texts), stop)
        given, found = "", None
        while found is None:
            try:
                given += next(pieces).text
            except StopIteration as end:
                found = end.value
        assert (given, found) == brute_force_stop(texts, stop)


def test_text_is_held_back_only_as_long_as_it_may_begin_a_stop():
    arrived = []

    def source():
        for text in ["x", "e", "n", "x", "e", "n"]:
            arrived.append(text)
            yield Piece(text, 0, 0.0, 0.0)

    seen = [(piece.text, len(arrived)) for piece in until_stop(source(), ("end",))]
    # the first "en" waits for the "x" that clears it; the last until the source ends
    assert seen == [("x", 1), ("e", 4), ("n", 4), ("x", 4), ("e", 6), ("n", 6)]
