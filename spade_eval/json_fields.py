# SPDX-License-Identifier: Apache-2.0
"""JSON that others wrote: read within limits, checked once against the dataclass that it fills."""

import json
import math
import reprlib
import types
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from spade_eval.models.limits import DEEPEST_NESTING, LARGEST_INTEGER

Check = Callable[[Any], bool]

_MOST_DIGITS = len(str(-LARGEST_INTEGER))


def parsed_json(
    text: str | bytes, object_hook: Callable[[dict[str, Any]], Any] | None = None
) -> Any:
    """Parse JSON; `ValueError` of one line for anything else, and for what passes a limit.

    Everything of the suite that reads JSON reads it here.
    """
    try:
        text = text if isinstance(text, str) else text.decode("utf-8")
        value = json.loads(text, parse_int=_integer, object_hook=object_hook)
    except RecursionError:
        raise _too_deep() from None
    except ValueError as error:
        raise ValueError(" ".join(str(error).split())) from error
    if text.count("[") + text.count("{") > DEEPEST_NESTING:
        require_bounded(value)
    return value


def require_bounded(value: object) -> None:
    """Raise `ValueError` for lists and dictionaries nested deeper, or numbers larger, than any.

    For what was parsed: no two places hold the same list.
    """
    level = [value]
    for _ in range(DEEPEST_NESTING + 1):
        if any(type(node) is int and abs(node) > LARGEST_INTEGER for node in level):
            raise ValueError("a whole number of more than 64 bits")
        if not any(isinstance(node, dict | list) for node in level):
            return
        level = [inner for node in level for inner in _inside(node)]
    raise _too_deep()


def _inside(node: object) -> Any:
    if isinstance(node, dict):
        return node.values()
    return node if isinstance(node, list) else ()


def _too_deep() -> ValueError:
    return ValueError(f"lists or objects are nested deeper than {DEEPEST_NESTING}")


def _integer(text: str) -> int:
    if len(text) > _MOST_DIGITS:
        raise ValueError(f"a whole number of {len(text):,} digits, expected at most 64 bits")
    return int(text)


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
    return {name: (_in_words(hint), _check(hint)) for name, hint in hints.items()}


def _in_words(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return f"one of {', '.join(get_args(hint))}"
    return hint.__name__ if isinstance(hint, type) else str(hint)


def _check(hint: Any) -> Check:
    """Make the check of one annotation, of the kinds that JSON can hold."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        options = [_check(argument) for argument in arguments]
        return lambda value: any(option(value) for option in options)
    if origin is Literal:
        return lambda value: isinstance(value, str) and value in arguments
    if origin is tuple:
        item, length = _check(arguments[0]), len(arguments) if arguments[-1] is not ... else None
        return lambda value: (
            isinstance(value, list | tuple)
            and length in (None, len(value))
            and all(map(item, value))
        )
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
    return type(value) is int and abs(value) <= LARGEST_INTEGER


def _is_number(value: Any) -> bool:
    return _is_whole(value) or (type(value) is float and math.isfinite(value))


def _is_text(value: Any) -> bool:
    """Return whether it is text without halves of surrogate pairs, which no file can hold."""
    if not isinstance(value, str):
        return False
    return value.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in value)


def _is_plain(value: Any, depth: int = DEEPEST_NESTING) -> bool:
    """Return whether any value is sound through and through, and not nested without end."""
    if isinstance(value, dict):
        inner = [*value, *value.values()]
    elif isinstance(value, list | tuple):
        inner = [*value]
    else:
        return value is None or isinstance(value, bool) or _is_number(value) or _is_text(value)
    return depth > 0 and all(_is_plain(item, depth - 1) for item in inner)
