"""Whatever a model file holds, it is loaded or refused with one sentence, at once and in little memory."""

import builtins
import importlib
import io
import json
import math
import os
import re
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import fault_model_cases as made
import fault_models as faults
import msgspec
import pytest
import torch

from rnn_tui.errors import InputError, RnnTuiError
from rnn_tui.inference.engine import Engine
from rnn_tui.inference.requests import Inbox
from rnn_tui.model import container, header, strict_json
from rnn_tui.model import file as model_file
from rnn_tui.model.container import BadModelFile, Container
from rnn_tui.model.file import load_arrays, load_model, load_weights


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    found = faults.seeds()
    faults.warm_up(found, tmp_path_factory.mktemp("warm") / "m.safetensors")
    return found


# -- mutants ------------------------------------------------------------------------------------------------------


def test_mutants(tmp_path, amount, seed, figures):
    count = amount(600, 20_000)
    done = faults.mutants(tmp_path, count, seed)
    assert not done.findings, "\n".join(done.findings[:10])
    assert done.kinds["BadModelFile"] > count / 2
    assert done.kinds["accepted"] > count / 100
    told = ", ".join(f"{number:,} {kind}" for kind, number in sorted(done.kinds.items()))
    figures(
        "models",
        f"{count:,} mutants: 0 crashes, 0 hangs; {told}; at most {done.slowest:.2f} s and {done.megabytes:.0f} MB",
    )


def places_unchecked(monkeypatch):
    monkeypatch.setattr(container, "_misplaced", lambda entries, begin: "")


def tensors_not_compared(monkeypatch):
    monkeypatch.setattr(model_file, "_compare", lambda container, model: None)


def settings_unchecked(monkeypatch):
    def convert(values, kind):
        return msgspec.convert(values, kind) if kind in (header.ModelFile, header.ModelConfig) else values

    monkeypatch.setattr(header, "msgspec", SimpleNamespace(convert=convert))


def weights_unchecked(monkeypatch):
    monkeypatch.setattr(torch, "isfinite", lambda tensor: torch.ones_like(tensor, dtype=torch.bool))


@pytest.mark.parametrize(
    ("broken", "count"), [(places_unchecked, 600), (tensors_not_compared, 200), (settings_unchecked, 400)]
)
def test_mutants_find_what_is_broken(tmp_path, monkeypatch, figures, broken, count):
    broken(monkeypatch)
    found = faults.mutants(tmp_path, count, 1).findings
    assert found
    figures("models", f"{broken.__name__.replace('_', ' ')}: {len(found)} of {count} mutants tell")


# -- files made by hand -------------------------------------------------------------------------------------------


def test_files_made_by_hand(tmp_path, models, figures):
    cases = made.by_hand(models)
    assert len({case.name for case in cases}) == len(cases) > 73
    findings = faults.refusals(cases, models, tmp_path)
    assert not findings, "\n".join(findings)
    figures("models", f"{len(cases)} files made by hand, each refused with its sentence, < 1 s and < 50 MB")


def limits_removed(monkeypatch):
    monkeypatch.setattr(container, "HEADER_LIMIT", 2**40)
    monkeypatch.setattr(container, "TENSOR_LIMIT", 2**40)
    monkeypatch.setattr(strict_json, "VALUES_LIMIT", 2**40)


def duplicates_allowed(monkeypatch):
    monkeypatch.setattr(strict_json, "_unique", dict)


def dtypes_unchecked(monkeypatch):
    more = {"I8": ("int8", 1), "C64": ("complex64", 8), "F8_E4M3": ("float8_e4m3fn", 1)}
    monkeypatch.setattr(container, "DTYPES", container.DTYPES | more)


def kinds_unknown(monkeypatch):
    monkeypatch.setattr(container, "_OTHER_KINDS", ())


def memory_not_considered(monkeypatch):
    monkeypatch.setattr(model_file, "plain_rnn_weights", lambda config, **inputs: 0)


def reasons_not_cut(monkeypatch):
    monkeypatch.setattr(container, "MESSAGE_LIMIT", 2**40)


def deviations_unchecked(monkeypatch):
    monkeypatch.setattr(model_file, "min", lambda values: 1.0, raising=False)


