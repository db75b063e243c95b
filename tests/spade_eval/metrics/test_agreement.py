# SPDX-License-Identifier: Apache-2.0
"""Our numbers against libraries that compute the same quantity, run live where they import.

pytorch-fid's distance and SciPy's root are in `test_frechet.py`, scikit-learn's confusion matrix in
`test_segmentation.py`. Of torchmetrics only what is the same quantity is compared: its mean IoU of
segmentation averages over images and is not.
"""

import importlib
import warnings
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from spade_eval.metrics.fid_profiles import FID_PROFILES
from spade_eval.metrics.frechet import frechet_distance
from spade_eval.metrics.inception import InceptionFeatures
from spade_eval.metrics.inception_network import inception_v3
from spade_eval.metrics.lpips import LPIPS
from spade_eval.metrics.moments import FeatureMoments
from spade_eval.metrics.ms_ssim import ms_ssim
from spade_eval.metrics.segmentation import SegmentationScores

NUM_CLASSES = 12
ABSENT, ONLY_PREDICTED = 11, 10


def library(name: str) -> ModuleType:
    """A module, or a skip that says why it cannot be imported: torchvision may not fit torch."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return importlib.import_module(name)
        except (ImportError, RuntimeError) as error:
            pytest.skip(f"{name} cannot be imported here: {str(error).splitlines()[0]}")


@pytest.fixture(scope="module")
def label_maps() -> list[tuple[Tensor, Tensor]]:
    """Batches of two sizes, with a class in neither map, one only predicted, and ignored pixels."""
    generator = torch.Generator().manual_seed(0)
    batches = []
    for size in ((2, 17, 23), (1, 40, 31)):
        target = torch.randint(0, ONLY_PREDICTED, size, generator=generator)
        wrong = torch.rand(size, generator=generator) < 0.4
        guess = torch.randint(0, ABSENT, size, generator=generator)
        prediction = torch.where(wrong, guess, target)
        target[torch.rand(size, generator=generator) < 0.1] = 255
        batches.append((prediction, target))
    return batches


def scores_of(label_maps: list[tuple[Tensor, Tensor]]) -> SegmentationScores:
    scores = SegmentationScores(NUM_CLASSES, averaged="union")
    for prediction, target in label_maps:
        scores.update(prediction, target)
    return scores


def test_equals_mmsegmentation(label_maps: list[tuple[Tensor, Tensor]]) -> None:
    """Its IoUMetric leaves out classes in neither map (nanmean) and counts predicted ones as 0."""
    metric = library("mmseg.evaluation.metrics").IoUMetric
    areas: list[Tensor] = [torch.zeros(NUM_CLASSES) for _ in range(4)]
    for prediction, target in label_maps:
        for image, truth in zip(prediction, target, strict=True):
            found = metric.intersect_and_union(image, truth, NUM_CLASSES, 255)
            areas = [total + area for total, area in zip(areas, found, strict=True)]
    theirs: dict[str, Any] = metric.total_area_to_metrics(*areas, metrics=["mIoU"])
    scores = scores_of(label_maps)
    ours = scores.compute()
    expected = [None if np.isnan(value) else value for value in theirs["IoU"]]
    computed = scores.per_class_iou()
    assert computed[ABSENT] is expected[ABSENT] is None
    assert computed[ONLY_PREDICTED] == 0
    # It divides float32 counts.
    assert computed[:ABSENT] == pytest.approx(expected[:ABSENT], rel=1e-6)
    assert ours["miou"] == pytest.approx(np.nanmean(theirs["IoU"]), rel=1e-6)
    assert ours["acc_valid"] == pytest.approx(theirs["aAcc"], rel=1e-6)
    # Classes without ground truth have no accuracy there either.
    assert ours["mean_accuracy"] == pytest.approx(np.nanmean(theirs["Acc"]), rel=1e-6)


def test_jaccard_index_equals_torchmetrics(label_maps: list[tuple[Tensor, Tensor]]) -> None:
    index = library("torchmetrics.classification").MulticlassJaccardIndex(
        num_classes=NUM_CLASSES, average="macro", ignore_index=255
    )
    for prediction, target in label_maps:
        index.update(prediction, target)
    # Its result is float32.
    assert scores_of(label_maps).compute()["miou"] == pytest.approx(
        index.compute().item(), rel=1e-6
    )


class FirstPixels(nn.Module):
    """Stands in for Inception: 32 pixels of an image are its features."""

    num_features = 32

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1)[:, : self.num_features].double()


def test_distance_equals_torchmetrics() -> None:
    fid = library("torchmetrics.image.fid").FrechetInceptionDistance(
        feature=FirstPixels(), input_img_size=(3, 4, 4)
    )
    moments = []
    for seed, is_real in ((0, True), (1, False)):
        generator = torch.Generator().manual_seed(seed)
        images = torch.randint(0, 200 + 55 * seed, (300, 3, 4, 4), generator=generator)
        fid.update(images.to(torch.uint8), real=is_real)
        moments.append(FeatureMoments(32))
        moments[-1].update(FirstPixels()(images))
    # Its result is cast to float32.
    assert frechet_distance(*moments) == pytest.approx(fid.compute().item(), rel=1e-5)


def draw_images(size: tuple[int, int], seed: int, channels: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(2, channels, 12, 12, generator=generator)
    smooth = nn.functional.interpolate(coarse, size, mode="bilinear")
    return 0.7 * smooth + 0.3 * torch.rand(2, channels, *size, generator=generator)


def test_ms_ssim_equals_pytorch_msssim() -> None:
    """At sides that stay even: it pads odd ones with zeros."""
    measure = library("pytorch_msssim")
    x, y = (draw_images((256, 192), seed).double() for seed in (2, 3))
    y = 0.7 * x + 0.3 * y
    expected = measure.ms_ssim(x, y, data_range=1.0, size_average=False)
    # Its window is rounded to float32.
    np.testing.assert_allclose(ms_ssim(x, y).numpy(), expected.numpy(), rtol=1e-5)


@pytest.mark.slow
def test_imagenet_inception_equals_torchvision() -> None:
    """Random weights in torchvision's network; its state dict, classifiers and all, in ours."""
    models = library("torchvision.models")
    with torch.random.fork_rng():
        network = models.inception_v3(weights=None, init_weights=False).eval()
    network.fc = nn.Identity()
    generator = torch.Generator().manual_seed(0)
    for value in network.state_dict().values():
        if value.ndim == 4:
            fan_in = value[0].numel()
            value.copy_(torch.randn(value.shape, generator=generator) * 1.3 / fan_in**0.5)
        elif value.is_floating_point():
            value.copy_(torch.rand(value.shape, generator=generator) * 0.2 + 0.5)
    profile = FID_PROFILES["legacy-2019a"]
    images = torch.randint(0, 256, (2, 3, 80, 120), generator=generator, dtype=torch.uint8)
    with torch.inference_mode():
        expected = network(profile.network_input(images))
        computed = InceptionFeatures(network.state_dict(), profile)(images)
    # Float32 convolutions in another order; pools of the other graph are off by more than 1.
    assert expected.std() > 0
    assert (computed - expected).abs().max() < 1e-4 * expected.std()


