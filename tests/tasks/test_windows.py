import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnn_tui.errors import InputError
from rnn_tui.tasks.windows import plan_epoch


def plan(tokens=1000, sampling="sequential", batch_size=3, seq_len=7, seq_len_min=0, seed=1, epoch=0):
    return plan_epoch(
        tokens,
        sampling=sampling,
        batch_size=batch_size,
        seq_len=seq_len,
        seq_len_min=seq_len_min,
        seed=seed,
        epoch=epoch,
    )


def test_sequential_lanes_are_read_without_a_gap():
    made = plan()
    ids = np.arange(1000)
    rows = [np.concatenate([made.window(ids, i)[0][row] for i in range(len(made))]) for row in range(3)]
    for row in rows:
        assert (np.diff(row) == 1).all()
    starts = [row[0] for row in rows]
    assert starts[1] - starts[0] == starts[2] - starts[1] == (1000 - 1 - starts[0]) // 3
    assert made.carried


def test_targets_are_one_token_ahead():
    ids = np.arange(1000)
    inputs, targets = plan().window(ids, 2)
    assert inputs.shape == (3, 7)
    assert (targets == inputs + 1).all()


def test_random_windows_do_not_overlap_and_are_shuffled():
    made = plan(sampling="random")
    ids = np.arange(1000)
    seen = np.concatenate([made.window(ids, i)[0].ravel() for i in range(len(made))])
    assert len(seen) == len(set(seen.tolist()))
    firsts = made.starts.ravel()
    assert (np.diff(np.sort(firsts)) == 7).sum() >= len(
        firsts
    ) - 4  # all but what the ragged batch leaves out
    assert (np.diff(firsts) != 7).any()
    assert not made.carried


@given(
    tokens=st.integers(30, 400),
    batch=st.integers(1, 4),
    longest=st.integers(1, 7),
    shortest=st.integers(0, 7),
    epoch=st.integers(0, 5),
    sampling=st.sampled_from(["sequential", "random"]),
)
def test_no_window_reaches_past_the_end(tokens, batch, longest, shortest, epoch, sampling):
    made = plan(tokens, sampling, batch, longest, min(shortest, longest), epoch=epoch)
    assert len(made) >= 1
    for index, length in enumerate(made.lengths):
        assert (made.starts[index] >= 0).all()
        assert made.starts[index].max() + length <= tokens - 1  # the last target is the last token at most
        assert max(1, min(shortest, longest)) <= length <= longest


def test_lengths_vary_inside_the_range_and_lanes_stay_contiguous():
    made = plan(seq_len=9, seq_len_min=4, batch_size=2)
    assert set(made.lengths.tolist()) == set(range(4, 10))
    assert (np.diff(made.starts[:, 0]) == made.lengths[:-1]).all()


def test_the_order_depends_on_seed_and_epoch_alone():
    assert (plan(sampling="random").starts == plan(sampling="random").starts).all()
    assert not np.array_equal(plan(sampling="random", epoch=1).starts, plan(sampling="random").starts)
    assert not np.array_equal(plan(sampling="random", seed=2).starts, plan(sampling="random").starts)


def test_every_token_is_a_target_in_some_epoch():
    seen: set[int] = set()
    for epoch in range(60):
        made = plan(tokens=100, batch_size=1, epoch=epoch)
        for index in range(len(made)):
            seen.update(made.window(np.arange(100), index)[1].ravel().tolist())
    assert seen == set(range(1, 100))


def test_too_short_a_text_says_what_fits():
    with pytest.raises(
        InputError, match=r"20 tokens.*batch of 3 windows of 7 \(that takes 22\); use batch_size 2"
    ):
        plan(tokens=20)
    with pytest.raises(InputError, match="use a shorter seq_len"):
        plan(tokens=5)
    assert len(plan(tokens=22)) == 1