@pytest.mark.parametrize(
    ("broken", "name", "tells"),
    [
        (limits_removed, "enormous: keys", "s and .* MB: BadModelFile"),
        (limits_removed, "enormous: 4,097 tensors", "not the refusal"),
        (duplicates_allowed, "two tensors of one name", "not the refusal"),
        (places_unchecked, "half the same bytes", "not the refusal"),
        (dtypes_unchecked, "complex", "not the refusal"),
        (kinds_unknown, "another file: pickle 2", "not the refusal"),
        (weights_unchecked, "nan in head.weight", "not the refusal.* accepted"),
        (memory_not_considered, "as wide as may be", "OutOfMemoryError|MB"),
        (reasons_not_cut, "a setting of 4 MB", "a message of 4"),
        (deviations_unchecked, "a deviation of 0", "not the refusal.* accepted"),
    ],
)
def test_files_made_by_hand_find_what_is_broken(tmp_path, models, monkeypatch, figures, broken, name, tells):
    cases = [case for case in made.by_hand(models) if case.name == name]
    assert not faults.refusals(cases, models, tmp_path)
    broken(monkeypatch)
    faults.give_back_memory()
    (found,) = faults.refusals(cases, models, tmp_path)
    assert re.search(tells, found), found
    figures("models", f"{broken.__name__.replace('_', ' ')}: {name!r} tells")


# -- what is no file ----------------------------------------------------------------------------------------------


def odd_files(folder: Path) -> dict[Path, str]:
    """Make what is no regular file; return each with a phrase of its refusal."""
    os.mkfifo(folder / "pipe")
    for name, target in (
        ("to pipe", "pipe"),
        ("loop", "loop"),
        ("dangling", "nowhere"),
        ("to zero", "/dev/zero"),
    ):
        (folder / name).symlink_to(target)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.path.relpath(folder / "socket"))
    return {
        folder: "a folder",
        folder / "pipe": "a named pipe",
        folder / "to pipe": "a named pipe",
        folder / "socket": "a socket",
        folder / "loop": "Too many levels of symbolic links",
        folder / "dangling": "No such file",
        folder / "to zero": "a device",
        folder / "absent": "No such file",
        folder / "pipe" / "x": "Not a directory",
        folder / ("n" * 300): "File name too long",
        folder / "a\0b": "no file can have this name",
        Path("/dev/zero"): "a device",
        Path("/dev/null"): "a device",
        Path("/proc/self/maps"): "empty",
    }  # fmt: skip


def wrong_about(files: dict[Path, str], seed: faults.Seed) -> list[str]:
    found = []
    for path, phrase in files.items():
        result = faults.attempt(seed, path)
        if (
            result.wrong
            or result.kind != "BadModelFile"
            or phrase not in result.message
            or result.seconds > faults.SECONDS
        ):
            found.append(f"{path.name}: {result.wrong or result.kind}: {result.message}")
    return found


