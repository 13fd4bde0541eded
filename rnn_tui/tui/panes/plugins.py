"""The plugins pane: what is installed, what it can be told, and what is wrong with it."""

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from rich.cells import cell_len
from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import DataTable, Static

from rnn_tui.plugin.single_file import plugins_folder
from rnn_tui.safetext import safe_text
from rnn_tui.tui.keys import bind
from rnn_tui.tui.panes.base import Pane
from rnn_tui.tui.widgets.bars import MUTED

if TYPE_CHECKING:
    from rnn_tui.plugin.describe import PluginDescription
    from rnn_tui.plugin.options import OptionInfo

_GAP = re.compile(" {3,}")
SWITCH = "RNN_TUI_PLUGINS"


class PluginsPane(Pane):
    """Architectures and tokenizers, each with its docstring and options."""

    title = "Plugins"
    key = "6"
    default_focus = "DataTable"

    BINDINGS: ClassVar = [
        bind("r", "again", "Read again", "Look again at what is installed", footer=True),
        bind("t", "train", "Train", "Train with the plugin that is marked", footer=True),
    ]

    DEFAULT_CSS = """
    PluginsPane { layout: vertical; }
    PluginsPane.-broad { layout: horizontal; }
    PluginsPane #plugins-list { height: 45%; }
    PluginsPane.-broad #plugins-list { height: 1fr; width: 58; }
    PluginsPane #plugins-notice { height: auto; }
    PluginsPane VerticalScroll, PluginsPane DataTable { scrollbar-size-vertical: 1; }
    PluginsPane DataTable { height: 1fr; background: transparent; }
    PluginsPane #plugins-detail { height: 1fr; border-top: hkey $panel; }
    PluginsPane.-broad #plugins-detail { border-top: none; border-left: vkey $panel; padding: 0 1 0 2; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._known: list[PluginDescription] = []

    def compose(self) -> ComposeResult:
        with Vertical(id="plugins-list"):
            yield Static("reading what is installed …", id="plugins-notice", markup=False)
            yield DataTable(cursor_type="row", zebra_stripes=False)
        with VerticalScroll(id="plugins-detail"):
            yield Static(id="plugins-text", markup=False)

    def on_mount(self) -> None:
        table: DataTable[Content] = self.query_one(DataTable)
        table.display = False

    def on_resize(self) -> None:
        self.set_class(self.size.width >= 110, "-broad")
        self.call_after_refresh(self._detail)

    def described(self, descriptions: "list[PluginDescription]") -> None:
        self._known = descriptions
        table: DataTable[Content] = self.query_one(DataTable)
        marked = table.cursor_row
        table.clear(columns=True)
        rows = [tuple(safe_text(cell, limit=40) for cell in _cells(one)) for one in descriptions]
        for column, heading in enumerate(("kind", "name", "form", "from")):
            table.add_column(heading, width=max(cell_len(row[column]) for row in [*rows, (heading,) * 4]))
        for one, row in zip(descriptions, rows, strict=True):
            colour = "$text-error" if one.error else "$text-warning" if one.remark else ""
            table.add_row(*(Content.styled(safe_text(cell), colour) for cell in row))
        table.move_cursor(row=min(marked, len(descriptions) - 1))
        table.display = bool(descriptions)
        told = notice(descriptions, os.environ.get(SWITCH), plugins_folder().path)
        self.query_one("#plugins-notice", Static).update(told)
        self._detail()
        if self.has_focus:  # shown before the list was there
            self.shown()

    @on(DataTable.RowHighlighted)
    def _detail(self) -> None:
        table = self.query_one(DataTable)
        text = Content("")
        panel = self.query_one("#plugins-detail")
        if self._known and 0 <= table.cursor_row < len(self._known):
            text = detail(self._known[table.cursor_row], panel.content_size.width or 76)
        self.query_one("#plugins-text", Static).update(text)
        panel.scroll_home(animate=False)

    def action_again(self) -> None:
        self.query_one("#plugins-notice", Static).update(Content("reading what is installed …"))
        self.shell.read_plugins()

    def action_train(self) -> None:
        table = self.query_one(DataTable)
        if not self._known:
            return
        one = self._known[table.cursor_row]
        if one.error:
            self.shell.fail(f"{one.info.name} cannot be used: {one.error}")
        elif one.info.kind == "tokenizer":
            self.shell.new_run({"tokenizer": {"name": one.info.name}})
        else:  # a step in NumPy has the name of its architecture
            self.shell.new_run({"model": {"arch": one.info.name}})


def notice(found: "list[PluginDescription]", switch: str | None, folder: Path | None = None) -> Content:
    """Return what stands above the table: what is missing, whether the switch hides something, and the folder of
    single files.
    """
    lines: list[Content] = []
    kinds = {one.info.kind for one in found if one.error is None}
    missing = [kind for kind in ("architecture", "tokenizer") if kind not in kinds]
    if missing:
        what = " and no ".join(missing)
        lines += [
            Content.styled(f"No {what} is installed that works", "bold $text-error"),
            Content(
                "Nothing can be trained without. Those of rnn-tui itself come with it: reinstall it with"
            ),
            Content.styled("    pip install --force-reinstall --no-deps rnn-tui", "bold"),
            Content("Others are packages of their own; install them beside rnn-tui, then press r."),
        ]
    if switch is not None:
        only = (
            f"are taken from {safe_text(switch, limit=200)} only"
            if switch.strip()
            else "are left out altogether"
        )
        lines.append(Content.styled(f"{SWITCH} is set: plugins {only}; unset it to see all", "$accent"))
    broken = sum(one.error is not None for one in found)
    if broken:
        lines.append(Content.styled(f"{broken} cannot be used, marked red below", "$text-error"))
    if not lines:
        lines.append(Content.styled(f"{len(found)} plugins installed", MUTED))
    if folder is not None:
        lines.append(Content.styled(f"files of {safe_text(folder, limit=200)} are plugins, too", MUTED))
    return Content("\n").join(lines)


def _cells(one: "PluginDescription") -> tuple[str, ...]:
    return one.info.kind, one.info.name, one.form or "error", one.info.origin


def detail(one: "PluginDescription", width: int) -> Content:
    """Return everything known about a plugin, for a panel of `width` cells."""
    info = one.info
    parts = [
        Content.assemble(
            (safe_text(info.name), "bold $accent"),
            f"  {safe_text(info.kind)}",
            (f"  {safe_text(one.form)}", MUTED),
        ),
        Content.styled(safe_text(f"{info.distribution} {info.version}  {info.target}", limit=200), MUTED),
    ]
    if info.file is not None:
        parts.append(Content.styled(safe_text(info.file, limit=200), MUTED))
    if one.error:
        parts.append(Content.styled("\n" + safe_text(one.error, newlines=True), "$text-error"))
        parts.append(Content(safe_text(one.advice)))
    for remark in filter(None, (info.clash, one.changes)):
        parts.append(Content.styled("\n" + safe_text(remark), "$text-warning"))
    if one.doc:
        parts.append(
            Content("\n" + safe_text(reflow(safe_text(one.doc, newlines=True), width), newlines=True))
        )
    if one.options:
        parts.append(Content.styled("\nOptions", "bold"))
        parts += [option_line(option) for option in one.options]
    elif one.error is None:
        parts.append(Content.styled("\nno options", MUTED))
    return Content("\n").join(parts)


def reflow(doc: str, width: int) -> str:
    """Return a docstring for `width` cells: paragraphs as one line each, which the panel wraps, equations as they are.

    An equation with a remark beside it, too wide for the panel, has its gap closed, else the remark below it.
    """
    blocks: list[str] = []
    flowing = False
    for line in doc.split("\n"):
        if line[:1].isspace() or not line:
            blocks.append(_narrow(line, width))
            flowing = False
        elif flowing:
            blocks[-1] += " " + line
        else:
            blocks.append(line)
            flowing = True
    return "\n".join(blocks)


def _narrow(line: str, width: int) -> str:
    if cell_len(line) <= width:
        return line
    indent = line[: len(line) - len(line.lstrip())]
    parts = _GAP.split(line.strip())
    closed = indent + "   ".join(parts)
    return closed if cell_len(closed) <= width else f"\n{indent}    ".join([indent + parts[0], *parts[1:]])


def option_line(option: "OptionInfo") -> Content:
    """Return one option: name, default, what is allowed, help."""
    default = safe_text(option.default, limit=60)
    return Content.assemble(
        (safe_text(option.name), "bold"), " = ", (default, "$accent"),
        (f"   {safe_text(option.expected())}", MUTED), f"\n    {safe_text(option.help)}",
    )  # fmt: skip
