import math
from dataclasses import replace
from pathlib import Path

import pytest

from rnn_tui.errors import UsageError
from rnn_tui.runs.folder import create_run
from rnn_tui.runs.listing import RunSummary, list_runs
from rnn_tui.runs.query import check_sort, falls, parse_filter, sort_runs

NOW = 1_700_000_000.0


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, RunSummary]:
    folder = tmp_path_factory.mktemp("runs")
    create_run(folder, "x", {"corpus": {"source": "x"}})
    [plain] = list_runs(folder)
    rows = [
        # name, state, arch, corpus, tags, best, step, hours since the last word, hours since it was made
        ("a-lstm", "running", "lstm", "/t/Shakespeare.txt", ("keep", "Paper"), 1.5, 20_000, 0.5, 9),
        ("b-gru", "finished", "gru", "stdlib", (), 1.7, 2_000, 5, 8),
        ("c-deep", "finished", "nn-lstm", "stdlib", ("keep",), None, 300, 30, 7),
        ("d-bad", "diverged", "lstm", "stdlib", (), math.nan, 40, 60, 6),
    ]
    return {
        name: replace(
            plain, name=name, path=Path(name), state=state, arch=arch, corpus=corpus, tags=tags, best_loss=best,
            validation_loss=None, step=step, updated=NOW - 3600 * heard, created=NOW - 3600 * made, note="Long words",
        )
        for name, state, arch, corpus, tags, best, step, heard, made in rows
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "abcd"),
        ("lstm", "acd"),  # in the name of a, in the architectures of c and d
        ("STDLIB", "bcd"),
        ("keep", "ac"),
        ("run", "a"),
        ("words", ""),  # notes are asked for by name only
        ("note:long", "abcd"),
        ("arch:lstm", "ad"),  # begins with it
        ("arch=nn-lstm", "c"),
        ("arch=nn", ""),
        ("tag:pap", "a"),
        ("tag=pap", ""),
        ("tag=paper", "a"),
        ("corpus:shake", "a"),
        ("corpus:/t", "a"),
        ("state:fin arch:gru", "b"),
        ("-stdlib", "a"),
        ("-tag:keep", "bd"),
        ("-state:finished -diverged", "a"),
        ("loss<1.6", "a"),
        ("loss>1.6", "b"),  # neither none nor nan
        ("-loss<1.6", "bcd"),
        ("step>=2k", "ab"),
        ("step<=2k", "bcd"),
        ("step=300", "c"),
        ("step>1e4", "a"),
        ("updated<1h", "a"),
        ("updated>1d", "cd"),
        ("created<=7h", "cd"),
        ("updated<45min", "a"),
        ("NAME:A", "a"),
        ("tag:keep state:running arch:lstm loss<1.6", "a"),
        ("-", "abcd"),  # each name has one
    ],
)
def test_which_runs_pass(runs: dict[str, RunSummary], text: str, found: str) -> None:
    holds = parse_filter(text, now=NOW)
    assert "".join(name[0] for name, run in runs.items() if holds(run)) == found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("los<1", "there is no 'los' to filter by; did you mean 'loss'"),
        ("qqqqq:x", "there is no 'qqqqq' to filter by; there are name, tag, state"),
        ("loss:1", "'loss:1' says nothing of loss; write loss<1.5"),
        ("state<3", "says nothing of state; write state:text"),
        ("updated:1h", "write updated<2d"),
        ("loss<x", "loss is compared with a number such as 1.5, 20k, 1e6, not 'x'"),
        ("loss<", "not ''"),
        ("step>1q", "not '1q'"),
        ("step>1.2.3", "not '1.2.3'"),
        ("updated<3k", "a number such as 3h, 2d, not '3k'"),
    ],
)
def test_what_is_no_filter_says_what_would_be(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message.replace("?", r"\?")):
        parse_filter(text, now=NOW)


@pytest.mark.parametrize(
    ("key", "order"),
    [
        ("created", "dcba"),
        ("-created", "abcd"),
        ("name", "abcd"),
        ("-name", "dcba"),
        ("loss", "abdc"),  # c has none and d is nan: last, the newer first
        ("-loss", "badc"),
        ("step", "abcd"),  # the largest first
        ("-step", "dcba"),
        ("updated", "abcd"),
        ("state", "dcba"),  # diverged, two finished of which the newer is first, running
        ("tag", "cadb"),  # keep, keep paper, and those without
        ("arch", "bdac"),
    ],
)
def test_orders(runs: dict[str, RunSummary], key: str, order: str) -> None:
    assert "".join(run.name[0] for run in sort_runs(runs.values(), check_sort(key))) == order


def test_an_order_that_is_none() -> None:
    with pytest.raises(UsageError, match="did you mean 'updated'"):
        check_sort("-updatd")
    assert [falls(key) for key in ("loss", "-loss", "step", "-step", "name")] == [
        False,
        True,
        True,
        False,
        False,
    ]
