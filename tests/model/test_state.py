from typing import NamedTuple

import torch

from rnn_tui.model.state import clone, detach, leaves, map_state, unflatten, where_reset


class Pair(NamedTuple):
    h: torch.Tensor
    c: torch.Tensor


def nested():
    return (
        Pair(torch.ones(2, 3), torch.zeros(2, 3)),
        {"memory": torch.full((2, 4, 5), 2.0), "count": torch.ones(2)},
    )


def test_map_keeps_the_structure():
    doubled = map_state(lambda t: t * 2, nested())
    assert isinstance(doubled[0], Pair)
    assert list(doubled[1]) == ["memory", "count"]
    assert doubled[0].h[0, 0] == 2
    assert doubled[1]["memory"][0, 0, 0] == 4


def test_leaves_and_unflatten_are_inverse():
    flat = list(leaves(nested()))
    assert [tuple(t.shape) for t in flat] == [(2, 3), (2, 3), (2, 4, 5), (2,)]
    again = unflatten(nested(), flat)
    assert all(a is b for a, b in zip(leaves(again), flat, strict=True))
    assert isinstance(again[0], Pair)


def test_reset_takes_whole_rows_of_every_leaf():
    initial = map_state(lambda t: torch.full_like(t, -1.0), nested())
    mixed = where_reset(torch.tensor([True, False]), initial, nested())
    for fresh, old, got in zip(leaves(initial), leaves(nested()), leaves(mixed), strict=True):
        assert torch.equal(got[0], fresh[0])
        assert torch.equal(got[1], old[1])


def test_reset_of_a_square_leaf_is_by_row_not_column():
    # (B,) against (B, B) broadcasts along columns when it is not given the leaf's rank
    got = where_reset(torch.tensor([True, False]), torch.zeros(2, 2), torch.ones(2, 2))
    assert got.tolist() == [[0, 0], [1, 1]]


def test_detach_and_clone():
    leaf = torch.ones(1, 2, requires_grad=True) * 3
    assert not detach((leaf,))[0].requires_grad
    copied = clone((leaf.detach(),))[0]
    copied += 1
    assert leaf[0, 0] == 3
