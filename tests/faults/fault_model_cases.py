"""Model files made by hand, each with a phrase of the sentence that refuses it."""

import json
import struct
from collections.abc import Callable
from functools import partial

import numpy as np
from fault_models import Case, Seed, joined, parts, raw

from rnn_tui.errors import PluginError, UsageError
from rnn_tui.model.container import BadModelFile

# fmt: off
ENTRY = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
LARGEST = 8 * 2**20
"""Bytes of a header."""


def entry(**fields) -> dict:
    return {"a": ENTRY | fields}


def header_cases() -> list[Case]:
    """Files whose header is wrong, or enormous."""
    whole = raw({"a": ENTRY})
    one = b'"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}'
    tables: list[tuple[str, bytes | dict, str]] = [
        ("two tensors of one name", b"{%b,%b}" % (one, one), "a key stands twice"),
        ("a field twice", b'{"a":{"dtype":"F32","dtype":"F32","shape":[2]}}', "a key stands twice"),
        ("metadata twice", b'{"__metadata__":{"k":"1","k":"2"}}', "a key stands twice"),
        ("space before it", b" " + json.dumps({"a": ENTRY}).encode(), "does not begin with {"),
        ("a list", b"[]", "does not begin with {"),
        ("a number", b"1234", "does not begin with {"),
        ("a byte order mark", b"\xef\xbb\xbf{}", "does not begin with {"),
        ("UTF-16", "{}".encode("utf-16-le"), "damaged header"),
        ("no JSON", b"{nonsense", "Expecting property name"),
        ("no end", b'{"a":', "Expecting value"),
        ("something after it", b"{}{}", "Extra data"),
        ("a control character in a text", b'{"a\n":1}', "Invalid control character"),
        ("NaN", b'{"a":NaN}', "NaN is not JSON"),
        ("infinity", b'{"a":-Infinity}', "-Infinity is not JSON"),
        ("1e999 in the header", b'{"a":1e999}', "1e999 is too large a number"),
        ("a long fraction", b'{"a":0.' + b"1" * 5000 + b"}", "a number of 5,002 digits"),
        ("5,000 digits", b'{"a":' + b"9" * 5000 + b"}", "a number of 5,000 digits"),
        ("40,000 lists, one in the other", b'{"a":' + b"[" * 40_000 + b"]" * 40_000 + b"}", "nested too deeply"),
        ("40,000 tables, one in the other", b'{"a":' * 40_000 + b"1" + b"}" * 40_000, "nested too deeply"),
        ("no UTF-8", b'{"\xff":1}', "utf-8"),
        ("metadata of numbers", {"__metadata__": {"k": 1}, "a": ENTRY}, "not a table of texts"),
        ("metadata is a text", {"__metadata__": "k", "a": ENTRY}, "not a table of texts"),
        ("metadata is nothing", {"__metadata__": None, "a": ENTRY}, "not a table of texts"),
        ("an entry is a number", {"a": 3}, "not described"),
        ("an entry is nothing", {"a": None}, "not described"),
        ("a field too many", entry(extra=1), "not described"),
        ("a field too few", {"a": {"dtype": "F32", "shape": [2]}}, "not described"),
        ("F8", entry(dtype="F8_E4M3", shape=[8]), "dtype 'F8_E4M3' is not accepted"),
        ("F4", entry(dtype="F4", shape=[16]), "dtype 'F4' is not accepted"),
        ("complex", entry(dtype="C64", shape=[1]), "dtype 'C64' is not accepted"),
        ("I8", entry(dtype="I8", shape=[8]), "dtype 'I8' is not accepted"),
        ("lower case", entry(dtype="f32"), "dtype 'f32' is not accepted"),
        ("a list of dtypes", entry(dtype=["F32"]), "is not accepted"),
        ("a dtype of 100,000 characters", entry(dtype="F" * 100_000), "dtype 'FFFFFFFFFFFFFFFF' is not accepted"),
        ("true as a size", entry(shape=[True, 2]), "its shape is not accepted"),
        ("a negative size", entry(shape=[-2]), "its shape is not accepted"),
        ("half a size", entry(shape=[2.0]), "its shape is not accepted"),
        ("a text as shape", entry(shape="2"), "its shape is not accepted"),
        ("no shape", entry(shape=None), "its shape is not accepted"),
        ("rank 9", entry(shape=[1] * 8 + [2]), "its shape is not accepted"),
        ("rank 50,000", entry(shape=[1] * 50_000 + [2]), "its shape is not accepted"),
        ("shape [0, 2^63]", entry(shape=[0, 2**63], data_offsets=[0, 0]), "its shape is not accepted"),
        ("shape [2^64]", entry(shape=[2**64]), "its shape is not accepted"),
        ("too few bytes", entry(shape=[3]), "8 bytes do not hold F32 [3]"),
        ("too many bytes", entry(shape=[1]), "8 bytes do not hold F32 [1]"),
        ("other bytes", entry(dtype="F64"), "8 bytes do not hold F64 [2]"),
        ("sizes that overflow", entry(shape=[2**40, 2**40]), "8 bytes do not hold F32"),
        ("offsets reversed", entry(data_offsets=[8, 0]), "its data_offsets are not accepted"),
        ("three offsets", entry(data_offsets=[0, 8, 8]), "its data_offsets are not accepted"),
        ("one offset", entry(data_offsets=[8]), "its data_offsets are not accepted"),
        ("negative offsets", entry(data_offsets=[-8, 0]), "its data_offsets are not accepted"),
        ("offsets with a point", entry(data_offsets=[0.0, 8.0]), "its data_offsets are not accepted"),
        ("offsets of 65 bits", entry(data_offsets=[2**64, 2**64 + 8]), "leaves a hole"),
        ("offsets beyond the file", entry(data_offsets=[2**60, 2**60 + 8]), "leaves a hole"),
        ("a hole at the start", entry(data_offsets=[4, 12]), "leaves a hole"),
        ("a hole between", {"a": ENTRY, "b": ENTRY | {"data_offsets": [12, 20]}}, "leaves a hole"),
        ("the same bytes twice", {"a": ENTRY, "b": ENTRY}, "overlaps another"),
        ("half the same bytes", {"a": ENTRY, "b": ENTRY | {"data_offsets": [4, 12]}}, "overlaps another"),
        ("one within the other", {"a": ENTRY, "b": {"dtype": "U8", "shape": [2], "data_offsets": [2, 4]}}, "overlaps"),
        ("a name of 300 characters", {"n" * 300: ENTRY}, "name of 300 characters"),
        ("half a character in a name", {"\ud800": ENTRY | {"data_offsets": [4, 12]}}, "'\\ud800' leaves a hole"),
        ("an escape in a name", {"\x1b]52;c;aGk=\x07": ENTRY | {"data_offsets": [4, 12]}}, "'\\x1b]52;c;aGk=\\x07'"),
        ("an override in a name", {"\u202eabc": ENTRY | {"data_offsets": [4, 12]}}, "'\\u202eabc'"),
        ("no settings", {"a": ENTRY}, "not one of rnn-tui"),
    ]
    cases = [Case(name, partial(raw, header), phrase) for name, header, phrase in tables]
    more = [(f"the first {size} bytes", whole[:size], "cut short") for size in (1, 7, 8, 9, 20)]
    more += [(f"{length} as length", raw({}, length=length), "cut short") for length in (2**63, 2**64 - 1, 10**9)]
    more += [
        ("empty", b"", "empty"),
        ("no header", raw(b""), "does not begin with {"),
        ("length 0", raw({"a": ENTRY}, length=0), "does not begin with {"),
        ("a length too small", raw({"a": ENTRY}, length=20), "damaged header"),
        ("a length too large", raw({"a": ENTRY}, length=len(whole) - 8), "damaged header"),
        ("no last byte", whole[:-1], "cut short"),
        ("three bytes more", whole + b"xyz", "3 bytes too many"),
    ]
    return cases + [Case(name, partial(bytes, data), phrase) for name, data, phrase in more]