def test_what_is_no_file(tmp_path, models, figures, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the name of a socket must be short
    files = odd_files(tmp_path)
    assert not wrong_about(files, models[0])
    monkeypatch.setattr(faults, "PATIENCE", 0.5)
    monkeypatch.setattr(container, "_open_regular", lambda path: open(path, "rb"))  # noqa: SIM115
    found = wrong_about({path: files[path] for path in (tmp_path / "pipe", tmp_path / "socket")}, models[0])
    assert found[0].startswith("pipe: no answer in 0.5 s")
    assert len(found) == 2
    figures(
        "models", f"{len(files)} things that are no file, each named; opened without a look, a pipe hangs"
    )


# -- a file that changes ------------------------------------------------------------------------------------------


@pytest.fixture
def changing(tmp_path, models, monkeypatch):
    """A file to which `change` is done when its first tensor has been read; and the exception that comes of it."""

    def check(change, load=load_model):
        path = tmp_path / "m.safetensors"
        faults.write(path, models[0].data)
        done, original = [], Container._read_into

        def read_into(self, buffer, entry):
            original(self, buffer, entry)
            if not done:
                done.append(change(path))

        with monkeypatch.context() as patch:
            patch.setattr(Container, "_read_into", read_into)
            try:
                return load(path)
            except RnnTuiError as error:
                return error

    return check


def cut(path):
    os.truncate(path, 900)


def grow(path):
    with path.open("ab") as file:
        file.write(b"more")


def overwrite(path):
    os.utime(path, ns=(1, 1))  # within the clock's resolution the time would be the same
    with path.open("r+b") as file:
        file.seek(-8, os.SEEK_END)
        file.write(bytes(8))


@pytest.mark.parametrize("change", [cut, grow, overwrite])
@pytest.mark.parametrize("load", [load_model, load_arrays])
def test_a_file_that_is_written_to_while_it_is_read(changing, monkeypatch, change, load):
    error = changing(change, load)
    assert isinstance(error, BadModelFile)
    assert str(error).endswith("changed while it was read; try again")
    if change is overwrite:  # nothing else would tell
        monkeypatch.setattr(Container, "check_unchanged", lambda self: None)
        assert not isinstance(changing(change, load), RnnTuiError)


def test_a_file_that_is_replaced_while_it_is_read(changing, models, tmp_path):
    def replace(path):
        (tmp_path / "new").write_bytes(models[1].data)
        os.rename(tmp_path / "new", path)

    loaded = changing(replace)[0]
    assert faults.compare(loaded, models[0].data, [models[0].tensors]) == ""


def test_a_model_is_not_half_filled(changing, models, tmp_path):
    model = load_model(_written(tmp_path / "other", models[0]))[0]
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(0.5)
    error = changing(overwrite, lambda path: load_weights(path, model))
    assert isinstance(error, BadModelFile)
    assert all(bool((parameter == 0.5).all()) for parameter in model.parameters())


def _written(path, seed):
    path.write_bytes(seed.data)
    return path


# -- nothing is imported by name ----------------------------------------------------------------------------------


def imported(models, folder: Path, names: list[str], monkeypatch) -> list[str]:
    """Load files that name modules; return what was asked to be imported and is none of ours."""
    (folder / "decoy_of_a_stranger.py").write_text("raise SystemExit('run')")
    monkeypatch.syspath_prepend(str(folder))
    asked = []

    def noting(original):
        def note(name, *args, **kwargs):
            asked.append(name)
            return original(name, *args, **kwargs)

        return note

    with monkeypatch.context() as patch:
        patch.setattr(importlib, "import_module", noting(importlib.import_module))
        patch.setattr(builtins, "__import__", noting(builtins.__import__))
        for part in ("architecture", "tokenizer"):
            for name in names:
                header, settings, data = faults.parts(models[0])
                settings[part]["name"] = name
                settings["config"]["model"]["arch"] = settings["architecture"]["name"]
                path = folder / "m.safetensors"
                faults.write(path, faults.joined(header, settings, data))
                for load in (load_model, load_arrays):
                    with suppress(RnnTuiError, SystemExit, ImportError):
                        load(path)
    return [name for name in asked if name.startswith(("decoy", "os:", "..", "/")) or ":" in name]


NAMES = [
    "decoy_of_a_stranger",
    "decoy_of_a_stranger:run",
    "os:system",
    "../decoy_of_a_stranger",
    "/etc/passwd",
]


def test_a_name_is_looked_up_and_never_imported(models, tmp_path, monkeypatch, figures):
    assert not imported(models, tmp_path, NAMES, monkeypatch)

    def load_plugin(kind, record, path):
        return importlib.import_module(record["name"])

    monkeypatch.setattr(model_file, "load_recorded", load_plugin)
    assert imported(models, tmp_path, NAMES[:1], monkeypatch) == NAMES[:1] * 2
    figures(
        "models",
        f"{2 * len(NAMES)} names of modules as plugins: none imported; where they are, the hook tells",
    )


# -- what the faces say -------------------------------------------------------------------------------------------


def test_commands_say_one_line(tmp_path, models, figures):
    module = next(case for case in made.settings_cases(models) if case.name == "the tokenizer 'os:system'")
    files = {
        "cut": (models[0].data[:300], 3, "cut short"),
        "pickle": (made.OTHER_FILES[1][1], 3, "a Python pickle, which rnn-tui never opens"),
        "bomb": (made.raw(b'{"a":[' + b"[]," * 2_000_000 + b"1]}", b""), 3, "more than 400,000 values"),
        "escape": (made.raw({"\x1b]52;c;aGk=\x07": made.ENTRY | {"data_offsets": [4, 12]}}), 3, "leaves a hole"),
        "module": (module.make(), 8, "there is no tokenizer"),
    }  # fmt: skip
    os.mkfifo(tmp_path / "pipe.safetensors")
    for name, (data, _, _) in files.items():
        (tmp_path / f"{name}.safetensors").write_bytes(data)
    commands = [("prompt", name, code, phrase) for name, (_, code, phrase) in files.items()]
    commands.append(("eval", "pipe", 3, "a named pipe"))
    for command, name, code, phrase in commands:
        arguments = [
            f"./{name}.safetensors",
            *(["hello"] if command == "prompt" else []),
            "--backend",
            "numpy",
        ]
        done = subprocess.run(
            [sys.executable, "-m", "rnn_tui", command, *arguments],
            cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, timeout=60,
        )  # fmt: skip
        text = done.stderr.decode()
        assert (done.returncode, done.stdout, text.count("\n")) == (code, b"", 1), text
        assert phrase in text
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]|Traceback", text)
    figures("models", f"{len(commands)} commands on them: one line each, exit codes 3 and 8")


