"""Each byte of a checkpoint is changed, one at a time: none that is not what was written is ever used."""

import random
import re

import pytest
from fault_runs import undisturbed, write_text
from fault_saves import broken, save

from rnn_tui.errors import InputError
from rnn_tui.model import manifest
from rnn_tui.training import checkpoint

SETTINGS = {
    "model": {"hidden_size": 4, "dropout": 0.0, "num_layers": 1},
    "budget": {"steps": 2},
    "watch": {"log_every": 1, "validate_every": 2, "sample_length": 0},
}


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """The checkpoints of a run, of which only the newest is left."""
    folder = tmp_path_factory.mktemp("flips")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RNN_TUI_CACHE_DIR", str(folder / "cache"))
        run = undisturbed(folder, "one", write_text(folder), **SETTINGS)
    newest, *others = checkpoint.find(run.checkpoints)
    for other in others:
        other.path.rename(folder / other.path.name)
    return newest


def passed(found, place, masks):
    """Change byte after byte of a file; return the offsets and masks with which it was used, or raised anything else
    than an InputError."""
    path, wrong = found.path / place, []
    with path.open("r+b", buffering=0) as file:
        for offset, mask in masks:
            file.seek(offset)
            byte = file.read(1)
            file.seek(offset)
            file.write(bytes([byte[0] ^ mask]))
            try:
                checkpoint.newest_valid(found.path.parent, lambda _: None)
            except InputError:
                pass
            else:
                wrong.append((offset, mask))
            file.seek(offset)
            file.write(byte)
    return wrong


def flips(found, place, dice, count):
    """A random change of each of `count` bytes of a file, or of all."""
    size = (found.path / place).stat().st_size
    offsets = range(size) if count >= size else sorted(dice.sample(range(size), count))
    return [(offset, dice.randrange(1, 256)) for offset in offsets]


def test_every_changed_byte_is_noticed(real, amount, seed, figures):
    dice, counts = random.Random(seed), {}
    for place in ("model.safetensors", "train.safetensors", "state.json"):
        changes = flips(real, place, dice, amount(100, 10**9))
        assert passed(real, place, changes) == []
        counts[place] = len(changes)
    size = (real.path / "manifest.json").stat().st_size
    changes = [(offset, mask) for mask in (1, 0x20, 0x80) for offset in range(size)]
    changes += [(offset, mask) for mask in amount((), range(1, 256)) for offset in range(size)]
    assert passed(real, "manifest.json", changes) == []
    assert checkpoint.newest_valid(real.path.parent, pytest.fail) is not None
    counts["manifest.json"] = len(changes)
    told = ", ".join(f"{count} of {place}" for place, count in counts.items())
    figures("flips", f"0 of {sum(counts.values())} changed bytes passed: {told}")


def test_an_old_manifest_without_a_sum_says_wrong_things_only_about_its_making(tmp_path, amount, figures):
    """Those of earlier versions are read all the same. What may change in them unnoticed is exactly the name of the
    run, where nobody asks for it, and the record of versions, which decides nothing but a warning."""
    found = save(tmp_path, 5)
    text = manifest.encode_manifest("r", 5, {"rnn_tui": "0.1.0", "torch": "2.13"}, found.manifest["files"])
    old = re.sub(rb',"check":"[0-9a-f]*"', b"", text)
    (found.path / "manifest.json").write_bytes(old)
    free = set(range(old.index(b'"run":"') + 7, old.index(b'","step"')))
    free |= set(range(old.index(b'"environment":{') + 15, old.index(b'},"files"')))
    masks = amount((1, 0x20, 0x80), range(1, 256))
    changes = [(offset, mask) for mask in masks for offset in range(len(old))]
    unnoticed = {offset for offset, _ in passed(found, "manifest.json", changes)}
    assert unnoticed
    assert unnoticed <= free
    figures(
        "flips",
        f"a manifest from before it had a sum: {len(unnoticed)} of {len(old)} bytes, of its making only",
    )


@pytest.mark.parametrize(
    ("place", "what", "breaking"),
    [
        (
            "train.safetensors",
            "sizes only are compared",
            lambda patch: patch.setattr(
                manifest,
                "is_whole",
                lambda path, entry: path.stat().st_size == entry["size"],
            ),
        ),
        (
            "manifest.json",
            "its sum is not looked at",
            lambda patch: patch.setattr(
                checkpoint,
                "read_manifest",
                broken(manifest.read_manifest, ('if "check" in values:', "if False:")),
            ),
        ),
        (
            "state.json",
            "one file is left out",
            lambda patch: patch.setattr(
                checkpoint.Checkpoint,
                "verify",
                broken(
                    checkpoint.Checkpoint.verify,
                    ('self.manifest["files"].items()', '[*self.manifest["files"].items()][:2]'),
                ),
            ),
        ),
    ],
)
def test_broken_code_is_found(real, place, what, breaking, monkeypatch, figures):
    breaking(monkeypatch)
    unnoticed = passed(real, place, flips(real, place, random.Random(1), 300))
    assert unnoticed
    figures("flips", f"broken on purpose: {what}: {len(unnoticed)} changed bytes of {place} passed")
