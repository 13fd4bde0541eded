"""The doctor's findings, each with the change that answers it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from rnn_tui.safetext import safe_text
from rnn_tui.tui.panes.corpus_views import finding_lines
from rnn_tui.tui.widgets.bars import MUTED

if TYPE_CHECKING:
    from rnn_tui.corpus.findings import Finding
    from rnn_tui.corpus.remedies import Remedy


class FindingsView(Vertical):
    """A list to go through; enter applies the remedy of the one that is marked."""

    DEFAULT_CSS = """
    FindingsView OptionList { height: auto; max-height: 1fr; border: none; padding: 0; background: transparent; }
    FindingsView OptionList > .option-list--option-highlighted { color: $foreground; background: $panel; }
    FindingsView OptionList:focus > .option-list--option-highlighted { color: $foreground; background: $primary 25%; }
    FindingsView OptionList:ansi:focus > .option-list--option-highlighted { background: $primary-muted; }
    FindingsView #corpus-remedy { height: auto; margin-top: 1; }
    """

    class Applied(Message):
        """A remedy is to be applied."""

        def __init__(self, remedy: "Remedy") -> None:
            super().__init__()
            self.remedy = remedy

    def __init__(self) -> None:
        super().__init__()
        self._found: Sequence[tuple[Finding, Remedy | None]] = ()

    def compose(self) -> ComposeResult:
        yield OptionList(id="corpus-finding-list", compact=True, markup=False)
        yield Static(id="corpus-remedy", markup=False)

    def show(self, found: "Sequence[tuple[Finding, Remedy | None]]") -> None:
        """Show findings with their remedies, those that something can be done about marked first."""
        self._found = found
        listed = self.query_one(OptionList)
        listed.set_options([Option(_listed(finding, remedy)) for finding, remedy in found])
        first = next((index for index, (_, remedy) in enumerate(found) if remedy is not None), 0)
        listed.highlighted = first if found else None
        self._explain()

    def apply(self) -> bool:
        """Apply the remedy of the finding that is marked; False where it has none."""
        index = self.query_one(OptionList).highlighted
        remedy = self._found[index][1] if index is not None and index < len(self._found) else None
        if remedy is not None:
            self.post_message(self.Applied(remedy))
        return remedy is not None

    @on(OptionList.OptionHighlighted)
    def _explain(self) -> None:
        index = self.query_one(OptionList).highlighted
        if index is None or index >= len(self._found):
            return
        finding, remedy = self._found[index]
        if remedy is not None:
            back = "" if remedy.path == "tokenizers" else "; u takes it back"
            said = Content.assemble(
                ("enter", "bold $accent"), "  ", safe_text(remedy.label, limit=200), (back, MUTED)
            )
        elif finding.level == "ok":
            said = Content.assemble(("t", "bold $accent"), "  train on it")
        else:
            said = Content.styled("no setting answers this; what helps is said with it", MUTED)
        self.query_one("#corpus-remedy", Static).update(said)

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.apply()


def _listed(finding: "Finding", remedy: "Remedy | None") -> Content:
    """Return one finding; where a key answers it, that stands in place of the advice."""
    if remedy is None:
        return finding_lines(finding)
    return Content.assemble(
        finding_lines(finding, advice=False),
        "\n  ",
        ("→ ", "$accent"),
        (safe_text(remedy.label, limit=200), "$accent"),
    )
