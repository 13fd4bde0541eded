"""What is compared when a run goes on: what is refused, what is told, what may change freely."""

import os
import random
import re
import shutil
import sys
import textwrap
from dataclasses import replace

import msgspec
import numpy as np
import pytest
import tomli_w
import torch

from rnn_tui.corpus.prepare import PreparedCorpus
from rnn_tui.errors import InputError, PluginError, UsageError
from rnn_tui.model.file import weights
from rnn_tui.model.header import read_header
from rnn_tui.plugin.installing import install_command
from rnn_tui.runs.control import send
from rnn_tui.runs.events import effective
from rnn_tui.runs.status import read_status
from rnn_tui.training import checkpoint, environment
from rnn_tui.training.checkpoint import Checkpoint
from rnn_tui.training.data import read_data
from rnn_tui.training.plugins import check_plugins
from rnn_tui.training.progress import Progress, Replay
from rnn_tui.training.resuming import journalled
from rnn_tui.training.schedule import factor
from rnn_tui.training.snapshot import read_saved, take_back
from rnn_tui.training.stored import extend, identity, stored_config


def edit(run, **sections):
    """Change settings in config.toml, as with an editor."""
    values = run.read_config()
    for section, more in sections.items():
        values[section] = values.get(section, {}) | more
    run.config_path.write_text(tomli_w.dumps(values))


def copy(run, name):
    """Copy the folder of a run to another name."""
    return type(run)(shutil.copytree(run.path, run.path.with_name(name)))


def told(run, kind):
    return [e.data["message"] for e in run.events() if e.kind == kind]


def refusal(run, code=3):
    """Resume; return why that is refused."""
    assert run.train() == code
    assert read_status(run).state == "failed"
    return run.events()[-1].data["message"]


@pytest.fixture
def stopped(make, text):
    """A run that was stopped at step 12, after a checkpoint of step 10."""
    run = make("a", text)
    run.stop_at(12)
    assert run.train() == 0
    return run


# -- identity -----------------------------------------------------------------------------------------------------


def test_a_run_that_was_renamed_or_copied_goes_on(make, stopped, text):
    whole = make("whole", text)
    whole.train()
    twin = copy(stopped, "twin")
    os.rename(stopped.path, stopped.path.with_name("renamed"))
    renamed = type(stopped)(stopped.path.with_name("renamed"))
    for run in (twin, renamed):
        assert run.train() == 0
        assert run.fingerprint() == whole.fingerprint()
        assert run.curve() == whole.curve()
        assert not told(run, "warning")


def test_each_run_has_an_identity_of_its_own_and_notes_it_in_its_checkpoints(make, stopped, text):
    assert re.fullmatch("[0-9a-f]{16}", identity(stopped))
    assert identity(make("b", text)) != identity(stopped)
    newest = checkpoint.find(stopped.checkpoints)[0]
    state = msgspec.json.decode((newest.path / "state.json").read_bytes())
    header = read_header(newest.model_path)
    noted = {newest.manifest["run"], state["run"], header.training["run_id"]}
    assert noted == {identity(stopped)}


def test_a_run_of_an_earlier_version_is_known_by_its_name(make, text):
    run = make("a", text)
    values = run.read_config()
    del values["about"]["id"]
    run.config_path.write_text(tomli_w.dumps(values))
    run.stop_at(12)
    run.train()
    assert checkpoint.find(run.checkpoints)[0].manifest["run"] == "a"
    assert run.train() == 0


def test_a_checkpoint_of_another_run_is_not_taken(make, stopped, text):
    other = make("other", text)
    other.stop_at(15)
    other.train()
    strange = checkpoint.find(other.checkpoints)[0].path
    shutil.copytree(strange, stopped.checkpoints / strange.name)
    assert stopped.train() == 0
    [warning] = told(stopped, "warning")
    assert f"of another run ({identity(other)}" in warning
    assert next(e for e in stopped.events() if e.kind == "resume").data["from_step"] == 12


def test_files_of_different_runs_are_not_taken_together(stopped, monkeypatch):
    real = Checkpoint.load

    def load(self):
        tensors, values = real(self)
        return tensors, values | {"run": "0123456789abcdef"}

    monkeypatch.setattr(Checkpoint, "load", load)
    assert "state.json is of run 0123456789abcdef, the manifest of run" in refusal(stopped)


