"""What the shell completes with, from names and metadata alone: nothing is imported that computes."""

from pathlib import Path

import click
from click.shell_completion import CompletionItem

from rnn_tui.safetext import safe_text


def _items(found: dict[str, str], incomplete: str) -> list[CompletionItem]:
    """Return what a shell may offer; a name that it could not show is left out."""
    return [
        CompletionItem(name, help=safe_text(text) or None)
        for name, text in found.items()
        if name.startswith(incomplete) and safe_text(name) == name
    ]


def _plugins(kind: str, incomplete: str) -> list[CompletionItem]:
    from rnn_tui.plugin.registry import list_plugins

    return _items(
        {info.name: info.distribution for info in list_plugins() if kind in ("", info.kind)}, incomplete
    )


def architectures(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the name of an architecture."""
    return _plugins("architecture", incomplete)


def tokenizers(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the name of a tokenizer."""
    return _plugins("tokenizer", incomplete)


def plugins(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the name of any plugin."""
    return _plugins("", incomplete)


def recipes(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the name of a recipe."""
    from rnn_tui.recipes import recipe_names

    return _items(dict.fromkeys(recipe_names(), ""), incomplete)


def corpora(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete a named corpus, else a path."""
    from rnn_tui.corpus.sources import named_corpora

    named = _items({corpus.name: corpus.summary for corpus in named_corpora()}, incomplete)
    return [*named, CompletionItem(incomplete, type="file")]


def runs(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the name of a run; the folders are not opened."""
    try:
        names = sorted(
            path.name
            for path in _runs_dir(context).iterdir()
            if not path.name.startswith(".") and (path / "config.toml").is_file()
        )
    except OSError:
        return []
    return _items(dict.fromkeys(names, ""), incomplete)


def _runs_dir(context: click.Context) -> Path:
    from rnn_tui.paths import default_runs_dir

    chosen: Path | None = context.params.get("runs_dir") or context.find_root().params.get("runs_dir")
    return chosen or default_runs_dir()


def tags(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete a tag that some run has; with the sign before it where one is typed."""
    from rnn_tui.runs.labels import read_labels
    from rnn_tui.runs.layout import RunFolder

    sign = incomplete[:1] if incomplete[:1] in ("+", "-") else ""
    try:
        folders = [path for path in _runs_dir(context).iterdir() if not path.name.startswith(".")]
    except OSError:
        return []
    found = {tag for path in folders for tag in read_labels(RunFolder(path)).tags}
    return _items({sign + tag: "" for tag in sorted(found)}, incomplete)


def trashed(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the name of a run in the trash."""
    from rnn_tui.errors import RnnTuiError
    from rnn_tui.runs.trash import list_trash

    try:
        names = sorted({one.name for one in list_trash(_runs_dir(context))})
    except RnnTuiError:
        return []
    return _items(dict.fromkeys(names, ""), incomplete)


def models(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the name of a run, else a path."""
    return [*runs(context, parameter, incomplete), CompletionItem(incomplete, type="file")]
