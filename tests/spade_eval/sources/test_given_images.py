# SPDX-License-Identifier: Apache-2.0
"""Arrays, lists, iterators, .npy and .npz: each form of the same images is the same row."""

import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from source_splits import split_of

from spade_eval.errors import UserError
from spade_eval.sources.given_images import GivenImages, given_images, images_of_file

NAMES = split_of().dataset.names


@pytest.fixture(scope="module")
def images() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), dtype=np.uint8)


def opened(images: object, value_range: object = None, **options: object) -> GivenImages:
    source = given_images(images, value_range, **options)(split_of())  # type: ignore[arg-type]
    assert isinstance(source, GivenImages)
    return source


def saved(path: Path, form: str, images: NDArray[np.uint8]) -> Path:
    if form == "npy":
        np.save(path / "images.npy", images.transpose(0, 3, 1, 2))
        return path / "images.npy"
    named = dict(zip(NAMES, images, strict=True))
    arrays = {"named": named, "ordered": {"arr_0": images, "labels": np.zeros(3)}}[form]
    np.savez_compressed(path / "images.npz", **arrays)
    return path / "images.npz"


def test_every_form_is_the_same_row(images: NDArray[np.uint8], tmp_path: Path) -> None:
    pairs = list(zip(NAMES, images, strict=True))
    forms = [
        images,
        torch.from_numpy(images).permute(0, 3, 1, 2),
        list(images),
        [Image.fromarray(image) for image in images],
        (image for image in images),
        reversed(pairs),
        dict(pairs),
        *(images_of_file(saved(tmp_path, form, images)) for form in ("npy", "named", "ordered")),
    ]
    sources = [opened(form) for form in forms]
    assert len({source.identity["source_sha256"] for source in sources}) == 1
    expected = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    for source in sources:
        assert torch.equal(source.floats([3, 1], []), expected[[3, 1]])


def test_floats_keep_their_bits_and_need_a_range() -> None:
    images = torch.rand(4, 3, 64, 64)
    assert torch.equal(opened(images, "[0,1]").floats(range(4), []), images)
    with pytest.raises(UserError, match="images of floats: no value range is declared"):
        opened(images)
    assert opened(images, "[0,1]").eight_bit == ""


def test_styles_are_stated_or_asked_for(images: NDArray[np.uint8]) -> None:
    assert any("its style input is not stated" in note for note in opened(images).notes)
    source = opened(images, style_input="real image")
    assert any("reconstruction" in note for note in source.notes)


def failing(images: NDArray[np.uint8]) -> Iterator[object]:
    yield from images[:2]
    raise OSError("disk is gone")


def test_wrong_images_are_named_at_once(images: NDArray[np.uint8]) -> None:
    pairs = list(zip(NAMES, images, strict=True))
    for given, told in (
        (images[:3], f"3 images for 4 label maps, .*without an image is {NAMES[3]}"),
        (np.concatenate([images, images[:1]]), "more than 4 images"),
        ([*pairs, ("stranger", images[0])], "'stranger' is no label map's name"),
        ([pairs[0], pairs[0]], f"'{NAMES[0]}' is given twice"),
        ([], f"0 images for 4 label maps, .*{NAMES[0]}"),
        (images[:, :32], rf"image for {NAMES[0]} is \(32, 64, 3\)"),
        (failing(images), "iterator raised OSError after 2 images: disk is gone"),
        (images[0], r"an array \(64, 64, 3\) was found"),
        (7, "int was found, expected a folder"),
    ):
        with pytest.raises(UserError, match=told):
            opened(given, "uint8")


class Bomb:
    def __reduce__(self) -> tuple[object, ...]:
        return (pytest.fail, ("code of a file was run",))


@pytest.mark.parametrize("form", ["npy", "npz"])
def test_pickles_are_not_run(tmp_path: Path, form: str) -> None:
    array, path = np.array([Bomb()], dtype=object), tmp_path / f"images.{form}"
    np.save(path, array) if form == "npy" else np.savez(path, arr_0=array)
    with pytest.raises(UserError, match=r"images\.np"):
        opened(images_of_file(path))


def test_sizes_are_judged_before_they_are_believed(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((2, 3), dtype=np.uint8))
    content = (tmp_path / "a.npy").read_bytes()
    huge = content.replace(b"(2, 3), }", b"(90000000000, 3), }".ljust(9))
    (tmp_path / "huge.npy").write_bytes(huge)
    with zipfile.ZipFile(tmp_path / "huge.npz", "w") as archive:
        archive.writestr("arr_0.npy", huge)
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("arr_0.npy", bytes(200 << 20))
    (tmp_path / "text.npz").write_text("no zip")
    for name in ("huge.npy", "huge.npz", "bomb.npz", "text.npz", "absent.npy"):
        with pytest.raises(UserError, match=name):
            opened(images_of_file(tmp_path / name))


def test_several_images_a_label_map_in_every_form(tmp_path: Path) -> None:
    """(N, K, H, W, 3) and lists of lists, mappings of lists, arrays (K, ...) and files."""
    images = np.random.default_rng(1).integers(0, 256, (4, 3, 64, 64, 3), dtype=np.uint8)
    np.save(tmp_path / "images.npy", images)
    np.savez(tmp_path / "images.npz", **dict(zip(NAMES, images, strict=True)))
    forms = [
        images,
        torch.from_numpy(images).permute(0, 1, 4, 2, 3),
        [list(of_map) for of_map in images],
        {name: [Image.fromarray(image) for image in of_map]
         for name, of_map in zip(NAMES, images, strict=True)},
        ((name, of_map) for name, of_map in reversed(list(zip(NAMES, images, strict=True)))),
        images_of_file(tmp_path / "images.npy"),
        images_of_file(tmp_path / "images.npz"),
    ]  # fmt: skip
    sources = [opened(form) for form in forms]
    assert len({source.identity["source_sha256"] for source in sources}) == 1
    expected = torch.from_numpy(images).permute(0, 1, 4, 2, 3).float() / 255
    for source in sources:
        assert source.num_draws == 3
        for draw in range(3):
            assert torch.equal(source.floats([3, 1], [], draw), expected[[3, 1], draw])


def test_a_label_map_with_fewer_images_is_named(images: NDArray[np.uint8]) -> None:
    given = {name: [image, image] for name, image in zip(NAMES, images, strict=True)}
    given[NAMES[2]] = given[NAMES[2]][:1]
    with pytest.raises(UserError, match=f"label map {NAMES[2]} has 1 of 2 images"):
        opened(given)
    with pytest.raises(UserError, match=f"label map {NAMES[0]} has 0 of 1 images"):
        opened({name: [] for name in NAMES}, "uint8")
