# SPDX-License-Identifier: Apache-2.0
"""Damage and malice from a seed: bytes of a file, or one value of a JSON or TOML text."""

import copy
import json
import random
from collections.abc import Callable, Iterator
from typing import Any

Rng = random.Random
EXTREMES = (b"\x00", b"\xff", b"\x7f", b"\x80")
HEADS = (
    b"\x89PNG\r\n\x1a\n", b"PK\x03\x04", b"\x93NUMPY\x01\x00", b"%!PS-Adobe-3.0\n", b"\x80\x02.",
    b"\xef\xbb\xbf", b"\xff\xfe", b"\x1f\x8b\x08\x00", b"GIF89a",
)  # fmt: skip


# What may stand where something else was meant, as JSON or TOML would write it.
LITERALS = (
    "null", "true", "0", "-1", "1", "3", "255", "65536", "2147483648", "9223372036854775808",
    "-9223372036854775809", "1" + "0" * 30, "9" * 5000, "0.5", "-0.0", "1e308", "1e999", "5e-324",
    "NaN", "Infinity", "-Infinity", "nan", "inf", '""', '"0"', '"x"', '"\\u0000"', '"\\ud800"',
    '"\\u202e"', '"../../x"', '"/etc/passwd"', '"a/b"', '"\\n"', '"' + "x" * 70_000 + '"', "[]",
    "{}", "[0]", "[[]]", '{"": 0}', '["a", 1]', "[" * 50 + "]" * 50, "[" * 3000 + "]" * 3000,
)  # fmt: skip
_MARK = "here stands another value"


def _flip(data: bytearray, rng: Rng) -> None:
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _overwrite(data: bytearray, rng: Rng) -> None:
    place = rng.randrange(len(data))
    data[place : place + rng.choice((1, 2, 4, 8))] = rng.randbytes(rng.choice((1, 2, 4, 8)))


def _extreme(data: bytearray, rng: Rng) -> None:
    place, length = rng.randrange(len(data)), rng.choice((1, 2, 4, 8))
    data[place : place + length] = rng.choice(EXTREMES) * length


def _cut(data: bytearray, rng: Rng) -> None:
    del data[rng.randrange(len(data)) :]


def _drop(data: bytearray, rng: Rng) -> None:
    place = rng.randrange(len(data))
    del data[place : place + rng.choice((1, 7, 100, 1000))]


def _repeat(data: bytearray, rng: Rng) -> None:
    place = rng.randrange(len(data))
    data[place:place] = data[place : place + rng.choice((1, 7, 100, 1000))]


def _insert(data: bytearray, rng: Rng) -> None:
    place = rng.randrange(len(data))
    data[place:place] = rng.randbytes(rng.choice((1, 7, 100)))


def _append(data: bytearray, rng: Rng) -> None:
    data += rng.randbytes(rng.choice((1, 100)))


def _head(data: bytearray, rng: Rng) -> None:
    head = rng.choice(HEADS)
    data[: len(head)] = head


def _zeros(data: bytearray, rng: Rng) -> None:
    """A block that a power cut left unwritten."""
    place, length = rng.randrange(len(data)), rng.choice((16, 512, 4096))
    data[place : place + length] = bytes(len(data[place : place + length]))


_DAMAGES: tuple[Callable[[bytearray, Rng], None], ...] = (
    _flip, _flip, _overwrite, _extreme, _cut, _drop, _repeat, _insert, _append, _head, _zeros,
)  # fmt: skip


def damaged(content: bytes, seed: int) -> bytes:
    """The content with one to three damages; seed 0 is the empty file."""
    if seed == 0:
        return b""
    rng, data = random.Random(seed), bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        if data:
            rng.choice(_DAMAGES)(data, rng)
    return bytes(data)


def misstated(value: Any, seed: int, write: Callable[[Any], str] = json.dumps) -> str:
    """The text of a value in which one place, of any depth, is removed, renamed or replaced."""
    rng, changed = random.Random(seed), copy.deepcopy(value)
    container, key = rng.choice([*_places(changed)])
    action = rng.choice(("replace", "replace", "replace", "remove", "rename"))
    if action == "remove":
        del container[key]
    elif action == "rename" and isinstance(container, dict):
        container[rng.choice(("", "x", "__class__", "é", key + " "))] = container.pop(key)
    else:
        container[key] = _MARK
    return write(changed).replace(f'"{_MARK}"', rng.choice(LITERALS))


def _places(node: Any) -> Iterator[tuple[Any, Any]]:
    for key in [*node] if isinstance(node, dict) else range(len(node)):
        yield node, key
        if isinstance(node[key], dict | list):
            yield from _places(node[key])
