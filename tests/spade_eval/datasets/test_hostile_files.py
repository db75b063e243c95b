# SPDX-License-Identifier: Apache-2.0
"""Label maps, photos and descriptions of strangers, damaged from seeds: right, or refused."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from borders import tried
from mutations import damaged, misstated
from PIL import Image

from spade_eval.datasets.files import read_ids, read_photo
from spade_eval.datasets.folder_description import FILE_NAME, read_description
from spade_eval.datasets.tools.colour_maps import Palette, read_palette

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TRIALS = 250
NOISE = np.random.default_rng(0).integers(0, 256, (24, 20, 3), dtype=np.uint8)
DESCRIPTION: dict[str, Any] = {
    "images": "images/{split}", "labels": "labels/{split}", "instances": "instances/{split}",
    "classes": ["sky", "tree", "road"], "values": [10, 20, 30], "ignored": [255],
    "palette": [[70, 130, 180], [107, 142, 35], [0, 0, 0]], "val_share": 0.1,
}  # fmt: skip


def encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def grey(bits: int) -> np.ndarray:
    """Ids that Pillow writes with so many bits a sample."""
    ids = NOISE[..., 0]
    return {1: ids > 127, 8: ids, 16: ids.astype(np.uint16) * 257}[bits]


@pytest.mark.parametrize("bits", [1, 8, 16])
def test_label_maps(tmp_path: Path, bits: int) -> None:
    """Checksums protect every byte that decides a pixel."""
    ids = grey(bits)
    content = encoded(Image.fromarray(ids), "PNG")
    accepted, refused = tried(
        tmp_path / "map.png",
        ((seed, damaged(content, seed)) for seed in range(TRIALS)),
        lambda path: read_ids(path, "class"),
        lambda read: np.array_equal(read, ids),
    )
    assert refused > accepted


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "BMP"])
def test_photos(tmp_path: Path, form: str) -> None:
    """Only PNG has checksums; of the others what is decoded must be a whole photo of its size."""
    content = encoded(Image.fromarray(NOISE), form)

    def right(photo: np.ndarray) -> bool:
        with Image.open(tmp_path / "photo.png") as image:
            whole = photo.shape == (*image.size[::-1], 3) and photo.dtype == np.uint8
        return whole and (form != "PNG" or np.array_equal(photo, NOISE))

    _, refused = tried(
        tmp_path / "photo.png",
        ((seed, damaged(content, seed)) for seed in range(TRIALS)),
        read_photo,
        right,
    )
    assert refused > 0


def toml(description: dict[str, Any]) -> str:
    """Write a flat table; JSON's texts and lists are TOML's, where TOML has the value at all."""
    return "\n".join(
        f"{json.dumps(key)} = {json.dumps(value)}" for key, value in description.items()
    )


def test_descriptions(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME

    def as_written(read: object) -> bool:
        stated = tomllib.loads(path.read_text(encoding="utf-8-sig"))
        names = read.label_files.space.class_names  # type: ignore[attr-defined]
        return list(names) == stated["classes"]

    def variants() -> Any:
        for seed in range(TRIALS):
            yield seed, damaged(toml(DESCRIPTION).encode(), seed)
            yield -seed, misstated(DESCRIPTION, seed, toml).encode()

    accepted, refused = tried(
        path, variants(), lambda file: read_description(file.parent), as_written
    )
    assert accepted > 0
    assert refused > accepted


def test_palettes(tmp_path: Path) -> None:
    """Each colour that is read stands in the file."""
    path = tmp_path / "palette.txt"
    content = "".join(f"{i} {i * 7 % 256} {i * 31 % 256} {i}  # class {i}\n" for i in range(20))
    path.write_text(content)

    def right(palette: Palette) -> bool:
        words = path.read_text(encoding="utf-8-sig").replace(",", " ").splitlines()
        stated = {tuple(line.split("#")[0].split()[:4]) for line in words}
        numbers = {tuple(int(word) for word in line) for line in stated if line}
        return all((number, *colour) in numbers for colour, number in palette.id_of.items())

    variants = ((seed, damaged(content.encode(), seed)) for seed in range(TRIALS))
    _, refused = tried(path, variants, lambda file: read_palette(str(file)), right)
    assert refused > 0
