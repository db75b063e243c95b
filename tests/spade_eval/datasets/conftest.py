# SPDX-License-Identifier: Apache-2.0
"""Tiny COCO-Stuff folders in both layouts, and the real sample files where they are at hand."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

_SHARED = Path(__file__).resolve().parents[4] / "shared"
_FOLDERS = {
    "spade": ("{split}_img", "{split}_label", "{split}_inst"),
    "official": (
        "{split}2017",
        "stuffthingmaps_trainval2017/{split}2017",
        "instances/{split}2017",
    ),
}
Arrays = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint16]]


@pytest.fixture
def sample_root() -> Path:
    root = _SHARED / "samples" / "coco_stuff"
    if not root.is_dir():
        pytest.skip("the COCO-Stuff sample files are not part of the repository")
    return root


@pytest.fixture
def parity() -> Callable[[str], tuple[Any, dict[str, Any]]]:
    """Arrays and meta data of one stored run of the reference preprocessing."""

    def load(name: str) -> tuple[Any, dict[str, Any]]:
        path = _SHARED / "parity" / "spade_family" / f"{name}.npz"
        if not path.is_file():
            pytest.skip("the stored reference runs are not part of the repository")
        arrays = np.load(path)
        return arrays, json.loads(str(arrays["meta"]))

    return load


def _write_sample(
    root: Path,
    stem: str,
    size: tuple[int, int] = (30, 40),
    layout: str = "spade",
    split: str = "val",
    instances: bool = True,
) -> Arrays:
    generator = np.random.default_rng(int(stem))
    photo = generator.integers(0, 256, (*size, 3), dtype=np.uint8)
    label_map = generator.choice(np.array([0, 3, 91, 181, 255], dtype=np.uint8), size)
    instance_map = generator.choice(np.array([7, 300, 40000, 65535], dtype=np.uint16), size)
    folders = [root / name.format(split=split) for name in _FOLDERS[layout]]
    for folder, array in zip(folders, (photo, label_map, instance_map), strict=True):
        if instances or array is not instance_map:
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(array).save(folder / f"{stem}.png")
    return photo, label_map, instance_map


@pytest.fixture
def write_sample() -> Callable[..., Arrays]:
    """Write photo, label map (ids up to 181, and 255) and 16-bit instance map; return them."""
    return _write_sample


@pytest.fixture(params=list(_FOLDERS))
def tiny_root(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A val split of three samples with instance maps, in either layout."""
    for stem in ("000010", "000002", "000003"):
        _write_sample(tmp_path, stem, layout=request.param)
    return tmp_path
