"""`train` through real processes: stdout is data, exit codes are an API, and nothing is left half-written."""

import json
import math
import os
import signal
import subprocess
import sys
import time

import pytest

from rnn_tui.runs.folder import find_run
from rnn_tui.runs.status import run_state
from rnn_tui.runs.supervisor import stop_worker


def test_foreground_reports_one_document(trained):
    folder, done = trained
    told = done.json  # standard output holds nothing else
    assert told["run"] == "fox"
    assert told["path"] == str(folder / "runs" / "fox")
    assert (told["state"], told["exit_code"], told["steps"]) == ("finished", 0, 40)
    # windows of 16 side by side by 4: the split of 90 % gives so many steps in an epoch
    characters = len((folder / "fox.txt").read_text())
    assert told["epochs"] == pytest.approx(40 / (characters * 0.9 / 64), rel=0.03)
    assert told["perplexity"] == pytest.approx(math.exp(told["validation_loss"]))
    assert told["best_loss"] <= told["validation_loss"]
    assert (
        told["best_loss"] < math.log(28) - 0.3
    )  # 26 letters, space, newline: far better than knowing nothing
    assert told["parameters"] > 0
    assert told["tokens_per_second"] > 0
    assert "step" in done.err


def test_detach_returns_at_once_and_the_run_goes_on(shell, corpus, tmp_path, tiny):
    done = shell("train", "fox.txt", "--minutes", "5", "--detach", "--json", *tiny)
    assert done.code == 0
    assert set(done.json) == {"run", "path", "pid"}
    run = find_run(tmp_path / "runs", done.json["run"])
    assert done.json["run"] == "lstm-fox-1"
    try:
        assert os.kill(done.json["pid"], 0) is None
        follower = subprocess.Popen(
            [sys.executable, "-m", "rnn_tui", "watch", run.name, "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
        )
        for line in follower.stderr:
            if line.startswith("step "):
                break
        follower.send_signal(signal.SIGINT)  # stops the following, not the run
        out, err = follower.communicate(timeout=60)
        assert follower.returncode == 130
        assert json.loads(out)["state"] == "running"
        assert "goes on" in err
        assert run_state(run).alive
        for command, step_words in (("pause", "paused at step"), ("resume", "goes on at step")):
            assert step_words in shell(command, run.name).out
        assert shell("set", run.name, "lr=1e-4", "--json").json["args"] == {"lr": 1e-4}
        assert shell("resume", run.name).code == 4  # it runs already
        assert shell("runs", "rm", run.name, "--yes").code == 4
        stopped = shell("stop", run.name, "--json")
        assert stopped.json["command"] == "stop"
        assert run_state(run).state == "stopped"
        assert run_state(run).status.step == stopped.json["step"]
    finally:
        stop_worker(run, timeout=60, kill=True)


@pytest.mark.parametrize(
    ("number", "code", "group"), [(signal.SIGINT, 130, True), (signal.SIGTERM, 143, False)]
)
def test_foreground_passes_signals_on(corpus, tmp_path, tiny, shell, number, code, group):
    child = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "rnn_tui",
            "train",
            "fox.txt",
            "--minutes",
            "5",
            "--foreground",
            "--json",
            *tiny,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        start_new_session=True,
    )
    for line in child.stderr:
        if line.startswith("step "):
            break
    # a terminal's Ctrl-C reaches command and worker both, kill reaches the command alone
    (os.killpg if group else os.kill)(child.pid, number)
    out, err = child.communicate(timeout=60)
    told = json.loads(out)
    assert (child.returncode, told["exit_code"], told["state"]) == (code, code, "stopped")
    run = find_run(tmp_path / "runs", told["run"])
    assert run.newest_checkpoint_step() == told["steps"] > 0  # nothing was lost
    assert not run_state(run).alive
    assert "rnn-tui resume" in err


