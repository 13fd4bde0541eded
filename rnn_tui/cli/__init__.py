"""The command line: stdout is data, stderr is narration, exit codes are an API.

Importing this package costs click and little else; a command's module is imported when that command is used.
"""

from rnn_tui.cli.root import main

__all__ = ["main"]
