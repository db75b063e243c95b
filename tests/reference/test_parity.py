# SPDX-License-Identifier: Apache-2.0
"""Every .npz file of a folder of reference numbers, `PARITY_DIR` or the `data` folder here."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
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


def test_a_wrong_number_fails(tmp_path: Path) -> None:
    stored = dict(np.load(Path(__file__).parent / "data" / "spade_layer_instance_1.npz"))
    stored["out_y"][0, 0, 0, 0] += 1e-3
    np.savez(tmp_path / "spade_layer_wrong.npz", **stored)
    case = Case(tmp_path / "spade_layer_wrong.npz")
    with pytest.raises(AssertionError, match=r"out_y differs by 0\.001"):
        check_of("spade_layer_wrong")(case)
