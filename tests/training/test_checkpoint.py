import errno
import json
import os
import re

import pytest
import safetensors.torch
import torch

from rnn_tui.errors import DiskError, InputError
from rnn_tui.model.file import encode
from rnn_tui.model.header import ModelFile
from rnn_tui.model.manifest import NewerFormat, encode_manifest
from rnn_tui.training import checkpoint

PLUGIN = {"name": "none", "distribution": "none", "version": "0"}


def model_of(step):
    header = ModelFile(
        config={}, tokenizer=PLUGIN | {"state": {}}, architecture=PLUGIN, training={"step": step}
    )
    return encode({"w": torch.zeros(2)}, header)


def save(folder, step, value=1.0, model=None, state=None, run_id="r"):
    files = {
        "model.safetensors": model or [model_of(step)],
        "train.safetensors": [safetensors.torch.save({"a": torch.full((3,), value)})],
        "state.json": [json.dumps(state or {"progress": {"step": step}}).encode()],
    }
    return checkpoint.save(folder, step, files, run_id=run_id, environment={})


def change_manifest(saved, **values):
    """Write another manifest, with a sum that is right."""
    manifest = {"run": "r", "environment": {}, "files": saved.manifest["files"]} | values
    text = encode_manifest(manifest["run"], saved.step, manifest["environment"], manifest["files"])
    (saved.path / "manifest.json").write_bytes(text)


def test_saved_found_and_loaded(tmp_path):
    folder = tmp_path / "checkpoints"
    save(folder, 5)
    save(folder, 12, 2.0)
    found = checkpoint.find(folder)
    assert [c.step for c in found] == [12, 5]
    found[0].verify()
    assert found[0].model_path.read_bytes() == model_of(12)
    tensors, state = found[0].load()
    assert tensors["a"].tolist() == [2, 2, 2]
    assert state == {"progress": {"step": 12}}
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
    assert said[0].endswith("step-00000005 is used, 7 steps earlier")
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


def test_a_failed_save_leaves_the_old_ones_and_no_litter(tmp_path, monkeypatch):
    save(tmp_path, 5)

    real = checkpoint.write_durable

    def write(path, chunks):
        if path.name == "train.safetensors":
            raise OSError(errno.ENOSPC, "No space left on device")
        real(path, chunks)

    monkeypatch.setattr(checkpoint, "write_durable", write)
    with pytest.raises(DiskError, match=r"could not save step-00000012.*no space left"):
        save(tmp_path, 12)
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


def test_the_same_step_again_is_another_checkpoint(tmp_path):
    first, second, third = (save(tmp_path, 5, value) for value in (1.0, 2.0, 3.0))
    assert [c.path.name for c in (first, second, third)] == [
        "step-00000005",
        "step-00000005-2",
        "step-00000005-3",
    ]
    assert checkpoint.newest_valid(tmp_path, pytest.fail).load()[0]["a"][0] == 3
    assert first.load()[0]["a"][0] == 1
    (third.path / "state.json").unlink()
    said = []
    assert checkpoint.newest_valid(tmp_path, said.append).path == second.path
    assert said[0].endswith("step-00000005-2 is used, 0 steps earlier")
    assert checkpoint.of_step(tmp_path, 5).path == second.path
    assert checkpoint.of_step(tmp_path, 6) is None


def test_pruning_takes_those_that_were_saved_again_first(tmp_path):
    for step in (1, 2, 2, 3, 3):
        save(tmp_path, step)
    assert checkpoint.prune(tmp_path, keep=2, best_step=1) == ""
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "step-00000001",
        "step-00000002-2",
        "step-00000003-2",
    ]


def test_pruning_leaves_two(tmp_path):
    for _ in range(3):
        save(tmp_path, 5)
    assert checkpoint.prune(tmp_path, keep=1, best_step=None) == ""
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-00000005-2", "step-00000005-3"]


def test_nothing_is_pruned_unless_the_newest_is_whole(tmp_path):
    for step in range(1, 5):
        newest = save(tmp_path, step)
    newest.model_path.write_bytes(b"")
    assert "step-00000004: model.safetensors is damaged" in checkpoint.prune(tmp_path, keep=2, best_step=None)
    assert len(list(tmp_path.iterdir())) == 4


def test_what_cannot_be_pruned_is_told_and_ends_nothing(tmp_path, monkeypatch):
    for step in range(1, 5):
        save(tmp_path, step)

    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", refuse)
        assert checkpoint.prune(tmp_path, keep=2, best_step=None).endswith(
            "were not removed: Permission denied"
        )
    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", refuse)
        note = checkpoint.prune(tmp_path, keep=2, best_step=None)
    assert re.search(r"could not be deleted: \.del-step-0000000\d-\w+ \(Permission denied\)", note)
    assert checkpoint.prune(tmp_path, keep=2, best_step=None) == ""
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-00000003", "step-00000004"]


def test_going_back_forgets_what_came_later_damaged_or_not(tmp_path):
    for step in (1, 2, 3, 3, 4):
        last = save(tmp_path, step)
    (last.path / "manifest.json").write_text("{")
    assert checkpoint.forget_later(tmp_path, 2) == ""
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-00000001", "step-00000002"]


