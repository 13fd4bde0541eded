import subprocess
import sys

import pytest

from rnn_tui.errors import InputError, UsageError
from rnn_tui.training.config import RunConfig, from_dict, read_toml, resolve, to_dict


def test_the_strongest_layer_wins_and_is_remembered():
    resolved = resolve(
        [
            ("recipe demo", {"optim": {"lr": 0.5, "clip": 2.0}, "data": {"seq_len": 10}}),
            ("config.toml", {"optim": {"lr": 0.25}}),
            ("--lr", {"optim": {"lr": 1}}),
        ]
    )
    assert resolved.config.optim.lr == 1.0
    assert resolved.config.optim.clip == 2.0
    assert resolved.config.data.seq_len == 10
    assert resolved.config.data.batch_size == RunConfig().data.batch_size
    assert resolved.origins == {
        "optim.lr": "--lr",
        "optim.clip": "recipe demo",
        "data.seq_len": "recipe demo",
    }


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"optin": {}}, "no section [optin]; did you mean 'optim'?"),
        ({"optim": {"lrr": 1}}, "no setting optim.lrr; did you mean 'lr'?"),
        ({"optim": {"lr": -1}}, "here: optim.lr must be a number above 0 up to 1000000, not -1"),
        ({"optim": {"lr": float("nan")}}, "optim.lr"),
        ({"optim": {"lr": float("inf")}}, "optim.lr"),
        (
            {"model": {"hidden_size": True}},
            "model.hidden_size must be a whole number from 1 up to 65536, not True",
        ),
        (
            {"model": {"hidden_size": 10**9}},
            "model.hidden_size must be a whole number from 1 up to 65536, not 1000000000",
        ),
        ({"model": {"num_layers": -1}}, "model.num_layers"),
        ({"model": {"dropout": 1.0}}, "model.dropout"),
        (
            {"optim": {"schedule": "cos"}},
            "one of constant, cosine, step, plateau, not 'cos'; did you mean 'cosine'?",
        ),
        ({"corpus": {"normalise": ["lowercse"]}}, "not ['lowercse']; did you mean 'lowercase'?"),
        ({"model": {"options": 3}}, "model.options must be a table, not 3"),
        ({"optim": 3}, "[optim] must be a table"),
        ({"data": {"seq_len": 5, "seq_len_min": 6}}, "data.seq_len_min 6 is larger than data.seq_len 5"),
        ({"model": {"bidirectional": True}}, "see the future that next-token asks it for"),
        ({"model": {"bidirectional": True}, "task": {"name": "series"}}, "only the task aligned takes it"),
        ({"task": {"name": "series"}, "model": {"encoder": "one-hot"}}, "series has no tokens"),
        ({"task": {"name": "aligned"}, "data": {"loss_on": "last"}}, "aligned takes whole lines"),
        ({"task": {"name": "next"}}, "one of next-token, aligned, series, not 'next'"),
        ({"task": {"horizons": [0]}}, "task.horizons must be a list, each of it a whole number from 1"),
        ({"corpus": {"validation": 0.6, "test": 0.4}}, "leave nothing to train on"),
        ({"corpus": {"validation": 0.0}, "budget": {"patience": 3}}, "need a validation split"),
        (
            {"runtime": {"exact": True}, "budget": {"minutes": 1}},
            "runtime.exact needs a budget in steps or epochs",
        ),
        ({"runtime": {"precision": "tf32", "device": "cpu"}}, "tf32 exists on cuda only"),
        ({"runtime": {"precision": "fp16", "device": "mps"}}, "fp16 exists on cuda only, not on mps"),
        ({"runtime": {"engine": "graph", "device": "cpu"}}, "engine graph exists on cuda only, not on cpu"),
        ({"optim": {"optimizer": "sgd", "amsgrad": True}}, "amsgrad exists for adam and adamw, not for sgd"),
        ({"optim": {"momentum": 0.9}}, "momentum exists for sgd and rmsprop, not for adamw"),
        ({"model": {"encoder": "one-hot", "tie_weights": True}}, "tie_weights needs an embedding"),
        ({"model": {"encoder": "one-hot", "embedding_size": 8}}, "embedding_size needs an embedding"),
    ],
)
def test_one_clear_line_for_what_is_wrong(settings, words):
    with pytest.raises(UsageError) as caught:
        resolve([("here", settings)])
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_written_and_read_again():
    config = resolve(
        [("x", {"corpus": {"normalise": ["lowercase", "letters-only"]}, "runtime": {"seed": 7}})]
    ).config
    assert from_dict(to_dict(config), "config.toml") == config


def test_hostile_toml(tmp_path):
    deep = tmp_path / "deep.toml"
    deep.write_text("a = " + "[" * 50_000)
    with pytest.raises(InputError, match="not valid TOML"):
        read_toml(str(deep))
    digits = tmp_path / "digits.toml"
    digits.write_text("a = " + "9" * 5000)
    with pytest.raises(InputError, match="not valid TOML"):
        read_toml(str(digits))
    big = tmp_path / "big.toml"
    big.write_text("#" * 300_000)
    with pytest.raises(InputError, match="256 KiB"):
        read_toml(str(big))
    with pytest.raises(InputError, match="No such file"):
        read_toml(str(tmp_path / "none.toml"))


def test_settings_need_neither_torch_nor_numpy():
    code = "import sys, rnn_tui.training.config; print([m for m in ('torch', 'numpy') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