# -- settings -----------------------------------------------------------------------------------------------------


def test_settings_that_would_make_another_run_of_it_are_refused(make, text, stopped):
    whole = make("whole", text)
    whole.train()
    before = stopped.config_path.read_text()
    cases = [
        ({"model": {"hidden_size": 32}}, "model.hidden_size 16 is now 32"),
        ({"model": {"arch": "gru", "options": {}}}, "model.arch lstm is now gru, "),
        ({"optim": {"lr": 0.1}}, "optim.lr 0.004 is now 0.1"),
        ({"runtime": {"seed": 2}}, "runtime.seed 1 is now 2"),
        ({"runtime": {"precision": "bf16"}}, "runtime.precision fp32 is now bf16"),
        ({"tokenizer": {"name": "byte", "options": {}}}, "tokenizer.name char is now byte, "),
        ({"corpus": {"normalise": ["lowercase"]}}, "corpus.normalise [] is now [lowercase]"),
        ({"data": {"sampling": "random"}}, "data.sampling sequential is now random"),
        (
            {
                "model": {"hidden_size": 32, "num_layers": 3, "dropout": 0.5},
                "optim": {"clip": 2.0, "warmup_steps": 4, "weight_decay": 0.5, "lr_floor": 0.1},
            },
            "model.hidden_size 16 is now 32, model.num_layers 2 is now 3, model.dropout 0.2 is now 0.5, "
            "optim.weight_decay 0.0 is now 0.5, optim.clip 1.0 is now 2.0 and 2 more; put that back",
        ),
    ]
    for sections, says in cases:
        edit(stopped, **sections)
        message = refusal(stopped)
        assert message.startswith("config.toml is not that of the checkpoint of step 12: ")
        assert says in message
        assert "; put that back to resume, or train a new run with --config" in message
        stopped.config_path.write_text(before)
    assert stopped.train() == 0
    assert stopped.fingerprint() == whole.fingerprint()


def test_settings_that_decide_nothing_may_change(make, text, stopped, tmp_path):
    whole = make("whole", text)
    whole.train()
    text.rename(tmp_path / "elsewhere.txt")
    edit(
        stopped,
        watch={"sample_length": 3, "log_every": 2},
        checkpoint={"keep": 5, "every_steps": 7},
        corpus={"source": str(tmp_path / "elsewhere.txt")},
        runtime={"grace": 3.0},
    )
    assert stopped.train() == 0
    assert stopped.fingerprint()[1] == whole.fingerprint()[1]
    assert not told(stopped, "warning")
    [note] = [note for note in told(stopped, "note") if note.startswith("settings changed")]
    assert note.startswith("settings changed since step 12: corpus.source ")
    for change in (
        "watch.log_every 4 is now 2",
        "watch.sample_length 20 is now 3",
        "checkpoint.every_steps 0 is now 7",
    ):
        assert change in note
    points = [e.step for e in effective(stopped.events()) if e.kind == "train"]
    assert points == [4, 8, 12, *range(14, 31, 2)]
    assert {e.step for e in stopped.events() if e.kind == "checkpoint"} >= {14, 21, 28}


def test_a_corpus_that_is_gone(stopped, text, tmp_path):
    text.rename(tmp_path / "moved.txt")
    message = refusal(stopped)
    assert message.startswith(f"{text} is gone; ")
    assert "set corpus.source in config.toml" in message


def test_threads_and_engine_that_were_set_take_effect_and_are_told(stopped):
    edit(stopped, runtime={"threads": 2, "engine": "eager"})
    assert stopped.train() == 0
    assert told(stopped, "warning") == [
        "resuming is not bit-exact: threads 1 is now 2; engine loop is now eager"
    ]
    resume = next(e for e in stopped.events() if e.kind == "resume").data
    assert (resume["threads"], resume["engine"]) == (2, "eager")
    assert "and 2 threads" in resume["exactness"]


def test_smaller_batches_begin_the_epoch_anew(stopped):
    """What memory is too small for may be changed."""
    edit(stopped, data={"batch_size": 4, "seq_len": 10})
    seen = []
    stopped.at(step_12=lambda t: seen.append((t.progress.epoch, t.progress.window, t.state)))
    assert stopped.train() == 0
    assert seen == [(0, 0, None)]
    assert told(stopped, "warning") == [
        "resuming is not bit-exact: data.seq_len 12 is now 10; data.batch_size 8 is now 4; its epoch begins anew"
    ]
    assert read_status(stopped).step == 30


