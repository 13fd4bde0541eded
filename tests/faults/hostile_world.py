"""Everything that an app or a command may be shown, made of hostile texts: runs, events, corpora, plugins, an engine.

`Words` hands out the texts in turn, so that one world has each of them somewhere; with another `shift` each stands in
another place. `python hostile_world.py` is the prompt engine of such a world: it answers with the texts it is given.
"""

import itertools
import json
import math
import os
import sys
from pathlib import Path

LONGEST = 3000
"""Characters of a text in an event: a record takes no more."""


class Words:
    """The texts, one after the other, without end."""

    def __init__(self, texts, shift=0, few=False):
        self.texts, self.few = list(texts), few
        self._turn = itertools.cycle(
            self.texts[shift % len(self.texts) :] + self.texts[: shift % len(self.texts)]
        )

    def __call__(self):
        return next(self._turn)

    def some(self, count):
        """The next few, or where few are enough the next one."""
        return [self() for _ in range(1 if self.few else count)]

    def plain(self):
        """The next one as JSON and TOML can hold it."""
        return self()[:LONGEST].encode("utf-8", "replace").decode()

    def name(self):
        from payloads import as_name

        return as_name(self())


def make_run(runs_dir, name, words, *, series=False):
    """Return a run whose settings, events, status and log are hostile; its name may be, too."""
    import tomli_w

    from rnn_tui.runs.events import EventWriter
    from rnn_tui.runs.folder import create_run
    from rnn_tui.runs.layout import RunFolder
    from rnn_tui.runs.status import my_status, write_status

    config = {
        "corpus": {"source": words.plain()}, "tokenizer": {"name": words.plain(), "options": {"x": words.plain()}},
        "model": {"arch": words.plain(), "hidden_size": 8}, "task": {"name": words.plain()},
        "watch": {"sample_prompts": [words.plain(), words.plain()]}, words.plain(): {words.plain(): words.plain()},
    }  # fmt: skip
    made = create_run(
        runs_dir, f"made-{len(os.listdir(runs_dir)) if runs_dir.is_dir() else 0}", {"model": {}}
    )
    made.config_path.write_bytes(tomli_w.dumps(config).encode())
    made.log_path.write_bytes("\n".join(words() for _ in range(5)).encode("utf-8", "replace"))
    log = EventWriter(made.events_path, 1)
    for kind, step, data in events(words, series=series):
        log.write(kind, step, **data)
    log.close()
    status = my_status("running", attempt=1, step=100)
    status.message = words.plain()
    write_status(made, status)
    os.rename(made.path, runs_dir / name)
    return RunFolder(runs_dir / name)


def events(words, *, series=False):
    """Yield events of every kind with hostile texts wherever one can stand, and numbers where a screen needs them."""
    start = {
        "arch": words.plain(), "tokenizer": words.plain(), "corpus": words.plain(), "engine": words.plain(),
        "engine_reason": words.plain(), "device": words.plain(), "device_name": words.plain(), "threads": 2,
        "parameters": 1000, "total_steps": 200, "chars_per_token": 1.0, "task": words.plain(), "unit": words.plain(),
        "measures": [words.plain(), "bpc", words.plain()],
        "baselines": {words.plain(): 3.0, "unigram": 2.5, words.plain(): 2.0},
    }  # fmt: skip
    yield "start", 0, start
    for step in range(10, 101, 10):
        yield (
            "train",
            step,
            {"loss": 4 - step / 50, "lr": 0.01, "grad_norm": 1.0, "tokens_per_second": 5.0, "elapsed": 9.0},
        )
    yield "validation", 100, {"loss": 2.2, "best": True, **dict.fromkeys(start["measures"], 9.0)}
    yield "resume", 100, start | {"from_step": 100}
    for kind in ("note", "warning", "error", "divergence"):
        yield kind, 100, {"message": words.plain()}
    yield "rollback", 100, {"to_step": 90, "message": words.plain()}
    yield (
        "command",
        100,
        {"command": words.plain(), "args": {words.plain(): words.plain()}, "origin": words.plain()},
    )
    yield "engine", 100, {"from": words.plain(), "to": words.plain(), "reason": words.plain(), "threads": 1}
    yield "threads", 100, {"from": 1, "to": words.plain(), "reason": words.plain()}
    yield "state", 100, {"state": words.plain(), "message": words.plain()}
    yield "checkpoint", 90, {"reason": words.plain()}
    yield words.plain()[:40], 100, {words.plain(): words.plain()}
    if series:
        numbers = [math.sin(i) for i in range(30)]
        yield "forecast", 100, {
            "columns": [words.plain()], "truth": numbers, "begin": 1, "every": 1,
            "forecasts": {"1": numbers, "5": numbers},
            "errors": {"1": 0.1, "5": 0.2}, "persistence": {"1": 0.3, "5": 0.4},
        }  # fmt: skip
        return
    yield "transcription", 90, {"source": words.plain(), "text": words.plain()}
    for at in range(8):
        text = words.plain()
        spans = [[0, 1], [2, 5], [6, 900]] if at % 2 else []
        copied = {
            "novel": 0.5, "n": 3, "longest": 4, "at": 0, "mark": 2, "spans": spans, "chars": len(text),
            "held_out": None, "compared": 1.0, "memorised": True,
        }  # fmt: skip
        yield "sample", 100, {"prompt": words.plain(), "text": text, "temperature": 0.8, **copied}
    yield (
        "evaluation",
        100,
        {"split": words.plain(), "window": 5, "cold": {"loss": 2.0}, "warm": {"loss": 2.0}},
    )


