"""`rnn-tui completion`: click's own completion scripts."""

import click

from rnn_tui.cli.base import Command
from rnn_tui.safetext import safe_text


@click.command(
    cls=Command,
    examples="""
    rnn-tui completion bash >> ~/.bashrc
    rnn-tui completion zsh >> ~/.zshrc
    rnn-tui completion fish > ~/.config/fish/completions/rnn-tui.fish
    """,
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script that teaches your shell to complete commands, runs, recipes, corpora and plugins."""
    from click.shell_completion import get_completion_class

    maker = get_completion_class(shell)
    assert maker is not None  # the three shells are click's own
    script = maker(context.find_root().command, {}, "rnn-tui", "_RNN_TUI_COMPLETE")
    print(safe_text(script.source_template % script.source_vars(), newlines=True, limit=None))
