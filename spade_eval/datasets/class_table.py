# SPDX-License-Identifier: Apache-2.0
"""One table per dataset: class names, official colours, and every numbering in use.

Which number means which class is among the questions users ask most; each `*_classes` module
answers it for one dataset, with `None` where a numbering leaves a class out.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

Colour = tuple[int, int, int]
"""Red, green and blue, 0..255."""


@dataclass(frozen=True, kw_only=True)
class ClassTable:
    """Row k belongs to label value k of the suite."""

    class_names: tuple[str, ...]
    colours: tuple[Colour, ...]  # as the dataset's project paints them; may repeat
    numberings: Mapping[str, tuple[int | None, ...]]  # that of the label files comes first
    unlabelled: Mapping[str, int | None]  # its number in each numbering

    @property
    def palette(self) -> tuple[Colour, ...]:
        """The colours, made distinct by the smallest change that does it."""
        return distinct(self.colours)

    @property
    def file_values(self) -> tuple[int, ...]:
        """The values of the classes in label files."""
        first = next(iter(self.numberings.values()))
        return tuple(value for value in first if value is not None)

    def lines(self) -> Iterator[str]:
        """Return the table as text."""
        yield "  ".join(f"{title:>{_width(title)}}" for title in self.numberings) + "  class"
        for index, name in enumerate(self.class_names):
            yield self._row([numbers[index] for numbers in self.numberings.values()], name)
        yield self._row([self.unlabelled[title] for title in self.numberings], "(unlabelled)")

    def _row(self, numbers: Sequence[int | None], name: str) -> str:
        cells = zip(self.numberings, numbers, strict=True)
        shown = [f"{'-' if number is None else number:>{_width(t)}}" for t, number in cells]
        return "  ".join(shown) + f"  {name}"


def numbered(values: Iterable[int | None]) -> tuple[int | None, ...]:
    """Return the numbers of classes 0, 1, 2, ... in one numbering."""
    return tuple(values)


def distinct(colours: Iterable[Colour]) -> tuple[Colour, ...]:
    """Make repeated colours the next free ones, a grey level of blue apart: invisible."""
    taken: list[Colour] = []
    for red, green, blue in colours:
        steps = (*range(blue, 256), *range(blue - 1, -1, -1))
        taken.append(next((red, green, b) for b in steps if (red, green, b) not in taken))
    return tuple(taken)


def _width(title: str) -> int:
    return max(5, len(title))
