"""The app. Torch never enters this process: training and prompting are processes of their own.

Textual reads its switches when it is imported, so they are set here, before any module of this package can do so.
"""

from rnn_tui.preferences import prepare_environment, read

PREFERENCES, COMPLAINTS, _ = read()
"""What the user chose when this process began, and what was wrong with it."""

prepare_environment(PREFERENCES)
