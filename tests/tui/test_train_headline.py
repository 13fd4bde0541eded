"""The first rows of the monitor, and its notes."""

from typing import Any

import pytest
from rich.cells import cell_len

from rnn_tui.runs.events import Event
from rnn_tui.runs.status import RunView
from rnn_tui.tui import format as f
from rnn_tui.tui import headline, notes_view
from rnn_tui.tui.history import History, Note
from rnn_tui.tui.widgets.lines import Line

RUNNING = RunView("running", None, True)
STARTED = {
    "arch": "nn-lstm", "tokenizer": "word", "corpus": "war-and-peace", "parameters": 41_200_000, "device": "cpu",
    "threads": 16, "engine": "compiled",
}  # fmt: skip


def text(line: Line) -> str:
    return "".join(span[0] for span in line)


def history(*events: tuple[str, int, dict[str, Any]]) -> History:
    found = History()
    found.add([Event(i, 1, 0.0, kind, step, data) for i, (kind, step, data) in enumerate(events)])
    return found


def test_what_the_first_row_drops_and_in_which_order() -> None:
    found = history(("start", 0, STARTED))
    full = "run-1  ● running  nn-lstm, 41.2M parameters, word, war-and-peace, cpu 16 threads, compiled"
    assert text(headline.head("run-1", RUNNING, found, len(full))) == full
    shorter = [
        "run-1  ● running  nn-lstm, 41.2M parameters, war-and-peace, cpu 16 threads, compiled",
        "run-1  ● running  nn-lstm, 41.2M parameters, cpu 16 threads, compiled",
        "run-1  ● running  nn-lstm, cpu 16 threads, compiled",
        "run-1  ● running  cpu 16 threads, compiled",
        "run-1  ● running  compiled",
    ]
    room = len(full)
    for expected in shorter:
        assert text(headline.head("run-1", RUNNING, found, room - 1)) == expected
        room = len(expected)
    long = "a-name-that-somebody-took-much-trouble-over"
    assert text(headline.head(long, RUNNING, found, 40)) == "a-name-that-somebo…  ● running  compiled"
    assert (
        text(headline.head(long, RUNNING, found, 40, ascii=True))
        == "a-name-that-somebo~  * running  compiled"
    )


@pytest.mark.parametrize("width", [78, 98, 138])
def test_a_run_of_ordinary_names_keeps_its_rung(width: int) -> None:
    row = text(headline.head("lstm-tinyshakespeare-12", RUNNING, history(("start", 0, STARTED)), width))
    assert row.endswith("compiled")
    assert cell_len(row) <= width


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ("crashed", "press r to resume"), ("stopped", "press r to resume"), ("diverged", "press r to resume"),
        ("created", "press r to start it"), ("stalled", "press s to ask it to stop"),
    ],
)  # fmt: skip
def test_what_does_not_train_says_what_to_press(state: str, told: str) -> None:
    view = RunView(state, None, state == "stalled", "it was the disk\x1b[2J")
    assert told in text(headline.head("lstm-1", view, History(), 78))
    rows = headline.messages(view, 78)
    assert [text(row) for row in rows] == ([] if state in ("stopped", "created") else ["it was the disk␛[2J"])
    assert all(style == "bad" for row in rows for _, style in row)


def test_a_long_message_is_told_in_full() -> None:
    words = " ".join(f"word{n}" for n in range(24))  # 24 words of 5 and 6 letters: 157 cells
    rows = [text(row) for row in headline.messages(RunView("failed", None, False, words), 78)]
    assert len(rows) == 3
    assert " ".join(row.strip() for row in rows) == words
    assert all(len(row) <= 78 for row in rows)


def test_a_pause_tells_by_whom_or_what_it_waits_for() -> None:
    paused = RunView("paused", None, True)
    by_app = history(("command", 5, {"command": "pause", "args": {}, "origin": "app"}))
    assert (
        text(headline.head("x", paused, by_app, 78)) == "x  ‖ paused  press p to go on, paused from the app"
    )
    by_cli = history(("command", 5, {"command": "pause", "args": {}, "origin": "cli"}))
    assert text(headline.head("x", paused, by_cli, 78)).endswith("paused by a command")
    full = RunView("paused", None, True, "waiting for the disk: no space left")
    assert text(headline.head("x", full, history(("start", 0, {"arch": "lstm"})), 78)) == "x  ‖ paused  lstm"
    assert headline.messages(full, 78) == [(("waiting for the disk: no space left", "warn"),)]


