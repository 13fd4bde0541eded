import os
import subprocess
import sys

import pytest

from rnn_tui.errors import InputError
from rnn_tui.inference.target import resolve_target
from rnn_tui.runs.folder import create_run
from rnn_tui.runs.status import Status, write_status

CONFIG = {"model": {"arch": "lstm"}, "corpus": {"source": "stdlib"}}


@pytest.fixture
def runs(tmp_path):
    return tmp_path / "runs"


@pytest.fixture
def run(runs):
    return create_run(runs, "first", CONFIG)


def checkpoint(run, step, *, finished=True):
    folder = run.checkpoints / f"step-{step:08d}"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").touch()
    if finished:
        (folder / "manifest.json").touch()
    return folder / "model.safetensors"


def test_a_run_by_name_and_by_path(run, runs):
    run.model_path.touch()
    assert resolve_target("first", runs) == run.model_path
    assert resolve_target(str(run.path), runs / "elsewhere") == run.model_path


def test_the_best_model_goes_before_checkpoints(run, runs):
    checkpoint(run, 900)
    run.model_path.touch()
    assert resolve_target("first", runs) == run.model_path


def test_without_a_best_model_the_newest_finished_checkpoint(run, runs):
    checkpoint(run, 200)
    newest = checkpoint(run, 1000)
    checkpoint(run, 3000, finished=False)
    (run.checkpoints / ".tmp-00004000-abcd").mkdir()
    assert resolve_target("first", runs) == newest
    assert resolve_target(str(newest.parent), runs) == newest


def test_nothing_yet(run, runs):
    with pytest.raises(InputError, match=r"run first has no model yet.*rnn-tui checkpoint first"):
        resolve_target("first", runs)


def test_a_run_that_ended_without_a_model_is_not_waited_for(run, runs):
    write_status(run, Status("failed", message="there is no such device"))
    with pytest.raises(InputError, match="run first has no model and is failed: there is no such device"):
        resolve_target("first", runs)


def test_a_file_by_path(tmp_path, runs):
    path = tmp_path / "copied.safetensors"
    path.touch()
    assert resolve_target(str(path), runs) == path


def test_a_run_goes_before_a_file_of_the_same_name(run, runs, tmp_path, monkeypatch):
    run.model_path.touch()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "first").touch()
    assert resolve_target("first", runs) == run.model_path
    assert os.path.samefile(resolve_target("./first", runs), tmp_path / "first")


def test_a_run_in_the_current_folder(run, runs, tmp_path, monkeypatch):
    run.model_path.touch()
    monkeypatch.chdir(runs)
    assert resolve_target("first", tmp_path / "other") == run.model_path


def test_mistyped_names_get_the_nearest(run, runs, tmp_path):
    with pytest.raises(InputError, match=r"no run 'frist'.*did you mean 'first'"):
        resolve_target("frist", runs)
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(InputError, match=r"no such file; did you mean 'model.safetensors'"):
        resolve_target(str(tmp_path / "modle.safetensors"), runs)
    with pytest.raises(InputError):
        resolve_target("", runs)


def test_torch_is_not_loaded():
    code = "import sys, rnn_tui.inference.target; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
