# SPDX-License-Identifier: Apache-2.0
"""Every .npz file of a folder of reference numbers, `PARITY_DIR` or the `data` folder here."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from parity.case import Case
from parity.kinds import check_of

FOLDER = Path(os.environ.get("PARITY_DIR", Path(__file__).parent / "data"))
FILES = sorted(FOLDER.glob("*.npz"))


def test_folder_has_files() -> None:
    assert FILES, f"no .npz file in {FOLDER}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_parity(path: Path, record_property: Callable[[str, object], None]) -> None:
    check = check_of(path.stem)
    case = Case(path)
    check(case)
    assert case.differences, "nothing was compared"
    record_property("max_abs_difference", max(case.differences.values()))


def test_unknown_kind_fails() -> None:
    with pytest.raises(AssertionError, match="no known kind"):
        check_of("surprise_1")
