"""Writing the package of a new plugin, or one file of it, for its author to go on from.

The files stand in `templates/`, as they will be read, with `$name` and its like in place of names. Each form of plugin
has a class that works and is tested as it stands: what an author changes is never the plumbing.
"""

import ast
import builtins
import contextlib
import keyword
import os
import re
import secrets
import shlex
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from string import Template
from typing import Literal

import tomli_w

from rnn_tui import __version__
from rnn_tui.errors import BusyError, UsageError
from rnn_tui.files import disk_error
from rnn_tui.plugin.installing import install_command, leads_here
from rnn_tui.plugin.registry import GROUPS, Kind, list_plugins

Form = Literal["cell", "core", "tokenizer"]

LONGEST = 32
"""Characters of a name: with more, lines of the templates become longer than the formatter's 88."""

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_PREFIX = "rnn-tui-"
_SPELLINGS = {word.lower(): word for word in "RNN GRU LSTM MGU BPE CfC ESN LMU LRU NTM SRU SSM".split()}
_ENDINGS = ("rnn", "gru", "lstm", "bpe")


@dataclass(frozen=True)
class Scaffold:
    """What will be written.

    Attributes:
        name: What the plugin is asked for by.
        path: The folder of the package, or the single file.
        files: Text of each file, by its path within `path`; of a single file under the empty path.
        warnings: What its author should know before, one sentence each.
    """

    name: str
    form: Form
    class_name: str
    path: Path
    files: Mapping[str, str] = field(repr=False)
    warnings: tuple[str, ...] = ()

    @property
    def kind(self) -> Kind:
        return _kind(self.form)

    @property
    def paths(self) -> list[Path]:
        """Where the files will be."""
        return [self.path / name for name in self.files]


def scaffold(
    name: str, form: Form, into: Path, *, author: str | None = None, single_file: bool = False
) -> Scaffold:
    """Fill in the templates of a plugin; nothing is written.

    Args:
        into: The folder in which the package's folder `rnn-tui-NAME` will be, or the single file `NAME.py`.
        author: For the metadata: a name, or `Name <address>`.
        single_file: Only the module with the class, for a folder of single-file plugins.

    Raises:
        UsageError: when the name or author cannot be used.
    """
    module = _PREFIX.replace("-", "_") + name.replace("-", "_")
    warnings = _check_name(name, _kind(form), module)
    class_name = class_name_of(name)
    words = {
        "name": name,
        "class_name": class_name,
        "distribution": _PREFIX + name,
        "module": module,
        "kind": _kind(form),
        "flag": _flag(form),
        "group": GROUPS[_kind(form)],
        "version": __version__,
        "authors": _authors(author),
    }
    source = _filled(f"{form}.py", words)
    _check_class_name(name, class_name, source)
    if single_file:
        path = into / f"{name.replace('-', '_')}.py"
        return Scaffold(name, form, class_name, path, {"": source}, warnings)
    readme = "README_tokenizer.md" if form == "tokenizer" else "README_architecture.md"
    files = {
        "pyproject.toml": _filled("pyproject.toml", words),
        "README.md": _filled(readme, words),
        f"{module}/__init__.py": source,
        f"{module}/py.typed": "",
        f"tests/test_{name.replace('-', '_')}.py": _filled(f"test_{form}.py", words),
        ".github/workflows/tests.yml": _filled("tests.yml", words),
        ".gitignore": _filled("gitignore", words),
    }
    return Scaffold(name, form, class_name, into / words["distribution"], files, warnings)


def write_scaffold(new: Scaffold) -> None:
    """Write all files, or none: they are made beside the place, and put there by one rename.

    Raises:
        BusyError: when there is something already.
        DiskError: when it cannot be written.
    """
    _refuse_taken(new.path)
    beside = new.path.with_name(f".tmp-{new.path.name}-{secrets.token_hex(4)}")
    try:
        new.path.parent.mkdir(parents=True, exist_ok=True)
        for name, text in new.files.items():
            file = beside / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        os.rename(beside, new.path)  # onto a folder that is not empty, it fails
    except BaseException as error:
        shutil.rmtree(beside, ignore_errors=True)
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise disk_error(error, f"could not write {new.path}; nothing is there") from error
        raise


def next_commands(new: Scaffold) -> list[str]:
    """Return the shell lines that lead from what was written to a sample, in order."""
    name, flag = new.name, _flag(new.form)
    rnn_tui = "rnn-tui"
    lines = []
    if "" in new.files:
        rnn_tui += f" --plugins-dir {shlex.quote(str(new.path.parent))}"
    else:
        lines += [
            f"cd {shlex.quote(str(new.path))}",
            install_command("--editable", ".[test]"),
            _command_of_environment("pytest"),
        ]
    lines.append(f"{rnn_tui} plugins check {name}")
    if new.kind == "architecture":
        lines.append(f"{rnn_tui} plugins score {name}")
    lines.append(f"{rnn_tui} train stdlib {flag} {name} --minutes 1 --name first-{name}")
    lines.append(f'{rnn_tui} prompt first-{name} "def "')
    return lines


def class_name_of(name: str) -> str:
    """Return the name of the class: `peephole-lstm` → `PeepholeLSTM`, `mingru` → `MinGRU`, `ugrnn` → `UGRNN`."""
    return "".join(map(_spelled, name.split("-")))


