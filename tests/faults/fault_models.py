"""Model files from a stranger: three small real ones, ways to spoil them, and what must hold of whatever comes of it.

The rule for a mutant: it is refused with one sentence, or its tensors have the names, shapes and types of a model that
was here before, and are bit for bit what the safetensors library reads from the mutant.
"""

import ctypes
import gc
import json
import re
import signal
import struct
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import safetensors
import safetensors.torch
import torch

from rnn_tui.errors import PluginError, UsageError
from rnn_tui.model.config import ModelConfig
from rnn_tui.model.container import MESSAGE_LIMIT, BadModelFile
from rnn_tui.model.file import encode, load_model, load_series, weights
from rnn_tui.model.header import ModelFile
from rnn_tui.model.recurrent_model import build_model
from rnn_tui.plugin.registry import load_plugin, plugin_record

SECONDS = 1.0
"""Of the processor, for one file: 0.03 to 0.15 are usual, and more where others want the cores."""
MEGABYTES = 50
PATIENCE = 30.0  # seconds after which a file hangs


@dataclass(frozen=True)
class Seed:
    """A real model file and what reads it."""

    name: str
    data: bytes
    load: Callable
    tensors: dict

    @property
    def begin(self) -> int:
        """Where the tensors begin."""
        return 8 + int.from_bytes(self.data[:8], "little")


def seeds() -> list[Seed]:
    """Return one model of each task: characters, words in both directions, two columns of numbers."""
    chars = load_plugin("tokenizer", "char").train(["hello world, 你好\n"], None)
    words = load_plugin("tokenizer", "word")
    words = words.train(["one two three, two one\n"], words.Options())
    scaling = {"columns": ["a", "b"], "mean": [0.5, -2.0], "std": [1.5, 0.25]}
    return [
        _seed("text", load_model, "lstm", "char", chars, num_layers=2),
        _seed("aligned", load_model, "gru", "word", words, bidirectional=True, encoder="embedding"),
        _seed("series", load_series, "nn-rnn", scaling=scaling),
    ]


def _seed(task, load, arch, tokenizer_name="", tokenizer=None, *, scaling=None, **shape) -> Seed:
    config = ModelConfig(arch=arch, hidden_size=5, **shape)
    inputs = {"vocab_size": tokenizer.vocab_size} if tokenizer else {"columns": 2}
    torch.manual_seed(1)
    model = build_model(load_plugin("architecture", arch), config.options, config, **inputs)
    name = {"text": "next-token"}.get(task, task)
    header = ModelFile(
        config={"model": asdict(config), "task": {"name": name}, "data": {"seq_len": 8}, "corpus": {"source": "x"}},
        tokenizer=plugin_record("tokenizer", tokenizer_name) | {"state": tokenizer.to_state()} if tokenizer else None,
        scaling=scaling,
        architecture=plugin_record("architecture", arch),
        training={"step": 12, "validation_loss": 1.25, "run": "r", "chars_per_token": 1.0, "best": True},
    )  # fmt: skip
    tensors = {name: tensor.clone() for name, tensor in weights(model).items()}
    return Seed(task, encode(tensors, header), load, tensors)


@dataclass(frozen=True)
class Case:
    """A file and a phrase of the sentence that refuses it."""

    name: str
    make: Callable[[], bytes]
    phrase: str
    error: type = BadModelFile
    seed: int = 0
    """Which of `seeds` it is like."""


# -- making files -------------------------------------------------------------------------------------------------


def raw(header: bytes | dict, data: bytes = b"\0" * 8, length: int | None = None) -> bytes:
    """Return a file of a header, which may be JSON already, and data; its length field may lie."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def parts(seed: Seed) -> tuple[dict, dict, bytes]:
    """Return the header without its metadata, the settings, and the tensors' bytes."""
    header = json.loads(seed.data[8 : seed.begin])
    return header, json.loads(header.pop("__metadata__")["rnn_tui"]), seed.data[seed.begin :]


