# SPDX-License-Identifier: Apache-2.0
"""JSON that others wrote: within limits it is what it says, beyond them it is one line."""

from dataclasses import dataclass
from typing import Any, Literal

import pytest

from spade_eval.json_fields import parsed_json, require_bounded, require_types
from spade_eval.models.limits import DEEPEST_NESTING


def nested(depth: int, opening: str = "[", closing: str = "]") -> str:
    return opening * depth + closing * depth


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": [1, -2.5, null, true]}', {"a": [1, -2.5, None, True]}),
        (b'["\xc3\xa4"]', ["ä"]),
        ("[" + ",".join(["[]"] * 100) + "]", [[]] * 100),
        ("[-9223372036854775807]", [-(2**63) + 1]),
        ('["' + "[" * 1000 + '"]', ["[" * 1000]),
    ],
)
def test_sound_json_is_what_it_says(text: str | bytes, value: object) -> None:
    assert parsed_json(text) == value
    assert parsed_json(nested(DEEPEST_NESTING))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (nested(DEEPEST_NESTING + 1), "nested deeper than 20"),
        (nested(DEEPEST_NESTING + 1, '{"a":[', "]}").replace("[]", "[1]"), "nested deeper than 20"),
        ("[" * 200_000, "nested deeper than 20"),
        ('{"a":' * 200_000, "nested deeper than 20"),
        ("9" * 20 + "0", "a whole number of 21 digits, expected at most 64 bits"),
        ("-" + "9" * 100_000, "a whole number of 100,001 digits"),
        ("", "Expecting value"),
        ("\ufeff{}", "Unexpected UTF-8 BOM"),
        (b"\xff", "codec can't decode"),
        ('{"a"\n: 1,}', "Expecting property name"),
    ],
)
def test_other_texts_are_refused_in_one_line(text: str | bytes, said: str) -> None:
    with pytest.raises(ValueError, match=rf"^[^\n]*{said}[^\n]*$"):
        parsed_json(text)


def test_numbers_of_other_formats_are_bounded_too() -> None:
    """TOML reads hexadecimal ones of any length."""
    require_bounded({"a": [2**63 - 1, 1e300, "x"]})
    with pytest.raises(ValueError, match="a whole number of more than 64 bits"):
        require_bounded({"a": [1 << 5000]})


@dataclass
class Choice:
    kind: Literal["one", "two"]
    size: tuple[int, int] = (1, 1)
    widths: tuple[int, ...] = ()


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"kind": "three"}, "kind is 'three', expected one of one, two"),
        ({"kind": ["one"]}, "kind is"),
        ({"size": [1]}, r"size is \[1\]"),
        ({"size": [1, 2, 3]}, "size is"),
        ({"size": [1, 2.0]}, "size is"),
        ({"widths": 3}, "widths is 3"),
    ],
)
def test_choices_and_sizes_are_those_of_the_annotation(fields: dict[str, Any], said: str) -> None:
    require_types(Choice, {"kind": "two", "size": [3, 4], "widths": [1, 2, 3]})
    with pytest.raises(ValueError, match=said):
        require_types(Choice, fields)
