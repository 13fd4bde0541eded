"""The architecture `mingru` for rnn-tui."""

from rnn_tui_mingru.core import MinGRU

__all__ = ["MinGRU"]
