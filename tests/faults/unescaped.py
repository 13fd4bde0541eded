"""A lint: no text reaches a widget, a toast, a title or an echo that has not passed `safe_text`.

    python tests/faults/unescaped.py [FILE ...]        part of `make check`

`SINKS` are calls whose text is painted or printed, `TARGETS` attributes that are. What is given to one must be safe by
how it is written:

- a literal; a number, which is what a format such as `:,` or `:.2f` takes; a call of a function in `CLEANERS`;
- what is made of safe parts: f-strings, `+`, `*`, `%`, join and other methods of a safe string, conditionals, lists,
  comprehensions; of a pair given to a sink only the first is text, the second is its style or its value;
- a name, or an attribute of self, that is only ever given what is safe;
- an argument declared as a number, or as something that is itself made by a sink: Content, Text;
- a call of one of our functions that is declared to return such a thing, or returns nothing but what is safe.

Everything else is reported, so a text that is safe for reasons that cannot be seen passes `safe_text` once more, which
changes nothing. Rows of `Lines`, of charts and of the transcript are painted by `paint`, which cleans them.
`markup=True`, `from_markup` and `from_ansi` are not allowed at all.
"""

import ast
import re
import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[2]
WHERE = ("rnn_tui/tui", "rnn_tui/cli")

CLEANERS = {"safe_text", "clean", "len", "round", "int", "float", "bool", "sum"}
"""What gives text that is safe, or a number; `clean` is that of SafeStream."""
SINKS = {
    "print": (..., ()), "echo": (..., ()), "input": (..., ()), "confirm": ((0,), ("text",)), "write": ((), ()),
    "Static": ((0,), ("content",)), "Label": ((0,), ("content",)), "Button": ((0,), ("label",)),
    "Checkbox": ((0,), ("label",)), "Option": ((0,), ("prompt",)), "TabPane": ((0,), ("title",)),
    "Collapsible": ((), ("title",)), "Input": ((0,), ("value",)), "TextArea": ((0,), ("text",)),
    "Select": ((0,), ("options", "prompt")), "set_options": ((0,), ("options",)), "Markdown": (..., ("markdown",)),
    "Text": ((0,), ("text",)), "Content": ((0,), ("text",)), "Segment": ((0,), ("text",)),
    "Panel": ((0,), ("title", "subtitle")), "Rule": ((0,), ("title",)), "Table": ((), ("title", "caption")),
    "styled": ((0,), ()), "assemble": (..., ()), "append_text": ((0,), ()),
    "update": ((0,), ("content", "description")), "notify": ((0,), ("message", "title")),
    "add_column": ((0,), ("label", "header")), "add_columns": (..., ()), "add_row": (..., ()),
    "update_cell": ((2,), ("value",)), "add_task": ((0,), ("description",)), "set_window_title": (..., ()),
}  # fmt: skip
"""Call → the places and names of the arguments that are text (...: all places)."""
EVERYWHERE = {"placeholder", "tooltip", "border_title", "border_subtitle", "sub_title"}
"""Arguments that are text whatever is called, and attributes that are."""
FORBIDDEN = {"from_markup", "from_ansi", "secho"}
BUILT_IN = {
    "str",
    "map",
    "sorted",
    "list",
    "tuple",
    "reversed",
    "next",
    "filter",
    "abs",
    "max",
    "min",
    "range",
}
"""Functions that give what they are given."""
NUMBERS = {"int", "float", "bool", "None"}
MADE = {"Content", "Text", "Strip", "Segment", "Panel", "Table", "Option"}
"""Types whose makers are sinks, so that a value of one is safe wherever it comes from."""
NUMERIC_FORMAT = re.compile(r"[<>^+ 0-9]*([,_](\.\d+)?f?|[,_]?(\.\d+)?[dfgeGE%n])")


def name_of(call):
    """The last word of what is called."""
    return getattr(call.func, "attr", getattr(call.func, "id", ""))


def is_property(function):
    return any(getattr(one, "id", "") == "property" for one in function.decorator_list)