def joined(header: dict, settings: dict | str, data: bytes) -> bytes:
    """Return the file of these parts."""
    text = settings if isinstance(settings, str) else json.dumps(settings)
    return raw({"__metadata__": {"rnn_tui": text}} | header, data)


# -- spoiling them ------------------------------------------------------------------------------------------------

HOSTILE = [
    *(None, True, False, 0, -1, 1, 7, 2**31, 2**62, 2**63, 2**64, 10**9, 10**19, 0.5, 1e308, -1e308, 5e-324),
    *(
        "",
        "nan",
        "inf",
        "0",
        "x" * 300,
        "../../x",
        "os:system",
        "lstm",
        "gru",
        "char",
        "byte",
        "series",
        "F32",
    ),
    *("\x1b]52;c;aGk=\x07", "\ud800", "\u202e", "\0", "你"),
    *([], {}, [0], [[[]]], [None], [1] * 20, ["a", "a"], {"a": 1}, float("nan"), float("inf")),
]
DTYPES = ["F64", "F32", "F16", "BF16", "I64", "I32", "I8", "U8", "BOOL", "F8_E4M3", "C64", "f32", "", 5, None]


class Mutator:
    """Spoils a seed in one of ten ways, chosen like all it does by one generator."""

    def __init__(self, seeds: list[Seed], seed: int) -> None:
        self.seeds = seeds
        self.rng = np.random.default_rng(seed)

    def mutant(self, seed: Seed) -> tuple[str, bytes]:
        """Return the name of a way and the bytes."""
        ways = [
            *(self.bits, self.run, self.cut, self.insert, self.remove),
            *(self.length, self.field, self.table, self.settings, self.splice),
        ]
        way = ways[self.below(len(ways))]
        return way.__name__, way(seed)

    def below(self, end: int) -> int:
        return int(self.rng.integers(0, max(1, end)))

    def pick(self, values):
        return values[self.below(len(values))]

    def place(self, seed: Seed) -> int:
        """Mostly in the header, where more can go wrong."""
        return self.below(seed.begin if self.rng.random() < 0.7 else len(seed.data))

    def bits(self, seed: Seed) -> bytes:
        data = bytearray(seed.data)
        for _ in range(1 + self.below(8)):
            data[self.place(seed)] ^= 1 << self.below(8)
        return bytes(data)

    def run(self, seed: Seed) -> bytes:
        data, at, size = bytearray(seed.data), self.place(seed), 1 + self.below(64)
        data[at : at + size] = self.pick([bytes(size), b"\xff" * size, self.rng.bytes(size), b"[" * size])[
            : len(data) - at
        ]
        return bytes(data)

    def cut(self, seed: Seed) -> bytes:
        return seed.data[: self.place(seed)]

    def insert(self, seed: Seed) -> bytes:
        at = self.pick([self.place(seed), len(seed.data)])
        return seed.data[:at] + self.rng.bytes(1 + self.below(64)) + seed.data[at:]

    def remove(self, seed: Seed) -> bytes:
        at = self.place(seed)
        return seed.data[:at] + seed.data[at + 1 + self.below(64) :]

    def length(self, seed: Seed) -> bytes:
        true, size = seed.begin - 8, len(seed.data)
        lies = [0, 1, 7, 8, size, size - 8, size - 9, 2**31, 2**32 - 1, 2**63, 2**64 - 1, 8 * 2**20, true]
        lies += [max(0, true + self.below(64) - 32), self.below(2**16)]
        return struct.pack("<Q", self.pick(lies)) + seed.data[8:]

    def field(self, seed: Seed) -> bytes:
        header, settings, data = parts(seed)
        entry = header[self.pick(list(header))]
        match self.below(5):
            case 0:
                entry["dtype"] = self.pick(DTYPES)
            case 1:
                entry["shape"][self.below(len(entry["shape"]))] = self.pick(HOSTILE)
            case 2:
                entry["data_offsets"][self.below(2)] = self.pick(HOSTILE)
            case 3:
                by = 4 * (self.below(9) - 4)
                for end in self.pick([(0,), (1,), (0, 1), (0, 1)]):
                    entry["data_offsets"][end] += by
            case _:
                entry[self.pick(["dtype", "shape", "data_offsets", "more"])] = self.pick(HOSTILE)
        return joined(header, settings, data)

    def table(self, seed: Seed) -> bytes:
        header, settings, data = parts(seed)
        one, other = self.pick(list(header)), self.pick(list(header))
        match self.below(6):
            case 0:
                header[str(self.pick(HOSTILE))] = header.pop(one)
            case 1:
                del header[one]
            case 2:
                header[one], header[other] = header[other], header[one]
            case 3:
                header[str(self.pick(HOSTILE))] = header[one]
            case 4:
                header[one] = self.pick(HOSTILE)
            case _:  # twice under one name, which no dictionary can write
                text = json.dumps({"__metadata__": {"rnn_tui": json.dumps(settings)}} | header)
                return raw(f'{text[:-1]}, "{one}": {json.dumps(header[other])}}}'.encode(), data)
        return joined(header, settings, data)

    def settings(self, seed: Seed) -> bytes:
        header, settings, data = parts(seed)
        node, key = settings, self.pick(list(settings))
        while isinstance(node[key], dict | list) and node[key] and self.rng.random() < 0.8:
            node = node[key]
            key = self.pick(list(node)) if isinstance(node, dict) else self.below(len(node))
        match self.below(4):
            case 0:
                del node[key]
            case 1 if isinstance(node, dict):
                node[str(self.pick(HOSTILE))] = self.pick(HOSTILE)
            case _:
                node[key] = self.pick(HOSTILE)
        return joined(header, settings, data)

    def splice(self, seed: Seed) -> bytes:
        other = self.pick(self.seeds)
        if self.below(2):
            return seed.data[: seed.begin] + other.data[other.begin :]
        return seed.data[: self.place(seed)] + other.data[self.place(other) :]


