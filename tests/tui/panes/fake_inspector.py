"""An engine without torch for the tests of the Inspect pane: what its units do can be said in a sentence.

A token is a character. Parts are `layer 1 h`, `layer 1 c` and `layer 2 h` with 6 units each. In every part unit 0 is 1
inside double quotes and -1 outside, unit 1 goes -1, -0.75, … 1 and again, unit 2 is 0, unit 3 is not a number at the
first token and 0.5 after it, unit 4 is 0.4 at capitals, unit 5 is -1 at digits; of `layer 1 c` all is three times that.

The model's path says how it misbehaves: `crash` dies when it is asked for values of unit 5, `slow` reads until it is
cancelled, `nogates` has no gates, `refuse` cannot be loaded, `wrong` answers with other fields than it should,
`hostile` has parts with escape sequences in their names.
"""

import json
import os
import queue
import re
import sys
import threading
import time

cancelled: set[int] = set()
mode = ""
text = ""
MODES = ("crash", "slow", "nogates", "refuse", "wrong", "hostile")
UNITS = 6


def say(**message: object) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def parts() -> list[str]:
    return ["layer 1 \x1b[2Jh"] if mode == "hostile" else ["layer 1 h", "layer 1 c", "layer 2 h"]


def values(unit: int) -> list[float | None]:
    found: list[float | None] = []
    inside = False
    for at, c in enumerate(text):
        inside ^= c == '"'
        found.append(
            {
                0: 1.0 if inside else -1.0,
                1: at % 9 / 4 - 1,
                2: 0.0,
                3: 0.5 if at else None,
                4: 0.4 if c.isupper() else 0.0,
                5: -1.0 if c.isdigit() else 0.0,
            }[unit]
        )
    return found


def found(unit: int, score: float) -> dict:
    return {
        "part": parts()[0], "layer": 1, "unit": unit, "score": score, "mean_in": 1.0, "mean_out": -1.0,
        "threshold": 0.0, "auc": 1.0,
    }  # fmt: skip


def read(number: int) -> None:
    if mode == "slow":
        for done in range(10_000):
            if number in cancelled:
                say(id=number, event="error", message="cancelled", exit_code=130)
                return
            say(id=number, event="progress", what="reading", done=done, total=20_000)
            time.sleep(0.02)
    if not text:
        say(id=number, event="error", message="there is nothing to read", exit_code=3)
        return
    say(
        id=number, event="trace", texts=list(text), ids=[1] * len(text), tokens=len(text), left_out=0, bytes=1,
        surprise=[None, *([1.25] * (len(text) - 1))], unknown=["ž"] if "ž" in text else [],
        parts=[
            {"name": part, "layer": 1, "units": UNITS, "bounded": True, "low": -1, "high": 1} for part in parts()
        ],
    )  # fmt: skip


def units(request: dict) -> None:
    pattern = request["pattern"]
    marked, kind, note = [0] * len(text), "yes-no", ""
    match pattern:
        case "quotes":
            marked, best = [int(v == 1.0) for v in values(0)], [(0, 0.99), (1, -0.3)]
        case "line-position":
            marked, kind, best = list(range(len(text))), "number", [(1, 0.5)]
        case _ if pattern.startswith("regex:"):
            for match in re.finditer(pattern[6:], text):
                marked[match.start() : match.end()] = [1] * (match.end() - match.start())
            best = [(5, -0.97), (4, 0.2)]
        case _:
            best, note = [], f"the text has no {pattern}"
    say(
        id=request["id"], event="units", pattern=pattern, kind=kind, share=sum(map(bool, marked)) / len(text),
        tokens=len(text), found=[found(*one) for one in best], marked=marked, note=note,
    )  # fmt: skip


def heat(request: dict) -> None:
    begin, end = request["begin"], request["end"] or len(text)
    order = list(range(UNITS)) if request["order"] == "index" else list(reversed(range(UNITS)))
    step = -(-(end - begin) // request["width"])
    starts = list(range(begin, end, step))
    rows = [[values(unit)[at] for at in starts] for unit in order]
    say(
        id=request["id"], event="map", part=request["part"], rows=rows, units=[[unit] for unit in order], starts=starts,
        begin=begin, end=end, scale=3.0 if request["part"] == "layer 1 c" else 1.0,
    )  # fmt: skip


def answer(request: dict) -> None:
    global mode, text
    number = request["id"]
    match request["op"]:
        case "load":
            mode = next((m for m in MODES if m in request["path"].rpartition("/")[2]), "")
            if mode == "refuse":
                say(
                    id=number,
                    event="error",
                    message="a model of the task series has no tokens to look at",
                    exit_code=2,
                )
                return
            say(
                id=number, event="loaded", task="next-token", arch="lstm", tokenizer="char", vocab_size=65,
                parameters=123456, step=100, validation_loss=1.5, chars_per_token=1.0, mtime=0.0,
            )  # fmt: skip
        case "read":
            text = request["text"]
            read(number)
        case "survey":
            best = [("quotes", 0, 0.99), ("digits", 5, -0.97), ("capitals", 4, 0.9)]
            patterns = [
                {"pattern": p, "kind": "yes-no", "share": 0.1, "found": [found(u, s)]} for p, u, s in best
            ]
            say(id=number, event="survey", tokens=len(text), patterns=patterns)
        case "units":
            units(request)
        case "values":
            if mode == "wrong":
                say(id=number, event="values", values="none")
                return
            if mode == "crash" and request["unit"] == 5:
                print("RuntimeError: out of cheese", file=sys.stderr, flush=True)
                os._exit(3)
            scale = 3.0 if request["part"] == "layer 1 c" else 1.0
            say(
                id=number, event="values", part=request["part"], unit=request["unit"], values=values(request["unit"]),
                scale=scale, low=-scale, high=scale, mean=0.125,
            )  # fmt: skip
        case "map":
            heat(request)
        case "gates":
            gates = [
                {
                    "name": name, "layer": 1, "units": UNITS, "left": [left] * UNITS, "right": [right] * UNITS,
                    "mean": [0.5] * UNITS, "left_share": left, "right_share": right,
                }
                for name, left, right in (("input i", 0.25, 0.5), ("forget f", 0.0, 1.0), ("output o", 0.75, 0.0))
            ]  # fmt: skip
            if mode == "nogates":
                say(id=number, event="gates", gates=[], tokens=len(text), note="an elman cell has no gates")
            else:
                say(id=number, event="gates", gates=gates, tokens=len(text), note="")
        case "reach":
            curve = [0.5**k for k in range(21)]
            say(
                id=number, event="reach", reach=curve, layers=[{"layer": n, "reach": curve} for n in (1, 2)],
                distance=20, positions=64, half=1, hundredth=7, note="",
            )  # fmt: skip


def main() -> None:
    waiting: queue.SimpleQueue[dict] = queue.SimpleQueue()

    def hear() -> None:
        for line in sys.stdin:
            message = json.loads(line)
            if message["op"] == "cancel":
                cancelled.add(message["target"])
            else:
                waiting.put(message)
        os._exit(0)

    threading.Thread(target=hear, daemon=True).start()
    while (request := waiting.get())["op"] != "quit":
        answer(request)


if __name__ == "__main__":
    main()
