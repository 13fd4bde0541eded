import json
import os

import pytest
import safetensors.torch
import torch

from rnn_tui.errors import DiskError, InputError
from rnn_tui.training import checkpoint


def save(folder, step, value=1.0, model=(b"mod", b"el")):
    files = {
        "model.safetensors": model,
        "train.safetensors": [safetensors.torch.save({"a": torch.full((3,), value)})],
        "state.json": [json.dumps({"step": step}).encode()],
    }
    return checkpoint.save(folder, step, files, run_id="r", environment={})


def test_saved_found_and_loaded(tmp_path):
    folder = tmp_path / "checkpoints"
    save(folder, 5)
    save(folder, 12, 2.0)
    found = checkpoint.find(folder)
    assert [c.step for c in found] == [12, 5]
    found[0].verify()
    assert found[0].model_path.read_bytes() == b"model"
    tensors, state = found[0].load()
    assert tensors["a"].tolist() == [2, 2, 2]
    assert state == {"step": 12}
    assert sorted(p.name for p in folder.iterdir()) == ["step-00000005", "step-00000012"]


@pytest.mark.parametrize("name", ["model.safetensors", "train.safetensors", "state.json"])
def test_every_flipped_byte_is_caught_and_the_earlier_one_used(tmp_path, name):
    save(tmp_path, 5)
    damaged = save(tmp_path, 12).path / name
    raw = bytearray(damaged.read_bytes())
    raw[len(raw) // 2] ^= 1
    damaged.write_bytes(raw)
    said = []
    assert checkpoint.newest_valid(tmp_path, said.append).step == 5
    assert len(said) == 1
    assert f"{name} is damaged" in said[0]
    assert any(p.name.startswith("damaged-step-00000012") for p in tmp_path.iterdir())


def test_nothing_is_started_over_in_silence(tmp_path):
    (save(tmp_path, 5).path / "state.json").unlink()
    with pytest.raises(InputError, match="no checkpoint can be used"):
        checkpoint.newest_valid(tmp_path, lambda _: None)
    assert checkpoint.newest_valid(tmp_path / "none", lambda _: None) is None


def test_what_has_no_manifest_is_no_checkpoint(tmp_path):
    made = save(tmp_path, 5)
    manifest = made.path / "manifest.json"
    content = json.loads(manifest.read_bytes())
    for wrong in (
        b"",
        b"{",
        b"[]",
        json.dumps(content | {"format": 99}).encode(),
        json.dumps(content | {"step": 6}).encode(),
    ):
        manifest.write_bytes(wrong)
        assert checkpoint.find(tmp_path) == []


def test_a_failed_save_leaves_the_old_ones_and_no_litter(tmp_path):
    save(tmp_path, 5)

    def no_room():
        yield b"half"
        raise OSError(28, "No space left on device")

    with pytest.raises(DiskError, match=r"could not save step-00000012.*no space left"):
        save(tmp_path, 12, model=no_room())
    assert [p.name for p in tmp_path.iterdir()] == ["step-00000005"]


@pytest.mark.parametrize("failing", ["mkdir", "fsync", "rename"])
def test_a_fault_at_any_call_leaves_a_valid_checkpoint(tmp_path, monkeypatch, failing):
    real = getattr(os, failing)
    for nth in range(20):
        folder = tmp_path / str(nth)
        save(folder, 5)
        calls = [0]

        def fault(*args, _nth=nth, _calls=calls, **kwargs):
            _calls[0] += 1
            if _calls[0] == _nth + 1:
                raise OSError(5, "Input/output error")
            return real(*args, **kwargs)

        monkeypatch.setattr(os, failing, fault)
        try:
            save(folder, 12)
            failed = False
        except DiskError:
            failed = True
        monkeypatch.undo()
        newest = checkpoint.newest_valid(folder, pytest.fail)
        assert newest.step in ((5, 12) if failed else (12,))
        if calls[0] <= nth:  # the fault was not reached any more
            break
    else:
        raise AssertionError("the fault never stopped hitting")
    assert nth > 0


def test_pruning_keeps_the_newest_and_the_best(tmp_path):
    for step in range(1, 8):
        save(tmp_path, step)
    (tmp_path / ".tmp-00000009-abcd").mkdir()
    checkpoint.prune(tmp_path, keep=2, best_step=3)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-00000003", "step-00000006", "step-00000007"]


def test_the_same_step_again_replaces_it(tmp_path):
    save(tmp_path, 5, 1.0)
    save(tmp_path, 5, 2.0)
    assert checkpoint.find(tmp_path)[0].load()[0]["a"][0] == 2
