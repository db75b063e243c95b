# SPDX-License-Identifier: Apache-2.0
"""Parameters of the paper's networks, in millions, by label channels of the three datasets."""

from typing import Any

import pytest
import torch

from spade_eval.models.discriminators.multiscale import MultiscaleDiscriminator
from spade_eval.models.discriminators.patch import PatchGANDiscriminator
from spade_eval.models.generators.sean import SEANGenerator
from spade_eval.models.systems.presets import count_parameters

CHANNELS = (151, 150, 182, 183, 184, 35, 36)  # ADE20K twice, COCO-Stuff three times, Cityscapes
TABLE_3 = {
    "spade": (96.49, 96.46, 97.42, 97.45, 97.48, 93.02, 93.05),
    "spade_compact": (60.64, 60.62, 61.50, 61.53, 61.55, 57.44, 57.46),
    "spade_141m": (140.68, 140.65, 141.68, 141.71, 141.75, 136.94, 136.97),
    "concat": (79.25, 79.17, 81.81, 81.90, 81.98, 69.65, 69.73),
    "pix2pixhdpp_spade": (236.90, 236.87, 237.96, 238.00, 238.03, 232.93, 232.96),
    "pix2pixhdpp_concat": (195.45, 195.37, 198.12, 198.21, 198.29, 185.47, 185.55),
    "pix2pixhdpp": (182.93, 182.93, 183.03, 183.03, 183.03, 182.57, 182.57),
    "pix2pixhdpp_compact": (103.00, 102.99, 103.07, 103.07, 103.07, 102.72, 102.73),
    "pix2pixhd": (182.91, 182.90, 183.01, 183.01, 183.01, 182.54, 182.55),
}
EXACT_ADE20K = {
    "spade": 96_492_483,
    "spade_compact": 60_642_771,
    "spade_141m": 140_682_163,
    "concat": 79_248_003,
    "pix2pixhdpp_spade": 236_900_611,
    "pix2pixhdpp_concat": 195_453_315,
    "pix2pixhdpp": 182_928_771,
    "pix2pixhdpp_compact": 102_996_003,
    "pix2pixhd": 182_907_395,
}
TABLE_4: list[tuple[str, dict[str, Any], float]] = [
    ("spade_random", {}, 111.94),
    ("spade_random", {"upsampling": "more"}, 99.31),
    ("spade_random", {"upsampling": "most"}, 97.07),
    ("spade_vae", {}, 111.94),
    ("spade_kernel1", {}, 71.30),
    ("spade_kernel5", {}, 146.89),
    ("spade_batch", {}, 96.49),
    ("spade_instance", {}, 96.49),
]


@pytest.mark.parametrize("name", TABLE_3)
def test_table_3(name: str) -> None:
    millions = tuple(count_parameters(name, labels) / 1e6 for labels in CHANNELS)
    # The table was rounded twice: 182,564,995 became 182.565, then 182.57.
    assert millions == pytest.approx(TABLE_3[name], abs=0.006)


@pytest.mark.parametrize("name", EXACT_ADE20K)
def test_exact_counts_on_ade20k(name: str) -> None:
    assert count_parameters(name, 151) == EXACT_ADE20K[name]


@pytest.mark.parametrize(("name", "overrides", "millions"), TABLE_4)
def test_table_4_on_ade20k(name: str, overrides: dict[str, Any], millions: float) -> None:
    assert round(count_parameters(name, 151, **overrides) / 1e6, 2) == millions


def test_cityscapes_with_latent_input() -> None:
    count = count_parameters("spade_vae", 36, image_size=(256, 512), upsampling="more")
    assert count == 101_136_579


@pytest.mark.parametrize(
    ("num_labels", "upsampling", "count"),
    [
        (19, "normal", 266_907_367),
        (151, "normal", 790_919_911),
        (184, "normal", 921_923_047),
        (36, "more", 334_393_831),
    ],
)
def test_sean_with_a_layer_for_each_label(num_labels: int, upsampling: str, count: int) -> None:
    """CelebAMask-HQ as released, and the code with other numbers of labels, edges among them."""
    assert count_parameters("sean", num_labels, upsampling=upsampling) == count


def test_parts_of_sean() -> None:
    with torch.device("meta"):
        network = SEANGenerator(SEANGenerator.Config(num_labels=19))
        critic = MultiscaleDiscriminator.Config(num_labels=19, num_layers=3, last_stride=2)
        discriminator = MultiscaleDiscriminator(critic)
    parts = {"encoder": 0, "fc_mu": 0}
    for name, weight in network.named_parameters():
        for part in parts:
            parts[part] += weight.numel() * (part in name)
    assert parts == {"encoder": 1_568_576, "fc_mu": 74_856_960}
    assert sum(weight.numel() for weight in discriminator.parameters()) == 1_364_098


@pytest.mark.parametrize(
    ("name", "ade20k", "coco_stuff", "cityscapes"),
    [
        ("clade", 71_427_267, 72_505_383, 67_901_991),
        ("clade_icpe", 71_427_375, 72_505_491, 67_902_099),
        ("spade", 96_492_483, 97_480_899, 93_048_003),
    ],
)
def test_clade_beside_spade(name: str, ade20k: int, coco_stuff: int, cityscapes: int) -> None:
    """Counted on the modules of the CLADE repository, whose SPADE mode is SPADE's generator."""
    assert count_parameters(name, 151) == ade20k
    assert count_parameters(name, 184, edges=True) == coco_stuff
    assert count_parameters(name, 36, edges=True, upsampling="more") == cityscapes


@pytest.mark.parametrize(
    ("num_labels", "count"),
    [
        (151, 660_608_518),
        (183, 662_451_718),
        (184, 662_509_318),
        (35, 653_926_918),
        (36, 653_984_518),
    ],
)
def test_sdm(num_labels: int, count: int) -> None:
    """Counted on the modules of the SDM repository."""
    assert count_parameters("sdm", num_labels) == count


@pytest.mark.parametrize(
    ("name", "num_labels", "overrides", "count"),
    [
        ("pix2pix", 3, {}, 54_413_955),
        ("pix2pix", 35, {}, 54_446_723),
        ("pix2pix", 151, {}, 54_565_507),
        ("pix2pix", 183, {}, 54_598_275),
        ("pix2pix", 3, {"image_size": (128, 128)}, 41_828_995),
        ("cyclegan", 35, {}, 11_378_179),
        ("cyclegan", 35, {"num_blocks": 6}, 7_837_699),
    ],
)
def test_translators_of_pictures(
    name: str, num_labels: int, overrides: dict[str, Any], count: int
) -> None:
    """Counted on the modules of the pytorch-CycleGAN-and-pix2pix repository."""
    assert count_parameters(name, num_labels, **overrides) == count


@pytest.mark.parametrize(
    ("num_channels", "norm", "count"), [(6, "batch", 2_768_705), (3, "instance", 2_764_737)]
)
def test_patch_discriminators(num_channels: int, norm: Any, count: int) -> None:
    with torch.device("meta"):
        network = PatchGANDiscriminator(
            PatchGANDiscriminator.Config(num_channels=num_channels, norm=norm)
        )
    assert sum(parameter.numel() for parameter in network.parameters()) == count
