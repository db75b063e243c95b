# SPDX-License-Identifier: Apache-2.0
"""Numbers from the original code, where the folder that holds them is at hand."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

_REPOSITORY = Path(__file__).parents[3]
PARITY_DIR = Path(os.environ.get("PARITY_DIR", _REPOSITORY.parent / "shared" / "parity"))


@pytest.fixture
def parity_file() -> Callable[[str], Path]:
    """Find a file of the parity data, or skip the test."""

    def find(name: str) -> Path:
        path = PARITY_DIR / name
        if not path.is_file():
            pytest.skip(f"parity data not at hand: {path} (set PARITY_DIR)")
        return path

    return find


@pytest.fixture
def parity_case(parity_file: Callable[[str], Path]) -> Callable[[str], dict[str, Any]]:
    """Load a parity case by name as a dict of arrays, or skip the test."""

    def load(name: str) -> dict[str, Any]:
        with np.load(parity_file(f"{name}.npz"), allow_pickle=False) as stored:
            return dict(stored)

    return load
