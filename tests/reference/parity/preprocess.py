# SPDX-License-Identifier: Apache-2.0
"""Resized, cropped and flipped samples against the reference's, made from the same photos.

The photos are sample files that may not be in this repository; without them the cases are skipped.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from parity.case import Case, layout_of

from spade_eval.datasets.coco_stuff import LABEL_FILES
from spade_eval.datasets.files import read_instance_map, read_photo
from spade_eval.datasets.preprocess import Placement, Preprocessing
from spade_eval.models.semantics import SemanticMap

SAMPLES = Path(__file__).resolve().parents[4] / "shared" / "samples" / "coco_stuff"
COCO_CLASSES = 182  # the reference puts label value 255 into the channel after them
# Decoders of JPEG and versions of Pillow may round differently.
GREY_LEVEL = 1.0


def check_preprocess(case: Case) -> None:
    """One sample as the options load it, or one sample in several modes."""
    if "modes" in case.meta:
        for number, mode in enumerate(case.meta["modes"]):
            _check_mode(case, number, mode)
    else:
        _check_sample(case)


def _check_mode(case: Case, number: int, mode: Mapping[str, Any]) -> None:
    settings, placement = _settings(mode["spec"]), _placement(mode["spec"])
    split = case.meta.get("split", "val")
    labels = _read(split, "label", case.meta["label_file"], LABEL_FILES.read)
    photo = _read(split, "img", case.meta["image_file"], read_photo)
    channels = _channels(settings.apply_map(labels, placement), COCO_CLASSES)
    case.close(f"out_label_{number}", channels, case.arrays[f"out_label_{number}"], 0.0)
    photo = settings.apply_photo(photo, placement)
    _compare_photo(case, f"out_image_u8_{number}", photo, mode["image_mean_per_channel"])


def _check_sample(case: Case) -> None:
    settings, placement = _settings(case.options), _placement(case.options)
    split, stem = case.meta.get("split", "val"), Path(case.meta["file"]).stem
    layout = layout_of(case.options)
    read = _read(split, "label", f"{stem}.png", LABEL_FILES.read)
    labels = settings.apply_map(read, placement)
    case.close("out_label", _channels(labels, layout.num_classes), case.arrays["out_label"], 0.0)
    instances = None
    if layout.edges:
        read = _read(split, "inst", f"{stem}.png", read_instance_map)
        instances = torch.tensor(settings.apply_map(read, placement))[None]
        case.close("out_instance", instances[0], case.arrays["out_instance"], 0.0)
    photo = settings.apply_photo(_read(split, "img", case.meta["file"], read_photo), placement)
    _compare_photo(case, "out_image_u8", photo, case.meta["image_mean_per_channel"])
    semantics = SemanticMap(torch.tensor(labels)[None], layout, instances).full
    assert list(semantics.shape) == case.meta["semantics_shape"]
    name = "out_semantics_channel_counts"
    case.close(name, semantics.sum(dim=(0, 2, 3)), case.arrays[name], 0.0)
    if layout.edges:
        case.close("out_edge", semantics[0, -1], case.arrays["out_edge"], 0.0)


def _settings(spec: Mapping[str, Any]) -> Preprocessing:
    crop = spec["crop_size"]
    return Preprocessing(
        mode=spec["preprocess_mode"],
        load_size=(spec["load_size"], spec["load_size"]),
        crop_size=(round(crop / spec.get("aspect_ratio", 1.0)), crop),
    )


def _placement(spec: Mapping[str, Any]) -> Placement:
    drawn = spec.get("params", {"crop_pos": (0, 0), "flip": False})
    left, top = drawn["crop_pos"]
    return Placement(top=top, left=left, flip=drawn["flip"])


def _read(split: str, kind: str, name: str, read: Any) -> Any:
    path = SAMPLES / f"{split}_{kind}" / name
    if not path.is_file():
        pytest.skip(f"the sample photo {name} is not part of the repository")
    return read(path)


def _channels(labels: NDArray[np.uint8], unknown_channel: int) -> torch.Tensor:
    return torch.from_numpy(np.where(labels == 255, unknown_channel, labels))


def _compare_photo(case: Case, name: str, photo: NDArray[np.uint8], means: list[float]) -> None:
    """Every `image_stride`-th pixel, and the mean over all pixels in the networks' [-1, 1]."""
    stride = case.meta.get("image_stride", 1)
    pixels = torch.from_numpy(photo.transpose(2, 0, 1).astype(np.float64))
    case.close(name, pixels[:, ::stride, ::stride], case.arrays[name], GREY_LEVEL)
    mean = pixels.mean(dim=(1, 2)) / 127.5 - 1
    case.close(f"{name} mean", mean, means, GREY_LEVEL / 127.5)
