"""The lint finds every way in which a text can slip past `safe_text`, and nothing in our own files."""

import random
import re
import subprocess
import sys
from pathlib import Path

import pytest
import unescaped

BAD = [
    "Static(name)", "Static(content=name)", "Label(f'run {name}')", "Button(self.label)", "yield Static(str(name))",
    "Static('%s' % name)", "Static('run ' + name)", "Static('{}'.format(name))", "Static(name.upper())",
    "Static(names[0])", "Static(', '.join(names))", "Static(name or 'none')", "Static('a' if x else name)",
    "widget.update(name)", "widget.update(f'{name:>12}')", "app.notify(name)", "app.notify('bad', title=name)",
    "panel.border_title = name", "self.border_subtitle = f'{name}'", "widget.tooltip = name", "Input(placeholder=name)",
    "print(name)", "print('a', name)", "print(*names)", "click.echo(name)", "click.confirm(name)", "input(name)",
    "console.print(name)", "Text(name)", "Content(name)", "Segment(name, style)", "Content.styled(name, 'bold')",
    "Content.assemble('a', (name, 'bold'))", "Content.from_markup('[b]x[/b]')", "Text.from_markup('x')",
    "Text.from_ansi(safe_text(name))", "Static('x', markup=True)", "Static(safe_text(name), markup=flag)",
    "table.add_row('a', name)", "table.add_column(name)", "table.update_cell('r', 'c', name)", "TabPane(name)",
    "Collapsible(title=name)", "Option(name)", "select.set_options([(name, 1)])", "Select([(n, n) for n in names])",
    "Panel('x', title=name)", "bar.update(task, description=name)",
    # given to a name first
    "shown = name; Static(shown)", "shown = safe_text(name); shown = name; Static(shown)",
    "shown = safe_text(name); shown += name; Static(shown)", "parts = []; parts.append(name); Static(parts)",
    "for one in names:\n    Static(one)", "for n, one in enumerate(names):\n    Static(one)",
    "with open(name) as file:\n    Static(file.read())", "[Static(one) for one in names]", "Static((n := name))",
    "try:\n    pass\nexcept ValueError as error:\n    print(error)",
    "match x:\n    case str(one):\n        Static(one)",
    # through functions
    "def show(text: str): Static(text)", "def show(text): Static(text)", "def made(): return name\nStatic(made())",
    "def made():\n    if x: return 'a'\n    return name\nStatic(made())", "Static(unknown(name))",
    "class A:\n    def a(self): self.x = name\n    def b(self): Static(self.x)",
]  # fmt: skip
GOOD = [
    "Static('text')", "Static(safe_text(name))", "Static(f'{safe_text(name)}: {number:,} {share:.0%}')", "Static('')",
    "Static('x', markup=False)", "Label(' ' * width + 'a')", "print()", "print(safe_text(error), file=sys.stderr)",
    "shown = safe_text(name); Static(shown)", "parts = ['a']; parts += [safe_text(name)]; Static(' '.join(parts))",
    "for one in names:\n    Static(safe_text(one))", "for one in ('a', 'b'):\n    Static(one)",
    "def show(number: int, text: Content): Static(f'{number}'); Static(text)",
    "def made(): return safe_text(name)\nStatic(made())", "def made() -> Content: ...\nStatic(made())",
    "Content.assemble((safe_text(name), style), 'b')", "select.set_options([(safe_text(n), n) for n in names])",
    "TITLE = 'x'\nStatic(TITLE)", "widget.update(Content('a').truncate(width))", "values.get(name)",
    "Content(name.plain) if (name := Text('a')) else None", "bar.update(task, description=safe_text(name))",
]  # fmt: skip


@pytest.mark.parametrize("line", BAD)
def test_it_finds(line):
    assert unescaped.find({"rnn_tui/tui/x.py": line})


@pytest.mark.parametrize("line", GOOD)
def test_it_is_quiet(line):
    assert unescaped.find({"rnn_tui/tui/x.py": line}) == []


def test_nothing_of_ours_is_unescaped():
    assert unescaped.find(unescaped.our_sources()) == []


def test_a_guard_that_is_taken_away_is_missed(amount, seed, figures):
    """`safe_text(x)` is replaced by `x` where a widget, a toast or an echo is given it, one place after the other."""
    sources = unescaped.our_sources()
    places = []
    for path, text in sources.items():
        for line in re.finditer(
            rf"^.*\b({'|'.join(unescaped.SINKS)})\(.*\bsafe_text\(.*$", text, re.MULTILINE
        ):
            guard = re.search(r"\bsafe_text(?=\()", line.group())
            places.append((path, line.start() + guard.start(), line.start() + guard.end()))
    assert len(places) > 40
    chosen = random.Random(seed).sample(places, amount(5, len(places)))
    unnoticed = []
    for path, begin, end in chosen:
        face = {other: text for other, text in sources.items() if other.split("/")[1] == path.split("/")[1]}
        face[path] = face[path][:begin] + "unknown" + face[path][end:]
        if not unescaped.find(face):
            unnoticed.append(f"{path}: {sources[path][begin : end + 40]!r}")
    figures("terminal", f"lint: {len(BAD)} bad lines found; {len(chosen)} of {len(places)} guards taken away, "
            f"{len(unnoticed)} unnoticed")  # fmt: skip
    assert not unnoticed


def test_as_a_command(tmp_path):
    script = Path(unescaped.__file__)
    assert subprocess.run([sys.executable, script]).returncode == 0
    bad = tmp_path / "bad.py"
    bad.write_text("print(name)\n")
    done = subprocess.run([sys.executable, script, bad], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stdout == f"{bad}:1: unescaped: print(name)\n"