# -- and what must hold -------------------------------------------------------------------------------------------


class Hang(BaseException):
    """No answer in time."""


@contextmanager
def patience(seconds: float):
    """Raise Hang in the main thread if the block takes longer, also from within a system call."""

    def give_up(*_):
        raise Hang

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def peak_memory(*, reset: bool = False) -> float:
    """Return the most megabytes that were resident since the last reset."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1024


def give_back_memory() -> None:
    """Free what other tests of this process left: it would hide how much is taken after it."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)


def write(path: Path, data: bytes) -> None:
    path.unlink(missing_ok=True)  # overwriting in place makes ext4 wait for the disk
    path.write_bytes(data)


def warm_up(seeds: list[Seed], path: Path) -> None:
    """Have loaded what is loaded once in a process, the meta device's modules among them."""
    for seed in seeds:
        header, settings, data = parts(seed)
        settings["config"]["model"]["hidden_size"] = 4000
        for content in (seed.data, joined(header, settings, data)):
            write(path, content)
            attempt(seed, path)


@dataclass
class Attempt:
    """What came of loading a file; `wrong` is why that must not be."""

    kind: str
    message: str
    seconds: float
    model: object = None
    wrong: str = ""


def attempt(seed: Seed, path: Path) -> Attempt:
    """Load a file. Refusals are BadModelFile; PluginError for a name that is not installed, and nothing else;
    UsageError for a model of numbers where one of tokens is wanted, or the reverse."""
    begin, model, wrong = time.process_time(), None, ""
    try:
        with patience(PATIENCE):
            model = seed.load(path)[0]
        kind, message = "accepted", ""
    except Hang:
        kind, message, wrong = "hang", "", f"no answer in {PATIENCE} s"
    except (BadModelFile, PluginError, UsageError) as error:
        kind, message = type(error).__name__, str(error)
        if kind == "PluginError" and not re.search("there is no (architecture|tokenizer) '", message):
            wrong = "a PluginError that names no missing plugin"
        if kind == "UsageError" and "was trained on" not in message:
            wrong = "a UsageError that is not about the task"
        if len(message) > MESSAGE_LIMIT:
            wrong = f"a message of {len(message)} characters"
        if not message.startswith(str(path)):
            wrong = "a message that does not name the file"
    except BaseException as error:
        kind, message = type(error).__name__, str(error)
        wrong = "neither accepted nor refused"
    return Attempt(kind, message, time.process_time() - begin, model, wrong)


