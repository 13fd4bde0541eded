"""Model files out of weights of torch.nn: our own exports, and strangers' files of many forms."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from rnn_tui.errors import InputError, PluginError, UsageError
from rnn_tui.model.container import BadModelFile
from rnn_tui.model.exchange.back import Like, Vocabulary, import_torch
from rnn_tui.model.exchange.torch_file import export_torch
from rnn_tui.model.file import save_model

sys.path.insert(0, str(Path(__file__).parent))
from exchange_models import Stranger, V, imported, make, outputs, save

OWN = {
    "lstm": {},
    "two layers": {"num_layers": 2, "dropout": 0.3},
    "gru": {"arch": "gru", "options": {"reset": "after"}},
    "rnn relu": {"arch": "rnn", "options": {"nonlinearity": "relu"}, "num_layers": 2},
    "nn-rnn relu": {"arch": "nn-rnn", "options": {"nonlinearity": "relu"}},
    "embedding": {"arch": "nn-gru", "encoder": "embedding", "embedding_size": 5},
    "tied": {"encoder": "embedding", "tie_weights": True},
    "both ways": {"bidirectional": True, "num_layers": 2, "task": "aligned"},
}


@pytest.mark.parametrize("name", OWN)
def test_what_was_exported_comes_back(name, tmp_path):
    model, header, tokenizer = make(**OWN[name])
    export_torch(model, header, tokenizer, tmp_path / "w")
    again, its_tokenizer, its_header, done = imported(tmp_path / "w")
    ids = torch.randint(V, (3, 9))
    torch.testing.assert_close(outputs(again, ids), outputs(model, ids), rtol=0, atol=1e-6)
    assert its_tokenizer.to_state() == tokenizer.to_state()
    assert (its_header.task, its_header.training) == (header.task, header.training)
    assert its_header.architecture["name"] == header.architecture["name"]
    options = its_header.config["model"]["options"]
    assert header.config["model"]["options"].items() <= options.items()  # the defaults are filled in
    kept = ("dropout", "tie_weights", "bidirectional", "num_layers", "hidden_size")
    assert all(its_header.config["model"][key] == header.config["model"][key] for key in kept)
    assert again.parameter_count() == model.parameter_count()
    assert done.trained
    assert done.difference < 1e-6


def test_one_hot_vectors_come_back_from_an_identity(tmp_path):
    model, header, tokenizer = make()
    export_torch(model, header, tokenizer, tmp_path / "w", identity=True)
    again, *_ = imported(tmp_path / "w")
    assert again.parameter_count() == model.parameter_count()
    ids = torch.randint(V, (2, 5))
    torch.testing.assert_close(outputs(again, ids), outputs(model, ids))


def test_a_model_of_numbers_comes_back(tmp_path):
    model, header, _ = make("nn-gru", columns=("a", "b"), task="series")
    export_torch(model, header, None, tmp_path / "w")
    again, scaling, *_ = imported(tmp_path / "w")
    assert scaling.columns == ("a", "b")
    values = torch.randn(2, 4, 2)
    torch.testing.assert_close(outputs(again, values), outputs(model, values))


def test_weights_that_were_changed_elsewhere_lose_the_figures_of_training(tmp_path):
    model, header, tokenizer = make()
    export_torch(model, header, tokenizer, tmp_path / "w")
    raw = bytearray((tmp_path / "w").read_bytes())
    raw[-1] ^= 1
    (tmp_path / "w").write_bytes(raw)
    *_, its_header, done = imported(tmp_path / "w")
    assert not done.trained
    assert its_header.training == {}


@pytest.mark.parametrize(("arch", "options"), [("nn-gru", {}), ("gru", {"reset": "after"})])
def test_another_architecture_can_take_them(arch, options, tmp_path):
    model, header, tokenizer = make("gru", options={"reset": "after"}, num_layers=2)
    export_torch(model, header, tokenizer, tmp_path / "w")
    again, _, its_header, _ = imported(tmp_path / "w", arch=arch, options=options)
    assert (its_header.config["model"]["arch"], its_header.architecture["name"]) == (arch, arch)
    ids = torch.randint(V, (2, 5))
    torch.testing.assert_close(outputs(again, ids), outputs(model, ids))


@pytest.mark.parametrize(
    ("arch", "options", "message"),
    [
        ("gru", {}, "reset=after has an equal there; the architecture nn-gru takes them"),
        ("lstm", {}, r"an nn\.GRU has other gates than an LSTM"),
        ("nope", {}, "there is no architecture 'nope'"),
        ("nn-gru", {"x": "1"}, "has no option 'x'"),
    ],
)
def test_one_that_cannot_says_why(arch, options, message, tmp_path):
    model, header, tokenizer = make("nn-gru")
    export_torch(model, header, tokenizer, tmp_path / "w")
    with pytest.raises(UsageError, match=message):
        import_torch(tmp_path / "w", arch=arch, options=options)


def test_an_architecture_that_is_not_here(tmp_path):
    """What to install is said; torch's own takes the weights without it."""
    model, header, tokenizer = make("nn-lstm")
    elsewhere = {"name": "fancy", "distribution": "rnn-tui-fancy", "version": "2"}
    config = {**header.config, "model": header.config["model"] | {"arch": "fancy"}}
    export_torch(model, replace(header, architecture=elsewhere, config=config), tokenizer, tmp_path / "w")
    with pytest.raises(PluginError, match=r"no architecture 'fancy' here.*rnn-tui-fancy"):
        import_torch(tmp_path / "w")
    again, *_ = imported(tmp_path / "w", arch="nn-lstm")
    ids = torch.randint(V, (2, 5))
    torch.testing.assert_close(outputs(again, ids), outputs(model, ids))


