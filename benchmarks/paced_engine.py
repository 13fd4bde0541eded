"""A prompt engine that writes English words at a steady pace and computes nothing.

    python -m benchmarks.paced_engine RATE

What the app does with a stream is measured with it; how fast a model draws is another matter.
"""

import itertools
import json
import sys
import threading
import time

WORDS = "the of and to in a is that for it was on are as with they be at this have from or had by hot word but".split()
BATCH_SECONDS = 0.05


def say(**fields: object) -> None:
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


def write_words(number: int, rate: float, length: int) -> None:
    """Send `length` words, `rate` in a second, as the real engine does: a message every 50 ms."""
    say(id=number, event="prompt", pieces=[], tokens=0, unknown=[])
    words, begin, sent = itertools.cycle(WORDS), time.monotonic(), 0
    while sent < length:
        time.sleep(BATCH_SECONDS)
        due = min(length, int((time.monotonic() - begin) * rate))
        pieces = [
            {"text": next(words) + " ", "token": 1, "surprise": 1.5, "entropy": 2.0, "rank": index % 30}
            for index in range(sent, due)
        ]
        if pieces:
            say(id=number, event="pieces", pieces=pieces)
        sent = due
    say(id=number, event="done", state=1, reason="length", tokens=sent, seconds=sent / rate, seed=1, next=[])


def main() -> None:
    rate = float(sys.argv[1])
    for line in sys.stdin:
        request = json.loads(line)
        match request["op"]:
            case "load":
                about = {"task": "next-token", "arch": "lstm", "tokenizer": "word", "vocab_size": 1000}
                say(id=request["id"], event="loaded", parameters=10_000, step=1, slot="main", **about)
            case "generate":
                length = int(request["settings"].get("length", 200))
                threading.Thread(target=write_words, args=(request["id"], rate, length), daemon=True).start()
            case "next":
                say(id=request["id"], event="next", next=[])
            case "quit":
                return


if __name__ == "__main__":
    main()
