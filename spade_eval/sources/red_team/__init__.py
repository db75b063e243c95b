# SPDX-License-Identifier: Apache-2.0
"""Rows that try to cheat, by name: what a benchmark must be able to tell from a good generator.

Adding one is one file, with a class of `red_team.base`, and one row here. Rows name their class by
module, so that the table can be read without torch.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spade_eval.sources.red_team.base import Cheat

_HERE = "spade_eval.sources.red_team"
CHEATS: dict[str, str] = {
    "copycat": f"{_HERE}.copycat:Copycat",
    "palette": f"{_HERE}.palette:Palette",
    "segmenter-hacked": f"{_HERE}.segmenter_hacked:SegmenterHacked",
    "regressor": f"{_HERE}.regressor:Regressor",
    "blur": f"{_HERE}.leaked:Blurred",
    "JPEG": f"{_HERE}.leaked:JPEGFiles",
    "JPEG as PNG": f"{_HERE}.leaked:JPEGAsPNG",
    "duplicates": f"{_HERE}.duplicates:Duplicates",
}


def cheat_classes() -> "list[type[Cheat]]":
    """Import and return the classes of all rows, in order."""
    return [_class_of(row) for row in CHEATS.values()]


def _class_of(row: str) -> "type[Cheat]":
    module, _, name = row.partition(":")
    kind: type[Cheat] = getattr(importlib.import_module(module), name)
    return kind
