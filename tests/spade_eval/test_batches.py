# SPDX-License-Identifier: Apache-2.0
"""Samples as pictures: label maps in their colours, and images side by side."""

import numpy as np
import torch
from PIL import Image

from spade_eval.batches import coloured, tiled
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
