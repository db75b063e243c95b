# SPDX-License-Identifier: Apache-2.0
"""Images go through one door, as floats in [0, 1], and come out with the bytes of the protocol."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from spade_eval.batches import to_8_bit, to_unit_range
from spade_eval.datasets.scenes import Scenes
from spade_eval.errors import UserError
from spade_eval.protocol import PROFILES, Protocol
from spade_eval.sources.image_files import write_images
from spade_eval.sources.source import (
    Grey,
    LabelColours,
    Oracle,
    RealPhotos,
    Source,
    SynthesizedFolder,
    require_floats,
)

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


def test_every_source_of_8_bit_gives_its_very_bytes(protocol: Protocol, tmp_path: Path) -> None:
    dataset = Scenes("val", (32, 48), length=3)
    samples = [dataset[index] for index in range(3)]
    photos = np.stack([sample.photo for sample in samples])
    noise = np.random.default_rng(0).integers(0, 256, photos.shape, dtype=np.uint8)
    write_images(tmp_path, samples, torch.from_numpy(noise).permute(0, 3, 1, 2))
    palette = np.array(dataset.label_space.palette, np.uint8)
    expected: list[tuple[Source, np.ndarray]] = [
        (RealPhotos(), photos),
        (Oracle(dataset), np.stack([dataset.oracle_photo(index) for index in range(3)])),
        (Grey(), np.full_like(photos, 128)),
        (LabelColours(dataset), np.stack([palette[sample.label_map] for sample in samples])),
        (SynthesizedFolder("x", tmp_path, dataset, 3, "none"), noise),
    ]
    for source, levels in expected:
        floats = source.floats(range(3), samples)
        assert (floats.dtype, floats.shape) == (torch.float32, (3, 3, 32, 48))
        assert np.array_equal(to_8_bit(floats, protocol).permute(0, 2, 3, 1).numpy(), levels)


def test_only_images_that_were_never_floats_are_refused_as_floats(tmp_path: Path) -> None:
    dataset = Scenes("val", (32, 48), length=1)
    require_floats(RealPhotos())
    write_images(tmp_path, [dataset[0]], torch.zeros(1, 3, 32, 48, dtype=torch.uint8))
    folder = SynthesizedFolder("mine", tmp_path, dataset, 1, "none")
    message = "mine: .* holds 8-bit images, but this FID profile scores a generator's floats; "
    with pytest.raises(UserError, match=message + "choose another --fid-profile, or give the che"):
        require_floats(folder)