def test_a_damaged_manifest_is_told_like_a_damaged_file(tmp_path):
    save(tmp_path, 5)
    manifest = save(tmp_path, 12).path / "manifest.json"
    manifest.write_bytes(manifest.read_bytes().replace(b"step", b"stop"))
    said = []
    assert checkpoint.newest_valid(tmp_path, said.append).step == 5
    assert "manifest.json is damaged" in said[0]
    (tmp_path / "step-00000005" / "manifest.json").unlink()
    with pytest.raises(InputError, match=r"step-00000005: manifest.json: No such file"):
        checkpoint.newest_valid(tmp_path, pytest.fail)


def test_that_nothing_can_be_used_stays_so(tmp_path):
    damaged = save(tmp_path, 5)
    damaged.model_path.write_bytes(b"")
    for _ in range(2):
        with pytest.raises(InputError, match=r"no checkpoint can be used.*Nothing was changed"):
            checkpoint.newest_valid(tmp_path, pytest.fail)
    os.rename(damaged.path, tmp_path / "damaged-step-00000005-abcd")
    with pytest.raises(InputError, match=r"all checkpoints that are left .* are damaged"):
        checkpoint.newest_valid(tmp_path, pytest.fail)


def test_one_of_another_run_is_set_aside(tmp_path):
    save(tmp_path, 5, run_id="ours")
    save(tmp_path, 12, run_id="theirs")
    said = []
    assert checkpoint.newest_valid(tmp_path, pytest.fail, None).step == 12
    assert checkpoint.newest_valid(tmp_path, said.append, "ours").step == 5
    assert "is of another run (theirs, this one is ours)" in said[0]


def test_one_of_a_newer_version_is_not_skipped(tmp_path, monkeypatch):
    save(tmp_path, 5)
    with monkeypatch.context() as patch:
        patch.setattr("rnn_tui.model.manifest.FORMAT", 3)
        change_manifest(save(tmp_path, 12), environment={"rnn_tui": "9.1"})
    message = r"step-00000012 was made by rnn-tui 9.1 \(format 3\), this one reads 1; upgrade"
    with pytest.raises(NewerFormat, match=message):
        checkpoint.newest_valid(tmp_path, pytest.fail)
    save(tmp_path, 13)
    assert checkpoint.newest_valid(tmp_path, pytest.fail).step == 13


def test_a_manifest_from_before_it_had_a_sum_is_read(tmp_path):
    manifest = save(tmp_path, 5).path / "manifest.json"
    manifest.write_bytes(re.sub(rb',"check":"[0-9a-f]*"', b"", manifest.read_bytes()))
    assert b"check" not in manifest.read_bytes()
    assert checkpoint.newest_valid(tmp_path, pytest.fail).step == 5


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"state": {"progress": {"step": 6}}}, "state.json is of step 6"),
        ({"model": [model_of(6)]}, "model.safetensors is of step 6"),
        ({"state": {"progress": {}}}, "cannot be read: KeyError"),
        ({"model": [b"\x80\x04pickled"]}, "a Python pickle"),
    ],
)
def test_files_that_do_not_belong_together_are_refused(tmp_path, more, message):
    saved = save(tmp_path, 5, **more)
    saved.verify()
    with pytest.raises(InputError, match=message):
        saved.load()


@pytest.mark.parametrize(
    "text", [b'{"progress":{"step":5},"progress":{}}', b"[1]", b"[" * 99999, b"NaN", b"\xff"]
)
def test_a_state_that_is_no_strict_json_is_refused(tmp_path, text):
    saved = save(tmp_path, 5)
    (saved.path / "state.json").write_bytes(text)
    with pytest.raises(InputError, match="step-00000005 cannot be read"):
        saved.load()


def test_links_are_not_followed(tmp_path):
    save(tmp_path / "real", 5)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "file").touch()
    for name, reason in (("link", "is a symbolic link"), ("file", "is not a folder")):
        with pytest.raises(InputError, match=reason):
            checkpoint.newest_valid(tmp_path / name, pytest.fail)
        with pytest.raises(DiskError, match=reason):
            save(tmp_path / name, 12)
        assert reason in checkpoint.prune(tmp_path / name, keep=2, best_step=None)
    assert [p.name for p in (tmp_path / "real").iterdir()] == ["step-00000005"]
    folder = tmp_path / "folder"
    save(folder, 5)
    (folder / "step-00000007").symlink_to(tmp_path / "real" / "step-00000005")
    newest = save(folder, 9)
    newest.model_path.rename(tmp_path / "model")
    newest.model_path.symlink_to(tmp_path / "model")
    said = []
    assert checkpoint.newest_valid(folder, said.append).step == 5
    assert len(said) == 2


def test_the_clock_has_no_part_in_it(tmp_path):
    for step, time in ((5, 10**9), (12, 10)):
        os.utime(save(tmp_path, step).path, (time, time))
    assert checkpoint.newest_valid(tmp_path, pytest.fail).step == 12


def test_a_temporary_name_is_in_the_folder_of_the_final_one(tmp_path, monkeypatch):
    """So a rename never crosses from one file system to another."""
    renamed, real = [], os.rename
    monkeypatch.setattr(os, "rename", lambda one, two: (renamed.append((one, two)), real(one, two)))
    for step in range(4):
        save(tmp_path, step)
    checkpoint.prune(tmp_path, keep=2, best_step=None)
    assert len(renamed) == 6
    assert all(one.parent == two.parent for one, two in renamed)
