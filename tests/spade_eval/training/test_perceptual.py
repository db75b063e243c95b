# SPDX-License-Identifier: Apache-2.0
"""Whose features the perceptual loss compares: chosen by what is installed, said in the row."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from spade_eval.datasets.scenes import Scenes
from spade_eval.errors import UserError
from spade_eval.models.checkpoints.safe_load import load_tensors
from spade_eval.models.losses.domain_invariant import DomainInvariantLoss
from spade_eval.models.losses.efficientnet_lite0 import EfficientNetLite0
from spade_eval.models.losses.perceptual import LITE0_SHARES, OF_DIFFERENT_PHOTOS, PerceptualLoss
from spade_eval.models.systems.conditional_gan import ConditionalGAN
from spade_eval.models.systems.crn import CRN
from spade_eval.models.systems.presets import GENERATORS
from spade_eval.training import perceptual
from spade_eval.weights import LITE0, VGG16, VGG19, installed, is_installed

SPADE = GENERATORS["spade"].system


@pytest.fixture(params=[*LITE0_SHARES, "in-domain"])
def loss(request: pytest.FixtureRequest, tmp_path: Path) -> PerceptualLoss:
    if request.param in LITE0_SHARES and not is_installed(LITE0, tmp_path):
        pytest.skip("the extra `features` is not installed")
    measure = perceptual.measure_of(request.param, ConditionalGAN, "scenes", tmp_path)
    assert isinstance(measure, PerceptualLoss)
    return measure


@pytest.fixture(scope="module")
def photos() -> Tensor:
    """(64, 3, 64, 64) photos in [-1, 1]."""
    scenes = Scenes("train", (64, 64), length=64)
    images = [torch.tensor(scenes[index].photo).permute(2, 0, 1) for index in range(64)]
    return torch.stack(images) / 127.5 - 1


def test_the_best_that_is_there_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for there, expected in (((VGG19, LITE0), "vgg19"), ((LITE0,), "lite0"), ((), "none")):
        monkeypatch.setattr(perceptual, "is_installed", lambda file, _, t=there: file in t)
        assert perceptual.resolved(None, SPADE, "scenes", tmp_path) == expected
        assert perceptual.resolved("none", SPADE, "scenes", tmp_path) == "none"
    monkeypatch.setattr(perceptual, "is_installed", lambda file, _: file == LITE0)
    # Its loss is the features of VGG-19, so nothing can stand in.
    assert perceptual.resolved(None, CRN, "scenes", tmp_path) == "none"
    assert perceptual.resolved("in-domain", CRN, "scenes", tmp_path) == "none"


def test_munit_and_unit_compare_vgg16_and_nothing_stands_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    munit = GENERATORS["munit"].system
    monkeypatch.setattr(perceptual, "is_installed", lambda file, _: file == VGG16)
    assert perceptual.resolved(None, munit, "cityscapes", tmp_path) == "vgg16"
    assert perceptual.resolved(None, SPADE, "cityscapes", tmp_path) == "none"
    monkeypatch.setattr(perceptual, "is_installed", lambda file, _: file in (VGG19, LITE0))
    assert perceptual.resolved(None, munit, "cityscapes", tmp_path) == "none"
    assert perceptual.resolved("in-domain", munit, "scenes", tmp_path) == "none"
    for asked, system, own in (("vgg19", munit, "vgg16"), ("vgg16", SPADE, "vgg19")):
        with pytest.raises(UserError, match=f"the loss of {system.name} is of {own}"):
            perceptual.resolved(asked, system, "scenes", tmp_path)
    measure = perceptual.without_content("vgg16", munit)
    assert isinstance(measure, DomainInvariantLoss)


def test_what_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"vgg19-dcbb9e9d.pth is not in"):
        perceptual.resolved("vgg19", SPADE, "scenes", tmp_path)
    with pytest.raises(UserError, match="--perceptual in-domain needs the segmenter that ships"):
        perceptual.resolved("in-domain", SPADE, "cocostuff", tmp_path)


def test_each_stand_in_is_named_in_the_row() -> None:
    assert perceptual.notes("vgg19") == ()
    assert "EfficientNet-Lite0" in perceptual.notes("lite0")[0]
    assert perceptual.notes("lite0-coarse")[0].endswith("; blocks 10, 15")
    assert "suspect" in perceptual.notes("in-domain")[0]


def test_different_photos_are_as_far_apart_as_stated(
    loss: PerceptualLoss, photos: Tensor, request: pytest.FixtureRequest
) -> None:
    """The constants are means over 256 pairs; of 64 pairs, 6% is three standard errors."""
    distance = loss(photos, photos.roll(1, 0)).item()
    assert distance == pytest.approx(OF_DIFFERENT_PHOTOS, rel=0.06)
    found = loss.per_layer(photos, photos.roll(1, 0)) * torch.tensor(loss.weights)
    shares = LITE0_SHARES.get(request.node.callspec.params["loss"])
    stated = [*shares.values()] if shares else [1 / len(found)] * len(found)
    assert (found / OF_DIFFERENT_PHOTOS).tolist() == pytest.approx(stated, rel=0.1)


def test_it_grows_with_damage_and_has_gradients(loss: PerceptualLoss, photos: Tensor) -> None:
    noise = torch.randn(photos.shape, generator=torch.Generator().manual_seed(0))
    blurred = F.avg_pool2d(photos, 3, 1, 1)
    assert loss(photos, photos).item() == 0
    assert 0 < loss(photos + 0.02 * noise, photos) < loss(photos + 0.2 * noise, photos)
    assert 0 < loss(blurred, photos) < OF_DIFFERENT_PHOTOS
    made = photos[:2].clone().requires_grad_()
    loss(made, photos[2:4]).backward()
    assert made.grad is not None
    assert made.grad.abs().sum() > 0
    assert not any(parameter.requires_grad for parameter in loss.parameters())
    assert not loss.train().training


def test_a_checkerboard_does_not_pass_unseen(tmp_path: Path, photos: Tensor) -> None:
    """The reason for enlarging: at its own size, Lite0's first convolution steps over it."""
    if not is_installed(LITE0, tmp_path):
        pytest.skip("the extra `features` is not installed")
    network = EfficientNetLite0().load(load_tensors(installed(LITE0, tmp_path)))
    rows, columns = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
    board = photos + 0.2 * (1 - 2 * ((rows + columns) % 2).float())

    def seen(enlarged: int) -> float:
        """The board's distance from the photos, against that of other photos."""
        images = [F.interpolate(x, scale_factor=float(enlarged), mode="bilinear")
                  for x in (photos, board)]  # fmt: skip
        plain, changed = (network.activations(x, (2,))[0] for x in images)
        return (F.l1_loss(changed, plain) / F.l1_loss(plain.roll(1, 0), plain)).item()

    assert seen(enlarged=2) > 1.5 * seen(enlarged=1)


def test_estimates_count_the_frozen_network(tmp_path: Path) -> None:
    for name in ("vgg19", *LITE0_SHARES, "in-domain"):
        made = perceptual.without_content(name, SPADE)
        assert made is not None
        assert sum(tensor.numel() for tensor in made.state_dict().values()) > 100_000
    assert perceptual.without_content("none", SPADE) is None