def test_validations_that_training_acts_on_are_no_free_setting(make, text):
    run = make("a", text, optim={"schedule": "plateau", "warmup_steps": 3})
    run.stop_at(12)
    run.train()
    edit(run, watch={"validate_every": 5})
    assert run.train() == 0
    assert told(run, "warning") == ["resuming is not bit-exact: watch.validate_every 10 is now 5"]
    assert {e.step for e in run.events() if e.kind == "validation"} == {10, 15, 20, 25, 30}


def test_exact_refuses_and_says_how_to_lift_it(make, text):
    run = make("a", text, runtime={"threads": 1, "device": "cpu", "engine": "loop", "exact": True})
    run.stop_at(12)
    run.train()
    edit(run, data={"batch_size": 4})
    message = refusal(run, code=2)
    assert message.startswith("resuming is not bit-exact: data.batch_size 8 is now 4; its epoch begins anew.")
    assert "runtime.exact = false" in message
    edit(run, runtime={"exact": False})
    assert run.train() == 0


def test_settings_of_a_newer_version(stopped, monkeypatch):
    before = stopped.config_path.read_text()
    edit(stopped, model={"wings": 2}, about={"rnn_tui": "99.1"})
    message = refusal(stopped)
    assert "there is no setting model.wings" in message
    assert "it was written by rnn-tui 99.1" in message
    assert "upgrade" in message
    stopped.config_path.write_text(before)
    edit(stopped, model={"wings": 2})  # by hand, with this version
    assert "upgrade" not in refusal(stopped, code=2)
    stopped.config_path.write_text(before)
    edit(stopped, optim={"lr": -1.0}, about={"rnn_tui": "99.1"})
    with pytest.raises(InputError, match=r"optim\.lr must be"):
        stored_config(stopped)


# -- a larger budget ----------------------------------------------------------------------------------------------


def test_a_finished_run_goes_on_with_a_larger_budget(make, text):
    """Where the rate does not depend on the budget, to what a run would have come that had it from the start."""
    more = {"optim": {"schedule": "constant", "warmup_steps": 3}}
    whole, run = make("whole", text, **more, budget={"steps": 45}), make("a", text, **more)
    whole.train()
    assert run.train() == 0
    assert extend(run, {"steps": 45}).budget.steps == 45
    assert run.config_path.stat().st_mode & 0o777 == 0o600
    assert run.train() == 0
    assert run.fingerprint() == whole.fingerprint()
    [note] = [note for note in told(run, "note") if note.startswith("settings")]
    assert note == (
        "settings changed since step 30: budget.steps 30 is now 45; the learning rate does not depend on the budget "
        "(schedule constant)"
    )
    assert run.train() == 2  # complete again


def test_a_cosine_goes_over_the_new_budget(make, text, capsys):
    run = make("a", text)
    run.train()
    extend(run, {"steps": 60})
    assert run.train() == 0
    optim = stored_config(run).optim
    # half way through the new budget
    assert factor(optim, step=30, progress=0.5, plateau=1.0) == pytest.approx(0.51)
    [note] = [note for note in told(run, "note") if note.startswith("settings")]
    assert note.endswith(
        "the cosine of the learning rate goes over the new budget: the rate rises from 8e-05 to 0.00204"
    )
    rates = {e.step: e.data["lr"] for e in effective(run.events()) if e.kind == "train"}
    assert rates[30] < 1e-4 < 1.9e-3 < rates[32]


def test_a_budget_has_to_be_more_than_is_done(make, text):
    run = make("a", text)
    run.train()
    before = run.config_path.read_text()
    for budget, says in [
        ({"steps": 30}, "has done 30 steps already; --steps takes"),
        ({"epochs": 0.01}, "epochs already"),
        ({"minutes": 1e-6}, "minutes already"),
        ({"steps": 60, "minutes": 1e-6}, "minutes already"),
    ]:
        with pytest.raises(UsageError, match=says):
            extend(run, budget)
    assert run.config_path.read_text() == before
    extend(run, {"epochs": 9.0})
    assert stored_config(run).budget.steps == 0  # the new one stands in the place of the old


