import os
import subprocess
import time
from pathlib import Path

import msgspec
import pytest

from rnn_tui.errors import InputError
from rnn_tui.runs import eventline, listing
from rnn_tui.runs.events import EventWriter
from rnn_tui.runs.folder import RunFolder, create_run
from rnn_tui.runs.labels import set_labels
from rnn_tui.runs.listing import list_runs
from rnn_tui.runs.lock import RunLock
from rnn_tui.runs.status import my_status, write_status
from rnn_tui.runs.trash import discard


def make(runs_dir: Path, name: str, created: object) -> RunFolder:
    return create_run(
        runs_dir,
        name,
        {
            "corpus": {"source": "texts/a.txt"},
            "tokenizer": {"name": "word", "options": {}},
            "model": {"arch": "nn-gru"},
            "about": {"created": created},
        },
    )


def test_a_row_says_what_the_folder_says(tmp_path: Path) -> None:
    run = make(tmp_path, "one", 1_700_000_000)
    with RunLock.acquire(run), EventWriter(run.events_path, 1) as log:
        log.write("start", 0, parameters=123_456)
        status = my_status("running", attempt=1, step=30)
        status.total_steps, status.epoch, status.eta, status.tokens_per_second = 100, 1.5, 60.0, 5000.0
        status.train_loss, status.validation_loss, status.best_loss = 2.0, 2.5, 2.25
        write_status(run, status)
        (row,) = list_runs(tmp_path)
    assert (row.name, row.path, row.state, row.message) == ("one", tmp_path / "one", "running", "")
    assert (row.arch, row.tokenizer, row.corpus, row.parameters) == ("nn-gru", "word", "texts/a.txt", 123_456)
    assert (row.step, row.total_steps, row.epoch) == (30, 100, 1.5)
    assert (row.train_loss, row.validation_loss, row.best_loss) == (2.0, 2.5, 2.25)
    assert (row.tokens_per_second, row.eta) == (5000.0, 60.0)
    assert (row.created, row.updated) == (1_700_000_000.0, status.time)
    assert row.size_bytes == sum(path.stat().st_size for path in run.path.rglob("*") if path.is_file())
    (row,) = list_runs(tmp_path)  # the worker is gone: no speed, no time of arrival
    assert (row.state, row.tokens_per_second, row.eta) == ("crashed", 0.0, None)


def test_newest_first_whatever_the_form_of_the_date(tmp_path: Path) -> None:
    make(tmp_path, "b", 1_700_000_100.5)
    make(tmp_path, "a", "2023-11-14T22:13:20+00:00")  # 1_700_000_000
    make(tmp_path, "c", "no date")  # the time of the file: now
    assert [row.name for row in list_runs(tmp_path)] == ["c", "b", "a"]
    assert list_runs(tmp_path)[2].created == 1_700_000_000


