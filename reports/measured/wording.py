# SPDX-License-Identifier: Apache-2.0
"""Notes said once: those that differ in their numbers alone become one, with ranges."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence

# Not a part of a name or a hash: `resnet101`, `ade20k`, `6232d1c2`.
_NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?![\w])")


def wordings(notes: Iterable[str]) -> dict[str, str]:
    """Return each note with the one that stands for it: "0.87" and "0.91" are "0.87 to 0.91"."""
    alike: dict[str, list[str]] = defaultdict(list)
    for note in dict.fromkeys(notes):
        alike[_NUMBER.sub("#", note)].append(note)
    return {note: _joined(group) for group in alike.values() for note in group}


def said_once(notes: Iterable[str]) -> list[str]:
    """Join notes of one wording, in order of appearance."""
    return list(dict.fromkeys(wordings(notes).values()))


def _joined(notes: Sequence[str]) -> str:
    if len(notes) == 1:
        return notes[0]
    columns = zip(*(_NUMBER.findall(note) for note in notes), strict=True)
    ranges = iter([_range(numbers) for numbers in columns])
    return _NUMBER.sub(lambda _: next(ranges), notes[0])


def _range(numbers: Sequence[str]) -> str:
    low, high = min(numbers, key=float), max(numbers, key=float)
    return low if float(low) == float(high) else f"{low} to {high}"
