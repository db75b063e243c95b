# SPDX-License-Identifier: Apache-2.0
"""LPIPS over AlexNet against its definition by NumPy, with filled weights."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from spade_eval.errors import UserError
from spade_eval.metrics.lpips import LPIPS, LPIPSForm
from spade_eval.weights import ALEXNET, LPIPS_LINEAR

SHAPES = {
    "features.0": (64, 3, 11, 11),
    "features.3": (192, 64, 5, 5),
    "features.6": (384, 192, 3, 3),
    "features.8": (256, 384, 3, 3),
    "features.10": (256, 256, 3, 3),
}
STRIDES_AND_PADDINGS = ((4, 2), (1, 2), (1, 1), (1, 1), (1, 1))


def filled_backbone() -> dict[str, Tensor]:
    """As torchvision's file, its classifier included."""
    generator = torch.Generator().manual_seed(0)
    filled = {"classifier.6.bias": torch.zeros(1000)}
    for name, shape in SHAPES.items():
        fan_in = shape[1] * shape[2] * shape[3]
        filled[f"{name}.weight"] = torch.randn(shape, generator=generator) * (2 / fan_in) ** 0.5
        filled[f"{name}.bias"] = torch.randn(shape[0], generator=generator) * 0.1
    return filled


def filled_linear() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return {
        f"lin{layer}.model.1.weight": torch.rand(1, shape[0], 1, 1, generator=generator)
        for layer, shape in enumerate(SHAPES.values())
    }


@pytest.fixture(scope="module")
def network() -> LPIPS:
    return LPIPS(filled_backbone(), filled_linear())


def draw(count: int, size: tuple[int, int] = (64, 80), seed: int = 2) -> Tensor:
    return torch.rand(count, 3, *size, generator=torch.Generator().manual_seed(seed))


def by_definition(images: Tensor, others: Tensor, form: LPIPSForm) -> list[float]:
    """In float64, one pair and layer after the other."""
    weights = {name: value.double() for name, value in filled_backbone().items()}
    layers = [value.double().flatten() for value in filled_linear().values()]
    distances = []
    for pair in zip(images.double(), others.double(), strict=True):
        shift = torch.tensor([-0.030, -0.088, -0.188], dtype=torch.float64).view(1, 3, 1, 1)
        scale = torch.tensor([0.458, 0.448, 0.450], dtype=torch.float64).view(1, 3, 1, 1)
        x = (2 * torch.stack(pair) - 1 - shift) / scale
        total = 0.0
        steps = zip(SHAPES, STRIDES_AND_PADDINGS, layers, strict=True)
        for number, (name, (stride, padding), layer) in enumerate(steps):
            if number in (1, 2):
                x = F.max_pool2d(x, 3, 2)
            x = F.conv2d(x, weights[f"{name}.weight"], weights[f"{name}.bias"], stride, padding)
            x = x.clamp(min=0)
            a, b = x.numpy()
            if form == "lpips":
                units = [v / (np.sqrt((v**2).sum(axis=0)) + 1e-10) for v in (a, b)]
            else:
                units = [v / np.sqrt((v**2).sum(axis=0) + 1e-10) for v in (a, b)]
            weighted = (units[0] - units[1]) ** 2 * layer.numpy()[:, None, None]
            total += weighted.sum(axis=0).mean()
        distances.append(total)
    return distances


@pytest.mark.parametrize("form", ["lpips", "stargan-v2"])
def test_equals_the_definition(form: LPIPSForm) -> None:
    images, others = draw(2), draw(2, seed=3)
    computed = LPIPS(filled_backbone(), filled_linear(), form)(images, others)
    # Float32 convolutions against float64.
    np.testing.assert_allclose(computed.numpy(), by_definition(images, others, form), rtol=1e-4)


def test_a_distance(network: LPIPS) -> None:
    images, others = draw(2), draw(2, seed=3)
    distances = network(images, others)
    assert distances.shape == (2,)
    assert (distances > 0).all()
    torch.testing.assert_close(network(others, images), distances)
    assert torch.equal(network(images, images), torch.zeros(2))
    assert not distances.requires_grad


def test_backbone_has_the_layers_of_torchvision(network: LPIPS) -> None:
    convolutions = {
        f"features.{name}": tuple(layer.weight.shape)
        for name, layer in network.features.named_children()
        if isinstance(layer, torch.nn.Conv2d)
    }
    assert convolutions == SHAPES


def test_weights_that_do_not_fit_are_named_together() -> None:
    backbone = filled_backbone()
    del backbone["features.0.bias"]
    backbone["features.3.bias"] = torch.zeros(5)
    with pytest.raises(UserError) as error:
        LPIPS(backbone, filled_linear())
    for part in (
        "1 missing: features.0.bias",
        "1 of wrong shape: features.3.bias (5,) instead of (192,)",
    ):
        assert part in str(error.value)
    assert ALEXNET.file_name in str(error.value)
    with pytest.raises(UserError, match=LPIPS_LINEAR.file_name):
        LPIPS(filled_backbone(), {})
    with pytest.raises(UserError, match=r"no LPIPS is called 'vgg'\. Known: lpips, stargan-v2"):
        LPIPS(filled_backbone(), filled_linear(), "vgg")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.full((1, 3, 64, 64), -1.0), r"expected \[0, 1\]"),
        (torch.zeros(1, 3, 30, 64), "at least 31 a side"),
        (torch.zeros(1, 3, 64, 64, dtype=torch.uint8), "floats"),
        (torch.zeros(3, 64, 64), r"\(N, 3, H, W\)"),
    ],
)
def test_wrong_images(network: LPIPS, images: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        network(images, images)


def test_smallest_images_reach_the_last_layer(network: LPIPS) -> None:
    assert network(torch.zeros(1, 3, 31, 31), torch.ones(1, 3, 31, 31)).item() > 0


@pytest.mark.parametrize("form", ["lpips", "stargan-v2"])
def test_places_without_any_feature_are_at_distance_zero(form: LPIPSForm) -> None:
    backbone = filled_backbone()
    for name in SHAPES:
        backbone[f"{name}.bias"] -= 100
    distances = LPIPS(backbone, filled_linear(), form)(draw(1), draw(1, seed=3))
    assert distances.tolist() == [0.0]
