"""Settings from a stranger, in files, the environment and commands: one sentence each, at once."""

import os
import re
from pathlib import Path

import fault_corpora as odd
import pytest
from fault_corpora import outcome, refusal

from rnn_tui.cli.settings import assignment_layer
from rnn_tui.corpus.config import CorpusConfig
from rnn_tui.corpus.prepare import prepare
from rnn_tui.model.config import ModelConfig
from rnn_tui.plugin.registry import load_plugin
from rnn_tui.runs.layout import RunFolder
from rnn_tui.training import config as settings
from rnn_tui.training import estimate
from rnn_tui.training.config import RunConfig, RuntimeConfig
from rnn_tui.training.layers import environment_layers


def resolved(path: Path):
    return settings.resolve([(str(path), settings.read_toml(str(path)))])


def wrong_settings(folder: Path) -> list[str]:
    path, findings = folder / "settings.toml", []
    for name, content, code, phrase in odd.SETTINGS:
        path.write_bytes(content)
        findings.append((name, refusal(outcome(resolved, path), code, phrase)))
        if code == 3:  # what is wrong whatever the settings are
            run = RunFolder(folder)
            (folder / "config.toml").write_bytes(content)
            findings.append((f"a run's: {name}", refusal(outcome(run.read_config), code, "config.toml")))
    os.mkfifo(folder / "pipe")
    (folder / "loop").symlink_to("loop")
    for odd_path, phrase in (
        (folder / "pipe", "not a regular file"),
        (folder / "loop", "Too many levels of symbolic links"),
        (folder, "directory"),
        (Path("/dev/zero"), "not a regular file"),
        (folder / "absent", "No such file"),
    ):
        findings.append((odd_path.name, refusal(outcome(resolved, odd_path), 3, phrase)))
    return [f"{name} {wrong}" for name, wrong in findings if wrong]


def test_settings(tmp_path, figures):
    findings = wrong_settings(tmp_path)
    assert not findings, "\n".join(findings)
    (tmp_path / "bom.toml").write_bytes(b"\xef\xbb\xbf[model]\r\nhidden_size = 7\r\n")
    assert resolved(tmp_path / "bom.toml").config.model.hidden_size == 7
    figures("corpora", f"{len(odd.SETTINGS)} settings files: one sentence each, < 1 s")


def dots_uncounted(monkeypatch):
    monkeypatch.setattr("rnn_tui.toml._DOTS", 10**9)


def infinity_taken(monkeypatch):
    monkeypatch.setattr(settings, "_check_plain", lambda value: None)


def pipes_opened(monkeypatch):
    monkeypatch.setattr(settings, "_without_waiting", os.open)


@pytest.mark.parametrize(
    ("broken", "tells"),
    [
        (dots_uncounted, "a key of 50,000 parts is not refused: (hangs|takes)"),
        (infinity_taken, "clip inf is not refused"),
        (pipes_opened, "pipe is not refused: hangs"),
    ],
)
def test_settings_find_what_is_broken(tmp_path, monkeypatch, figures, broken, tells):
    broken(monkeypatch)
    monkeypatch.setattr("fault_corpora.PATIENCE", 1.0)
    keep = ("clip", "a key of")
    monkeypatch.setattr(odd, "SETTINGS", [case for case in odd.SETTINGS if case[0].startswith(keep)])
    found = wrong_settings(tmp_path)
    assert any(re.match(tells, finding) for finding in found), found
    figures("corpora", f"{broken.__name__.replace('_', ' ')}: {len(found)} settings files tell")


VALUES = [
    "9" * 5000,
    "[" * 5000,
    "nan",
    "inf",
    "-1",
    "true",
    "1e12",
    "",
    "\x1b]52;c;x\x07",
    "1\n[model]",
    "{a=1}",
]
VALUES += ["\udce9", "1\nvalue = 2"]


def test_settings_from_the_environment_and_the_command():
    for value in VALUES:
        for section, key in (("model", "num_layers"), ("optim", "clip"), ("runtime", "seed")):
            if (section, value) in (("optim", "1e12"), ("runtime", "true")):
                continue  # 1e12 is a norm like any other
            layers = environment_layers({f"RNN_TUI_{section.upper()}_{key.upper()}": value})
            result = outcome(settings.resolve, layers)
            assert refusal(result, 2, f"{section}.{key} must be a") == "", (key, value)
            result = outcome(settings.resolve, [assignment_layer(f"{section}.{key}={value}")])
            assert refusal(result, 2, f"{section}.{key} must be a") == "", (key, value)


def test_a_model_that_cannot_fit_is_refused_before_it_is_made(tmp_path, monkeypatch):
    (tmp_path / "t.txt").write_bytes(odd.PLAIN * 50)
    prepared = prepare(CorpusConfig(source=str(tmp_path / "t.txt")), load_plugin("tokenizer", "byte"), None)
    wide = RunConfig(model=ModelConfig(hidden_size=65536), runtime=RuntimeConfig(device="cpu"))
    result = outcome(estimate.check_memory, wide, prepared)
    # (256 + 65536 + 256) x 65536 weights; adamw has four of each, four bytes each
    assert refusal(result, 7, "takes more than 69.3 GB of memory") == ""
    monkeypatch.setattr(estimate.psutil, "virtual_memory", lambda: type("Free", (), {"available": 69.4e9}))
    assert outcome(estimate.check_memory, wide, prepared) is None