def test_a_stopped_run_may_get_another_budget_too(stopped):
    extend(stopped, {"steps": 20})
    assert stopped.train() == 0
    assert read_status(stopped).step == 20


def test_a_budget_written_by_hand_counts(make, text):
    run = make("a", text)
    run.train()
    edit(run, budget={"steps": 33})
    assert run.train() == 0
    assert read_status(run).step == 33


def test_a_run_that_ended_early_goes_on_until_its_patience_ends_anew(make, text):
    run = make("a", text, budget={"steps": 100, "patience": 2}, optim={"lr": 1e-9, "warmup_steps": 0})

    def worse(trainer):
        trainer.progress.best_loss = 0.0

    run.at(step_5=worse)
    assert run.train() == 0
    assert run.events()[-1].data["reason"] == "early-stop"
    assert read_status(run).step == 20
    assert run.train() == 2  # complete
    extend(run, {"steps": 90})
    assert run.train() == 0
    assert run.events()[-1].data["reason"] == "early-stop"
    assert read_status(run).step == 40


# -- another corpus -----------------------------------------------------------------------------------------------


def test_another_corpus_has_to_be_accepted(make, text, stopped):
    text.write_text(text.read_text().replace("cat", "cow").replace("mat", "mäx"))
    assert refusal(stopped) == (
        f"the corpus {text} is not what run a began with; put it back, or go on with what is there, which is another "
        "run from here on: rnn-tui resume a --accept-data"
    )
    seen = []
    stopped.at(step_12=lambda t: seen.append((t.progress.epoch, t.progress.window, t.progress.best_loss)))
    assert stopped.train(accept_data=True) == 0
    assert seen == [(0, 0, None)]
    [warning] = told(stopped, "warning")
    share = re.fullmatch(
        r"resuming is not bit-exact: the corpus .* is not what run a began with, which was accepted, (.*) of its "
        "tokens are not in the vocabulary; its epoch begins anew",
        warning,
    )
    content = text.read_text()
    assert share[1] == f"{sum(map(content.count, 'wäx')) / len(content):.1%}"
    best = [e.step for e in effective(stopped.events()) if e.kind == "validation" and e.data["best"]]
    assert 20 in best
    assert read_status(stopped).best_step in (20, 30)


def test_what_was_accepted_needs_no_second_word(make, text, stopped, tmp_path):
    old = read_header(checkpoint.find(stopped.checkpoints)[0].model_path)
    text.write_text(text.read_text()[::-1].replace("q", "x"))

    def killed(trainer):
        raise KeyboardInterrupt

    stopped.at(step_13=killed)
    with pytest.raises(KeyboardInterrupt):
        stopped.train(accept_data=True)
    assert stopped.train() == 0  # it was saved before the first update on it
    new = read_header(checkpoint.find(stopped.checkpoints)[0].model_path)
    assert new.training["fingerprint"] != old.training["fingerprint"]
    assert new.tokenizer == old.tokenizer


@pytest.mark.parametrize("task", ["next-token", "aligned", "series"])
def test_what_a_run_was_made_with_reads_its_corpus_as_before(
    make, settings, text, pairs, numbers, task, tmp_path
):
    source = {"next-token": text, "aligned": pairs, "series": numbers}[task]
    run = make("a", source, task={"name": task}, budget={"steps": 1})
    assert run.train() == 0
    header = read_header(checkpoint.find(run.checkpoints)[0].model_path)
    config = stored_config(run)
    trained, known = read_data(config), read_data(config, made_by=header)
    assert trained.fingerprint == known.fingerprint == header.training["fingerprint"]
    if isinstance(trained, PreparedCorpus):
        assert (trained.split("train").ids() == known.split("train").ids()).all()


# -- plugins ------------------------------------------------------------------------------------------------------

CELL = """
    from rnn_tui_scratch.gru import GRU

    class Strange(GRU):
        '''{}'''
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """`package("name", "1.0", word)` puts an architecture `strange` on the path; a `word` of None takes it away."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")]))

    def install(name, version, word):
        for old in site.glob(f"{name}-*"):
            shutil.rmtree(old)
        sys.modules.pop(name, None)
        if word is None:
            return
        # a later second, or the cached bytecode of the file before is taken
        path = site / f"{name}.py"
        path.write_text(textwrap.dedent(CELL.format(word)))
        os.utime(path, (random.randrange(10**9), random.randrange(10**9)))
        info = site / f"{name}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(f"[rnn_tui.architectures]\nstrange = {name}:Strange\n")

    yield install
    for name in ("odd", "even"):
        sys.modules.pop(name, None)