def _spelled(word: str) -> str:
    letters = word.rstrip("0123456789")
    digits = word[len(letters) :]
    if letters in _SPELLINGS:
        return _SPELLINGS[letters] + digits
    for ending in _ENDINGS:
        if letters.endswith(ending):
            before = letters.removesuffix(ending)
            # one or two letters before it belong to the acronym: QRNN, LNLSTM
            return (before.upper() if len(before) < 3 else before.capitalize()) + ending.upper() + digits
    return word.capitalize()


def _kind(form: Form) -> Kind:
    return "tokenizer" if form == "tokenizer" else "architecture"


def _flag(form: Form) -> str:
    return "--tokenizer" if form == "tokenizer" else "--arch"


def _filled(template: str, words: Mapping[str, str]) -> str:
    text = resources.files("rnn_tui.plugin").joinpath("templates", f"{template}.tmpl").read_text("utf-8")
    filled = Template(text).substitute(words)
    return _SHELL.sub(_aligned, filled) if template.startswith("README") else filled


_SHELL = re.compile(r"(?<=^```sh\n).*?(?=^```$)", re.DOTALL | re.MULTILINE)


def _aligned(block: re.Match[str]) -> str:
    """Return shell lines with their comments below each other, however long the names in them are."""
    lines = [re.split(r" {2,}(?=# )", line, maxsplit=1) for line in block[0].splitlines()]
    width = max((len(command) for command, *comment in lines if comment), default=0)
    return "".join(f"{'  '.join([parts[0].ljust(width), *parts[1:]]).rstrip()}\n" for parts in lines)


def _check_name(name: str, kind: Kind, module: str) -> tuple[str, ...]:
    """Return warnings.

    Raises:
        UsageError: when nothing can be called so.
    """
    if not _NAME.fullmatch(name) or name.startswith(_PREFIX) or len(name) > LONGEST:
        better = _like_a_name(name)
        hint = f"; did you mean {better!r}?" if better else ""
        rule = f"lower-case letters, digits and single hyphens, a letter first, {LONGEST} characters at most"
        raise UsageError(f"{name[:64]!r} cannot name a plugin: {rule}, without {_PREFIX!r} before it{hint}")
    if keyword.iskeyword(name) or keyword.iskeyword(name.capitalize()):
        raise UsageError(f"{name!r} is a word of Python's own; choose another name, such as 'my-{name}'")
    warnings = []
    distribution = _PREFIX + name
    for info in list_plugins():
        if info.ours and info.target.partition(":")[0].partition(".")[0] == module:
            raise UsageError(f"the module {module} is rnn-tui's own; choose another name")
        if (info.kind, info.own_name) != (kind, name):
            continue
        if info.ours:
            raise UsageError(
                f"the {kind} {name} is rnn-tui's own, and keeps its name; choose another, such as 'my-{name}'"
            )
        if info.distribution == distribution:
            warnings.append(f"{distribution} {info.version} is installed; this package would take its place")
        else:
            warnings.append(f"there is the {info} already; beside it, yours is {distribution}:{name}")
    return tuple(warnings)


def _like_a_name(text: str) -> str:
    """Return the name that was meant, or the empty string: `MyCell`, `my_cell` and `rnn-tui-my-cell` → `my-cell`."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", text).lower()
    better = re.sub(r"[^a-z0-9]+", "-", words).strip("-").removeprefix(_PREFIX)
    return better if _NAME.fullmatch(better) and len(better) <= LONGEST else ""


def _check_class_name(name: str, class_name: str, source: str) -> None:
    """Refuse a class that would hide what its own module imports: `Cell`, `Decoder`, `Any`."""
    imports = [node for node in ast.parse(source).body if isinstance(node, ast.Import | ast.ImportFrom)]
    taken = {alias.name for node in imports for alias in node.names} | {"Options", *dir(builtins)}
    if class_name in taken:
        raise UsageError(
            f"{name!r} gives a class {class_name}, which hides another of that name; "
            f"choose another name, such as 'my-{name}'"
        )


def _authors(author: str | None) -> str:
    """Return the line of pyproject.toml, or the empty string."""
    if author is None:
        return ""
    found = re.fullmatch(r"\s*([^<>@]*[^<>@\s])\s*(?:<([^<>@\s]+@[^<>@\s]+)>)?\s*", author)
    if not found or not author.isprintable():
        raise UsageError(f"the author {author!r} is not a name, or 'Name <address>'")
    entry = {"name": found[1]} | ({"email": found[2]} if found[2] else {})
    return tomli_w.dumps({"authors": [entry]})


def _refuse_taken(path: Path) -> None:
    try:
        free = not any(path.iterdir()) if path.is_dir() else not os.path.lexists(path)
    except OSError as error:
        raise disk_error(error, f"could not look into {path}; nothing was written") from error
    if not free:
        raise BusyError(f"{path} exists already; move it away, or choose another folder with --into")


def _command_of_environment(command: str) -> str:
    """Return `command` as it is typed to run in this environment, whether it is the shell's own or not."""
    return command if leads_here("python") else shlex.join([sys.executable, "-m", command])
