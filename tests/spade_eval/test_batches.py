# SPDX-License-Identifier: Apache-2.0
"""Samples as tensors and pictures; images go through one door, as floats in [0, 1], and come out
with the bytes of the protocol."""

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from spade_eval.batches import coloured, tiled, to_8_bit, to_unit_range
from spade_eval.datasets.scenes import Scenes
from spade_eval.protocol import PROFILES, Protocol

PROTOCOL = PROFILES["in-domain"]


@pytest.fixture(params=["truncate", "round"])
def protocol(request: pytest.FixtureRequest) -> Protocol:
    return dataclasses.replace(PROTOCOL, quantisation=request.param)


def level_edges() -> Tensor:
    """Every level, and half a level above it, in [-1, 1], each with its nearest floats."""
    levels = torch.arange(0, 256, 0.5, dtype=torch.float64) / 127.5 - 1
    around = [levels.float()]
    for direction in (-2.0, 2.0):
        for _ in range(4):
            around.append(torch.nextafter(around[-1], torch.tensor(direction)))
        around.append(levels.float())
    return torch.cat(around)


def as_the_release(synthesized: Tensor, protocol: Protocol) -> np.ndarray:
    """(x + 1) / 2 * 255, clipped, in float32 and in this order, by NumPy."""
    x = synthesized.numpy().astype(np.float32)
    scaled = np.clip((x + np.float32(1)) / np.float32(2) * np.float32(255), 0, 255)
    return (np.round(scaled) if protocol.quantisation == "round" else scaled).astype(np.uint8)


def test_bytes_of_a_generator_are_those_of_the_release(protocol: Protocol) -> None:
    random = torch.Generator().manual_seed(0)
    special = torch.tensor([-1.5, -1.0, -0.0, 0.0, 1.0, 1.0001, 9.0, 1e-30, -1e-30])
    for values in (
        level_edges(),
        torch.rand(2_000_000, generator=random) * 2 - 1,
        torch.tanh(torch.randn(500_000, generator=random)),
        special,
    ):
        images = values.view(1, 1, 1, -1)
        made = to_8_bit(to_unit_range(images), protocol)
        assert made.dtype == torch.uint8
        assert np.array_equal(made.numpy(), as_the_release(images, protocol))


def test_bytes_of_files_come_back_as_they_were(protocol: Protocol) -> None:
    levels = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    assert torch.equal(to_8_bit(levels.float() / 255, protocol), levels)


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_half_precision_is_scaled_in_float32(kind: torch.dtype) -> None:
    values = torch.linspace(-1, 1, 1001).to(kind).view(1, 1, 1, -1)
    assert torch.equal(to_unit_range(values), (values.float() + 1) / 2)


def test_tiles_keep_every_pixel() -> None:
    images = torch.arange(6, dtype=torch.uint8).view(6, 1, 1, 1).expand(6, 3, 4, 5)
    grid = tiled(images, columns=3, gap=2)
    assert grid.shape == (2 * 6, 3 * 7, 3)
    for index in range(6):
        row, column = divmod(index, 3)
        cell = grid[row * 6 : row * 6 + 4, column * 7 : column * 7 + 5]
        assert (cell == index).all()
    assert (grid[4:6] == 255).all()


def test_label_maps_take_the_dataset_s_colours() -> None:
    dataset = Scenes("val", (64, 64), length=1)
    sample = dataset[0]
    picture = coloured([sample], dataset)[0].permute(1, 2, 0).numpy()
    expected = np.array(dataset.label_space.palette, dtype=np.uint8)[sample.label_map]
    assert np.array_equal(picture, expected)
    Image.fromarray(picture)
