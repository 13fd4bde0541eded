"""Write docs/library.md and docs/plugin-api.md from signatures and docstrings: part of `make docs`.

A test compares the files with what would be written now, so they cannot go stale.
"""

import ast
import inspect
import itertools
import re
import textwrap
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import rnn_tui
import rnn_tui.plugin
from rnn_tui.plugin import registry
from rnn_tui.plugin.options import option_infos
from rnn_tui.training.config import sections

HERE = Path(__file__).parent
GENERATED = "<!-- Written by docs/reference.py from the docstrings; `make docs` writes it anew. -->"

LIBRARY = {
    "Models": "load Model Reading Next Stream Scores Transcription ModelInfo",
    "Weights of other programs": "import_weights Exported ExportedOnnx",
    "Training and runs": "train configure open_run list_runs Run History Event",
    "What an evaluation tells": "EvaluationReport AlignedReport SeriesReport",
    "Errors": "RnnTuiError UsageError InputError BusyError DiskError DivergedError OutOfMemoryError PluginError",
    "Settings": "Config",
}
"""The names of `rnn_tui.__all__` by heading."""

SHOWN = {"Model": ["__init__"], "NumpyStep": ["__init__"], "Stream": ["__next__"]}
"""Members of classes that are described although their names are not public."""
FIELDS = ("Args", "Attributes", "Returns", "Raises")


def library_page() -> str:
    """Return docs/library.md."""
    intro = import_module("rnn_tui.library").__doc__ or ""
    parts = [GENERATED, "# rnn-tui as a library", markdown(intro)]
    for heading, names in LIBRARY.items():
        parts += [f"## {heading}"]
        for name in names.split():
            thing = getattr(rnn_tui, name)
            if name == "Config":
                parts += list(settings_tables(thing))
            else:
                parts += list(entry(thing, f"rnn_tui.{name}", 3))
    return "\n\n".join(parts) + "\n"


def plugin_page() -> str:
    """Return docs/plugin-api.md."""
    plugin, parts = rnn_tui.plugin, [GENERATED, "# The plugin API"]
    parts += [
        markdown(plugin.__doc__ or ""),
        "plugins/README.md leads from an empty folder to a trained sample.",
    ]
    parts += ["## Versions", markdown(constant(plugin, "API_VERSION"))]
    parts += ["## Entry points", markdown(registry.__doc__ or ""), *entry_points()]
    parts += ["## Architectures", markdown(import_module("rnn_tui.plugin.core").__doc__ or "")]
    parts += [*entry(plugin.Cell, "rnn_tui.plugin.Cell", 3), *entry(plugin.Core, "rnn_tui.plugin.Core", 3)]
    parts += ["### `rnn_tui.plugin.State`", markdown(constant(import_module("rnn_tui.plugin.core"), "State"))]
    parts += ["## Options", markdown(import_module("rnn_tui.plugin.options").__doc__ or "")]
    parts += ["## Tokenizers", *entry(plugin.Tokenizer, "rnn_tui.plugin.Tokenizer", 3)]
    parts += entry(plugin.Decoder, "rnn_tui.plugin.Decoder", 3)
    parts += [
        "### `rnn_tui.plugin.Ids`",
        markdown(constant(import_module("rnn_tui.plugin.tokenizer"), "Ids")),
    ]
    parts += ["## Steps in NumPy", *entry(plugin.NumpyStep, "rnn_tui.plugin.NumpyStep", 3)]
    testing = import_module("rnn_tui.plugin.testing")
    parts += ["## The laws", markdown(testing.__doc__ or "")]
    for name in testing.__all__:
        parts += laws(getattr(testing, name), f"rnn_tui.plugin.testing.{name}")
    return "\n\n".join(parts) + "\n"


PAGES = {"library.md": library_page, "plugin-api.md": plugin_page}