def test_a_start_says_what_is_being_done() -> None:
    view = RunView("starting", None, True, "timing a few steps")
    assert text(headline.head("x", view, History(), 78)) == "x  ○ starting  timing a few steps"
    assert headline.nothing_yet(view) == "timing a few steps"
    assert headline.nothing_yet(RunView("crashed", None, False, "it died")).endswith("v shows what it said")
    assert headline.nothing_yet(RUNNING) == "the first points are being computed"


def test_progress_row_fits_the_width() -> None:
    found = history(
        ("start", 0, {"total_steps": 2000}),
        ("train", 500, {"loss": 2.0, "epoch": 1.5, "elapsed": 75, "eta": 225}),
    )
    for width in (78, 138):
        line = text(headline.progress(found, width))
        assert cell_len(line) <= width
        assert "25 %  step 500 of 2,000  epoch 1.50  elapsed 1:15  ETA 3:45" in line
        done = line.count("━")
        assert done == round(0.25 * (done + line.count("─")))


def test_a_dead_run_has_no_eta() -> None:
    found = history(("start", 0, {}), ("train", 500, {"loss": 2.0, "eta": 225}))
    assert "ETA" in text(headline.progress(found, 78))
    assert "ETA" not in text(headline.progress(found, 78, alive=False))


def test_a_complete_run_tells_what_next() -> None:
    events = [
        ("train", 500, {"loss": 2.0, "epoch": 1.5}),
        ("end", 500, {"reason": "finished", "elapsed": 75}),
    ]
    found = history(("start", 0, {"total_steps": 500}), *events)
    row = text(headline.progress(found, 98, alive=False))
    assert row == (
        "step 500  epoch 1.50  elapsed 1:15   enter prompts it   i inspects it   R trains on   e exports it"
    )
    assert text(headline.progress(found, 70, alive=False)) == row[: row.index("   R trains")]
    series = history(("start", 0, {"task": "series"}), *events)
    assert "prompts" not in text(headline.progress(series, 138, alive=False))


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, "-"),
        (83, "1:25"),
        (82, "1:20"),
        (119, "2:00"),
        (202, "3:15"),
        (3000.4, "50:00"),
        (9000, "2h30"),
    ],
)
def test_what_is_to_come_is_told_coarsely(seconds: float | None, shown: str) -> None:
    assert f.about(seconds) == shown


@pytest.mark.parametrize(
    ("value", "shown"), [(None, "-"), (41_234, "41k"), (1.27e6, "1.3M"), (8.34, "8.3"), (0.0, "0")]
)
def test_two_digits(value: float | None, shown: str) -> None:
    assert f.coarse(value) == shown


def test_the_newest_notes_come_last() -> None:
    found = history(("note", 1, {"message": "one"}), ("note", 2, {"message": "two"}))
    assert [text(line).split()[-1] for line in notes_view.notes(found, 1)] == ["two"]
    assert notes_view.notes(found, 0) == []
    lines = notes_view.notes(found, 2, bad_lines=3)
    assert [text(line).split()[:2] for line in lines] == [["2", "two"], ["3", "damaged"]]


def test_divergence_is_red_and_a_rollback_stands_out() -> None:
    found = history(
        ("divergence", 7, {"message": "the loss is not finite"}),
        ("rollback", 7, {"to_step": 5, "message": "went back from step 7"}),
        ("state", 5, {"state": "paused", "message": "waiting for room on the disk"}),
        ("state", 5, {"state": "running", "message": ""}),
    )
    assert notes_view.notes(found, 9) == [
        (("        7  ", "muted"), ("the loss is not finite", "bad")),
        (("        7  ", "muted"), ("went back from step 7", "warn")),
        (("        5  ", "muted"), ("paused: waiting for room on the disk", "warn")),
    ]


def test_a_long_note_is_wrapped_beside_its_step() -> None:
    lines = notes_view.all_notes([Note(7, "note", "aaa bbb " * 4)], 31)  # 20 cells for the text
    assert [text(line).rstrip() for line in lines] == [
        "        7  aaa bbb aaa bbb aaa", "           bbb aaa bbb",
    ]  # fmt: skip


def test_a_workers_output_is_safe_and_bounded() -> None:
    log = "one\n\x1b[31mtwo\nrnn-tui: error: three\n" + "x\n" * 3000
    lines = notes_view.log_lines(log, 40)
    assert len(lines) == notes_view.LOG_ROWS
    lines = notes_view.log_lines(log.partition("x\n")[0], 40)
    assert [line[0] for line in lines] == [
        ("one", "plain"),
        ("␛[31mtwo", "plain"),
        ("rnn-tui: error: three", "bad"),
    ]
    assert notes_view.log_lines(" \n", 40) == []