def test_a_plugin_may_be_upgraded_but_never_exchanged(make, text, package):
    package("odd", "1.0", "first")
    run = make("a", text, model={"arch": "strange", "hidden_size": 16}, budget={"steps": 20})
    run.stop_at(5)
    assert run.train() == 0
    package("odd", "1.1", "second")
    run.stop_at(10)
    assert run.train() == 0
    [warning] = told(run, "warning")
    assert warning == (
        "resuming is not bit-exact: odd 1.0 is 1.1 now, and the weights go on under the changed code"
    )
    [event] = [event for event in run.events() if event.kind == "warning"]
    assert event.data["plugins"]["architecture"] == ["odd 1.0", "odd 1.1"]
    assert len(set(event.data["plugins"]["architecture_source"])) == 2
    header = read_header(checkpoint.find(run.checkpoints)[0].model_path)
    made_with = "run a was made with the architecture strange of the package odd 1.1"
    nothing = "nothing was changed"

    package("even", "3.0", "another")
    with pytest.raises(
        PluginError, match=f"{made_with}, to which that name no longer leads; even 3.0 may not"
    ):
        check_plugins(run, header)
    package("odd", "1.1", None)
    with pytest.raises(
        PluginError,
        match=f"{made_with}, which is not there; even 3.0 may not take its place; .*{nothing}",
    ):
        check_plugins(run, header)
    package("even", "3.0", None)
    assert refusal(run, code=8) == (
        f"{made_with}, which is not there; if it is published and you trust it, install it with: "
        f"{install_command('odd')}; then resume again, nothing was changed"
    )
    package("odd", "1.1", "second")
    assert run.train() == 0
    assert len(told(run, "warning")) == 1


# -- the machine --------------------------------------------------------------------------------------------------


def test_the_environment_is_noted_in_the_manifest(stopped):
    noted = checkpoint.find(stopped.checkpoints)[0].manifest["environment"]
    assert set(noted) == {
        *("rnn_tui", "torch", "maths", "processor", "cpu", "device", "threads", "engine"),
        *("architecture", "architecture_source", "tokenizer"),
    }
    assert noted["torch"] == torch.__version__
    assert (noted["threads"], noted["engine"]) == (1, "loop")
    assert noted["processor"]


def test_the_libraries_that_multiply_are_named_by_version():
    built = """PyTorch built with:
      - Intel(R) oneAPI Math Kernel Library Version 2024.2-Product Build 20240605 for Intel(R) 64 architecture
      - Intel(R) MKL-DNN v3.12.0 (Git Hash 80afa71049cd69a3df32adcccb623b12cd7baa22)
    """
    assert environment._maths(built) == "MKL 2024.2-Product 20240605, oneDNN 3.12.0"
    assert environment._maths("PyTorch built with:\n  - GCC 13.3") == ""


def test_another_machine_is_told_once_and_what_was_not_noted_is_not(stopped, monkeypatch):
    monkeypatch.setattr(environment, "_processor", lambda: "Pocket Calculator")
    stopped.stop_at(20)
    assert stopped.train() == 0
    [warning] = told(stopped, "warning")
    assert re.fullmatch("resuming is not bit-exact: processor .* is now Pocket Calculator", warning)
    stopped.stop_at(25)
    assert stopped.train() == 0  # the checkpoint is of this machine now
    assert len(told(stopped, "warning")) == 1
    then = {"torch": "2.0", "threads": 1}
    assert environment.compare_environment(then, {"torch": "2.1", "threads": 1, "processor": "x"}) == [
        "torch 2.0 is now 2.1"
    ]


def test_the_level_of_exactness_is_told(stopped, make, text):
    start = stopped.events()[0].data
    version = torch.__version__
    assert start["exactness"] == f"bit for bit on this machine with torch {version} and 1 thread"
    minutes = make("b", text, budget={"minutes": 0.001, "steps": 0})
    levels = []
    minutes.at(step_0=lambda trainer: levels.append(environment.exactness(trainer)))
    minutes.train()
    assert levels == [f"{start['exactness']}, up to the step at which the minutes end"]


