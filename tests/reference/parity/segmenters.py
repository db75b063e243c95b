# SPDX-License-Identifier: Apache-2.0
"""Scoring networks, their preprocessing, FID features and metrics against published code."""

import importlib
import importlib.util
import re
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from parity.case import DEVICE, Case, on_device
from parity.segmenter_case import (
    compare,
    compare_fast,
    compare_labels,
    image_of,
    input_of,
    load_filled,
    stages,
    thinned,
    weights_of,
)
from torch import Tensor

from spade_eval.metrics.frechet import frechet_distance
from spade_eval.metrics.inception import InceptionFeatures
from spade_eval.metrics.inception_network import inception_v3
from spade_eval.metrics.moments import FeatureMoments
from spade_eval.metrics.segmentation import SegmentationScores
from spade_eval.segmenters.deeplab_v2 import DeepLabV2
from spade_eval.segmenters.drn import DRN, bilinear_kernel
from spade_eval.segmenters.eight_bit import to_bytes
from spade_eval.segmenters.upernet import UperNet, input_size

_MULTI_SCALE = (0.5, 0.75, 1.25, 1.5, 1.75)  # DRN's, besides the full size


def check_segmenter(case: Case) -> None:
    """The check for the part of the file's name after `segmenter_`, by its longest prefix."""
    kind = case.path.stem.removeprefix("segmenter_")
    prefixes = [prefix for prefix in _KINDS if kind.startswith(prefix)]
    assert prefixes, f"no segmenter case is called {kind!r}; known: {', '.join(_KINDS)}"
    with torch.inference_mode():
        _KINDS[max(prefixes, key=len)](case)


def _check_deeplab_odd(case: Case) -> None:
    network = DeepLabV2(DeepLabV2.Config(sampling=case.meta.get("sampling", "nominal")))
    load_filled(case, network)
    x = input_of(case)
    with stages(case, network.base, case.meta["stage_mean_std_maxabs"]):
        logits = network.logits(x)
    compare(case, "logits_msc", logits)
    compare_labels(case, F.interpolate(logits, x.shape[-2:], mode="bilinear"))
    ratio, single = DeepLabV2.Config(sampling="ratio"), DeepLabV2.Config(scales=())
    for name, config in (("logits_msc_ratio", ratio), ("logits_single", single)):
        if name in case.arrays:
            other = DeepLabV2(config)
            other.base = network.base
            compare(case, name, other.logits(x))


def _check_deeplab_image(case: Case) -> None:
    network = DeepLabV2(DeepLabV2.Config(sampling=case.meta.get("sampling", "ratio")))
    load_filled(case, network)
    image = image_of(case)
    x = network.network_input(to_bytes(image))
    compare(case, "logits", network.logits(x))
    compare_labels(case, network(image))
    compare_fast(network, lambda: network.logits(x))


def _upernet(case: Case, sides: tuple[int, ...]) -> UperNet:
    network = UperNet(UperNet.Config(release="current", short_sides=sides))
    # Two files, each with names of its own.
    load_filled(case, network.encoder)
    load_filled(case, network.decoder)
    return network.to(DEVICE)


def _check_upernet_odd(case: Case) -> None:
    network = _upernet(case, ())
    x = input_of(case)
    known = case.meta["stage_mean_std_maxabs"]
    with stages(case, network.encoder, {n: v for n, v in known.items() if n[:5] == "layer"}):
        maps = network.encoder(x)
    with stages(case, network.decoder, {n: v for n, v in known.items() if n[:5] != "layer"}):
        raw = network.decoder(maps)
    for number, stage in enumerate(maps, start=1):
        compare(case, f"layer{number}", stage)
    compare(case, "raw", raw)
    probabilities = F.interpolate(raw, x.shape[-2:], mode="bilinear").softmax(dim=1)
    compare(case, "prob", probabilities)
    compare_labels(case, probabilities)


def _check_upernet_image(case: Case) -> None:
    """One or several input sizes."""
    sides = tuple(case.meta["imgSizes"])
    network, image = _upernet(case, sides), image_of(case)
    for side, size in zip(sides, case.meta.get("input_sizes", ()), strict=False):
        assert list(input_size(tuple(image.shape[-2:]), side)) == size
    if "raw" in case.arrays:
        x = network.network_input(to_bytes(image), sides[0])
        compare(case, "raw", network.decoder(network.encoder(x)))
    probabilities = network(image)
    compare(case, "score", probabilities)
    compare_labels(case, probabilities)
    if "raw" in case.arrays:
        compare_fast(network, lambda: network.decoder(network.encoder(x)))


