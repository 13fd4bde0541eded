"""A prompt engine without torch, for tests: speaks the protocol, and misbehaves on request.

The model's path says how: `crash` dies in the middle of a completion, `hang` never answers, `junk` prints other
things between its messages, `hostile` completes with escape sequences, `refuse` cannot be loaded, `long` sends
a line beyond every limit, `slow` streams until cancelled, `copied` says that characters 2 to 9 are copied,
`labels` answers with the prompt in capitals. Each slot has its own such model; its name stands in the words of a
completion where it is not "main".
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
NEXT = [[1, "e", 0.5], [2, " ", 0.25], [3, "\n", 0.125]]
cancelled: set[int] = set()
states = 0


def say(**message: object) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def fail(request: dict, message: str) -> None:
    say(id=request["id"], event="error", message=message, exit_code=3)


def new_state() -> int:
    global states
    states += 1
    return states


def say_prompt(request: dict) -> None:
    """The prompt, a token a character; what is not ASCII is unknown."""
    pieces = [{"text": c, "token": 5, "surprise": 1.5, "entropy": 2.0, "rank": 3} for c in request["prompt"]]
    for piece in pieces:
        if piece["text"] > "\x7f":
            piece.update(text="\ufffd", token=0, unknown=True, source=piece["text"])
    unknown = [c for c in dict.fromkeys(request["prompt"]) if c > "\x7f"]
    say(id=request["id"], event="prompt", pieces=pieces, tokens=len(pieces), unknown=unknown)


def made(word: str, at: int) -> dict:
    return {"text": word, "token": 1, "surprise": at * 0.7, "entropy": 1.0, "rank": at}


def batch(request: dict, mode: str) -> None:
    """Row i has the words of seed + i; the last row is complete first."""
    number, settings = request["id"], request["settings"]
    say_prompt(request)
    total = 0
    for row in reversed(range(request["n"])):
        pieces = []
        for at in range(settings["length"]):
            if number in cancelled:
                break
            pieces.append(made(f"w{settings['seed'] + row}.{at} ", at))
            if mode == "slow":
                time.sleep(0.02)
                say(id=number, event="progress", tokens=total + len(pieces))
        total += len(pieces)
        say(
            id=number,
            event="row",
            row=row,
            pieces=pieces,
            state=new_state(),
            reason="cancelled" if len(pieces) < settings["length"] else "length",
            tokens=len(pieces),
            seed=settings["seed"] + row,
            next=NEXT,
            copied=None,
            not_compared="there is no corpus here",
        )
    reason = "cancelled" if number in cancelled else "length"
    say(id=number, event="done", state=None, reason=reason, tokens=total, seconds=0.1)


def save(request: dict) -> None:
    """A snapshot here is a JSON file; the real engine writes another kind."""
    path = Path(request["path"])
    try:
        if path.exists() and "state" not in json.loads(path.read_text()):
            raise ValueError
        path.write_text(json.dumps({"state": request["state"], "text": request["text"]}))
    except ValueError:
        fail(request, f"{path}: holds something else; choose another name")
    except OSError as error:
        fail(request, f"could not write {path}: {error.strerror}")
    else:
        say(id=request["id"], event="saved", path=str(path), bytes=path.stat().st_size)


def restore(request: dict) -> None:
    path = Path(request["path"])
    try:
        text = json.loads(path.read_text())["text"]
    except OSError as error:
        fail(request, f"{path}: {error.strerror}")
    except (ValueError, KeyError, TypeError):
        fail(request, f"{path}: not a saved state of rnn-tui")
    else:
        say(id=request["id"], event="restored", state=new_state(), text=text, next=NEXT)


def generate(request: dict, mode: str) -> None:
    number, settings = request["id"], request["settings"]
    if mode == "hang":
        time.sleep(600)
    if mode == "junk":
        print('Loading weights... \x1b[31m100%\n{"id": "seven"}\n[1,2,3]\n\xff')
    say_prompt(request)
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
    slot = request.get("slot", "main")
    stem = f"{'w' if slot == 'main' else slot}{settings.get('seed')}"
    words = HOSTILE if mode == "hostile" else [f"{stem}.{i} " for i in range(settings["length"])]
    done = 0
    for word in words:
        if number in cancelled:
            break
        say(id=number, event="pieces", pieces=[made(word, done)])
        done += 1
        if mode == "slow":
            time.sleep(0.02)
    say(
        id=number,
        event="done",
        state=new_state(),
        reason="cancelled" if number in cancelled else "length",
        tokens=done,
        seconds=0.1,
        seed=settings.get("seed"),
        next=NEXT,
        copied=COPIED if mode == "copied" else None,
        not_compared="" if mode == "copied" else "there is no corpus here",
    )


def main() -> None:
    modes: dict[str, str] = {}
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
        slot = request.get("slot", "main")
        mode = modes.get(slot, "")
        match request["op"]:
            case "quit":
                return
            case "unload":
                modes.pop(slot, None)
            case "load":
                mode = next((m for m in MODES if m in request["path"].rpartition("/")[2]), "")
                if mode != "refuse":
                    modes[slot] = mode
                else:
                    say(id=request["id"], event="error", message="plugin 'x' is not installed", exit_code=8)
                    continue
                path = Path(request["path"])
                step = int(path.read_text() or 0) if path.is_file() else 0
                say(
                    id=request["id"],
                    event="loaded",
                    slot=slot,
                    task="aligned" if mode == "labels" else "next-token",
                    arch="lstm",
                    tokenizer="char",
                    vocab_size=65,
                    parameters=123456,
                    step=step,
                    validation_loss=1.5,
                    chars_per_token=1.0,
                    unknown_text="\ufffd",
                    mtime=0.0,
                )
            case "next":
                last = request["prompt"][-1:] or "?"
                rows = [[1, last, 0.6], [2, "b", 0.3]]
                say(id=request["id"], event="next", next=rows[: request.get("top", 10)])
            case "push":
                token = request["token"]
                piece = made(f"t{token}", token - 1)
                say(id=request["id"], event="pushed", state=new_state(), piece=piece, next=NEXT)
            case "save":
                save(request)
            case "restore":
                restore(request)
            case "batch":
                batch(request, mode)
            case "generate":
                generate(request, mode)


if __name__ == "__main__":
    main()