def test_resume_goes_on_to_the_end(shell, corpus, tmp_path, tiny):
    arguments = ["train", "fox.txt", "--name", "a", "--steps", "100000", "--set", "watch.log_every=10", *tiny]
    assert shell(*arguments, "--detach").out == "a\n"
    run = find_run(tmp_path / "runs", "a")
    try:
        deadline = time.monotonic() + 60
        while not (run_state(run).status and run_state(run).status.step > 20):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        asked = shell("checkpoint", "a", "--json")
        assert asked.code == 0
        assert run.newest_checkpoint_step() >= asked.json["step"] > 20  # it is there when the command returns
        assert shell("stop", "a").code == 0
        at = run_state(run).status.step
        child = subprocess.Popen(
            [sys.executable, "-m", "rnn_tui", "resume", "a", "--foreground", "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
        )
        for line in child.stderr:
            if line.startswith("step "):
                break
        child.send_signal(signal.SIGTERM)
        out, _ = child.communicate(timeout=60)
        assert child.returncode == 143
        assert json.loads(out)["steps"] > at
    finally:
        stop_worker(run, timeout=60, kill=True)


def test_standard_input_is_a_corpus(shell, corpus, tmp_path, tiny):
    done = shell(
        *["train", "-", "--name", "piped", "--steps", "3", "--foreground", "--json", *tiny],
        stdin=corpus.read_text(),
    )
    assert done.code == 0, done.err
    assert done.json["steps"] == 3
    assert (tmp_path / "runs" / "piped" / "corpus.txt").read_text() == corpus.read_text()
    again = shell("eval", "piped", "--json")
    assert again.code == 0, again.err


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["nothing.txt"], 3, "nothing.txt"),
        (["empty.txt"], 3, "empty"),
        (["short.txt"], 3, "short"),
        (["bom.txt"], 3, "bom.txt"),
        (["same.txt"], 3, "more than one symbol"),
        (["fox.txt", "--arch", "lsmt"], 2, "'lstm'"),
        (["fox.txt", "--tokenizer", "chra"], 2, "'char'"),
        (["fox.txt", "-o", "forgte_bias=1"], 2, "forgte_bias"),
        (["fox.txt", "--name", "../x"], 2, "../x"),
        (["fox.txt", "--batch-size", "60000"], 3, "batch_size"),
        (["latin.txt", "--strict"], 3, "UTF-8"),
        (["fox.txt", "--detach", "--foreground"], 2, "--detach"),
        (["timemachine"], 3, "rnn-tui corpus get timemachine"),
        (["tinyshakespear"], 3, "'tinyshakespeare'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_one_line_and_leaves_nothing(cli, corpus, tmp_path, arguments, code, says):
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "short.txt").write_text("a")
    (tmp_path / "same.txt").write_text("a" * 9000)
    (tmp_path / "bom.txt").write_bytes(b"\xef\xbb\xbf")
    (tmp_path / "latin.txt").write_bytes("café\n".encode("latin-1") * 2000)
    done = cli("train", *arguments)
    assert done.code == code
    assert says in done.refusal
    assert not (tmp_path / "runs").exists() or not list((tmp_path / "runs").iterdir())


def test_name_taken(cli, trained):
    folder, _ = trained
    done = cli("train", str(folder / "fox.txt"), "--name", "fox", "--runs-dir", str(folder / "runs"))
    assert done.code == 4
    assert "fox" in done.refusal


def test_runs_dir_that_cannot_be_written(cli, corpus):
    done = cli("train", "fox.txt", "--runs-dir", "/proc/runs")
    assert done.code == 5
    assert "/proc/runs" in done.refusal


def test_device_that_is_not_there_leaves_nothing(shell, corpus, tmp_path, tiny):
    torch = pytest.importorskip("torch")
    missing = "mps" if torch.cuda.is_available() else "cuda"
    done = shell("train", "fox.txt", "--device", missing, "--foreground", "--json", *tiny)
    assert done.code == 2
    assert missing in done.refusal
    assert not (tmp_path / "runs").exists()


def test_crash_of_the_worker_is_told(corpus, tmp_path, tiny):
    child = subprocess.Popen(
        [sys.executable, "-m", "rnn_tui", "train", "fox.txt", "--name", "a", "--minutes", "5", *tiny],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    run = None
    for line in child.stderr:
        if line.startswith("step "):
            run = find_run(tmp_path / "runs", "a")
            os.kill(run_state(run).status.pid, signal.SIGKILL)
            break
    out, err = child.communicate(timeout=60)
    assert child.returncode == 1
    assert "crashed" in out
    assert "rnn-tui resume a" in err
    assert "Traceback" not in err
