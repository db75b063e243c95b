# SPDX-License-Identifier: Apache-2.0
"""Samples as pictures: label maps in their colours, and images side by side."""

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image

from spade_eval.batches import coloured, label_maps, layout_of, semantic_map, tiled
from spade_eval.datasets.given_maps import given_sample
from spade_eval.datasets.scenes import Scenes


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


def test_pixels_without_a_class_have_no_channel_where_there_is_none_for_them() -> None:
    """Only where a protocol took the class away: 255 in such a dataset is an error otherwise."""
    dataset = Scenes("val", (64, 64), length=2)
    whole = [dataset[0], dataset[1]]
    given = [given_sample(sample, "edge") for sample in whole]
    layout = layout_of(dataset)
    assert layout.unknown == "none"
    assert layout.edges
    made = semantic_map(given, layout, torch.device("cpu")).full
    known = label_maps(given) != 255
    assert 0 < (~known).sum() < known.sum()
    classes = made[:, : layout.num_classes]
    one_hot = semantic_map(whole, layout, torch.device("cpu")).full[:, : layout.num_classes]
    assert torch.equal(classes, one_hot * known[:, None])
    stated = [dataclasses.replace(sample, is_given=False) for sample in given]
    with pytest.raises(ValueError, match="holds 255"):
        semantic_map(stated, layout, torch.device("cpu"))