def descriptions(words):
    """Plugins whose every text is hostile, one that works and one that does not of each kind."""
    from rnn_tui.plugin.describe import PluginDescription
    from rnn_tui.plugin.options import OptionInfo
    from rnn_tui.plugin.registry import PluginInfo

    found = []
    for kind, form in (("architecture", "Cell"), ("tokenizer", "Tokenizer")):
        for error in (None, words()):
            options = (
                OptionInfo(
                    words.plain(), "choice", words.plain(), words(), choices=(words.plain(), words.plain())
                ),
                OptionInfo(words.plain(), "str", words.plain(), words()),
            )
            info = PluginInfo(kind, words(), words(), words(), words(), None)
            found.append(PluginDescription(info, words(), words(), options, form, error))
    return found


def make_corpus(path, words):
    """Write a text of all the hostile texts, each several times."""
    lines = [words()[:30_000].replace("\ud83d", "").encode("utf-8", "replace") for _ in words.texts]
    path.write_bytes(b"\n".join([*lines, *lines, b"mark " * 400, *lines]))
    return path


def make_world(folder, texts, shift, few=True):
    """Make runs with hostile contents, one under a name of its own and living, the others under hostile names."""
    from payloads import as_name

    words = Words(texts, shift, few)
    runs = folder / "runs"
    plain = make_run(runs, "plain-1", words)
    make_run(runs, "series-1", words, series=True)
    for _ in range(6):
        name = words.name()
        if not (runs / name).exists():
            make_run(runs, name, words)
    corpus = make_corpus(folder / as_name(words()), words)
    return words, plain, corpus


def identity(monkeypatch):
    """Make `safe_text` give back what it is given, wherever it is used."""
    from rnn_tui import safetext

    genuine = safetext.safe_text
    for module in list(sys.modules.values()):
        if (
            getattr(module, "__name__", "").startswith("rnn_tui")
            and getattr(module, "safe_text", None) is genuine
        ):
            monkeypatch.setattr(module, "safe_text", lambda text, **_: str(text))


def engine_command(texts):
    """The command of an engine that answers with `texts`."""
    plain = [text[:LONGEST].encode("utf-8", "replace").decode() for text in texts]
    return [sys.executable, __file__, json.dumps(plain)]


def _engine(texts):
    words = Words(texts)

    def say(**message):
        print(json.dumps(message), flush=True)

    for line in sys.stdin:
        request = json.loads(line)
        number = request.get("id")
        following = [[i, words(), 0.1] for i in range(10)]
        match request["op"]:
            case "load":
                say(
                    id=number,
                    event="loaded",
                    task=words()[:40],
                    arch=words(),
                    tokenizer=words(),
                    vocab_size=9,
                    parameters=9,
                )
            case "generate":
                pieces = [{"text": c, "surprise": 1.0} for c in request["prompt"]]
                say(
                    id=number,
                    event="prompt",
                    pieces=pieces,
                    unknown=[c for text in texts for c in text[:3]][:40],
                )
                for text in texts:  # a character at a time, as a model writes
                    pieces = [{"text": c, "surprise": 2.0} for c in text[:600]]
                    say(id=number, event="pieces", pieces=pieces)
                told = {
                    "reason": words(),
                    "not_compared": words(),
                    "tokens": 3,
                    "seconds": 0.1,
                    "next": following,
                }
                say(id=number, event="done", state=None, copied=None, **told)
            case "next":
                say(id=number, event="next", next=following)
            case "quit":
                return


APP = """
import sys, pathlib
sys.path.insert(0, {here!r})
import hostile_world, payloads
import rnn_tui.safetext as safetext
{broken}
texts = list(payloads.PAYLOADS.values())
words = hostile_world.Words(texts, int(sys.argv[2]))
import rnn_tui.plugin.describe as describe
describe.describe_plugins = lambda **_: hostile_world.descriptions(words)
import rnn_tui.tui.engine_client as client
plain = client.EngineClient.__init__
client.EngineClient.__init__ = lambda self: plain(self, hostile_world.engine_command(texts))
{harmless}
from rnn_tui.tui.app import run_app
sys.exit(run_app(pathlib.Path(sys.argv[1])))
"""
BROKEN = "safetext.safe_text = lambda text, **_: str(text)"
HARMLESS = """
import rnn_tui.runs.supervisor as supervisor
from rnn_tui.errors import InputError
def refuse(*_, **__):
    raise InputError("nothing is started here")
supervisor.start_worker = refuse
import rnn_tui.tui.panes.runs_dialogs as dialogs
dialogs.evaluation_command = lambda path: ["true"]
"""


def app_program(*, broken=False, harmless=False):
    """The program of an app in this world: arguments are the folder of runs and the shift; `broken` guards nothing,
    one that is `harmless` starts no other process than the engine and what SHELL and EDITOR name."""
    return APP.format(
        here=str(Path(__file__).parent),
        broken=BROKEN if broken else "",
        harmless=HARMLESS if harmless else "",
    )


if __name__ == "__main__":
    _engine(json.loads(sys.argv[1]))
