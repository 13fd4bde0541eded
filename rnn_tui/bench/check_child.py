"""The child process of `rnn_tui.bench.checking`: imports one plugin and tries its laws.

    python -m rnn_tui.bench.check_child FD < request.json

One JSON line for each message goes to the descriptor FD. Loads torch for an architecture only.
"""

import faulthandler
import os
import sys
from typing import Any

import msgspec

from rnn_tui.bench.checking import Message, Request
from rnn_tui.errors import RnnTuiError
from rnn_tui.files import write_all
from rnn_tui.paths import cache_dir
from rnn_tui.plugin.loading import describe_error
from rnn_tui.plugin.registry import PluginInfo, list_plugins, load_plugin
from rnn_tui.plugin.testing.elsewhere import begin
from rnn_tui.plugin.testing.laws import Verdict, law_name, laws_of, try_law
from rnn_tui.plugin.testing.roots import in_order


def cases(info: PluginInfo, options: dict[str, Any]) -> dict[str, Any]:
    """Return the object of which each law is a method, by method, in the order in which they are tried."""
    if info.kind == "tokenizer":
        plugin = load_plugin(info.kind, info.full_name)
        from rnn_tui.plugin.testing.tokenizer import TokenizerLaws

        found = [type("Laws", (TokenizerLaws,), {"tokenizer_class": plugin, "options": options})()]
    else:
        begin("rnn_tui.plugin.testing.architecture", "ArchitectureLaws", 1)  # while this one loads torch too
        from rnn_tui.bench.hosted import HostedLaws
        from rnn_tui.plugin.testing.architecture import ArchitectureLaws

        plugin = load_plugin(info.kind, info.full_name)
        same = {"architecture": plugin, "options": options}
        steps = [each for each in list_plugins("numpy-step") if each.full_name == info.full_name]
        step = load_plugin("numpy-step", info.full_name) if steps else None
        found = [
            type("Laws", (ArchitectureLaws,), {**same, "numpy_step": step})(),
            type("Laws", (HostedLaws,), {**same, "name": info.full_name})(),
        ]
    by_law = {law: case for case in found for law in laws_of(type(case))}
    return {law: by_law[law] for law in in_order(by_law)}


def main() -> None:
    faulthandler.enable()  # a crash, and an end for taking too long, say where
    fd = int(sys.argv[1])
    os.set_inheritable(fd, False)  # what a plugin starts must not hold the pipe open

    def tell(**message: Any) -> None:
        write_all(fd, msgspec.json.encode(Message(**message)) + b"\n")

    request = msgspec.json.decode(sys.stdin.buffer.read(), type=Request)
    # not in the folder that the command was called from
    os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", str(cache_dir() / "hypothesis"))
    try:
        by_law = cases(request.info, request.options)
    except RnnTuiError as error:
        tell(error=str(error))
        return
    except Exception as error:
        tell(error=describe_error(error))
        return
    case = next(iter(by_law.values()))
    plugin = getattr(case, "architecture", None) or case.tokenizer_class
    tell(laws=list(by_law), file=getattr(sys.modules.get(plugin.__module__), "__file__", None) or "")
    for law, case in by_law.items():
        if law in request.done:
            continue
        tell(begin=law)
        name = law_name(law)
        if any(word.lower() in name for word in request.skip):
            tell(verdict=Verdict(name, "skipped", "as asked"))
        else:
            tell(verdict=try_law(case, law))
    sys.stdout.flush()
    os._exit(0)  # threads that a plugin left behind are not waited for


if __name__ == "__main__":
    main()