def entry(thing: Any, name: str, level: int) -> Iterator[str]:
    """Yield the parts of a function, or of a class and its public members, under a heading."""
    yield f"{'#' * level} `{name}`"
    if isinstance(thing, FunctionType):
        yield signature(thing, name.rpartition(".")[2])
        yield markdown(thing.__doc__ or "")
        return
    if issubclass(thing, Exception):
        code = f"Exit code {thing.exit_code} of the command line."
        yield " ".join(filter(None, [thing.__doc__, code]))
        return
    if fields := declared(thing):
        yield fenced("\n".join([f"class {thing.__name__}:", *(f"    {field}" for field in fields)]))
    yield markdown(described_class(thing))
    properties, methods = [], []
    for key, member in vars(thing).items():
        function = inspect.unwrap(getattr(member, "fget", None) or getattr(member, "__func__", member))
        if not isinstance(function, FunctionType) or not function.__doc__:
            continue
        if key.startswith("_") and key not in SHOWN.get(thing.__name__, ()):
            continue
        if isinstance(member, property):
            text = " ".join(" ".join(part.split()) for part in function.__doc__.split("\n\n"))
            properties.append(f"- `{key}{returned(declaration(function), ': ')}`: {text}")
        else:
            methods += [f"{'#' * (level + 1)} `{thing.__name__}.{key}`", signature(function, key)]
            methods += [markdown(function.__doc__)]
    if properties:
        yield "**Properties**"
        yield "\n".join(properties)
    yield from methods


def described_class(kind: type) -> str:
    """Return the docstring of a class, with the attributes that those above it describe."""
    heading, text = "\nAttributes:\n", inspect.cleandoc(kind.__doc__ or "")
    for base in ours(kind):
        attributes = inspect.cleandoc(base.__doc__ or "").partition(heading)[2]
        if attributes:
            text += f"{'' if heading in text else chr(10) + heading.rstrip()}\n{attributes}"
    return text


def ours(kind: type) -> list[type]:
    """Return the classes of rnn_tui that a class is derived from."""
    return [base for base in kind.__mro__[1:] if base.__module__.startswith("rnn_tui")]


def declared(kind: type) -> list[str]:
    """Return the attributes that a class and those above it declare, as their authors wrote them."""
    found = {}
    for part in [*reversed(ours(kind)), kind]:
        node = ast.parse(textwrap.dedent(inspect.getsource(part))).body[0]
        assert isinstance(node, ast.ClassDef)
        for line in node.body:
            if isinstance(line, ast.AnnAssign) and not (name := ast.unparse(line.target)).startswith("_"):
                found[name] = ast.unparse(line).replace("'", "")
    return list(found.values())


def signature(function: FunctionType, name: str) -> str:
    """Return the declaration as its author wrote it, one argument a line where it is long."""
    node = declaration(function)
    parts, end = list(arguments(node.args)), returned(node, " -> ")
    line = f"{name}({', '.join(parts)}){end}"
    if len(line) > 100:
        line = f"{name}(\n{''.join(f'    {part},{chr(10)}' for part in parts)}){end}"
    return fenced(line)


def declaration(function: FunctionType) -> ast.FunctionDef:
    node = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    assert isinstance(node, ast.FunctionDef)
    return node


def returned(node: ast.FunctionDef, sign: str) -> str:
    """Return the type of what comes back, after `sign`; nothing where none is declared."""
    return sign + ast.unparse(node.returns).strip("'") if node.returns else ""


def arguments(args: ast.arguments) -> Iterator[str]:
    """Yield each argument with its annotation and default."""
    plain = args.args
    defaults = [None] * (len(plain) - len(args.defaults)) + list(args.defaults)
    for arg, default in zip(plain, defaults, strict=True):
        yield argument(arg, default)
    if args.kwonlyargs:
        yield "*"
    for arg, default in zip(args.kwonlyargs, args.kw_defaults, strict=True):
        yield argument(arg, default)
    if args.kwarg and args.kwarg.arg != "unknown":  # what is only taken to be refused with a hint
        yield f"**{argument(args.kwarg, None)}"


def argument(arg: ast.arg, default: ast.expr | None) -> str:
    text = ast.unparse(arg) if default is None else f"{ast.unparse(arg)} = {ast.unparse(default)}"
    return text.replace("'", '"')


def constant(module: ModuleType, name: str) -> str:
    """Return the text that stands below a constant."""
    body = ast.parse(inspect.getsource(module)).body
    for node, following in itertools.pairwise(body):
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        here = any(isinstance(target, ast.Name) and target.id == name for target in targets)
        if here and isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
            return inspect.cleandoc(str(following.value.value))
    raise LookupError(f"{module.__name__}.{name} has no text below it")


