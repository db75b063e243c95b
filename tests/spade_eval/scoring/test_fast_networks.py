# SPDX-License-Identifier: Apache-2.0
"""The networks that score, in the form in which scoring opens them, against the plain ones.

Weights are the reference's deterministic noise, which gives the networks logits of the usual
spread; networks have their whole depth, since rounding grows with it. Those of whole width are
compared where the reference's cases build them (`tests/reference/parity/segmenters.py`).
"""

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from spade_eval.metrics.fid_profiles import FID_PROFILES
from spade_eval.models.fast.accelerate import accelerate_frozen
from spade_eval.models.fast.frozen_convolution import FrozenConv2d
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


WIDTHS = {"deeplab-v2": {"base_channels": 16}, "drn-d-105": {"base_channels": 4},
          "upernet101": {"base_channels": 16, "decoder_channels": 128},
          "upernet101-baseline": {"base_channels": 16, "decoder_channels": 128}}  # fmt: skip
SIZES = {"deeplab-v2": (97, 66), "drn-d-105": (64, 96)}


@pytest.mark.parametrize("name", WIDTHS)
@torch.no_grad()
def test_narrow_segmenters_with_winograds_form_throughout(name: str) -> None:
    options = WIDTHS[name]
    if name == "upernet101-baseline":
        pytest.importorskip("cv2")
    if name.startswith("upernet"):
        options = {**options, "short_sides": (64,)}
    plain = SEGMENTERS[name].filled(**options)
    pixels = images(*SIZES.get(name, (65, 97)))
    expected, classes = logits(plain, pixels), plain(pixels / 255).argmax(dim=1)
    fast = accelerate_frozen(plain)
    for module in fast.modules():
        assert not isinstance(module, nn.BatchNorm2d)
        if isinstance(module, FrozenConv2d):
            module.always = True
    assert deviation(logits(fast, pixels), expected) <= LARGEST
    assert torch.equal(fast(pixels / 255).argmax(dim=1), classes)


@torch.no_grad()
def test_torchvisions_graph_of_inception(tmp_path: Path) -> None:
    plain, *_ = open_inception(FID_PROFILES["legacy-2018"], tmp_path, filled=True)
    fast = accelerate_frozen(copy.deepcopy(plain))
    assert not any(isinstance(module, nn.BatchNorm2d) for module in fast.modules())
    assert deviation(fast(images(40, 60)), plain(images(40, 60))) <= LARGEST


@pytest.mark.parametrize(
    "build", [EfficientNetLite0, lambda: InDomainDilated(InDomainConfig(num_classes=9)).eval()]
)
@torch.no_grad()
def test_smaller_networks(build: Callable[[], nn.Module]) -> None:
    plain = build()
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