def test_imagenet_inception_takes_the_names_of_torchvision() -> None:
    models = library("torchvision.models")
    with torch.device("meta"):
        theirs = models.inception_v3(weights=None, init_weights=False).state_dict()
    ours = inception_v3("torchvision").state_dict()
    left = {name for name in theirs if not name.startswith(("fc.", "AuxLogits."))}
    assert left == set(ours)
    assert all(theirs[name].shape == value.shape for name, value in ours.items())


def test_lpips_backbone_equals_torchvision() -> None:
    models = library("torchvision.models")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        alexnet = models.alexnet(weights=None).eval()
    linear = {
        f"lin{layer}.model.1.weight": torch.ones(1, width, 1, 1)
        for layer, width in enumerate((64, 192, 384, 256, 256))
    }
    network = LPIPS(alexnet.state_dict(), linear)
    images = torch.rand(2, 3, 70, 90, generator=torch.Generator().manual_seed(0))
    described = network.describe(images)
    x = (2 * images - 1 - network.shift) / network.scale
    expected = []
    for layer in alexnet.features:
        x = layer(x)
        if isinstance(layer, nn.ReLU):
            expected.append(nn.functional.normalize(x, dim=1, eps=1e-10).detach().clone())
    assert len(expected) == len(described) == 5
    for ours, theirs in zip(described, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
