# SPDX-License-Identifier: Apache-2.0
"""What was read from JSON, checked once against the annotations of the dataclass that it fills."""

import math
import reprlib
import types
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

Check = Callable[[Any], bool]

_LARGEST = 2**63 - 1
_DEEPEST = 20


def require_types(kind: type, fields: Mapping[str, Any]) -> None:
    """Raise `ValueError` for the first field that `kind` lacks or whose value is of another type.

    Numbers are finite and fit 64 bits, text can be written as UTF-8, and a tuple stands as a list.
    """
    checks = _checks(kind)
    for name, value in fields.items():
        if name not in checks:
            raise ValueError(f"unknown field {reprlib.repr(name)}")
        expected, check = checks[name]
        if not check(value):
            raise ValueError(f"{name} is {reprlib.repr(value)}, expected {expected}")


@cache
def _checks(kind: type) -> dict[str, tuple[str, Check]]:
    """Return what is expected of every field, in words and as a check."""
    hints = get_type_hints(kind)
    return {
        name: (getattr(hint, "__name__", "") if isinstance(hint, type) else str(hint), _check(hint))
        for name, hint in hints.items()
    }


def _check(hint: Any) -> Check:
    """Make the check of one annotation, of the kinds that JSON can hold."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        options = [_check(argument) for argument in arguments]
        return lambda value: any(option(value) for option in options)
    if origin is tuple:
        item = _check(arguments[0])
        return lambda value: isinstance(value, list | tuple) and all(map(item, value))
    if origin is not None and issubclass(origin, Mapping):
        item = _check(arguments[1])
        return lambda value: (
            isinstance(value, dict) and all(map(_is_text, value)) and all(map(item, value.values()))
        )
    simple: dict[Any, Check] = {
        Any: _is_plain,
        bool: lambda value: isinstance(value, bool),
        int: _is_whole,
        float: _is_number,
        str: _is_text,
        type(None): lambda value: value is None,
    }
    return simple[hint]


def _is_whole(value: Any) -> bool:
    return type(value) is int and abs(value) <= _LARGEST


def _is_number(value: Any) -> bool:
    return _is_whole(value) or (type(value) is float and math.isfinite(value))


def _is_text(value: Any) -> bool:
    """Return whether it is text without halves of surrogate pairs, which no file can hold."""
    if not isinstance(value, str):
        return False
    return value.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in value)


def _is_plain(value: Any, depth: int = _DEEPEST) -> bool:
    """Return whether any value is sound through and through, and not nested without end."""
    if isinstance(value, dict):
        inner = [*value, *value.values()]
    elif isinstance(value, list | tuple):
        inner = [*value]
    else:
        return value is None or isinstance(value, bool) or _is_number(value) or _is_text(value)
    return depth > 0 and all(_is_plain(item, depth - 1) for item in inner)
