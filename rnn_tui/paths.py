"""Where rnn-tui keeps things outside a run folder."""

import os
from pathlib import Path

import platformdirs


def config_dir() -> Path:
    """The user's own settings: `config.toml`."""
    return Path(os.environ.get("RNN_TUI_CONFIG_DIR") or platformdirs.user_config_dir("rnn-tui"))


def settings_file() -> Path:
    """Where the user's own settings are looked for."""
    return config_dir() / "config.toml"


def data_dir() -> Path:
    """Downloaded corpora: kept until the user removes them."""
    return Path(os.environ.get("RNN_TUI_DATA_DIR") or platformdirs.user_data_dir("rnn-tui"))


def cache_dir() -> Path:
    """Encoded corpora and plugin descriptions: may be deleted at any time and is made again."""
    return Path(os.environ.get("RNN_TUI_CACHE_DIR") or platformdirs.user_cache_dir("rnn-tui"))


def state_dir() -> Path:
    """What the app remembers between starts, and crash reports."""
    return Path(os.environ.get("RNN_TUI_STATE_DIR") or platformdirs.user_state_dir("rnn-tui"))


def default_runs_dir() -> Path:
    """`RNN_TUI_RUNS`, else `./runs`."""
    return Path(os.environ.get("RNN_TUI_RUNS") or "runs")