def compare(model, data: bytes, known: list[dict]) -> str:
    """Return how an accepted file breaks the rule at the top of this module, or the empty string."""
    ours = weights(model)
    shapes = {name: (tensor.dtype, tensor.shape) for name, tensor in ours.items()}
    if shapes not in [{name: (t.dtype, t.shape) for name, t in one.items()} for one in known]:
        return "its tensors are not those of any model that was here"
    try:
        theirs = safetensors.torch.load(data)
    except safetensors.SafetensorError as error:
        return f"the library refuses it: {error}"
    differs = [name for name in ours if not torch.equal(ours[name], theirs[name])]
    if differs or ours.keys() != theirs.keys():
        return f"the library reads other tensors: {differs}"
    if not all(bool(torch.isfinite(tensor).all()) for tensor in ours.values()):
        return "not all of its weights are finite"
    return ""


@dataclass
class Campaign:
    """What came of many mutants."""

    findings: list[str]
    kinds: dict[str, int]
    slowest: float
    megabytes: float


def mutants(folder: Path, count: int, seed: int) -> Campaign:
    """Load `count` mutants of each seed in turn."""
    all_seeds, path = seeds(), folder / "m.safetensors"
    warm_up(all_seeds, path)
    mutator = Mutator(all_seeds, seed)
    known = [one.tensors for one in all_seeds]
    findings, kinds, slowest = [], {}, 0.0
    before = peak_memory(reset=True)
    for number in range(count):
        one = all_seeds[number % len(all_seeds)]
        way, data = mutator.mutant(one)
        write(path, data)
        made = attempt(one, path)
        kinds[made.kind] = kinds.get(made.kind, 0) + 1
        slowest = max(slowest, made.seconds)
        wrong = made.wrong or (compare(made.model, data, known) if made.model else "")
        if made.seconds > SECONDS:
            wrong += f" took {made.seconds:.2f} s"
        if wrong:
            findings.append(
                f"seed {seed}, mutant {number} ({one.name}, {way}): {wrong}: {made.kind}: {made.message[:300]}"
            )
    grown = peak_memory() - before
    if grown > MEGABYTES:
        findings.append(f"seed {seed}: {grown:.0f} MB more")
    return Campaign(findings, kinds, slowest, grown)


def _names(error: type[Exception]) -> set[str]:
    return {error.__name__, *(kind.__name__ for kind in error.__subclasses__())}


def refusals(cases: list[Case], models: list[Seed], folder: Path) -> list[str]:
    """Load each file; return what is not refused as it should be, too slow or too large."""
    path, findings = folder / "m.safetensors", []
    for case in cases:
        write(path, case.make())
        before = peak_memory(reset=True)
        made = attempt(models[case.seed], path)
        grown = peak_memory() - before
        wrong = made.wrong
        if made.kind not in _names(case.error) or case.phrase not in made.message:
            wrong = wrong or "not the refusal that was expected"
        if made.seconds > SECONDS or grown > MEGABYTES:
            wrong += f" took {made.seconds:.2f} s and {grown:.0f} MB"
        if wrong:
            findings.append(f"{case.name}: {wrong}: {made.kind}: {made.message[:300]}")
    return findings