def entry_points() -> Iterator[str]:
    """Yield the table of entry-point groups."""
    rows = []
    for kind, group in registry.GROUPS.items():
        ours = ", ".join(f"`{info.own_name}`" for info in registry.list_plugins(kind) if info.ours)
        rows.append((kind, f"`{group}`", ours))
    yield table(("kind", "entry-point group", "what ships with rnn-tui"), rows)


def settings_tables(config: type) -> Iterator[str]:
    """Yield the sections of a configuration with their settings."""
    yield "### `rnn_tui.Config`"
    yield markdown(config.__doc__ or "")
    yield (
        "A frozen dataclass with a field for each section: `config.optim.lr`. Each setting can be given to `train` and "
        "`configure` by its own name, or in a dict of its section."
    )
    for name, kind in sections().items():
        yield f"#### `{name}`"
        yield markdown(kind.__doc__ or "")
        rows = [(f"`{i.name}`", i.expected(), f"`{i.default!r}`", i.help) for i in option_infos(kind)]
        if "options" in kind.__dataclass_fields__:  # type: ignore[attr-defined]
            rows.append(
                (
                    "`options`",
                    "a dict",
                    "`{}`",
                    "The plugin's own options; `rnn-tui plugins show` lists them.",
                )
            )
        yield table(("setting", "is", "default", ""), rows)


def laws(kind: type, name: str) -> Iterator[str]:
    """Yield a class of laws: what its author sets, and each law in a row."""
    yield f"### `{name}`"
    yield markdown(kind.__doc__ or "")
    found = {
        key: member
        for part in reversed(kind.__mro__)
        for key, member in vars(part).items()
        if key.startswith("test_")
    }
    rows = []
    for key, member in found.items():
        text = inspect.getdoc(inspect.unwrap(member)) or ""
        rows.append((key.removeprefix("test_").replace("_", " "), " ".join(text.split("\n\n")[0].split())))
    yield table(("law", "what it says"), rows)


def table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(heads), *map(list, rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in lines)


def fenced(code: str) -> str:
    return f"```python\n{code}\n```"


def markdown(docstring: str) -> str:
    """Return a docstring as Markdown: its fields as lists, what is indented as code."""
    blocks: list[str] = []
    lines = inspect.cleandoc(docstring).split("\n")
    while lines:
        line = lines.pop(0)
        if line.rstrip(":") in FIELDS and line.endswith(":"):
            field = line.rstrip(":")
            blocks += [
                f"**{field}**",
                described(textwrap.dedent("\n".join(indented(lines))).split("\n"), field),
            ]
        elif re.fullmatch(r"Raises[^:]*: \S.*", line) and not lines:
            blocks.append(line)
        elif line.startswith("    "):
            lines.insert(0, line)
            blocks.append(fenced(textwrap.dedent("\n".join(indented(lines))).strip("\n")))
        elif line.startswith("- ") and blocks and blocks[-1].startswith("- "):
            blocks[-1] += f"\n{line}"
        elif line:
            text = [line]
            while lines and lines[0] and not lines[0].startswith(("    ", "- ")):
                text.append(lines.pop(0))
            blocks.append("\n".join(text))
    return "\n\n".join(blocks)


def indented(lines: list[str]) -> list[str]:
    """Take the lines that are indented, and empty ones among them, off the front."""
    taken = []
    while lines and (not lines[0] or lines[0].startswith("    ")):
        taken.append(lines.pop(0))
    return taken


def described(lines: list[str], field: str) -> str:
    """Return a field as one block: a list where things are named, a text where nothing is."""
    if field == "Returns":
        return "\n".join(lines).strip()
    items: list[str] = []
    for line in lines:
        if line and not line.startswith(" "):
            names, _, text = line.partition(":")
            marked = ", ".join(f"`{name.strip()}`" for name in names.split(","))
            items.append(f"- {marked}:{text}" if text else f"- {line}")
        elif line:
            items.append(f"  {line.strip()}")
    return "\n".join(items)


def main() -> None:
    """Write the pages."""
    for name, page in PAGES.items():
        (HERE / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
