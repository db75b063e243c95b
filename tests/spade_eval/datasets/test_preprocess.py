# SPDX-License-Identifier: Apache-2.0
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from spade_eval.datasets import files, preprocess
from spade_eval.datasets.coco_stuff import LABEL_FILES, CocoStuff
from spade_eval.datasets.preprocess import Placement, Preprocessing
from spade_eval.errors import UserError

Parity = Callable[[str], tuple[Any, dict[str, Any]]]
UNKNOWN_CHANNEL = 182  # what the stored runs hold for label value 255


def edges_of(instance_map: NDArray[np.int32]) -> NDArray[np.uint8]:
    """Pixels whose id differs from one of the four neighbours."""
    edges = np.zeros(instance_map.shape, dtype=np.uint8)
    across = instance_map[:, 1:] != instance_map[:, :-1]
    down = instance_map[1:] != instance_map[:-1]
    edges[:, 1:] |= across
    edges[:, :-1] |= across
    edges[1:] |= down
    edges[:-1] |= down
    return edges


def test_evaluation_equals_the_reference(sample_root: Path, parity: Parity) -> None:
    arrays, meta = parity("preprocess_coco_val_256")
    dataset = CocoStuff("val", (256, 256), sample_root)
    sample = dataset[dataset.names.index(Path(meta["file"]).stem)]
    assert sample.instance_map is not None
    channels = np.where(sample.label_map == 255, UNKNOWN_CHANNEL, sample.label_map).astype(int)
    np.testing.assert_array_equal(channels, arrays["out_label"])
    np.testing.assert_array_equal(sample.instance_map, arrays["out_instance"])
    edges = edges_of(sample.instance_map)
    np.testing.assert_array_equal(edges, arrays["out_edge"])
    photo = sample.photo.transpose(2, 0, 1).astype(int)
    # One grey level: JPEG decoders and Pillow versions may round differently.
    assert np.abs(photo - arrays["out_image_u8"]).max() <= 1
    counts = np.append(np.bincount(channels.ravel(), minlength=183), edges.sum())
    np.testing.assert_array_equal(counts, arrays["out_semantics_channel_counts"])


@pytest.mark.parametrize("number", range(9))
def test_modes_equal_the_reference(number: int, sample_root: Path, parity: Parity) -> None:
    arrays, meta = parity("preprocess_modes_coco785")
    spec = meta["modes"][number]["spec"]
    crop = spec["crop_size"]
    settings = Preprocessing(
        mode=spec["preprocess_mode"],
        load_size=(spec["load_size"], spec["load_size"]),
        crop_size=(round(crop / spec.get("aspect_ratio", 1.0)), crop),
    )
    left, top = spec["params"]["crop_pos"]
    placement = Placement(top=top, left=left, flip=spec["params"]["flip"])
    label_map = LABEL_FILES.read(sample_root / "val_label" / meta["label_file"])
    photo = files.read_photo(sample_root / "val_img" / meta["image_file"])
    found = settings.apply_map(label_map, placement)
    channels = np.where(found == 255, UNKNOWN_CHANNEL, found)
    np.testing.assert_array_equal(channels, arrays[f"out_label_{number}"])
    stride = meta["image_stride"]
    thinned = settings.apply_photo(photo, placement)[::stride, ::stride].transpose(2, 0, 1)
    # One grey level: JPEG decoders and Pillow versions may round differently.
    assert np.abs(thinned.astype(int) - arrays[f"out_image_u8_{number}"]).max() <= 1


@pytest.mark.parametrize(
    ("mode", "original", "expected"),
    [
        ("resize_and_crop", (30, 40), (100, 120)),
        ("crop", (30, 40), (30, 40)),
        ("scale_width", (50, 41), (146, 120)),  # int(120 * 50 / 41) = int(146.3)
        ("scale_shortside", (425, 640), (425, 150)),  # short side left alone: the slip kept
        ("scale_shortside", (640, 425), (150, 425)),
        ("scale_shortside", (100, 640), (100, 640)),  # a no-op when the short side fits already
        ("fixed", (30, 40), (64, 128)),
        ("none", (425, 640), (416, 640)),
    ],
)
def test_resized(mode: str, original: tuple[int, int], expected: tuple[int, int]) -> None:
    settings = Preprocessing(mode=mode, load_size=(100, 120), crop_size=(64, 128))
    assert settings.resized(original) == expected
    assert settings.apply_map(np.zeros(original, dtype=np.uint8), Placement()).shape == (
        (64, 128) if "crop" in mode else expected
    )


