# SPDX-License-Identifier: Apache-2.0
"""Every .npz file of a folder of reference numbers, `PARITY_DIR` or the `data` folder here,
on the CPU or on the device that `PARITY_DEVICE` names.

The default run takes the cases of `../shared/parity`, too, where that folder exists: those that
hold parts of photos may not be in this repository, and those of some families need not.
"""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from parity.case import DEVICE, Case
from parity.kinds import check_of, is_known, is_slow, on_cpu_alone

DATA = Path(__file__).parent / "data"
FOLDER = Path(os.environ.get("PARITY_DIR", DATA))
OUTSIDE = Path(__file__).resolve().parents[3] / "shared" / "parity"
FILES = sorted(FOLDER.glob("*.npz"))
if FOLDER == DATA:
    here = {path.name for path in FILES}
    outside = [*sorted((OUTSIDE / "spade_family").glob("*.npz")), *sorted(OUTSIDE.glob("*.npz"))]
    FILES += [path for path in outside if path.name not in here and is_known(path.stem)]
CASES = [
    pytest.param(path, id=path.stem, marks=[pytest.mark.slow] if is_slow(path.stem) else [])
    for path in FILES
]
# Whose networks have layers with a fast twin.
_TWINS = (
    "clade_generator", "oasis_generator", "pix2pixhd_encoder", "pix2pixhd_global",
    "pix2pixhd_local",
    "sdm_", "sean_generator",
    "spade_",
    "pix2pixhdpp_",
)  # fmt: skip
ACCELERATED = [path for path in FILES if path.stem.startswith(_TWINS)]


def test_folder_has_files() -> None:
    assert FILES, f"no .npz file in {FOLDER}"


@pytest.mark.skipif(FOLDER != DATA, reason="PARITY_DIR names the cases")
@pytest.mark.parametrize(
    "kind",
    [
        "preprocess_",
        "oasis_",
        "clade_",
        "sean_",
        "pix2pix_",
        "cyclegan_",
        "munit_",
        "unit_",
        "sdm_",
    ],
)
def test_cases_from_outside_are_there(kind: str) -> None:
    """Says in the default run what was not compared, where it was not."""
    if not any(path.stem.startswith(kind) for path in FILES):
        pytest.skip(f"cases of {kind} are not part of the repository: no {OUTSIDE}")


@pytest.mark.parametrize("path", CASES)
def test_parity(path: Path, record_property: Callable[[str, object], None]) -> None:
    if DEVICE.type != "cpu" and on_cpu_alone(path.stem):
        pytest.skip(f"nothing of {path.stem} is compared on {DEVICE}")
    check = check_of(path.stem)
    case = Case(path)
    check(case)
    assert case.differences, "nothing was compared"
    record_property("max_abs_difference", max(case.differences.values()))


@pytest.mark.parametrize("path", ACCELERATED, ids=lambda path: path.stem)
def test_parity_of_the_fast_forms(
    path: Path, record_property: Callable[[str, object], None]
) -> None:
    case = Case(path, fast=True)
    check_of(path.stem)(case)
    assert case.differences, "nothing was compared"
    record_property("max_abs_difference", max(case.differences.values()))


def test_unknown_kind_fails() -> None:
    with pytest.raises(AssertionError, match="no known kind"):
        check_of("surprise_1")


def test_a_wrong_number_fails(tmp_path: Path) -> None:
    stored = dict(np.load(DATA / "spade_layer_instance_1.npz"))
    stored["out_y"][0, 0, 0, 0] += 1e-3
    np.savez(tmp_path / "spade_layer_wrong.npz", **stored)
    case = Case(tmp_path / "spade_layer_wrong.npz")
    with pytest.raises(AssertionError, match=r"out_y differs by 0\.001"):
        check_of("spade_layer_wrong")(case)
