"""Options: one declaration, read the same way by everybody."""

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta

from rnn_tui.errors import PluginError, UsageError
from rnn_tui.plugin.options import (
    OptionInfo,
    check_items,
    json_schema,
    make_options,
    option_infos,
    parse_options,
)


@dataclass(frozen=True)
class Options:
    units: Annotated[int, Meta(ge=1, le=64, description="How many.")] = 8
    rate: Annotated[float, Meta(gt=0, lt=1)] = 0.5
    mode: Literal["slow", "fast", "exact"] = "fast"
    bias: bool = True
    label: str = ""
    steps: tuple[Literal["one", "two"], ...] = ()


DEFAULTS = {"units": 8, "rate": 0.5, "mode": "fast", "bias": True, "label": "", "steps": ()}


def test_infos():
    infos = option_infos(Options)
    assert infos[0] == OptionInfo("units", "int", 8, "How many.", minimum=1, maximum=64)
    assert infos[1] == OptionInfo(
        "rate", "float", 0.5, "", minimum=0, maximum=1, above_minimum=True, below_maximum=True
    )
    assert infos[2] == OptionInfo("mode", "choice", "fast", "", choices=("slow", "fast", "exact"))
    assert [info.type for info in infos] == ["int", "float", "choice", "bool", "str", "choices"]
    assert option_infos(None) == ()


def test_the_defaults_are_complete():
    assert parse_options(Options, {}, owner="x") == DEFAULTS
    assert make_options(Options, {}, owner="x") == Options()
    assert make_options(None, {}, owner="x") is None


@pytest.mark.parametrize(
    ("name", "given", "value"),
    [
        ("units", "64", 64),
        ("units", 1, 1),
        ("rate", "1e-3", 0.001),
        ("rate", 0.25, 0.25),
        ("mode", "exact", "exact"),
        ("bias", "no", False),
        ("bias", "True", True),
        ("bias", False, False),
        ("label", "12", "12"),
        ("steps", "two, one", ("two", "one")),
        ("steps", ["one"], ("one",)),
    ],
)
def test_values_are_converted(name, given, value):
    parsed = parse_options(Options, {name: given}, owner="x")
    assert parsed == {**DEFAULTS, name: value}
    assert type(parsed[name]) is type(value)


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("units", "0", "a whole number from 1 up to 64"),
        ("units", "65", "a whole number from 1 up to 64"),
        ("units", "7.5", "a whole number from 1 up to 64"),
        ("units", "many", "a whole number"),
        ("units", True, "a whole number"),
        ("units", [1], "a whole number"),
        ("units", "9" * 400, "a whole number"),
        ("rate", "0", "a number above 0 below 1"),
        ("rate", 1, "a number above 0 below 1"),
        ("rate", "nan", "a number"),
        ("mode", "medium", "one of slow, fast, exact"),
        ("mode", ["slow"], "one of slow, fast, exact"),
        ("bias", "perhaps", "true or false"),
        ("bias", 1, "true or false"),
        ("label", 5, "text"),
        ("steps", "one,three", "a list of one, two"),
        ("steps", 3, "a list of one, two"),
    ],
)
def test_wrong_values_are_named(name, given, expected):
    with pytest.raises(UsageError, match=f"architecture x: option {name} must be {expected}") as caught:
        parse_options(Options, {name: given}, owner="architecture x")
    assert repr(given) in str(caught.value)


def test_unknown_names():
    with pytest.raises(
        UsageError, match=r"x has no option 'unit'; did you mean 'units'\? \(it has units, rate"
    ):
        parse_options(Options, {"unit": 3}, owner="x")
    with pytest.raises(UsageError, match=r"x has no option 'a' \(it has no options\)"):
        parse_options(None, {"a": 3}, owner="x")


def test_infinity_is_no_number_even_without_bounds():
    @dataclass(frozen=True)
    class Free:
        value: float = 0.0

    with pytest.raises(UsageError, match="must be a number"):
        parse_options(Free, {"value": "inf"}, owner="x")


def test_tables_are_left_out():
    @dataclass(frozen=True)
    class WithTable:
        options: dict[str, Any] = field(default_factory=dict)
        size: int = 1

    assert [info.name for info in option_infos(WithTable)] == ["size"]


def _declared(annotation, **default):
    @dataclass(frozen=True)
    class Declared:
        value: annotation = field(**default)

    return Declared


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        (_declared(int), "value has no default"),
        (_declared(list[int], default=None), "an option is an int, float, bool, str or Literal"),
        (_declared(Annotated[int, Meta(ge=5)], default=4), "default 4 is not a whole number from 5"),
        (_declared(Literal["a"], default="b"), "default 'b' is not one of a"),
        (_declared("Nowhere", default=1), "annotations cannot be read"),
        (int, "is no dataclass"),
    ],
)
def test_a_wrong_declaration_is_the_plugins_fault(declared, message):
    with pytest.raises(PluginError, match=message):
        option_infos(declared)


def test_json_schema():
    schema = json_schema(Options)
    assert schema["properties"]["units"] == {
        "type": "integer",
        "minimum": 1,
        "maximum": 64,
        "default": 8,
        "description": "How many.",
    }
    assert sorted(schema["properties"]["mode"]["enum"]) == ["exact", "fast", "slow"]
    assert schema["additionalProperties"] is False
    assert json_schema(None)["properties"] == {}


def test_infos_survive_json():
    """They come from a child process and from a cache."""
    infos = option_infos(Options)[:5]
    assert msgspec.json.decode(msgspec.json.encode(infos), type=tuple[OptionInfo, ...]) == infos


@dataclass(frozen=True)
class Lists:
    widths: tuple[Annotated[int, Meta(ge=1)], ...] = (3, 5)
    names: tuple[str, ...] = ()


def test_lists_of_numbers_and_texts():
    infos = option_infos(Lists)
    assert [(info.type, info.many, info.minimum) for info in infos] == [("int", True, 1), ("str", True, None)]
    assert check_items(infos, {"widths": "1, 2,3"}, owner="x")["widths"] == (1, 2, 3)
    assert check_items(infos, {"widths": [7]}, owner="x")["widths"] == (7,)
    # a text may hold a comma of its own
    assert check_items(infos, {"names": "one, two"}, owner="x")["names"] == ("one, two",)
    assert check_items(infos, {"names": ["a", "b"]}, owner="x")["names"] == ("a", "b")
    for wrong in ("0", "1,x", 4, [1.5]):
        with pytest.raises(
            UsageError, match="option widths must be a list, each of it a whole number from 1"
        ):
            check_items(infos, {"widths": wrong}, owner="x")