def test_the_prompt_engine_survives_them(tmp_path, models, figures):
    cases = [case for case in made.by_hand(models) if case.seed < 2 and "enormous" not in case.name]
    lines = []
    for number, case in enumerate(cases):
        (tmp_path / f"{number}").write_bytes(case.make())
        lines.append({"id": number, "op": "load", "path": str(tmp_path / f"{number}"), "device": "cpu"})
    os.mkfifo(tmp_path / "pipe")
    last = len(cases)
    lines += [{"id": last, "op": "load", "path": str(tmp_path / "pipe"), "device": "cpu"}]
    lines += [{"id": last + 1, "op": "load", "path": "a\0b", "device": "cpu"}]
    lines += [
        {"id": last + 2, "op": "load", "path": str(_written(tmp_path / "good", models[0])), "device": "cpu"}
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    with (tmp_path / "answers").open("wb") as answers, faults.patience(60):
        Engine(Inbox(io.BytesIO(text.encode())), answers.fileno()).serve()
    said = [json.loads(line) for line in (tmp_path / "answers").read_text().splitlines()]
    assert [answer["id"] for answer in said] == list(range(last + 3))
    for answer, case in zip(said, cases, strict=False):
        assert (answer["event"], answer["exit_code"]) == ("error", case.error.exit_code), case.name
        assert "failed" not in answer["message"], answer
        assert len(answer["message"]) <= 500
    assert ["a named pipe" in said[last]["message"], "no file can" in said[last + 1]["message"]] == [
        True,
        True,
    ]
    assert said[-1]["event"] == "loaded"
    figures(
        "models", f"{last + 2} of them loaded by one prompt engine: an error each, and a good one after them"
    )


def test_scaling_at_the_end_of_the_numbers(models, tmp_path):
    """A mean and a deviation near the largest number: the forecast is infinite and nothing warns."""
    from rnn_tui.inference.evaluate import evaluate_corpus

    header, settings, data = faults.parts(models[2])
    for mean, std, refused in ((1e308, 1e308, False), (0.0, 5e-324, True), (-1e308, 1.0, True)):
        settings["scaling"] |= {"mean": [mean, 0.0], "std": [std, 1.0]}
        settings["config"]["corpus"] = {"source": str(tmp_path / "t.csv"), "validation": 0.5}
        path = tmp_path / "m.safetensors"
        faults.write(path, faults.joined(header, settings, data))
        (tmp_path / "t.csv").write_text("a,b\n" + "".join(f"{n % 7},{n % 5}\n" for n in range(60)))
        if refused:
            with pytest.raises(InputError, match="too large for the model"):
                evaluate_corpus(path)
        else:
            assert [horizon.mse for horizon in evaluate_corpus(path).horizons if horizon.rows] == [
                math.inf
            ] * 3
