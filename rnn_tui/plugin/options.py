"""Options of a plugin: declared once, as a frozen dataclass, and read from that one place by everybody.

    @dataclass(frozen=True)
    class Options:
        reset: Annotated[Literal["before", "after"], Meta(description="Where the gate acts.")] = "before"
        slope: Annotated[float, Meta(gt=0, le=10, description="Of the gate.")] = 1.0

A field is an `int`, `float`, `bool`, `str`, a `Literal` of words, or a `tuple[X, ...]` of any of these but `bool`,
and it has a default. `Meta` holds its bounds (`ge`, `gt`, `le`, `lt`; of a tuple in the type of its parts) and its help
(`description`). Values are checked before a plugin sees them. An architecture takes them as keywords, one for each
field; the `train` of a tokenizer gets an instance.

From it come `-o key=value`, the form in the app, the JSON schema and the error for an unknown key. What a
process without torch knows of a plugin is the tuple of `OptionInfo`; values are checked against that tuple
and nothing else, so that every face gives the same answer.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from rnn_tui.errors import PluginError, UsageError, nearest


@dataclass(frozen=True)
class OptionInfo:
    """One option, as plain data.

    Attributes:
        type: `int`, `float`, `bool`, `str`, `choice` (one of `choices`) or `choices` (a list of them, in
            order).
        minimum: Smallest value, itself allowed unless `above_minimum`; None where there is no bound.
        maximum: Largest value, itself allowed unless `below_maximum`.
        choices: The words a `choice` or `choices` can take.
        many: Whether it is a list of values of that type; the bounds are those of each.
    """

    name: str
    type: str
    default: Any
    help: str
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    above_minimum: bool = False
    below_maximum: bool = False
    many: bool = False

    def expected(self) -> str:
        """Say in words what values are right."""
        if self.choices:
            return ("one of " if self.type == "choice" else "a list of ") + ", ".join(self.choices)
        words = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "text"}[
            self.type
        ]
        if self.many:
            words = f"a list, each of it {words}"
        if self.minimum is not None:
            words += f" {'above' if self.above_minimum else 'from'} {self.minimum:.15g}"
        if self.maximum is not None:
            words += f" {'below' if self.below_maximum else 'up to'} {self.maximum:.15g}"
        return words


def option_infos(options_type: type | None) -> tuple[OptionInfo, ...]:
    """Read the fields of a dataclass of settings; tables (`dict` fields) are left out.

    Raises:
        PluginError: when a field has no default, a default that is not allowed, or a type that is none of
            int, float, bool, str, Literal of words, or a tuple of any number of one of these but bool.
    """
    if options_type is None:
        return ()
    if not dataclasses.is_dataclass(options_type):
        raise PluginError(f"{options_type!r} is no dataclass; declare Options with @dataclass(frozen=True)")
    try:
        hints = get_type_hints(options_type, include_extras=True)
    except Exception as error:  # an annotation that does not resolve raises whatever it likes
        raise PluginError(f"{options_type.__qualname__}: its annotations cannot be read: {error}") from error
    bare = get_type_hints(options_type)
    return tuple(
        _info(field, hints[field.name], f"{options_type.__qualname__}.{field.name}")
        for field in dataclasses.fields(options_type)
        if get_origin(bare[field.name]) is not dict
    )


def _info(field: dataclasses.Field[Any], hint: Any, where: str) -> OptionInfo:
    if field.default is not dataclasses.MISSING:
        default = field.default
    elif field.default_factory is not dataclasses.MISSING:
        default = field.default_factory()
    else:
        raise PluginError(f"{where} has no default; every option needs one")
    base, meta = _bare(hint)
    text = meta.description or ""
    many = get_origin(base) is tuple and get_args(base)[1:] == (...,)
    if many:
        base, meta = _bare(get_args(base)[0])
    if base in _PLAIN and not (many and base is bool):
        kind, choices = base.__name__, ()
    elif get_origin(base) is Literal:
        kind, choices = "choices" if many else "choice", get_args(base)
        many = False
    else:
        raise PluginError(f"{where}: an option is an int, float, bool, str or Literal of words, not {base}")
    info = OptionInfo(
        field.name,
        kind,
        default,
        text,
        minimum=meta.gt if meta.ge is None else meta.ge,
        maximum=meta.lt if meta.le is None else meta.le,
        choices=choices,
        above_minimum=meta.gt is not None,
        below_maximum=meta.lt is not None,
        many=many,
    )
    try:
        _checked(info, default)
    except (ValueError, TypeError):
        raise PluginError(f"{where}: its default {default!r} is not {info.expected()}") from None
    return info


def _bare(hint: Any) -> tuple[Any, Meta]:
    """Return a type without its annotations, and the bounds among them."""
    base, *extras = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    return base, next((extra for extra in extras if isinstance(extra, Meta)), Meta())


_PLAIN = (int, float, bool, str)
_SWITCHES = {
    "yes": True,
    "on": True,
    "true": True,
    "1": True,
    "no": False,
    "off": False,
    "false": False,
    "0": False,
}


def _checked(info: OptionInfo, value: Any) -> Any:
    """Return `value` in the option's type.

    Raises:
        ValueError: when it is not what `info` asks for.
    """
    if info.many:
        one = dataclasses.replace(info, many=False)
        if isinstance(value, str):  # a text may hold commas of its own, a number can't
            value = [value] if info.type == "str" else value.replace(" ", "").split(",")
        if not isinstance(value, list | tuple):
            raise ValueError
        return tuple(_checked(one, part) for part in value)
    match info.type:
        case "bool":
            if isinstance(value, str):
                value = _SWITCHES.get(value.strip().lower())
            if not isinstance(value, bool):
                raise ValueError
            return value
        case "choice":
            if value not in info.choices:
                raise ValueError
            return value
        case "choices":
            parts = (
                [part.strip() for part in value.split(",") if part.strip()]
                if isinstance(value, str)
                else value
            )
            if not isinstance(parts, list | tuple) or any(part not in info.choices for part in parts):
                raise ValueError
            return tuple(parts)
        case "str":
            if not isinstance(value, str):
                raise ValueError
            return value
    # msgspec.ValidationError is a ValueError; strict=False takes "64" for a number, and never True for 1
    number = msgspec.convert(value, int if info.type == "int" else float, strict=False)
    low, high = info.minimum, info.maximum
    too_low = low is not None and (number <= low if info.above_minimum else number < low)
    too_high = high is not None and (number >= high if info.below_maximum else number > high)
    if too_low or too_high or not math.isfinite(number):
        raise ValueError
    return number


def check_items(infos: Sequence[OptionInfo], items: Mapping[str, Any], *, owner: str) -> dict[str, Any]:
    """Check `items` against `infos`; return every option, with its default where `items` has none.

    Args:
        owner: Whose options they are, as it begins the message: `"architecture gru"`.

    Raises:
        UsageError: for an unknown name (with the nearest) or a value that is not allowed.
    """
    known = {info.name: info for info in infos}
    values = {info.name: _checked(info, info.default) for info in infos}
    for name, value in items.items():
        if name not in known:
            has = f"it has {', '.join(known)}" if known else "it has no options"
            raise UsageError(f"{owner} has no option {name!r}{nearest(name, known)} ({has})")
        try:
            values[name] = _checked(known[name], value)
        except (ValueError, OverflowError, TypeError):
            raise UsageError(
                f"{owner}: option {name} must be {known[name].expected()}, not {value!r}"
            ) from None
    return values


def parse_options(options_type: type | None, items: Mapping[str, Any], *, owner: str) -> dict[str, Any]:
    """Check `items`, texts converted (`"64"` → 64), against a dataclass; return the complete dict of its
    fields.

    Raises:
        UsageError: as `check_items`.
        PluginError: when the declaration itself is wrong.
    """
    return check_items(option_infos(options_type), items, owner=owner)


def make_options(options_type: type | None, items: Mapping[str, Any], *, owner: str) -> Any | None:
    """Return the checked instance of `options_type`; None where a class has no options.

    Raises:
        UsageError, PluginError: as `parse_options`.
    """
    values = parse_options(options_type, items, owner=owner)
    return None if options_type is None else options_type(**values)


def json_schema(options_type: type | None) -> dict[str, Any]:
    """Return the JSON Schema of a dataclass of options; that of an empty object where there is none."""
    if options_type is None:
        return {"type": "object", "properties": {}, "additionalProperties": False}
    (_,), definitions = msgspec.json.schema_components([options_type])
    return {**definitions[options_type.__name__], "additionalProperties": False}