# -- what a checkpoint holds --------------------------------------------------------------------------------------


def state_of(trainer):
    """All that a checkpoint puts back, to be compared."""
    moments = {
        (number, key): value.clone()
        for number, entry in trainer.optimizer.state_dict()["state"].items()
        for key, value in entry.items()
    }
    tensors = [*weights(trainer.model).values(), *moments.values(), torch.get_rng_state()]
    return (
        [tensor.numpy().tobytes() for tensor in tensors],
        dict(vars(trainer.progress)),
        random.getstate(),
        np.random.get_state()[1].tobytes(),
    )


def hostile(saved):
    """What is wrong with a checkpoint, by the words that say so."""
    tensors, values = saved.tensors, saved.values
    exp = tensors["optim.0.exp_avg"]

    def without(mapping, *keys):
        return {key: value for key, value in mapping.items() if key not in keys}

    numpy_rng = values["numpy_rng"]
    kind, words, gauss = values["python_rng"]
    group = values["param_groups"][0]
    yield "0.exp_avg is absent, not float32", without(tensors, "optim.0.exp_avg"), values
    yield (
        r"0.exp_avg is float32 \[3, 4\], not float32",
        tensors | {"optim.0.exp_avg": torch.ones(3, 4)},
        values,
    )
    yield "0.exp_avg is float64", tensors | {"optim.0.exp_avg": exp.double()}, values
    yield "0.step is int64", tensors | {"optim.0.step": torch.tensor(3)}, values
    yield r"0.momentum is float32 \[1\], not absent", tensors | {"optim.0.momentum": torch.ones(1)}, values
    everything = {key: value.double() for key, value in tensors.items() if key.startswith("optim.")}
    yield r"float64 .* and \d+ more", tensors | everything, values
    yield "KeyError: 99", tensors | {"optim.99.exp_avg": exp}, values
    yield (
        "of 9 weights, the model has 8",
        tensors,
        values | {"optim_values": values["optim_values"] | {"99": {}}},
    )
    yield "invalid literal", tensors | {"optim.x.exp_avg": exp}, values
    yield "'ghost.1' is too many", tensors | {"ghost.1": exp}, values
    yield "optimiser's betas differ", tensors, values | {"param_groups": [group | {"betas": [0.1, 0.2]}]}
    yield "zip", tensors, values | {"param_groups": []}
    yield "params differ", tensors, values | {"param_groups": [group | {"params": [1, 0]}]}
    yield "not for this run: .*float", tensors, values | {"param_groups": [group | {"lr": "fast"}]}
    yield "carried state", tensors | {"carry.0": torch.ones(2, 2)}, values
    yield "KeyError: .carry.4.", tensors | {"carry.99": exp}, values
    yield "a carried state is too many", tensors, values | {"carried": False}
    yield "KeyError: 'carried'", tensors, without(values, "carried")
    yield "rng.torch", without(tensors, "rng.torch"), values
    yield "RuntimeError|TypeError", tensors | {"rng.torch": torch.ones(9, dtype=torch.uint8)}, values
    yield "TypeError", tensors | {"rng.torch": torch.ones(5056)}, values
    yield "invalid state", tensors, values | {"python_rng": [kind, [*words[:-1], 9999], gauss]}
    yield "OverflowError", tensors, values | {"python_rng": [kind, [-1] * 625, gauss]}
    yield "not enough values", tensors, values | {"python_rng": [kind]}
    yield (
        "NumPy's generator is at 99999",
        tensors,
        values | {"numpy_rng": numpy_rng | {"state": numpy_rng["state"] | {"pos": 99999}}},
    )
    yield "KeyError", tensors, values | {"numpy_rng": {}}
    yield "TypeError", tensors, values | {"numpy_rng": 3}
    yield "AttributeError", tensors, values | {"optim_values": []}


