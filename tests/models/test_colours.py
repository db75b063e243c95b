# SPDX-License-Identifier: Apache-2.0
"""Label maps as pictures, and back."""

import pytest
import torch

from spade_eval.models.colours import (
    coloured,
    nearest_channels,
    require_palette,
    spread_palette,
    written_palette,
)
from spade_eval.models.labels import SemanticLayout
from spade_eval.models.semantics import SemanticMap

COLOURS = ((255, 0, 0), (0, 255, 0), (10, 20, 128))
FIRST = SemanticLayout(num_classes=3, unknown="first")


def test_every_label_has_its_colour_and_unlabelled_pixels_are_black() -> None:
    palette = written_palette(COLOURS, 4, unlabelled_first=True)
    assert palette == "000000" + "ff0000" + "00ff00" + "0a1480"
    labels = torch.tensor([[[0, 1], [2, 255]]])
    image = coloured(SemanticMap(labels, FIRST), palette)
    assert image.shape == (1, 3, 2, 2)
    # The rule of photos: k / 127.5 - 1.
    expected = torch.tensor([COLOURS[0], COLOURS[1], COLOURS[2], (0, 0, 0)]) / 127.5 - 1
    assert torch.equal(image[0].flatten(1).T, expected)


def test_channels_without_a_colour_are_black() -> None:
    assert written_palette(COLOURS, 5, unlabelled_first=False).endswith("0a1480" + 2 * "000000")
    assert written_palette(COLOURS, 2, unlabelled_first=False) == "ff000000ff00"


def test_a_soft_map_gets_the_mixture_and_a_one_hot_one_its_colour() -> None:
    palette = written_palette(COLOURS, 3, unlabelled_first=False)
    labels = torch.randint(0, 3, (2, 5, 4), generator=torch.Generator().manual_seed(0))
    hard = SemanticMap(labels, SemanticLayout(num_classes=3))
    soft = SemanticMap.from_tensor(hard.full)
    assert torch.equal(coloured(soft, palette), coloured(hard, palette))
    half = SemanticMap.from_tensor(torch.full((1, 3, 1, 1), 0.5))
    sums = torch.tensor(COLOURS).sum(dim=0)
    torch.testing.assert_close(coloured(half, palette).flatten(), (sums / 127.5 - 3) / 2)


def test_the_nearest_colour_is_the_label_again_and_the_first_of_equal_ones() -> None:
    palette = written_palette((*COLOURS, COLOURS[0]), 5, unlabelled_first=True)
    layout = SemanticLayout(num_classes=4, unknown="first")
    labels = torch.tensor([[[0, 1], [2, 255]]])
    image = coloured(SemanticMap(labels, layout), palette)
    noise = torch.rand(image.shape, generator=torch.Generator().manual_seed(0)) * 0.2 - 0.1
    assert nearest_channels(image + noise, palette).tolist() == [[[1, 2], [3, 0]]]
    red = coloured(SemanticMap(torch.full((1, 1, 1), 3), layout), palette)
    assert nearest_channels(red, palette).item() == 1


@pytest.mark.parametrize("palette", ["ff0000", "ff0000" * 3, "gg0000" * 2, "FF0000" * 2])
def test_a_palette_of_other_channels_is_refused(palette: str) -> None:
    require_palette("ff0000" * 2, 2)
    with pytest.raises(ValueError, match="expected 12 hexadecimal digits"):
        require_palette(palette, 2)


def test_networks_without_a_dataset_get_colours_that_are_far_apart() -> None:
    # The first colours of PASCAL VOC's map.
    assert spread_palette(4) == "000000" + "800000" + "008000" + "808000"
    colours = bytes.fromhex(spread_palette(256))
    assert len({colours[start : start + 3] for start in range(0, len(colours), 3)}) == 256