def declared_safe(annotation, aliases):
    """Whether a value of this type is a number or was made by a sink."""
    match annotation:
        case ast.Constant(value=str(text)):
            return declared_safe(ast.parse(text, mode="eval").body, aliases)
        case ast.Constant(value=None):
            return True
        case ast.Name(id=name) | ast.Attribute(attr=name):
            named = [value for value, _ in aliases.get(name, ()) if isinstance(value, ast.Subscript)]
            return name in NUMBERS | MADE or any(declared_safe(value, {}) for value in named)
        case ast.BinOp(op=ast.BitOr(), left=left, right=right):
            return declared_safe(left, aliases) and declared_safe(right, aliases)
        case ast.Subscript(value=ast.Name(id="list" | "tuple" | "Sequence" | "Iterable"), slice=inner):
            inner = inner.elts if isinstance(inner, ast.Tuple) else [inner]
            return all(declared_safe(one, aliases) for one in inner if getattr(one, "value", 0) is not ...)
        case ast.Subscript(value=ast.Name(id="dict" | "Mapping"), slice=ast.Tuple(elts=[_, value])):
            return declared_safe(value, aliases)
    return False


def texts(node):
    """What of an argument is text: of pairs the first."""
    match node:
        case ast.Tuple(elts=[text, _]):
            return [text]
        case ast.List(elts=items):
            return [text for item in items for text in texts(item)]
        case ast.ListComp(elt=ast.Tuple(elts=[text, _])):
            return [text]
        case ast.Starred(value=value):
            return texts(value)
    return [node]


class Scope:
    """A module, class or function: what its names are given, and what is above it."""

    def __init__(self, node, above):
        self.node, self.above = node, above
        self.given = defaultdict(list)
        """Name → the expressions it is given; None for one that cannot be followed."""
        self.returned = []

    def take(self, target, value):
        """Note that `target` is given `value`."""
        match target:
            case ast.Name(id=name):
                self.given[name].append(value)
            case ast.Attribute(value=ast.Name(id="self"), attr=name):
                self.of_class().given[f"self.{name}"].append(value)
            case ast.Starred(value=inner) | ast.Subscript(value=inner):
                self.take(inner, value)
            case ast.Tuple(elts=parts) | ast.List(elts=parts):
                alike = isinstance(value, ast.Tuple) and len(value.elts) == len(parts)
                for part, one in zip(parts, value.elts if alike else [value] * len(parts), strict=True):
                    self.take(part, one)

    def of_class(self):
        scope = self
        while scope.above is not None and not isinstance(scope.node, ast.ClassDef):
            scope = scope.above
        return scope