def _drn(case: Case, scales: tuple[float, ...] = ()) -> DRN:
    network = DRN(DRN.Config(scales=scales))
    constructed = case.meta["up_weight"].startswith("constructed")
    load_filled(case, network, kept=("up.weight",) if constructed else ())
    return network


def _check_drn_odd(case: Case) -> None:
    kernel = case.tensor("up_kernel_constructed")
    case.close("up_kernel_constructed", bilinear_kernel(), kernel, 0.0)
    network = _drn(case)
    x = input_of(case)
    with stages(case, network, case.meta["stage_mean_std_maxabs"]):
        compare(case, "seg", network.scores(x))
    compare(case, "logprob", network.log_probabilities(x))
    compare_labels(case, network.log_probabilities(x))


def _check_drn_image(case: Case) -> None:
    network, image = _drn(case), image_of(case)
    x = network.network_input(to_bytes(image))
    compare(case, "seg", network.scores(x))
    log_probabilities = network.log_probabilities(x)
    compare(case, "logprob", log_probabilities)
    compare_labels(case, log_probabilities)
    if log_probabilities.shape[-2:] == image.shape[-2:]:
        assert torch.equal(network(image), log_probabilities)
    compare_fast(network, lambda: network.scores(x))


def _check_drn_multiscale(case: Case) -> None:
    network, image = _drn(case, _MULTI_SCALE), image_of(case)
    height, width = image.shape[-2:]
    sizes = [[int(height * scale), int(width * scale)] for scale in (1.0, *_MULTI_SCALE)]
    assert sizes == case.meta["input_sizes"]
    score = network(image)
    compare(case, "score", score)
    compare_labels(case, score)


def _check_inception(case: Case) -> None:
    network = InceptionFeatures(weights_of(case, inception_v3())).to(DEVICE)
    names = [name for name in case.arrays if name.startswith("feat_")]
    for name, tag in zip(names, case.meta["tags"], strict=True):
        side = int(name.removeprefix("feat_"))
        generator = np.random.Generator(np.random.PCG64(zlib.crc32(tag.encode())))
        levels = generator.integers(0, 256, (len(case.arrays[name]), 3, side, side), np.uint8)
        # Ends of three of the four blocks in meta; the last one's are the features.
        blocks = case.meta.get(f"blocks_{side}", [])
        known = dict(zip(("maxpool1", "maxpool2", "Mixed_6e"), blocks, strict=False))
        with stages(case, network.network, known):
            compare(case, name, network(on_device(levels).float() / 255))
    pixels = on_device(levels)
    compare_fast(network, lambda: network(pixels))


def _check_preprocess(case: Case) -> None:
    pixels = torch.from_numpy(case.arrays["image"]).permute(2, 0, 1)[None]
    meta = case.meta
    small: dict[str, Any] = {"blocks": (1, 1, 1, 1), "base_channels": 2, "num_classes": 2}
    deeplab, drn = DeepLabV2(DeepLabV2.Config(**small)), DRN(DRN.Config(**small))
    _compare_input(case, "deeplab", deeplab.network_input(pixels), meta["deeplab"])
    _compare_input(case, "drn", drn.network_input(pixels), meta["drn"])
    for index, scale in enumerate(meta["drn_scales"]):
        x = drn.network_input(pixels, scale)
        _compare_input(case, f"drn_ms_{index}", x, meta["drn_ms"][index])
    current = UperNet(UperNet.Config(release="current", decoder_channels=2, **small))
    for index, side in enumerate(meta["upernet_imgsizes"]):
        x = current.network_input(pixels, side)
        _compare_input(case, f"upernet_{index}", x, meta["upernet"][index])
    for name in case.arrays:
        single = re.fullmatch(r"upernet_(\d+)", name)
        if single and name in meta:  # named by its short side, the others by their index
            x = current.network_input(pixels, int(single[1]))
            _compare_input(case, name, x, meta[name])
    if importlib.util.find_spec("cv2") is None:
        return
    # The demo of DeepLab's authors, not their evaluation: longer side to 513.
    factor = 513 / max(pixels.shape[-2:])
    demo = importlib.import_module("cv2").resize(case.arrays["image"], None, fx=factor, fy=factor)
    x = deeplab.network_input(torch.from_numpy(demo).permute(2, 0, 1)[None])
    _compare_input(case, "deeplab_demo513", x, meta["deeplab_demo513"], 1.0)
    legacy = UperNet(UperNet.Config(release="legacy", decoder_channels=2, **small))
    for index, side in enumerate(meta["upernet_legacy_imgsizes"]):
        x = legacy.network_input(pixels, side)
        _compare_input(case, f"upernet_legacy_{index}", x, meta["upernet_legacy"][index], 1.0)


