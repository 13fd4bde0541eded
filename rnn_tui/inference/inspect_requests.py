"""What the prompt engine is asked to see inside a model: requests, and the events that answer them. Free of torch.

`rnn_tui.inference.engine` documents the protocol that these belong to; every answer carries the request's `id`. A text
is read once (`read`); the engine then keeps every state of every layer at every token, its trace, until another text or
model is read in that slot. All other requests look at that trace. An answer may be preceded by

    {"id", "event": "progress", "what": "reading", "done": 4096, "total": 20000}         at most every 100 ms

and a request that is cancelled ends with an error of exit code 130.

    {"id": 1, "op": "read", "slot": "main", "text": "…"}
        → {"event": "trace", "texts": ["T", "h", …], "ids": [12, 7, …], "surprise": [null, 2.31, …], "tokens": n,
           "parts": [{"name": "layer 1 h", "layer": 1, "units": 128, "bounded": true, "low": -0.99, "high": 0.98}, …],
           "unknown": ["ž"], "left_out": 0, "bytes": 10240000, "seconds": 0.4}
           One text, id and surprise for each of the n tokens. A text is what the token adds: nothing in the middle of a
           character, all of it at its end. Surprise is in nats and null where nothing came before. `left_out`: tokens
           at the end that were not read, beyond `TOKENS` or the memory of `MEMORY` bytes; `bytes` is what the trace
           holds. A part is one leaf of one layer's state; `bounded`: all its values lie in -1 to 1, `low` to `high`.
    {"id": 2, "op": "survey", "top": 1}
        → {"event": "survey", "tokens": n,
           "patterns": [{"pattern": "quotes", "kind": "yes-no" | "number", "share": 0.08, "found": [FOUND, …]}, …]}
           The best `top` units for each of `PATTERNS` that the text has: not those it has nowhere or everywhere.
    {"id": 3, "op": "units", "pattern": "quotes" or "regex:[0-9]+", "top": 20}
        → {"event": "units", "pattern": "quotes", "kind": "yes-no" | "number", "share": 0.08, "tokens": n,
           "found": [FOUND, …], "marked": [0, 1, 1, …], "note": ""}
           Best first. `share` of the tokens have the pattern, and `marked` says which: 0 or 1, or the number (a
           distance, a depth) of each token. A pattern that the text has nowhere or everywhere finds nothing, and `note`
           says so.
           FOUND = {"part": "layer 1 h", "layer": 1, "unit": 17, "score": -0.91, "mean_in": -0.88, "mean_out": 0.4,
                    "threshold": -0.2 or null, "auc": 0.99 or null}
           `score` is the correlation of the unit with the pattern, -1 to 1; the order is by its absolute value.
           `threshold` is the value that tells the pattern's tokens apart best (beyond it, to the side of `mean_in`),
           `auc` the probability that a token with the pattern has the higher value; both null for a pattern of numbers,
           where `mean_in` is over the tokens above the pattern's mean and `mean_out` over the others. See `units.py`.
    {"id": 4, "op": "values", "part": "layer 1 h", "unit": 17}
        → {"event": "values", "part", "unit", "values": [0.12, -1.0, …], "scale": 1.0, "low": -0.99, "high": 0.97,
           "mean": 0.1}
           One value in -1 to 1 for each token: the unit's after reading it, divided by `scale` and clipped. `scale` is
           1 for a bounded part, else the 99th percentile of the unit's absolute values. `low`, `high` and `mean` are
           not scaled.
    {"id": 5, "op": "map", "part": "layer 1 h", "height": 40, "width": 120, "begin": 0, "end": null, "order": "index"}
        → {"event": "map", "part", "rows": [[0.1, …], …], "units": [[0, 1, 2], …], "starts": [0, 42, …], "begin": 0,
           "end": n, "scale": 1.0}
           The part's units (rows) over the tokens `begin` to `end` (columns) in at most `height` × `width` cells. A
           cell that stands for several units or tokens shows the value farthest from 0, as in `values` with the scale
           of the whole part. `units` lists the units of each row, `starts` the first token of each column. `order` is
           `index`, or a pattern as in `units`: then the highest score comes first and the lowest last.
    {"id": 6, "op": "gates"}
        → {"event": "gates", "gates": [{"name": "i", "place": "layer 1", "layer": 1, "units": 128, "left": [0.02, …],
           "right": [0.7, …], "mean": [0.8, …], "left_share": 0.1, "right_share": 0.3}, …], "tokens": n, "note": ""}
           For each gate the share of the tokens at which each unit is below 0.1 (`left`) and above 0.9 (`right`), its
           mean, and the means of the two shares over all units. A cell without gates has none, and `note` says why.
    {"id": 7, "op": "reach", "distance": 200}
        → {"event": "reach", "reach": [1.0, 0.61, …], "layers": [{"layer": 1, "reach": [1.0, 0.6, …]}, …],
           "distance": 200, "positions": 256, "half": 3, "hundredth": 41 or null, "note": ""}
           How far back the loss at a token reaches: the norm of its gradient with respect to the state with which the
           token k before was read, for k = 0 to `distance`, as a mean over so many positions, relative to k = 0; of the
           whole state, and of each layer's. `half` and `hundredth`: the k from which on it stays below a half and a
           hundredth; null where it is not below at the end. A short text shortens the distance.
"""

from typing import TypeAlias

import msgspec

TOKENS = 20_000
"""Tokens of a text that are read, at most."""
MEMORY = 512 * 2**20
"""Bytes that a trace may take; a larger model reads fewer tokens."""
DISTANCE = 200
MAP_LIMIT = (1024, 4096)
"""Rows and columns of a heat map, at most."""

PATTERNS = {
    "quotes": 'inside “…”, "…" or «…»; a blank line ends it',
    "single-quotes": "inside '…' or ‘…’; a blank line ends it",
    "brackets": "inside (…), […] or {…}",
    "bracket-depth": "how many brackets are open (number)",
    "line-position": "characters since the line began (number)",
    "line-left": "characters left to the end of the line (number)",
    "line-end": "the line ends here: a newline comes next",
    "indent": "how far the line is indented (number)",
    "comment": "in a comment: # or // to the end of the line, /* … */",
    "whitespace": "whitespace was just read",
    "word-start": "the first letter of a word was just read",
    "word-position": "letters of this word so far (number)",
    "after-capital": "a capital letter was just read",
    "capitals": "in a word of capitals only",
    "digits": "a digit was just read",
    "punctuation": "neither letter, digit nor whitespace was just read",
    "sentence-end": "a full stop, question or exclamation mark was just read",
}
"""What units are searched for, beside `regex:` and a regular expression (re.MULTILINE): tokens that lie in a match."""


class _Request(msgspec.Struct, tag_field="op", forbid_unknown_fields=True, kw_only=True):
    id: int
    slot: str = "main"


class Read(_Request, tag="read"):
    text: str


class Survey(_Request, tag="survey"):
    top: int = 1


class Units(_Request, tag="units"):
    pattern: str
    top: int = 20


class Values(_Request, tag="values"):
    part: str
    unit: int


class Map(_Request, tag="map"):
    part: str
    height: int
    width: int
    begin: int = 0
    end: int | None = None
    order: str = "index"


class Gates(_Request, tag="gates"):
    pass


class Reach(_Request, tag="reach"):
    distance: int = DISTANCE


Inspect: TypeAlias = Read | Survey | Units | Values | Map | Gates | Reach
LAST = {
    "read": "trace",
    "survey": "survey",
    "units": "units",
    "values": "values",
    "map": "map",
    "gates": "gates",
    "reach": "reach",
}
"""The event that ends the answer to each operation."""