class Tree:
    """All files, read once: which calls there are, and what is known of names and functions."""

    def __init__(self, sources):
        self.calls, self.targets = [], []
        self.functions = defaultdict(list)
        self.constants = defaultdict(list)
        self._producers = None
        for path, text in sources.items():
            module = ast.parse(text)
            scope = Scope(module, None)
            self._walk(module, scope, path)
            for name, values in scope.given.items():
                self.constants[name] += [(value, scope) for value in values]

    def _walk(self, node, scope, path):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef() | ast.Lambda():
                inner = Scope(node, scope)
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not is_property(node):
                    self.functions[node.name].append(inner)
                if not isinstance(node, ast.ClassDef):
                    for one in [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]:
                        inner.given[one.arg].append(one)
                    for one in (node.args.vararg, node.args.kwarg):
                        if one is not None:
                            inner.given[one.arg].append(one)
                scope = inner
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    scope.take(target, value)
                    if isinstance(target, ast.Attribute):
                        self.targets.append((target, value, scope, path))
            case ast.AnnAssign(target=target, value=value) if value is not None:
                scope.take(target, value)
            case ast.AugAssign(target=target, value=value) | ast.NamedExpr(target=target, value=value):
                scope.take(target, value)
            case (
                ast.For(target=target, iter=iterable)
                | ast.AsyncFor(target=target, iter=iterable)
                | ast.comprehension(target=target, iter=iterable)
            ):
                match iterable:
                    case ast.Tuple(elts=rows) | ast.List(elts=rows):
                        for row in rows:
                            scope.take(target, row)
                    case ast.Call(func=ast.Name(id="enumerate"), args=[inner, *_]):
                        scope.take(target, ast.Tuple([ast.Constant(0), inner]))
                    case ast.Call(func=ast.Name(id="zip"), args=columns):
                        scope.take(target, ast.Tuple(columns))
                    case _:
                        scope.take(target, iterable)
            case ast.With(items=items) | ast.AsyncWith(items=items):
                for item in items:
                    if item.optional_vars is not None:
                        scope.take(item.optional_vars, None)
            case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                scope.given[name].append(None)
            case ast.ExceptHandler(name=str(name)):
                scope.given[name].append(None)
            case ast.Return(value=value):
                scope.returned.append(value)
            case ast.Yield() | ast.YieldFrom():
                scope.returned.append(None)
            case ast.Call():
                self.calls.append((node, scope, path))
                match node.func:
                    case ast.Attribute(value=owner, attr="append" | "extend" | "insert" | "appendleft") if (
                        node.args
                    ):
                        scope.take(owner, node.args[-1])
        for child in ast.iter_child_nodes(node):
            self._walk(child, scope, path)

    # -- what is safe ---------------------------------------------------------------------------------------------

    def safe(self, node, scope, seen=frozenset()):
        """Whether an expression can only be text that is safe to paint."""

        def ok(*parts):
            return all(self.safe(part, scope, seen) for part in parts)

        match node:
            case None:
                return False
            case ast.Constant() | ast.Compare() | ast.UnaryOp(op=ast.Not()):
                return True
            case ast.arg(annotation=annotation):
                return annotation is not None and declared_safe(annotation, self.constants)
            case ast.JoinedStr(values=parts):
                return ok(*parts)
            case ast.FormattedValue(value=value, format_spec=spec):
                match spec:
                    case ast.JoinedStr(values=[ast.Constant(value=str(written))]) if NUMERIC_FORMAT.fullmatch(
                        written
                    ):
                        return True
                return ok(value)
            case ast.BinOp(
                left=left, op=ast.Mult(), right=right
            ):  # of a text and a number, or of two numbers
                return (
                    ok(left) if not isinstance(left, ast.Constant | ast.JoinedStr) else ok(left) or ok(right)
                )
            case ast.BinOp(left=left, right=right):
                return ok(left, right)
            case ast.BoolOp(values=parts) | ast.List(elts=parts) | ast.Set(elts=parts):
                return ok(*parts)
            case ast.Tuple(elts=parts):
                return ok(*parts)
            case ast.Dict(values=parts):
                return ok(*parts)
            case ast.IfExp(body=body, orelse=other):
                return ok(body, other)
            case ast.Starred(value=value) | ast.NamedExpr(value=value) | ast.Await(value=value):
                return ok(value)
            case ast.Subscript(value=value):
                return ok(value)
            case ast.ListComp(elt=item) | ast.GeneratorExp(elt=item) | ast.SetComp(elt=item):
                return ok(item)
            case ast.Name(id=name):
                return self._known(name, scope, seen)
            case ast.Attribute(value=ast.Name(id="self"), attr=name):
                return self._known(f"self.{name}", scope.of_class(), seen)
            case ast.Attribute(value=value, attr="plain"):  # the text of a Content or Text
                return ok(value)
            case ast.Attribute(attr=name) if name.isupper():  # a constant of another module
                return self._known(name, None, seen)
            case ast.Call():
                return self._safe_call(node, scope, seen)
        return False

    def _known(self, name, scope, seen):
        """Whether a name is only given what is safe, in the nearest scope that gives it anything."""
        while scope is not None and not (name in scope.given and not isinstance(scope.node, ast.Module)):
            scope = scope.above
        values = [(value, scope) for value in scope.given[name]] if scope else self.constants.get(name, [])
        key = (name, id(scope))
        return key in seen or (bool(values) and all(self.safe(v, at, seen | {key}) for v, at in values))

    def _safe_call(self, call, scope, seen):
        name, named = name_of(call), isinstance(call.func, ast.Name)
        if name in CLEANERS | MADE | {"styled", "assemble"} or (name, named) in self.producers():
            return True
        parts = [part for part in call.args if not isinstance(part, ast.Lambda)]
        if named and name == "map":
            made_by = getattr(parts[0], "id", getattr(parts[0], "attr", ""))
            return made_by in CLEANERS or (made_by, isinstance(parts[0], ast.Name)) in self.producers()
        if named:
            return name in BUILT_IN and all(self.safe(part, scope, seen) for part in parts)
        # a method of a safe string, Content or dictionary gives another
        if self.functions.get(name) or not isinstance(call.func, ast.Attribute):
            return False
        given = {"join": parts, "format": parts, "append": parts, "get": parts[1:], "replace": parts[1:]}
        return all(self.safe(part, scope, seen) for part in (call.func.value, *given.get(name, ())))

    def producers(self):
        """The functions that return only what is safe, declared so or seen from what they return.

        Each as its name and whether it is called by that alone: then no method can be meant.
        """
        if self._producers is None:
            self._producers = set()
            while new := {key for key in self._callables() if self._gives_safe(key)} - self._producers:
                self._producers |= new
        return self._producers

    def _callables(self):
        return [(name, named) for name in self.functions for named in (True, False)]

    def _gives_safe(self, key):
        name, named = key
        scopes = [
            one for one in self.functions[name] if not (named and isinstance(one.above.node, ast.ClassDef))
        ]
        return bool(scopes) and all(
            (one.node.returns is not None and declared_safe(one.node.returns, self.constants))
            or (one.returned and all(self.safe(value, one) for value in one.returned))
            for one in scopes
        )

    # -- what is not ----------------------------------------------------------------------------------------------

    def complaints(self):
        """Yield (file, line, what) for each text that may be unsafe where it is painted."""
        for call, scope, path in self.calls:
            name = name_of(call)
            places, keywords = SINKS.get(name, ((), ()))
            if any(keyword.arg == "description" for keyword in call.keywords):
                places = ()  # of a progress bar: the first is its task
            if name in FORBIDDEN:
                yield path, call.lineno, f"{name} reads markup or escapes"
            for index, argument in enumerate(call.args):
                if (places is ... or index in places) and not all(
                    self.safe(one, scope) for one in texts(argument)
                ):
                    yield path, argument.lineno, f"{name}({ast.unparse(argument)})"
            for keyword in call.keywords:
                if keyword.arg == "markup" and getattr(keyword.value, "value", None) is not False:
                    yield path, keyword.value.lineno, f"markup={ast.unparse(keyword.value)}"
                handed_on = keyword.arg == getattr(
                    keyword.value, "id", None
                )  # checked where our caller gives it
                if (
                    keyword.arg in keywords or (keyword.arg in EVERYWHERE and not handed_on)
                ) and not self.safe(keyword.value, scope):
                    yield path, keyword.value.lineno, f"{name}({keyword.arg}={ast.unparse(keyword.value)})"
        for target, value, scope, path in self.targets:
            if target.attr in EVERYWHERE and not self.safe(value, scope):
                yield path, value.lineno, f"{ast.unparse(target)} = {ast.unparse(value)}"


def find(sources):
    """Return (file, line, what) of every place in `sources`, file → text, where text may be painted unescaped."""
    faces = defaultdict(dict)  # each face by itself: the other's functions of the same name are not called
    for path, text in sources.items():
        faces["/tui/" in path][path] = text
    return sorted({complaint for part in faces.values() for complaint in Tree(part).complaints()})


def our_sources(root=ROOT):
    """The files that paint and print."""
    return {
        str(p.relative_to(root)): p.read_text()
        for where in WHERE
        for p in sorted((root / where).rglob("*.py"))
    }


if __name__ == "__main__":
    given = {name: Path(name).read_text() for name in sys.argv[1:]}
    found = find(given or our_sources())
    for file, line, what in found:
        print(f"{file}:{line}: unescaped: {what}")
    sys.exit(bool(found))
