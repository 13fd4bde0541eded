"""Completion of what names a corpus."""

import os

from textual.suggester import Suggester

from rnn_tui.safetext import safe_text


class SourceSuggester(Suggester):
    """Completes names of corpora, and paths from what lies on the disk."""

    def __init__(self) -> None:
        super().__init__(use_cache=False, case_sensitive=True)

    async def get_suggestion(self, value: str) -> str | None:
        from rnn_tui.corpus.sources import named_corpora

        folder, _, start = value.rpartition("/")
        try:
            names = sorted(os.listdir((folder or "/") if "/" in value else "."))
        except OSError:
            names = []
        prefix = value[: len(value) - len(start)]
        choices = [corpus.name for corpus in named_corpora()] if not prefix else []
        choices += [prefix + name for name in names if start or not name.startswith(".")]
        return next((name for name in choices if name.startswith(value) and safe_text(name) == name), None)
