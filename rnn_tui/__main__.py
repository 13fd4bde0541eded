"""`python -m rnn_tui` is the command `rnn-tui`."""

from rnn_tui.cli import main

main()
