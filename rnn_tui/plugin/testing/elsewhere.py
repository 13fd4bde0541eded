"""The same class in another process, where strings hash differently: what must not depend on the process.

    python -m rnn_tui.plugin.testing.elsewhere < requests

answers each line with one line, each from a process forked for it. It lives as long as the process that asks, since
loading torch takes 1 to 2 s; where tokenizers are asked for it is free of torch.
"""

import atexit
import importlib
import importlib.util
import json
import os
import subprocess
import sys
from functools import cache
from typing import Any

from rnn_tui.plugin.child import ending
from rnn_tui.plugin.testing.laws import broken, raised, skip

_MARK = "\x1e"
"""Begins an answer; other lines are what the plugin prints."""


def ask(laws: type, subject: str, attributes: dict[str, Any], hash_seed: int, *arguments: str) -> Any:
    """Return what `facts(*arguments)` of a class of laws gives in another process.

    Args:
        laws: `ArchitectureLaws` or `TokenizerLaws`.
        subject: the attribute that holds the class under test.
        attributes: the others, as JSON values, and `subject` as the class.
        hash_seed: of that process.

    Raises:
        AssertionError: when the other process fails.
    """
    plugin = attributes[subject]
    if "<locals>" in plugin.__qualname__:
        skip(f"{plugin.__qualname__} is made inside a function, where no other process finds it")
    file = getattr(sys.modules.get(plugin.__module__), "__file__", None) or ""
    place = [plugin.__module__, plugin.__qualname__, file]
    child = _process(laws.__module__, laws.__name__, hash_seed)
    assert child.stdin is not None
    assert child.stdout is not None
    what = "the class was imported, built and used by another process"
    try:
        request = [sys.path, subject, attributes | {subject: place}, arguments]
        print(json.dumps(request), file=child.stdin, flush=True)
        answer = next((line for line in child.stdout if line.startswith(_MARK)), None)
    except BrokenPipeError:
        answer = None
    if answer is None:
        _process.cache_clear()
        raise broken(what, came=f"that process ended with {child.wait()}")
    found = json.loads(answer[1:])
    if "error" in found:
        raise broken(what, came=found["error"])
    return found["facts"]


def begin(module: str, name: str, hash_seed: int) -> None:
    """Start the process that `ask` will need; both then load torch at once."""
    _process(module, name, hash_seed)


@cache
def _process(module: str, name: str, hash_seed: int) -> "subprocess.Popen[str]":
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", "rnn_tui.plugin.testing.elsewhere", module, name],
        env={
            **os.environ,
            "PYTHONHASHSEED": str(hash_seed),
            "PYTHONPATH": os.pathsep.join(sys.path),
            "OMP_NUM_THREADS": "1",  # it forks, which goes best with one thread
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        encoding="utf-8",
    )

    def end() -> None:
        for pipe in (child.stdin, child.stdout):
            assert pipe is not None
            pipe.close()
        child.kill()
        child.wait()

    atexit.register(end)
    return child


def _imported(module: str, name: str, file: str) -> Any:
    """Import a class by the name of its module, or from its file where the module is not on the path."""
    try:
        found: Any = importlib.import_module(module)
    except ModuleNotFoundError:
        spec = importlib.util.spec_from_file_location(module, file)
        if spec is None or spec.loader is None:
            raise
        found = sys.modules[module] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(found)
    for part in name.split("."):
        found = getattr(found, part)
    return found


def _answer(laws: type, line: str) -> None:
    sys.path, subject, attributes, arguments = json.loads(line)
    try:
        attributes[subject] = _imported(*attributes[subject])
        answer = {"facts": type("Case", (laws,), attributes)().facts(*arguments)}
    except Exception as error:
        answer = {"error": raised(error)}
    print(f"\n{_MARK}{json.dumps(answer)}", flush=True)


def main() -> None:
    laws = getattr(importlib.import_module(sys.argv[1]), sys.argv[2])
    for line in sys.stdin:
        pid = os.fork()  # what one class imports and changes is not there for the next
        if not pid:
            _answer(laws, line)
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if status:
            print(f"\n{_MARK}{json.dumps({'error': f'it ended with {ending(status)}'})}", flush=True)


if __name__ == "__main__":
    main()
