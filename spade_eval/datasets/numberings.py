# SPDX-License-Identifier: Apache-2.0
"""Label files in another numbering than their dataset's: ids in range that mean other classes.

mmsegmentation numbers COCO-Stuff 0..170, predictions for ADE20K are 0..149, train ids of Cityscapes
are 0..18, and ids are spread over the grey levels for the eye. Nothing of it need be out of range,
so every score would be wrong in silence. What gives it away are ids that no published file holds,
and ids that every sound split holds while this one does not.
"""

import math
from collections.abc import Collection
from dataclasses import dataclass

from spade_eval.datasets.class_table import ClassTable

_STEP_OF_4_BITS = 17  # 255 / 15; that of 2 bits, 85, is a multiple of it
_FEWEST_STEP, _FEWEST_MULTIPLES = 5, 4  # by chance, four ids are multiples of 5 once in 625 times


@dataclass(frozen=True, kw_only=True)
class PublishedNumbering:
    """How the published label files of a dataset are numbered: as `table` lists it first."""

    dataset: str  # its name in `spade-eval data classes`
    table: ClassTable
    never: frozenset[int] = frozenset()  # ids in range that no published file holds
    # One of these ids is in any split of as many files.
    telling: frozenset[int] = frozenset()
    telling_files: int = 1

    def doubts(self, ids: Collection[int], num_files: int) -> list[str]:
        """Say why files seem to be numbered otherwise; nothing where they do not.

        `ids` are all that occur in `num_files` label files, unlabelled ones and wrong ones too.
        """
        held = frozenset(ids)
        fitting = [title for title in self._others if held <= self._ids(title)]
        strange = held - self._ids(self._first)
        doubts = [_doubt_of_scale(held)]
        if strange and (fitting or strange & self.never):
            doubts.append(self._doubt_of_strange(sorted(strange), fitting))
        elif fitting and not strange and self._lacks(held, num_files, fitting):
            doubts.append(self._doubt_of_lacking(fitting))
        return [doubt for doubt in doubts if doubt]

    def _lacks(self, held: frozenset[int], num_files: int, fitting: list[str]) -> bool:
        """Whether ids are absent that cannot be by chance: many files, or all of another's ids."""
        is_whole = any(held >= self._ids(title, unlabelled=False) for title in fitting)
        enough = bool(held) and num_files >= self.telling_files
        return bool(self.telling) and not held & self.telling and (enough or is_whole)

    def _doubt_of_strange(self, strange: list[int], fitting: list[str]) -> str:
        names = ", ".join(map(self._shown, strange[:5]))
        more = f", ... ({len(strange)} in all)" if len(strange) > 5 else ""
        cause = f"of the numbering {' or '.join(fitting)}" if fitting else "shifted or scaled"
        return f"published files never hold id {names}{more}: {self._likely(cause)}"

    def _doubt_of_lacking(self, fitting: list[str]) -> str:
        smallest, largest = min(self.telling), max(self.telling)
        lacking = self._shown(smallest) if smallest == largest else f"any of {smallest}..{largest}"
        cause = f"of the numbering {' or '.join(fitting)}"
        return f"id {lacking} never occurs, unlike in published files: {self._likely(cause)}"

    def _likely(self, cause: str) -> str:
        return (
            f"the ids seem to be {cause}; give files of the numbering {self._first!r} "
            f"(`spade-eval data classes {self.dataset}` lists all)"
        )

    @property
    def _first(self) -> str:
        return next(iter(self.table.numberings))

    @property
    def _others(self) -> list[str]:
        """The other numberings, without those that number alike."""
        by_ids = {self._ids(title): title for title in reversed(list(self.table.numberings))}
        return [title for title in by_ids.values() if title != self._first]

    def _ids(self, title: str, *, unlabelled: bool = True) -> frozenset[int]:
        """The ids that occur in a numbering."""
        rows = zip(self.table.numberings[self._first], self.table.numberings[title], strict=True)
        ids = {number for first, number in rows if number is not None and first not in self.never}
        none = self.table.unlabelled[title]
        return frozenset(ids | {none} if unlabelled and none is not None else ids)

    def _shown(self, value: int) -> str:
        numbers = self.table.numberings[self._first]
        known = value in numbers
        return f"{value} ({self.table.class_names[numbers.index(value)]})" if known else str(value)


def _doubt_of_scale(held: frozenset[int]) -> str:
    multiples = held - {0, 255}
    step = math.gcd(*multiples)
    of_bits = len(multiples) >= 2 and step > 0 and step % _STEP_OF_4_BITS == 0
    if not of_bits and not (len(multiples) >= _FEWEST_MULTIPLES and step >= _FEWEST_STEP):
        return ""
    return (
        f"every id is a multiple of {step}: the ids seem to be spread over the grey levels for the "
        "eye; export the maps again as they are"
    )
