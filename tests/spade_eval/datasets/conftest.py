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


def _write_map(path: Path, values: NDArray[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


def _write_photo(path: Path, size: tuple[int, int] = (20, 30)) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    _write_map(path, noise)


def _write_ade(root: Path, number: int, values: list[int], split: str = "val") -> str:
    long = {"train": "training", "val": "validation"}[split]
    stem = f"ADE_{split}_{number:08d}"
    ids = np.resize(np.array(values, dtype=np.uint8), (20, 30))
    _write_photo(root / "images" / long / f"{stem}.jpg")
    _write_map(root / "annotations" / long / f"{stem}.png", ids)
    return stem


@pytest.fixture
def write_ade() -> Callable[..., str]:
    """Write one sample of SceneParse150 whose raw values are those given; return its stem."""
    return _write_ade


def _write_cityscapes(
    root: Path, name: str, split: str = "val", kind: str = "labelIds", instances: bool = True
) -> None:
    city = name.split("_")[0]
    ids = np.resize(np.arange(34, dtype=np.uint8), (20, 40))
    _write_photo(root / "leftImg8bit" / split / city / f"{name}_leftImg8bit.png", (20, 40))
    folder = root / "gtFine" / split / city
    _write_map(folder / f"{name}_gtFine_{kind}.png", ids)
    if instances:
        numbers = np.resize(np.array([7, 26001, 33999, 65535], dtype=np.uint16), (20, 40))
        _write_map(folder / f"{name}_gtFine_instanceIds.png", numbers)


@pytest.fixture
def write_cityscapes() -> Callable[..., None]:
    """Write one frame in the official layout: all 34 ids, and 16-bit instance ids."""
    return _write_cityscapes


@pytest.fixture
def write_map() -> Callable[[Path, NDArray[Any]], None]:
    """Write an array as an image file, with its folders."""
    return _write_map


@pytest.fixture
def write_photo() -> Callable[..., None]:
    """Write noise of (20, 30) or another size."""
    return _write_photo
