"""The child process of `rnn_tui.plugin.describe`: imports plugins and writes down what it finds.

    python -m rnn_tui.plugin.probe FD < infos.json

One JSON line for each plugin goes to the descriptor FD, so that a plugin may print what it likes.
"""

import inspect
import os
import sys

import msgspec

from rnn_tui.errors import PluginError
from rnn_tui.files import write_all
from rnn_tui.plugin.describe import PluginDescription
from rnn_tui.plugin.options import option_infos
from rnn_tui.plugin.registry import PluginInfo, load_target

_LONGEST_TEXT = 20_000


def describe(info: PluginInfo) -> PluginDescription:
    """Import one plugin and describe it; any failure becomes its `error`."""
    try:
        plugin = load_target(info)
    except PluginError as error:
        return PluginDescription(info, error=str(error)[:_LONGEST_TEXT])
    doc = inspect.cleandoc(plugin.__doc__ or "")[:_LONGEST_TEXT]
    return PluginDescription(
        info,
        summary=doc.partition("\n")[0],
        doc=doc,
        options=option_infos(getattr(plugin, "Options", None)),
        form=next(base.__name__ for base in plugin.__mro__ if base.__module__.startswith("rnn_tui.plugin.")),
    )


def main() -> None:
    fd = int(sys.argv[1])
    os.set_inheritable(fd, False)  # what a plugin starts must not hold the pipe open
    for info in msgspec.json.decode(sys.stdin.buffer.read(), type=list[PluginInfo]):
        write_all(fd, msgspec.json.encode(describe(info)) + b"\n")
    os._exit(0)  # threads that a plugin left behind are not waited for


if __name__ == "__main__":
    main()
