# SPDX-License-Identifier: Apache-2.0
"""Images that are called by numbers: those of SIMS (Qi et al., CVPR 2018).

Its code, as that of CRN, numbers the frames of Cityscapes val 100001, 100002, ... in alphabetical
order of their paths and writes 00100001.png and so on; its `result.zip` holds such files.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

_FIRST = 100_001


def numbered(files: Mapping[str, Path], names: Sequence[str]) -> dict[str, str]:
    """Return the sample of every file by its stem; empty where files are not called so.

    `files` are by stem, `names` all samples of the split. Names of samples come first: a split
    whose own names are numbers is never read in another order.
    """
    if set(files) & set(names) or not all(stem.isdecimal() and stem.isascii() for stem in files):
        return {}
    in_order = sorted(names)
    places = {stem: int(stem) - _FIRST for stem in sorted(files)}
    if len(set(places.values())) < len(files):  # 100001 and 00100001
        return {}
    if not all(0 <= place < len(in_order) for place in places.values()):
        return {}
    return {stem: in_order[place] for stem, place in places.items()}


def lines(pairs: Mapping[str, str]) -> list[str]:
    """Return the whole map as text, a file a line."""
    return [f"  {stem} = {name}" for stem, name in pairs.items()]