def enormous_cases() -> list[Case]:
    """Headers as large as they may be, or larger, each of what costs a reader most."""
    room = LARGEST - 200
    empty = b'{"dtype":"F32","shape":[0],"data_offsets":[0,0]}'

    def tensors(count: int) -> bytes:
        return b"{" + b",".join(b'"%06d":%b' % (number, empty) for number in range(count)) + b"}"

    def metadata(text: bytes) -> bytes:
        return b'{"__metadata__":{"k":"' + text + b'"}}'

    def listed(value: bytes) -> bytes:
        return b'{"a":[' + value * (room // len(value)) + b"1]}"

    def keys(count: int, between: bytes) -> bytes:
        return b",".join(b'"%x":%b' % (key, between) for key in range(count))

    many = "more than 400,000 values"

    tables = [
        ("a header one byte too long", lambda: b"{" + b" " * (LARGEST - 1) + b"}", "states a header of 8388609 bytes"),
        ("99 MB of header", lambda: b"{" + b" " * 99_000_000 + b"}", "states a header of 99000002 bytes"),
        ("blanks", lambda: b"{" + b" " * room + b"}", "not one of rnn-tui"),
        ("4,096 tensors", lambda: tensors(4096), "not one of rnn-tui"),
        ("4,097 tensors", lambda: tensors(4097), "more than 4096 tensors"),
        ("120,000 tensors", lambda: tensors(120_000), "more than 4096 tensors"),
        ("a list of lists", lambda: listed(b"[],"), many),
        ("44,000 lists", lambda: b'{"a":[' + b"[]," * 44_000 + b"1]}", "not described"),
        ("lists of lists of lists", lambda: listed(b"[" * 400 + b"]" * 400 + b","), many),
        ("tables", lambda: listed(b"{},"), many),
        ("numbers", lambda: listed(b"1,"), many),
        ("keys", lambda: b"{%b}" % keys(600_000, b"1"), many),
        ("200,000 keys", lambda: b"{%b}" % keys(199_990, b"1"), "more than 4096 tensors"),
        ("metadata of 600,000 keys", lambda: b'{"__metadata__":{%b}}' % keys(600_000, b'""'), many),
        ("numbers of 4,000 digits", lambda: listed(b"9" * 4000 + b","), "4,000 digits"),
        ("one text", lambda: metadata(b"x" * room), "not one of rnn-tui"),
        ("one text with a wide character", lambda: metadata(b"x" * room + "😀".encode()), "not ASCII"),
        ("one text of half characters", lambda: metadata(b"\\ud800" * (room // 6)), "not one of rnn-tui"),
        ("one name", lambda: b'{"' + b"n" * room + b'":1}', "name of 8388408 characters"),
        ("a shape of millions", lambda: b'{"a":{"dtype":"F32","shape":[' + b"0," * (room // 2) + b"0]}}", many),
    ]
    return [
        Case(f"enormous: {name}", lambda header=header: raw(header(), b""), phrase) for name, header, phrase in tables
    ]


OTHER_FILES = [
    ("torch.save", b"PK\x03\x04\x14\0\0\0\0\0archive/data.pkl" + bytes(200), "a .pt or .pth file of torch.save"),
    ("pickle 2", b"\x80\x02}q\0X\x01\0\0\0aq\x01K\x01s." + bytes(40), "a Python pickle, which rnn-tui never opens"),
    ("pickle 4", b"\x80\x04\x95" + struct.pack("<Q", 30) + b"}\x94(\x8c\x01a\x94K\x01u." + bytes(9), "a Python pickle"),
    ("gzip", b"\x1f\x8b\x08\0\x12\x34\x56\x67\0\x03" + bytes(90), "a gzip archive"),
    ("gzip of no time, 600 kB", b"\x1f\x8b\x08\0\0\0\0\0\0\x03" + bytes(600_000), "a gzip archive"),
    ("xz", b"\xfd7zXZ\0\0\x04" + bytes(90), "an xz archive"),
    ("Zstandard", b"\x28\xb5\x2f\xfd\x04\0\x01\0\0" + bytes(90), "a Zstandard archive"),
    ("LFS pointer", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n", "a Git LFS pointer"),
    ("a page", b"\n  <!DOCTYPE html><html><title>404</title>", "a web page"),
    ("an answer", b'{"error":"Repository not found","code":404}', "a JSON text; the download went wrong"),
    ("GGUF", b"GGUF\x03\0\0\0" + bytes(90), "a GGUF file"),
    ("HDF5", b"\x89HDF\r\n\x1a\n" + bytes(90), "an HDF5 file"),
    ("PNG", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(90), "a PNG image"),
    ("a program", b"\x7fELF\x02\x01\x01\0" + bytes(90), "a program"),
    ("a text", b"Once upon a time there was a text.", "not a safetensors file"),
    ("zeros", bytes(1000), "does not begin with {"),
    ("noise", bytes(range(256)) * 10, "not a safetensors file"),
]


def settings_cases(models: list[Seed]) -> list[Case]:
    """Files that are whole, and describe what cannot be."""
    cases = []

    def case(name, phrase, *path, value=None, seed=0, drop=False, error=BadModelFile, change=None):
        def make():
            header, settings, data = parts(models[seed])
            node = settings
            for key in path[:-1]:
                node = node[key]
            if drop:
                del node[path[-1]]
            elif path:
                node[path[-1]] = value
            if change:
                header, settings, data = change(header, settings, data)
            return joined(header, settings, data)

        cases.append(Case(name, make, phrase, error, seed))

    def text(name, phrase, settings):
        header, _, data = parts(models[0])
        cases.append(Case(name, lambda: joined(header, settings, data), phrase))

    model = ("config", "model")
    for value in (10**9, -1, 0, True, "two", 1e3, None, 2**64):
        case(f"hidden_size {value!r}", "its model settings do not fit", *model, "hidden_size", value=value)
    case("10^6 layers", "num_layers", *model, "num_layers", value=10**6)
    case("an embedding of 10^9", "embedding_size", *model, "embedding_size", value=10**9)
    case("an embedding of -1", "embedding_size", *model, "embedding_size", value=-1)
    case("dropout 1", "dropout", *model, "dropout", value=1.0)
    case("as wide as may be", "its tensors are not those of the model", *model, "hidden_size", value=65536)
    case("as deep as may be", "and 181 more", *model, "num_layers", value=64)
    case("tied without an embedding", "its tensors are not", *model, "tie_weights", value=True)
    case("bidirectional", "its tensors are not those of the model", *model, "bidirectional", value=True)
    case("a setting too many", "unknown: warp", *model, "warp", value=9)
    case("a setting's name of 4 MB", "unknown: kkkk", *model, "k" * 4_000_000, value=9)
    case("a setting of 4 MB", "model settings do not fit", *model, "encoder", value="k" * 4_000_000)
    case("an option of 4 MB", "model settings do not fit", *model, "options", value={"k" * 4_000_000: 1})
    case("an option that is none", "has no option 'peephole'", *model, "options", value={"peephole": True})
    case("options are a list", "options", *model, "options", value=[1])
    case("two architectures", "two architectures", *model, "arch", value="gru")
    case("no model", "no model settings", *model, drop=True)
    case("the model is a text", "model settings do not fit", *model, value="lstm")
    case("no configuration", "settings cannot be read", "config", drop=True)
    case("something more", "not what this version writes", "code", value="import os")
    case("newer", "newer rnn-tui (format 2, this one reads 1)", "format", value=2)
    case("format true", "settings cannot be read", "format", value=True)
    case("no format", "not what this version writes", "format", drop=True)
    case("a step of text", "training", "training", value=[1])
    case("a step below 0", "step", "training", "step", value=-1)
    case("a name of 4 MB", "of length <= 256", "architecture", "name", value="n" * 4_000_000)
    case("a name that is a number", "settings cannot be read", "architecture", "name", value=5)
    case("a run's name of 4 MB", "of length <= 4096", "training", "run", value="r" * 4_000_000)
    case("a task's name of 4 MB", "a task's name of", "config", "task", "name", value="t" * 4_000_000)
    case("no character a token", "chars_per_token", "training", "chars_per_token", value=0.0)
    case("characters a token: nan", "chars_per_token", "training", "chars_per_token", value="nan")
    case("1e999", "1e999 is too large", *model, "init_std", value="x", change=_huge)
    for tensor, value in (("head.weight", np.nan), ("core.layers.0.cell.U", -np.inf)):
        case(f"{value} in {tensor}", f"'{tensor}' holds NaN or infinity", change=_poisoned(tensor, value))
    case("a tensor too many", "'../../x\\x1b' is too many", change=_renamed("head.bias", "../../x\x1b"))
    case("a tensor too few", "'head.bias' is missing", change=_renamed("head.bias", "head.prejudice"))
    case("another type", "'head.bias' is I32 [13], not F32 [13]", change=_retyped("head.bias", "I32"))
    case("no tensors", "and 3 more", change=lambda h, s, d: ({}, s, b""))

    state = ("tokenizer", "state")
    char, word = "char tokenizer cannot be read", "word tokenizer cannot be read"
    case("a symbol twice", char, *state, value={"symbols": "abca"})
    case("4 million symbols", char, *state, value={"symbols": "ab" * 2_000_000})
    case("half a character", char, *state, value={"symbols": "a\ud800"})
    case("symbols are a number", char, *state, value={"symbols": 5})
    case("symbols are a list", char, *state, value={"symbols": ["a", "b"]})
    case("other symbols", "not those of the model", *state, value={"symbols": "ab"})
    case("390,000 symbols", "not those of the model", *state, value={"symbols": _all_characters()})
    case("the state is a list", "settings cannot be read", *state, value=[])
    case("NaN as symbols", "NaN is not JSON", *state, value={"symbols": float("nan")})
    case("no tokenizer", "a tokenizer or a scaling", "tokenizer", value=None)
    case("a token twice", word, *state, value={"tokens": ["a", "a"]}, seed=1)
    case("a token of 4 million characters", word, *state, value={"tokens": ["x" * 4_000_000]}, seed=1)
    case("an empty token", word, *state, value={"tokens": [""]}, seed=1)
    case("half a token", word, *state, value={"tokens": ["\udc80"]}, seed=1)
    case("tokens are numbers", word, *state, value={"tokens": [1, 2]}, seed=1)
    case(
        "half a million tokens",
        "400,000 values",
        *state,
        value={"tokens": [f"{n:x}" for n in range(500_000)]},
        seed=1,
    )
    case(
        "a model of numbers",
        "was trained on a series",
        "tokenizer",
        value=None,
        error=UsageError,
        change=lambda h, s, d: (h, s | {"scaling": {"columns": ["a"], "mean": [0], "std": [1]}}, d),
    )

    scaling = "its scaling cannot be read"
    for std in (0, -1.0, 1e-400, "1", None, True):
        case(f"a deviation of {std!r}", scaling, "scaling", "std", 0, value=std, seed=2)
    for mean in (float("nan"), float("inf"), "nan"):
        case(f"a mean of {mean!r}", "cannot be read", "scaling", "mean", 0, value=mean, seed=2)
    case("two columns of one name", scaling, "scaling", "columns", value=["a", "a"], seed=2)
    case("a column too few", scaling, "scaling", "columns", value=["a"], seed=2)
    case("no columns", scaling, "scaling", value={"columns": [], "mean": [], "std": []}, seed=2)
    case("no deviations", scaling, "scaling", "std", drop=True, seed=2)
    case(
        "three columns",
        "not those of the model",
        "scaling",
        seed=2,
        value={"columns": ["a", "b", "c"], "mean": [0, 0, 0], "std": [1, 1, 1]},
    )
    case(
        "both",
        "a tokenizer or a scaling",
        "tokenizer",
        seed=2,
        value={"name": "byte", "distribution": "", "version": "", "state": {}},
    )

    for name, plugin in (("architecture", "lstm"), ("tokenizer", "char")):
        for value in (
            "hyper-lstm",
            "os:system",
            f"rnn_tui_scratch.{plugin}:LSTM",
            f"../../{plugin}",
            "",
            "a\x1b[2J",
        ):

            def change(header, settings, data, name=name, value=value):
                settings[name]["name"] = value
                settings["config"]["model"]["arch"] = settings["architecture"]["name"]
                return header, settings, data

            known = repr(value.rpartition(":")[2])[1:-1]  # looked for as the distribution's plugin of that name
            case(f"the {name} {value!r}", f"there is no {name} '{known}' here", error=PluginError, change=change)

    text("settings cut short", "settings cannot be read", "{")
    text("settings are a list", "not what this version writes", "[]")
    text("settings twice", "a key stands twice", '{"format":1,"format":1}')
    text("settings of lists", "nested too deeply", "[" * 40_000)
    text("settings that are wide", "not ASCII", '{"format":1,"x":"你"}')
    return cases


def _huge(header, settings, data):
    return header, json.dumps(settings).replace('"init_std": "x"', '"init_std": 1e999'), data


def _all_characters() -> str:
    return "".join(map(chr, [*range(0x20, 0xD800), *range(0xE000, 0x60000)]))


def _poisoned(tensor: str, value: float) -> Callable:
    def change(header, settings, data):
        begin, data = header[tensor]["data_offsets"][0], bytearray(data)
        data[begin + 4 : begin + 8] = np.float32(value).tobytes()
        return header, settings, bytes(data)

    return change


def _renamed(tensor: str, name: str) -> Callable:
    return lambda header, settings, data: (header | {name: header.pop(tensor)}, settings, data)


def _retyped(tensor: str, dtype: str) -> Callable:
    def change(header, settings, data):
        header[tensor]["dtype"] = dtype
        return header, settings, data

    return change


def by_hand(models: list[Seed]) -> list[Case]:
    """Return every file made by hand."""
    others = [Case(f"another file: {name}", partial(bytes, data), phrase) for name, data, phrase in OTHER_FILES]
    return [*header_cases(), *others, *settings_cases(models), *enormous_cases()]