def test_a_checkpoint_that_does_not_fit_changes_nothing(make, text):
    """However right its hashes are: each fault is one InputError before the first change."""
    run = make("a", text)
    counted = []

    def abuse(trainer):
        trainer.save("request")
        saved = read_saved(checkpoint.find(run.checkpoints)[0])
        assert "carry.0" in saved.tensors
        before = state_of(trainer)
        for says, tensors, values in hostile(saved):
            with pytest.raises(InputError, match=says) as caught:
                take_back(trainer, replace(saved, tensors=tensors, values=values))
            assert str(caught.value).startswith("checkpoint step-00000007 was not written by this version")
            assert "nothing was changed" in str(caught.value)
            assert state_of(trainer) == before
            counted.append(says)
        with pytest.raises(InputError, match="window 999 of an epoch of"):
            take_back(trainer, replace(saved, progress=replace(saved.progress, window=999)))
        assert state_of(trainer) == before
        take_back(trainer, saved)  # and the whole one fits

    whole = make("whole", text)
    whole.train()
    run.at(step_7=abuse)
    assert run.train() == 0
    assert len(counted) == 28
    assert run.fingerprint() == whole.fingerprint()


@pytest.mark.parametrize(
    ("part", "values", "says"),
    [
        ("progress", {"step": "x"}, "Expected `int`"),
        ("progress", {"window": -1}, "window is -1"),
        ("progress", {"wings": 2}, "it has wings, which this version does not know"),
        ("progress", {"base_lr": None}, "Expected `float`"),
        ("pace", {"threads": 0}, "0 threads"),
        ("pace", {"threads": 10**9}, "1000000000 threads"),
        ("pace", {"log_every": 0}, "intervals of 0"),
        ("pace", {"engine": "os.system"}, "there is no engine 'os.system'"),
        ("pace", None, "TypeError|NoneType"),
    ],
)
def test_counters_that_make_no_sense_are_refused(stopped, monkeypatch, capsys, part, values, says):
    real = Checkpoint.load

    def load(self):
        tensors, whole = real(self)
        whole[part] = None if values is None else whole[part] | values
        return tensors, whole

    monkeypatch.setattr(Checkpoint, "load", load)
    assert re.search(says, refusal(stopped))
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("engine", ["loop", "eager"])
def test_a_trainer_that_has_trained_on_goes_back(make, text, engine):
    """And comes by again, with the same weights and the same curve."""
    more = {"runtime": {"threads": 1, "device": "cpu", "engine": engine}}
    whole, run = make("whole", text, **more), make("a", text, **more)
    whole.train()
    taken = []

    def back(trainer):
        if not taken:
            taken.append(trainer.progress.step)
            trainer.collect(wait=True)
            [saved] = [c for c in checkpoint.find(run.checkpoints) if c.step == 10]
            take_back(trainer, read_saved(saved))
            assert trainer.progress.step == 10

    run.at(step_23=back)
    assert run.train() == 0
    assert taken == [23]
    assert run.fingerprint() == whole.fingerprint()


# -- what was asked for between a checkpoint and a crash --------------------------------------------------------------


def test_a_rate_set_before_a_crash_is_applied_once_at_its_step(make, text):
    """Also when the attempts that repeat it crash too: before its step, and after."""
    more = {"watch": {"log_every": 1, "validate_every": 100}, "checkpoint": {"every_steps": 5}}
    whole, run = make("whole", text, **more), make("a", text, **more)

    def ask(trainer):
        send(trainer.journal.run, "set", {"lr": 1e-5})
        trainer.orders._requests._next_scan = 0.0

    def killed(trainer):
        trainer.collect(wait=True)
        raise KeyboardInterrupt

    whole.at(step_7=ask)
    assert whole.train() == 0
    run.at(step_7=ask, step_9=killed)
    for actions in ({}, {"step_6": killed}, {"step_8": killed}):
        if actions:
            run.at(**actions)
        with pytest.raises(KeyboardInterrupt):
            run.train()
    assert run.train() == 0
    assert [e.data["from_step"] for e in run.events() if e.kind == "resume"] == [5, 5, 5]
    assert [(e.step, e.data["command"]) for e in run.events() if e.kind == "command"] == [(7, "set")]
    assert run.fingerprint() == whole.fingerprint()
    assert run.curve() == whole.curve()
    rates = {}
    for event in run.events():
        if event.kind == "train":
            rates.setdefault(event.step, set()).add(event.data["lr"])
    # the same in all attempts; the schedule falls on from the rate that was set at step 7
    assert all(len(found) == 1 for found in rates.values())
    assert list(rates[8]) == [pytest.approx(1e-5)]
    assert min(rates[7]) > 1e-3


def test_a_run_without_changes_has_nothing_to_replay(stopped):
    assert journalled(stopped, Progress(step=12)) == Replay((), 12)