def test_unknown_mode_is_refused_with_near_names() -> None:
    with pytest.raises(UserError, match="did you mean scale_width"):
        Preprocessing(mode="scale_widht", load_size=(8, 8), crop_size=(8, 8))


@pytest.mark.parametrize(
    ("size", "load_size"),
    [((256, 256), (286, 286)), ((64, 128), (72, 143)), ((32, 32), (36, 36))],
)
def test_training_load_size_is_in_proportion(
    size: tuple[int, int], load_size: tuple[int, int]
) -> None:
    assert preprocess.training(size).load_size == load_size


def test_crop_and_flip_hit_all_arrays_alike() -> None:
    """Coordinates written into all three arrays stay together through crop and flip."""
    height, width = 72, 72  # already the load size, so nothing is interpolated
    rows, columns = np.mgrid[:height, :width].astype(np.int32)
    photo = np.stack([rows, columns, rows], axis=-1).astype(np.uint8)
    settings = preprocess.training((64, 64))
    for index in range(8):
        generator = preprocess.sample_generator(0, 0, index)
        placement = settings.draw((height, width), generator)
        found = settings.apply_photo(photo, placement)
        np.testing.assert_array_equal(found[..., 0], settings.apply_map(rows, placement))
        np.testing.assert_array_equal(
            found[..., 1], settings.apply_map(columns.astype(np.uint8), placement)
        )
        assert found[0, 0, 0] == placement.top
        assert found[0, -1 if placement.flip else 0, 1] == placement.left


def test_draws_cover_every_position_and_both_flips() -> None:
    settings = Preprocessing(mode="crop", load_size=(0, 0), crop_size=(8, 8))
    drawn = [
        settings.draw((10, 9), preprocess.sample_generator(1, epoch, index))
        for epoch in range(10)
        for index in range(30)
    ]
    # 12 equally likely outcomes, 300 draws: one stays out with probability below 1e-9.
    expected = {(t, x, f) for t in range(3) for x in range(2) for f in (False, True)}
    assert {(d.top, d.left, d.flip) for d in drawn} == expected


def test_crop_larger_than_the_sample_starts_at_its_corner() -> None:
    settings = Preprocessing(mode="crop", load_size=(0, 0), crop_size=(8, 8))
    placement = settings.draw((5, 6), preprocess.sample_generator(0, 0, 0))
    assert (placement.top, placement.left) == (0, 0)
    found = settings.apply_map(np.full((5, 6), 3, dtype=np.uint8), Placement())
    assert (found[:5, :6] == 3).all()
    assert found.sum() == 3 * 30  # zeros beyond, as in the release


def test_maps_gain_no_new_ids_and_keep_16_bits() -> None:
    ids = np.random.default_rng(0).choice(np.array([7, 40000, 65535], dtype=np.int32), (37, 53))
    found = preprocess.evaluation((64, 32)).apply_map(ids, Placement())
    assert found.dtype == np.int32
    assert set(np.unique(found)) == {7, 40000, 65535}


def test_label_and_instance_maps_are_sampled_at_the_same_pixels() -> None:
    ids = np.random.default_rng(0).integers(0, 182, (37, 53), dtype=np.uint8)
    settings = preprocess.training((64, 32))
    placement = settings.draw((37, 53), preprocess.sample_generator(0, 1, 2))
    as_instances = settings.apply_map(ids.astype(np.int32), placement)
    np.testing.assert_array_equal(settings.apply_map(ids, placement), as_instances)


def test_photo_resize_is_pillow_bicubic() -> None:
    photo = np.random.default_rng(0).integers(0, 256, (31, 47, 3), dtype=np.uint8)
    found = preprocess.evaluation((16, 64)).apply_photo(photo, Placement())
    expected = Image.fromarray(photo).resize((64, 16), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(found, np.asarray(expected))
