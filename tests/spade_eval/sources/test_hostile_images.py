# SPDX-License-Identifier: Apache-2.0
"""Archives and arrays of strangers' images, damaged from seeds: images, or one line."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
from borders import tried
from mutations import damaged
from source_splits import split_of

from spade_eval.sources.given import GivenSource
from spade_eval.sources.given_images import given_images, images_of_file
from spade_eval.sources.zipped_images import unpack_images

IMAGES = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), dtype=np.uint8)
SPLIT = split_of()


def opened(path: Path) -> GivenSource:
    return given_images(images_of_file(path), "uint8")(SPLIT)


def holds_images(source: GivenSource) -> bool:
    """Values that no checksum protects may be others; there is an image for every label map."""
    images = source.floats(range(4), [])
    return images.shape == (4, 3, 64, 64) and images.min() >= 0 and images.max() <= 1


@pytest.mark.parametrize("form", ["npy", "npz"])
def test_arrays(tmp_path: Path, form: str) -> None:
    path = tmp_path / f"images.{form}"
    if form == "npy":
        np.save(path, IMAGES)
    else:
        np.savez(path, **dict(zip(SPLIT.dataset.names, IMAGES, strict=True)))
    content = path.read_bytes()
    assert holds_images(opened(path))
    # The heads of both: of 49,152 values damage changes no more than values.
    variants = ((seed, damaged(content[:256], seed) + content[256:]) for seed in range(150))
    accepted, refused = tried(path, variants, opened, holds_images)
    assert refused > 50
    assert form == "npz" or accepted > 0


def test_zips(tmp_path: Path) -> None:
    path, folder = tmp_path / "images.zip", tmp_path / "images"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("a", "b"):
            archive.writestr(f"out/{name}.png", name.encode() * 1000)

    def unpacked(archive: Path) -> list[Path]:
        folder.mkdir(exist_ok=True)
        for left in folder.iterdir():
            left.unlink()
        unpack_images(archive, folder)
        return list(folder.iterdir())

    def sound(found: list[Path]) -> bool:
        """Checksums protect the content; names may be others, inside the folder."""
        contents = {item.read_bytes() for item in found}
        outside = set(tmp_path.rglob("*")) - {path, folder, *found}
        return contents <= {b"a" * 1000, b"b" * 1000, b""} and not outside

    content = path.read_bytes()
    variants = ((seed, damaged(content, seed)) for seed in range(250))
    _, refused = tried(path, variants, unpacked, sound)
    assert refused > 100