def test_damaged_folders_are_listed_with_the_reason(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    make(runs, "no-config", 5.0).config_path.unlink()
    make(runs, "bad-config", 4.0).config_path.write_bytes(b"\x1b[31m = ")
    make(runs, "odd-config", 3.0).config_path.write_text("model = 3\ncorpus = []\nabout = 'x'\n")
    make(runs, "bad-status", 2.0).status_path.write_bytes(b"{")
    make(runs, "bad-log", 1.0).events_path.write_bytes(b"\0" * 10_000)
    (runs / "link").symlink_to(make(tmp_path / "elsewhere", "real", 1.0).path)
    (runs / "dangling").symlink_to(tmp_path / "nowhere")
    (runs / "notes").mkdir()
    (runs / "a-file").write_text("")
    (runs / ".new-1").mkdir()
    rows = {row.name: row for row in list_runs(runs)}
    assert set(rows) == {"no-config", "bad-config", "odd-config", "bad-status", "bad-log", "link"}
    assert {name for name, row in rows.items() if row.state == "damaged"} == {
        "no-config",
        "bad-config",
        "link",
    }
    assert rows["no-config"].message == "run no-config: config.toml: No such file or directory"
    assert "config.toml is damaged" in rows["bad-config"].message
    assert "symbolic link" in rows["link"].message
    assert (rows["odd-config"].state, rows["odd-config"].arch) == ("created", "")
    assert (rows["bad-status"].state, rows["bad-log"].state) == ("created", "crashed")


def test_no_folder_is_no_runs_and_a_file_is_an_error(tmp_path: Path) -> None:
    assert list_runs(tmp_path / "nowhere") == []
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot list the runs"):
        list_runs(tmp_path / "file")


def test_two_hundred_runs_are_listed_quickly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(200):
        run = make(tmp_path, f"run-{number}", float(number))
        write_status(run, my_status("finished", attempt=1))
        os.truncate(os.open(run.events_path, os.O_CREAT | os.O_WRONLY), 50_000_000)  # holes: it takes no room
        (run.checkpoints / "step-00000001").mkdir()
    decoded = []
    monkeypatch.setattr(listing, "decode", lambda line: decoded.append(len(line)) or eventline.decode(line))
    begun = time.process_time()
    rows = list_runs(tmp_path)
    assert time.process_time() - begun < 5
    assert [row.name for row in rows[:2]] == ["run-199", "run-198"]
    assert sum(decoded) <= 200 * 8192


@pytest.mark.parametrize(
    "created", ["nan", "inf", "-inf", "-1.0", "1e300", "1" + "0" * 400, "true", "[]", "0001-01-01"]
)
def test_a_date_that_is_none_is_that_of_the_file(tmp_path: Path, created: str) -> None:
    run = make(tmp_path, "a", 5.0)
    text = run.config_path.read_text().replace("created = 5.0", f"created = {created}")
    assert created in text
    run.config_path.write_text(text)
    (row,) = list_runs(tmp_path)
    assert abs(row.created - time.time()) < 60
    assert row.updated == row.created


def test_times_in_the_future_only_change_the_order(tmp_path: Path) -> None:
    for name, moment in (("past", 5.0), ("future", 5e9), ("now", time.time())):
        run = make(tmp_path, name, moment)
        status = my_status("finished", attempt=1)
        status.time = 2 * moment
        write_status(run, status)
    rows = list_runs(tmp_path)
    assert [row.name for row in rows] == ["future", "now", "past"]
    assert [row.state for row in rows] == ["finished"] * 3
    assert rows[0].updated == 1e10
    write_status(run, msgspec.structs.replace(status, time=1e300))
    assert list_runs(tmp_path)[1].updated == rows[1].created


def test_a_living_run_whose_settings_are_not_seen_yet_is_not_damaged(tmp_path: Path) -> None:
    run = make(tmp_path, "a", 5.0)
    with RunLock.acquire(run):
        write_status(run, my_status("running", attempt=1))
        run.config_path.unlink()
        assert [row.state for row in list_runs(tmp_path)] == ["running"]
    assert [row.state for row in list_runs(tmp_path)] == ["damaged"]


def test_folders_nested_deeper_than_python_goes(tmp_path: Path) -> None:
    run = make(tmp_path, "a", 5.0)
    here = os.open(run.path, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("d", dir_fd=here)
        deeper = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = deeper
    os.close(here)
    assert [row.state for row in list_runs(tmp_path)] == ["created"]
    subprocess.run(["rm", "-rf", run.path], check=True)  # shutil.rmtree does not get to the bottom of it


def test_a_listing_reads_again_only_what_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, name in enumerate(("a", "b", "c")):
        run = make(tmp_path, name, 5.0 - number)
        write_status(run, my_status("finished" if name != "c" else "running", attempt=1, step=10))
    read: list[str] = []
    summarise = listing.summarise
    monkeypatch.setattr(listing, "summarise", lambda run: read.append(run.name) or summarise(run))
    looking = listing.Listing(tmp_path)
    assert [row.state for row in looking.look()] == ["finished", "finished", "crashed"]
    assert sorted(read) == ["a", "b", "c"]
    assert looking.look() == list_runs(tmp_path)
    del read[:]
    looking.look()
    assert read == ["c"]  # which might live again, and no file need tell
    set_labels(RunFolder(tmp_path / "a"), tags=["keep"])
    assert looking.look()[0].tags == ("keep",)
    write_status(run := RunFolder(tmp_path / "b"), my_status("stopped", attempt=1, step=20))
    assert looking.look()[1].step == 20
    status = my_status("finished", attempt=2, step=30)
    status.tokens_per_second = 1000.0
    with RunLock.acquire(run):  # its last word is said, and it is still there
        write_status(run, status)
        assert looking.look()[1].tokens_per_second == 1000.0
    assert looking.look()[1].tokens_per_second == 1000.0  # the mean, once it has ended
    discard(run)
    assert [row.name for row in looking.look()] == ["a", "c"]
    assert looking.look() == list_runs(tmp_path)
