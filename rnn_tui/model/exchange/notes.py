"""What an exported file says beside the weights: texts under names, for people and programs elsewhere.

model       the sizes, as JSON; `kind` is LSTM, GRU or RNN where torch.nn has the layers
vocabulary  a JSON list: the text of each token, by its number; only up to `VOCABULARY_LIMIT` tokens
scaling     of a model of numbers, as JSON: `columns`, `mean` and `std`; it reads (x - mean) / std
settings    what a model file has, as JSON: what `rnn-tui import` makes a model file of again
"""

import json
from collections.abc import Mapping
from typing import Any

from rnn_tui.model.header import ModelFile, header_text
from rnn_tui.model.recurrent_model import Embedding, OneHot, RecurrentModel
from rnn_tui.plugin.tokenizer import Tokenizer

SETTINGS = "rnn_tui_settings"
MODEL = "model"
VOCABULARY = "vocabulary"

VOCABULARY_LIMIT = 65536
"""Tokens. The settings hold what the tokenizer needs in any case; a list of more would make them twice as long."""


def notes_of(
    model: RecurrentModel, header: ModelFile, tokenizer: Tokenizer | None, more: Mapping[str, Any]
) -> dict[str, str]:
    """Return the texts by name.

    Args:
        tokenizer: None for a model of numbers.
        more: what to say of the model beside its sizes.
    """
    encoder = model.encoder
    section = header.config["model"]
    about: dict[str, Any] = {
        **more,
        "architecture": header.architecture["name"],
        "task": header.task,
        "input": "embedding"
        if isinstance(encoder, Embedding)
        else "one-hot"
        if isinstance(encoder, OneHot)
        else "numbers",
        "input_size": encoder.output_size,
        "hidden_size": section["hidden_size"],
        "num_layers": len(model.core.cores),
        "bidirectional": bool(section["bidirectional"]),
        "output_size": model.output_size,
        "tied": model.tied,
        "dropout": model.dropout,
    }
    notes = {}
    if tokenizer is not None and header.tokenizer is not None:
        about["tokenizer"] = header.tokenizer["name"]
        if tokenizer.vocab_size <= VOCABULARY_LIMIT:
            notes[VOCABULARY] = _json([tokenizer.token_text(token) for token in range(tokenizer.vocab_size)])
    else:
        notes["scaling"] = _json(header.scaling)
    return notes | {MODEL: _json(about), SETTINGS: header_text(header)}


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
