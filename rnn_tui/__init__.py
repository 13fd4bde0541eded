"""rnn-tui: a terminal workbench for recurrent language models."""

__version__ = "0.1.0"
