"""rnn-tui: a terminal workbench for recurrent language models."""

import os

__version__ = "0.1.0"

# As it is imported, torch would read the metadata of every installed package for devices of its own, which nobody can
# choose here, and fail where one of them is damaged: a plugin's, too.
os.environ.setdefault("TORCH_DEVICE_BACKEND_AUTOLOAD", "0")