# -- strangers --------------------------------------------------------------------------------------------------------


@pytest.fixture
def like():
    _, header, _ = make("nn-lstm", num_layers=3)
    return Like(Path("other"), header)


# of the vocabulary: its form in JSON, and the stranger's number of each symbol
SYMBOLS = ["w", "h", "e", "l", "o", " ", ",", "r", "d", "\n", "好", "你", "x"]


@pytest.mark.parametrize(
    "form", [SYMBOLS, "".join(SYMBOLS), {s: n for n, s in enumerate(SYMBOLS)}], ids=["list", "text", "table"]
)
@pytest.mark.parametrize("width", [0, 5], ids=["one-hot", "embedding"])
def test_a_vocabulary_in_another_order(form, width, tmp_path):
    stranger = Stranger(width=width).eval()
    save(stranger, tmp_path / "w")
    (tmp_path / "v.json").write_text(json.dumps(form))
    again, tokenizer, header, _ = imported(tmp_path / "w", Vocabulary(tmp_path / "v.json", corpus="book.txt"))
    text = "hello, world"
    theirs = torch.tensor([[SYMBOLS.index(symbol) for symbol in text]])
    ours = torch.from_numpy(tokenizer.encode(text).astype(np.int64))[None]
    with torch.no_grad():
        expected = stranger(theirs).softmax(-1)
        found = outputs(again, ours).softmax(-1)
    order = [int(tokenizer.encode(symbol)[0]) for symbol in SYMBOLS]
    torch.testing.assert_close(found[..., order], expected)
    assert found[..., tokenizer.unknown_id].max() == 0  # which the stranger never draws
    assert header.config["corpus"]["source"] == "book.txt"


def test_a_vocabulary_with_a_token_of_its_own_for_what_is_unknown(tmp_path):
    symbols = ["a", "<unk>", *"bcdefghijkl"]
    assert len(symbols) == V
    stranger = Stranger().eval()
    save(stranger, tmp_path / "w")
    (tmp_path / "v.json").write_text(json.dumps(symbols))
    again, tokenizer, *_ = imported(tmp_path / "w", Vocabulary(tmp_path / "v.json"))
    assert tokenizer.vocab_size == V
    with torch.no_grad():
        expected = stranger(torch.tensor([[1]]))[..., 1]
        found = outputs(again, torch.tensor([[tokenizer.unknown_id]]))[..., tokenizer.unknown_id]
    torch.testing.assert_close(found, expected)


def test_words_and_the_end_of_a_line(tmp_path):
    words = ["<unk>", "\n", "the", ".", *(f" {letter}" for letter in "abcdefghi")]
    assert len(words) == V
    save(Stranger(), tmp_path / "w")
    (tmp_path / "v.json").write_text(json.dumps(words))
    _, tokenizer, *_ = imported(tmp_path / "w", Vocabulary(tmp_path / "v.json", "word"))
    assert sorted(map(tokenizer.token_text, range(V))) == sorted(words)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ('["a", "a"]', InputError, "'a' stands twice"),
        ('{"a": 1, "b": 2}', InputError, "a vocabulary is a JSON list"),
        ("[1, 2]", InputError, "a vocabulary is a JSON list"),
        # which "10" < "2" would put in another order, and which cannot be sorted at all
        (json.dumps({s: str(n) for n, s in enumerate(SYMBOLS)}), InputError, "texts and numbers from 0 on"),
        ('{"a": 0, "b": "1"}', InputError, "a vocabulary is a JSON list"),
        ("[]", InputError, "a vocabulary is a JSON list"),
        ("[", InputError, "not JSON"),
        (
            json.dumps(["ab", *"cdefghijklmn"]),
            UsageError,
            "char does not cut text into these tokens: it has none",
        ),
        (
            json.dumps(list("abc")),
            BadModelFile,
            r"no weight \[3, 6\] .* the 3 tokens that it was trained with\?",
        ),
    ],
)
def test_a_vocabulary_that_will_not_do(text, error, message, tmp_path):
    save(Stranger(), tmp_path / "w")
    (tmp_path / "v.json").write_text(text)
    with pytest.raises(error, match=message):
        import_torch(tmp_path / "w", Vocabulary(tmp_path / "v.json"))


