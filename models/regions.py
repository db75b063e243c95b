# SPDX-License-Identifier: Apache-2.0
"""Noise that is one vector an image, a class or a region of the label map."""

import numpy as np
import torch
from torch import Tensor

from spade_eval.models.inputs import Inputs


def regions(labels: Tensor) -> Tensor:
    """Number the regions of each label map, (N, H, W) int64 -> (N, H, W) int64 from 0.

    A region are pixels of one label that are connected by their sides.
    """
    from scipy import ndimage

    numbered = np.zeros(tuple(labels.shape), np.int64)
    for ids, label_map in zip(numbered, labels.cpu().numpy(), strict=True):
        count = 0
        for label in np.unique(label_map):
            parts, found = ndimage.label(label_map == label)
            ids += np.where(parts > 0, parts - 1 + count, 0)
            count += found
    return torch.from_numpy(numbered).to(labels.device)


def latent(inputs: Inputs, z_dim: int) -> Tensor:
    """Draw z from N(0, 1): (N, z_dim), or where `inputs.noise_per` says so (N, z_dim, H, W).

    What an image gets depends on its own noise and label map alone, whoever is in its batch.
    """
    if inputs.noise_per == "image":
        return inputs.noise.normal("z", z_dim)
    labels = inputs.semantics.labels_at(inputs.semantics.size)
    parts, count = labels, inputs.semantics.num_labels
    if inputs.noise_per == "region":
        parts = regions(labels)
        count = int(parts.max()) + 1
    # Of (rows, z_dim) numbers of an image the first rows are the same, however many there are.
    vectors = inputs.noise.normal(f"z of {inputs.noise_per}", count, z_dim)
    images = torch.arange(len(parts), device=parts.device)[:, None, None]
    return vectors[images, parts].permute(0, 3, 1, 2)
