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
    labels = {"tags": [words.plain(), "keep", words.plain()], "note": words.plain()}
    made.labels_path.write_text(json.dumps(labels))
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
    _delete(runs, words)
    corpus = make_corpus(folder / as_name(words()), words)
    return words, plain, corpus


def _delete(runs, words):
    """Put a run under a hostile name into the trash."""
    from rnn_tui.runs.trash import TRASH

    (runs / TRASH).mkdir(exist_ok=True)
    made = make_run(runs, "deleted", words)
    os.rename(made.path, runs / TRASH / f"{words.name()[:40]}-20260101T000000.000000")


def make_own_files(folder, words):
    """Write what the app has remembered, and a user's settings, with a text wherever one can stand."""
    import tomli_w

    texts = [words.plain() for _ in range(20)]
    kept = (
        "corpus.source",
        "prompt.line",
        "prompt.model",
        "prompt.colours",
        "runs.order",
        "theme",
        "pane",
        "run",
    )
    memory = {"prompt.history": texts, "inspect.typed": texts, "prompt.settings": {"stop": texts}} | {
        key: words.plain() for key in kept
    }
    own = {"theme": words.plain(), "fps": words.plain(), words.plain(): words.plain()}
    keys = {"app.help": words.plain(), "runs.mark": words.plain()[:40], words.plain(): "x"}
    for path, data in (
        ("state/app.json", json.dumps(memory)),
        ("config/config.toml", tomli_w.dumps({"app": own | {"keys": keys}})),
    ):
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(data)


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
    """Answer as the engine does, with a text wherever a model, a run or a plugin may have put one."""
    words = Words(texts)

    def say(**message):
        print(json.dumps({"id": number, **message}), flush=True)

    def made(text, surprise=2.0):
        return [{"text": c, "surprise": surprise, "entropy": 1.0, "rank": 3, "token": 1} for c in text[:600]]

    def found(score):
        return {
            "part": parts[0]["name"],
            "layer": 1,
            "unit": 1,
            "score": score,
            "mean_in": 0.5,
            "mean_out": None,
        }

    parts = [
        {"name": words(), "layer": layer, "units": 8, "bounded": True, "low": -1.0, "high": 1.0}
        for layer in (1, 2)
    ]
    later = 600
    trace = [c for text in texts for c in text[:40]]
    for line in sys.stdin:
        request = json.loads(line)
        number = request.get("id")
        following = [[i, words(), 0.1] for i in range(10)]
        end = {"next": following, "state": 1, "copied": None, "not_compared": words(), "reason": words()}
        prompt = {
            "pieces": made(request.get("prompt", ""), 1.0),
            "unknown": [c for text in texts for c in text[:3]][:40],
        }
        match request["op"]:
            case "load":
                about = {"task": words()[:40], "arch": words(), "tokenizer": words(), "unknown_text": words()}
                say(event="loaded", vocab_size=9, parameters=9, **about)
            case "generate":
                most, later = later, 40
                say(event="prompt", **prompt)
                for text in texts:  # a character at a time, as a model writes
                    say(event="pieces", pieces=made(text[:most]))
                say(event="done", tokens=3, seconds=0.1, **end)
            case "batch":
                say(event="prompt", **prompt)
                for row in range(request["n"]):
                    say(event="row", row=row, pieces=made(words()), tokens=3, seed=row, **end)
                say(event="done", reason=words(), tokens=9, seconds=0.1)
            case "next":
                say(event="next", next=following)
            case "push":
                say(event="pushed", state=2, piece=made(words()[:1] or "x")[0], next=following)
            case "save":
                say(event="saved", path=words(), bytes=5)
            case "restore":
                say(event="restored", state=3, text=words(), next=following)
            case "read":
                odd = [None, 0.5] * len(trace)
                say(event="trace", texts=trace, ids=[1] * len(trace), surprise=odd[: len(trace)], parts=parts,
                    tokens=len(trace), unknown=[words()], left_out=3)  # fmt: skip
            case "survey":
                patterns = [
                    {"pattern": words(), "kind": "yes-no", "share": 0.1, "found": [found(s)]}
                    for s in (0.9, None)
                ]
                say(event="survey", tokens=len(trace), patterns=patterns)
            case "units":
                say(event="units", pattern=words(), kind="yes-no", share=0.1, found=[found(0.9), found(None)],
                    marked=[i % 2 for i in range(len(trace))], note=words())  # fmt: skip
            case "values":
                values = [None, *(math.sin(i) for i in range(len(trace) - 1))]
                say(
                    event="values",
                    part=request["part"],
                    unit=request["unit"],
                    values=values,
                    scale=1.0,
                    low=-1.0,
                    high=None,
                )
            case "map":
                starts = list(range(0, len(trace), max(1, len(trace) // min(40, request["width"]) + 1)))
                rows = [[None, *(0.5 for _ in starts[1:])] for _ in range(4)]
                units = [[2 * i, 2 * i + 1] for i in range(4)]
                say(
                    event="map",
                    part=request["part"],
                    rows=rows,
                    units=units,
                    starts=starts,
                    begin=0,
                    end=len(trace),
                )
            case "gates":
                shares = {"left": [0.1, None], "right": [0.2, 0.3], "left_share": 0.1, "right_share": None}
                say(
                    event="gates",
                    gates=[{"name": words(), "layer": 1, **shares} for _ in range(3)],
                    tokens=9,
                    note=words(),
                )
            case "reach":
                steps = [1.0, None, 0.2]
                say(
                    event="reach",
                    reach=steps,
                    layers=[{"layer": 1, "reach": steps}],
                    positions=9,
                    note=words(),
                )
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