def _compare_input(
    case: Case, name: str, x: Tensor, whole: list[Any], tolerance: float | None = None
) -> None:
    """`whole` holds the whole array's shape, sum and sum of squares.

    A tolerance of one grey level is for OpenCV, whose versions round differently.
    """
    x = x[0].double()
    assert list(x.shape) == whole[0]
    expected = np.asarray(case.arrays[name])
    largest = 1e-6 * float(np.abs(expected).max())
    case.close(name, thinned(case, name, x), expected, tolerance or largest)
    sums = torch.stack([x.sum() / whole[1], x.square().sum() / whole[2]])
    case.close(f"{name} sums", sums, np.ones(2), 1e-3 if tolerance else 1e-6)


def _check_confusion(case: Case) -> None:
    classes, averages = case.meta["classes"], ("target", "union", "all")
    scores = {
        average: SegmentationScores(classes, case.meta["ignore"], averaged=average)
        for average in averages
    }
    pairs = [name.removeprefix("gt") for name in case.arrays if name.startswith("gt")]
    for score in scores.values():
        for pair in pairs:
            score.update(case.tensor(f"pred{pair}")[None], case.tensor(f"gt{pair}")[None])
    hist = np.asarray(case.arrays["hist"])
    expected = np.stack([hist.diagonal(), hist.sum(axis=1), hist.sum(axis=0)])
    case.close("hist", scores["union"].counts, expected, 0)
    values = {average: score.compute() for average, score in scores.items()}
    found = {
        "deeplab_mean_iou": values["target"]["miou"],
        "deeplab_pixel_acc": values["target"]["acc_valid"],
        "deeplab_mean_acc": values["target"]["mean_accuracy"],
        "deeplab_fw_iou": values["target"]["fwiou"],
        "drn_mean_iou": values["union"]["miou"],
        "csail_mean_iou": values["all"]["miou"],
        "csail_pixel_acc": values["all"]["acc_valid"],
        "void_as_error_pixel_acc": values["union"]["acc_all"],
        "mmseg_mean_iou_nanmean": values["union"]["miou"],
        "mmseg_mAcc_nanmean": values["union"]["mean_accuracy"],
        "mmseg_aAcc": values["union"]["acc_valid"],
    }
    for name, value in found.items():
        # mmseg counts in float32; the ADE20K code adds 1e-10 to denominators.
        tolerance = 1e-7 if name.startswith("mmseg") else 1e-9
        case.close(name, torch.tensor(value, dtype=torch.float64), case.arrays[name], tolerance)
    per_class = {"deeplab": "target", "drn": "union", "csail": "all", "mmseg": "union"}
    for repository, average in per_class.items():
        iou = scores[average].per_class_iou()
        averaged = [k for k in range(classes) if iou[k] is not None]
        found_iou = torch.tensor([iou[k] for k in averaged], dtype=torch.float64)
        # The repositories also give IoUs of classes that they leave out of the mean.
        expected = case.arrays[f"{repository}_class_iou"][averaged]
        case.close(f"{repository} iou", found_iou, expected, 1e-7)


def _check_fid(case: Case) -> None:
    for name in [name for name in case.arrays if name.startswith("fid_")]:
        first, second = (_moments(case.arrays[part]) for part in name.split("_")[1:])
        full_rank = not (first.is_rank_deficient or second.is_rank_deficient)
        distance = torch.tensor(frechet_distance(first, second), dtype=torch.float64)
        tolerance = 1e-9 if full_rank else 1e-6
        case.close(name, distance.expand(len(case.arrays[name])), case.arrays[name], tolerance)


def _moments(features: NDArray[np.float16]) -> FeatureMoments:
    moments = FeatureMoments(features.shape[1])
    moments.update(torch.from_numpy(features.astype(np.float64)))
    return moments


_KINDS: dict[str, Callable[[Case], None]] = {
    "confusion": _check_confusion,
    "deeplab_image": _check_deeplab_image,
    "deeplab_odd": _check_deeplab_odd,
    "drn_image": _check_drn_image,
    "drn_multiscale": _check_drn_multiscale,
    "drn_odd": _check_drn_odd,
    "fid": _check_fid,
    "inception": _check_inception,
    "preprocess": _check_preprocess,
    "upernet_image": _check_upernet_image,
    "upernet_multiscale": _check_upernet_image,
    "upernet_odd": _check_upernet_odd,
}
