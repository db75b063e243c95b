# SPDX-License-Identifier: Apache-2.0
"""What nobody can see in images and its maker says of them: facts of a row, as fields of a record.

What a source knows of itself is not stated by anybody: a statement that contradicts is refused.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

from spade_eval.errors import UserError, lookup

SEGMENTERS = ("none", "related", "scoring")
"""Which segmenter had a part in a training: none, one of the same data or family, the scoring."""
_LONGEST = 500  # letters of a text; records take 1,000


def _segmenter(value: object) -> str:
    if value not in SEGMENTERS:
        raise ValueError(f"one of {', '.join(SEGMENTERS)}")
    return str(value)


def _text(value: object) -> str:
    text = " ".join(str(value).split())
    if not isinstance(value, str) or not 0 < len(text) <= _LONGEST:
        raise ValueError(f"a text of at most {_LONGEST} letters")
    return text


def _count(value: object) -> int:
    number = _number(value)
    if number < 1 or number != int(number):
        raise ValueError("a whole number from 1 on")
    return int(number)


def _number(value: object) -> float:
    try:
        number = float(str(value))
    except ValueError:
        number = math.nan
    if not 0 <= number < 1e9:
        raise ValueError("a number from 0 on")
    return number


FIELDS: Mapping[str, Callable[[object], Any]] = {
    "trained_with_segmenter": _segmenter,
    "text_input": _text,
    "sampling_steps": _count,
    "guidance": _number,
    "sampler": _text,
    "condition_palette": _text,
    "file_format": _text,
}
"""What can be stated of a row, and how its value is read."""


def stated_facts(values: Mapping[str, object], whose: str) -> dict[str, Any]:
    """Read statements, of flags as texts; `UserError` for another field or value."""
    facts = {}
    for name, value in values.items():
        read = lookup(FIELDS, name, f"fact that can be stated of {whose}")
        try:
            facts[name] = read(value)
        except ValueError as error:
            raise UserError(f"{whose}: {name}={value!r:.100}: expected {error}") from error
    return facts


def with_known(stated: Mapping[str, Any], known: Mapping[str, Any], whose: str) -> dict[str, Any]:
    """Return what is stated and not known already; `UserError` where the two differ."""
    for name, value in stated.items():
        if known.get(name) not in (None, value):
            raise UserError(
                f"{whose}: {name}={value} is stated, but it is known to be {known[name]}; leave "
                "that out"
            )
    return {name: value for name, value in stated.items() if known.get(name) is None}
