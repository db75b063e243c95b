# SPDX-License-Identifier: Apache-2.0
"""The page on data lists exactly the keys that a description may have."""

import re
from pathlib import Path

from spade_eval.datasets import folder_description

PAGE = Path(__file__).parents[3] / "docs" / "data.md"


def test_the_page_lists_the_keys_that_are_read() -> None:
    section = PAGE.read_text(encoding="utf-8").partition("## A folder of your own")[2]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    listed = [key for row in rows for key in re.findall(r"`(\w+)`", row)]
    assert listed == list(folder_description._KEYS)


def test_the_example_of_the_module_has_every_key() -> None:
    example = folder_description.__doc__ or ""
    assert re.findall(r"^(\w+) = ", example, re.MULTILINE) == list(folder_description._KEYS)
