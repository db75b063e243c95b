# SPDX-License-Identifier: Apache-2.0
"""The networks that score, in the form in which scoring opens them, against the plain ones.

Weights are the reference's deterministic noise, which gives the networks logits of the usual
spread; whole networks, since rounding grows with depth.
"""

import copy
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from spade_eval.metrics.fid_profiles import FID_PROFILES
from spade_eval.models.fast.accelerate import accelerate_frozen
from spade_eval.models.losses.efficientnet_lite0 import EfficientNetLite0
from spade_eval.scoring.distances import open_inception
from spade_eval.segmenters import SEGMENTERS
from spade_eval.segmenters.deeplab_v2 import DeepLabV2
from spade_eval.segmenters.drn import DRN
from spade_eval.segmenters.filled import fill
from spade_eval.segmenters.in_domain import InDomainConfig
from spade_eval.segmenters.in_domain_dilated import InDomainDilated
from spade_eval.segmenters.upernet import UperNet

# Of the standard deviation of the logits. The plain form's own rounding is up to 7e-6 of it
# (../shared/parity/README_segmenters.md).
LARGEST = 1e-5
ONE_SIDE = {"short_sides": (64,)}


def images(height: int, width: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (1, 3, height, width), dtype=torch.uint8, generator=generator)


def logits(network: nn.Module, pixels: Tensor) -> Tensor:
    """What the segmenters compute before they resize and normalise it."""
    if isinstance(network, UperNet):
        (side,) = network.config.short_sides
        return network.decoder(network.encoder(network.network_input(pixels, side)))
    if isinstance(network, DRN):
        return network.scores(network.network_input(pixels))
    assert isinstance(network, DeepLabV2)
    return network.logits(network.network_input(pixels))


def deviation(fast: Tensor, plain: Tensor) -> float:
    return ((fast - plain).abs().max() / plain.std()).item()


@pytest.mark.parametrize(
    ("name", "options", "size"),
    [
        ("deeplab-v2", {}, (97, 66)),
        ("drn-d-105", {}, (64, 96)),
        ("upernet101", ONE_SIDE, (65, 97)),
        ("upernet101-baseline", ONE_SIDE, (65, 97)),
    ],
)
@torch.no_grad()
def test_segmenters(name: str, options: dict[str, tuple[int]], size: tuple[int, int]) -> None:
    if name == "upernet101-baseline":
        pytest.importorskip("cv2")
    plain, pixels = SEGMENTERS[name].filled(**options), images(*size)
    expected, classes = logits(plain, pixels), plain(pixels / 255).argmax(dim=1)
    fast = accelerate_frozen(plain)  # in place: two of them would take a gigabyte
    assert not any(isinstance(module, nn.BatchNorm2d) for module in fast.modules())
    assert deviation(logits(fast, pixels), expected) <= LARGEST
    assert torch.equal(fast(pixels / 255).argmax(dim=1), classes)


@pytest.mark.parametrize("profile", ["pytorch-fid", "legacy-2018"])
@torch.no_grad()
def test_both_graphs_of_inception(profile: str, tmp_path: Path) -> None:
    plain, *_ = open_inception(FID_PROFILES[profile], tmp_path, filled=True)
    fast = accelerate_frozen(copy.deepcopy(plain))
    assert not any(isinstance(module, nn.BatchNorm2d) for module in fast.modules())
    assert deviation(fast(images(40, 60)), plain(images(40, 60))) <= LARGEST


@pytest.mark.parametrize("kind", [EfficientNetLite0, InDomainDilated])
@torch.no_grad()
def test_smaller_networks(kind: type[nn.Module]) -> None:
    torch.manual_seed(0)
    if kind is EfficientNetLite0:
        plain = kind()
    else:
        plain = kind(InDomainConfig(num_classes=9)).eval()
    fill(plain, 1.0)
    fast = accelerate_frozen(copy.deepcopy(plain))
    assert not any(isinstance(module, nn.BatchNorm2d) for module in fast.modules())
    assert deviation(fast(images(64, 64) / 255), plain(images(64, 64) / 255)) <= LARGEST


def test_parts_of_other_libraries_stay() -> None:
    class Foreign(nn.Sequential):
        """Its class is of this file, which the suite does not know."""

    foreign = Foreign(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)).eval()
    network = nn.Sequential(foreign, nn.Conv2d(4, 5, 1), nn.BatchNorm2d(5)).eval()
    accelerate_frozen(network)
    assert [type(part) for part in foreign] == [nn.Conv2d, nn.BatchNorm2d]
    assert isinstance(network[2], nn.Identity)
