"""Which law to look at first when several do not hold: one fault breaks many. Free of torch."""

from collections.abc import Callable, Iterable

_OF_WORDS = {
    "test_it_declares_itself",
    "test_options_are_only_those_declared",
    "test_the_initial_state_is_where_it_is_asked_for",
    "test_the_same_seed_gives_the_same_weights",
    "test_it_prints_nothing",
}
"""They ask for what a layer says or how it is drawn, and hold or not however it runs."""
_OF_ONE_RUN = {
    "test_gradients_reach_everything",
    "test_gradients_reach_every_part",
    "test_a_long_sequence_stays_finite",
    "test_weights_survive_a_file",
}
"""They hold or not by a run alone, however it differs from another."""
_HOSTED = {
    "test_a_run_starts_with_it",
    "test_faster_ways_agree_with_the_loop",
    "test_sampling_agrees_with_the_model",
    "test_a_model_file_holds_it",
    "test_training_lowers_the_loss",
}
_STARTS = {"test_a_run_starts_with_it", "test_faster_ways_agree_with_the_loop"}
_SEQUENCE = {
    "test_step_equals_sequence",
    "test_step_equals_sequence_while_training",
    "test_sampling_agrees_with_the_model",
    *_STARTS,
}


def _runs(law: str) -> bool:
    return law not in _OF_WORDS


def _compares(law: str) -> bool:
    return law not in _OF_WORDS | _OF_ONE_RUN


_ROOTS: dict[str, Callable[[str], bool]] = {
    "test_it_runs": lambda law: law != "test_it_declares_itself",
    "test_no_parameter_is_made_later": _runs,
    "test_nothing_is_kept_on_self": _runs,
    "test_inputs_are_not_written_to": _runs,
    "test_shapes": _runs,
    "test_the_same_call_gives_the_same_numbers": _compares,
    "test_rows_do_not_mix": {"test_a_reset_is_a_fresh_start", *_STARTS}.__contains__,
    "test_causality": {
        "test_a_split_changes_nothing",
        "test_a_reset_is_a_fresh_start",
        *_SEQUENCE,
    }.__contains__,
    "test_step_equals_sequence": _SEQUENCE.__contains__,
    "test_a_reset_is_a_fresh_start": _STARTS.__contains__,
    "test_float32_gives_the_same_numbers": {"test_bfloat16_is_near", *_HOSTED}.__contains__,
    "test_gradients_reach_everything": {
        "test_gradients_agree_with_numerical_ones",
        "test_training_lowers_the_loss",
    }.__contains__,
}
"""By a law's method, which others a fault in what it asks for may break too; an earlier root may break a later one."""


def in_order(laws: Iterable[str]) -> list[str]:
    """Return the laws with roots first."""
    order = {law: place for place, law in enumerate(_ROOTS)}
    return sorted(laws, key=lambda law: order.get(law, len(order)))


def root_of(law: str, failed: Iterable[str]) -> str | None:
    """Return which of the laws that failed, tried before in the order of `in_order`, may be why this one does too."""
    return next((root for root in failed if root != law and root in _ROOTS and _ROOTS[root](law)), None)