def test_it_does_not_guess_a_tokenizer(tmp_path):
    save(Stranger(), tmp_path / "w")
    with pytest.raises(UsageError, match=r"a run or model file to read like, .* or a vocabulary"):
        import_torch(tmp_path / "w")


def test_a_pickle_is_not_opened_and_converting_it_is_shown(tmp_path):
    torch.save(Stranger().state_dict(), tmp_path / "m.pt")
    with pytest.raises(BadModelFile, match="rnn-tui opens none") as caught:
        import_torch(tmp_path / "m.pt")
    _, _, code = str(caught.value).partition("Python converts it: ")
    (first, *rest) = code.split("; ")
    names = {}
    code = "\n".join([first, *rest]).replace("'m.", f"'{tmp_path}/m.")
    exec(code, names)
    assert set(safetensors.torch.load_file(tmp_path / "m.safetensors")) == set(Stranger().state_dict())


def test_a_file_is_not_called_a_pickle_for_its_name(like, tmp_path):
    (tmp_path / "pickles").mkdir()
    with pytest.raises(BadModelFile, match="No such file"):
        import_torch(tmp_path / "pickles" / "w", like)
    safetensors.torch.save_file({"a": torch.zeros(2)}, tmp_path / "pickles" / "w")
    with pytest.raises(BadModelFile, match="has no tensor named weight_ih_l0"):
        import_torch(tmp_path / "pickles" / "w", like)


def test_layers_that_read_nothing(like, tmp_path):
    tensors = Stranger().state_dict()
    name = next(name for name in tensors if name.endswith("weight_ih_l0"))
    safetensors.torch.save_file(tensors | {name: torch.zeros(len(tensors[name]), 0)}, tmp_path / "w")
    with pytest.raises(BadModelFile, match=r"weight_ih_l0' is \[\d+, 0\], not \(gates"):
        import_torch(tmp_path / "w", like)


def test_what_is_damaged_is_refused(like, tmp_path):
    save(Stranger(), tmp_path / "w")
    raw = (tmp_path / "w").read_bytes()
    (tmp_path / "w").write_bytes(raw[:-1])
    with pytest.raises(BadModelFile, match="cut short"):
        import_torch(tmp_path / "w", like)
    (tmp_path / "w").write_bytes((2**40).to_bytes(8, "little") + raw[8:])
    with pytest.raises(BadModelFile, match="not a safetensors file"):
        import_torch(tmp_path / "w", like)


def test_notes_that_lie_are_refused(tmp_path):
    model, header, tokenizer = make()
    export_torch(model, header, tokenizer, tmp_path / "w")
    for name, text, message in (
        ("rnn_tui_settings", "{", "its settings cannot be read"),
        ("model", '{"a": 1, "a": 2}', "its notes on the model cannot be read: a key stands twice"),
    ):
        with safetensors.safe_open(tmp_path / "w", "pt") as opened:
            notes = opened.metadata()
        tensors = safetensors.torch.load((tmp_path / "w").read_bytes())
        (tmp_path / "bad").write_bytes(safetensors.torch.save(tensors, notes | {name: text}))
        with pytest.raises(BadModelFile, match=message):
            import_torch(tmp_path / "bad")


def test_a_model_file_is_one_already(tmp_path):
    model, header, _ = make()
    save_model(tmp_path / "m", model, header)
    with pytest.raises(UsageError, match="is a model file of rnn-tui already"):
        import_torch(tmp_path / "m")


def test_an_architecture_that_takes_them_and_computes_something_else_is_named(like, tmp_path, monkeypatch):
    save(Stranger(), tmp_path / "w")
    plugin = type(make("nn-lstm")[0].core.cores[0])
    monkeypatch.setattr(plugin, "from_nn", lambda self, layer: None)
    with pytest.raises(PluginError, match="architecture nn-lstm: with these weights it does not compute"):
        import_torch(tmp_path / "w", like)
