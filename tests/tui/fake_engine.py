"""A prompt engine without torch, for tests: speaks the protocol, and misbehaves on request.

The model's path says how: `crash` dies in the middle of a completion, `hang` never answers, `junk` prints other
things between its messages, `hostile` completes with escape sequences, `refuse` cannot be loaded, `long` sends
a line beyond every limit, `slow` streams until cancelled, `copied` says that characters 2 to 9 are copied,
`labels` answers with the prompt in capitals.
"""

import json
import os
import sys
import threading
import time
from pathlib import Path

HOSTILE = [
    *("\x1b]52;c;aGVsbG8=\x1b\\", "\x1b[2J", "\x9b1m", "\u202eabc", "[/]", "[@click=app.quit]x[/]"),
    *("a" + "\u0301" * 500, "x" * 1_000_000),
]
MODES = ("crash", "hang", "junk", "hostile", "refuse", "long", "slow", "copied", "labels")
COPIED = {
    "novel": 0.25, "n": 3, "held_out": 0.5, "longest": 7, "at": 2, "mark": 6, "spans": [[2, 9]], "chars": 15,
    "compared": 1.0, "memorised": False,
}  # fmt: skip
cancelled: set[int] = set()
states = 0


def say(**message: object) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def generate(request: dict, mode: str) -> None:
    global states
    number, settings = request["id"], request["settings"]
    if mode == "hang":
        time.sleep(600)
    if mode == "junk":
        print('Loading weights... \x1b[31m100%\n{"id": "seven"}\n[1,2,3]\n\xff')
    say(
        id=number,
        event="prompt",
        pieces=[{"text": c, "surprise": 1.5} for c in request["prompt"]],
        unknown=[c for c in dict.fromkeys(request["prompt"]) if c > "\x7f"],
    )
    if mode == "labels":
        pieces = [{"text": c.upper(), "token": 1, "surprise": 0.1} for c in request["prompt"]]
        say(id=number, event="pieces", pieces=pieces)
        say(
            id=number,
            event="done",
            state=None,
            reason="transcribed",
            tokens=len(pieces),
            seconds=0.1,
            next=[],
        )
        return
    if mode == "crash":
        say(
            id=number,
            event="pieces",
            pieces=[{"text": "half a ", "token": 1, "surprise": 0.2, "entropy": 1.0}],
        )
        print("RuntimeError: out of cheese", file=sys.stderr, flush=True)
        os._exit(3)
    if mode == "long":
        sys.stdout.write("x" * (9 * 2**20) + "\n")
        sys.stdout.flush()
    words = HOSTILE if mode == "hostile" else [f"w{settings['seed']}.{i} " for i in range(settings["length"])]
    made = 0
    for word in words:
        if number in cancelled:
            break
        say(
            id=number,
            event="pieces",
            pieces=[{"text": word, "token": 1, "surprise": made * 0.7, "entropy": 1.0}],
        )
        made += 1
        if mode == "slow":
            time.sleep(0.02)
    states += 1
    say(
        id=number,
        event="done",
        state=states,
        reason="cancelled" if number in cancelled else "length",
        tokens=made,
        seconds=0.1,
        next=[[1, "e", 0.5], [2, " ", 0.25], [3, "\n", 0.125]],
        copied=COPIED if mode == "copied" else None,
        not_compared="" if mode == "copied" else "there is no corpus here",
    )


def main() -> None:
    mode = ""
    queue: list[dict] = []
    arrived = threading.Condition()

    def read() -> None:
        for line in sys.stdin:
            message = json.loads(line)
            if message["op"] == "cancel":
                cancelled.add(message["target"])
                continue
            with arrived:
                queue.append(message)
                arrived.notify()
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    while True:
        with arrived:
            while not queue:
                arrived.wait()
            request = queue.pop(0)
        match request["op"]:
            case "quit":
                return
            case "load":
                mode = next((m for m in MODES if m in request["path"].rpartition("/")[2]), "")
                if mode == "refuse":
                    say(id=request["id"], event="error", message="plugin 'x' is not installed", exit_code=8)
                    continue
                path = Path(request["path"])
                step = int(path.read_text() or 0) if path.exists() else 0
                say(
                    id=request["id"],
                    event="loaded",
                    task="aligned" if mode == "labels" else "next-token",
                    arch="lstm",
                    tokenizer="char",
                    vocab_size=65,
                    parameters=123456,
                    step=step,
                    validation_loss=1.5,
                    chars_per_token=1.0,
                    mtime=0.0,
                )
            case "next":
                last = request["prompt"][-1:] or "?"
                say(id=request["id"], event="next", next=[[1, last, 0.6], [2, "b", 0.3]])
            case "generate":
                generate(request, mode)


if __name__ == "__main__":
    main()
