# SPDX-License-Identifier: Apache-2.0
"""The only change to training samples of datasets that are neither resized nor cropped."""

import numpy as np

from spade_eval.datasets.base import Sample
from spade_eval.models.positions import mirrored

_FLIP = 3  # apart from the streams that draw a procedural sample


def perhaps_mirrored(sample: Sample, index: int, epoch: int, seed: int) -> Sample:
    """Return the sample, mirrored or not as (seed, epoch, index) draw."""
    stream = np.random.SeedSequence([seed, epoch, index, _FLIP])
    if np.random.Generator(np.random.PCG64(stream)).random() < 0.5:
        return sample
    instances, made = sample.instance_map, sample.positions
    return Sample(
        name=sample.name,
        label_map=np.ascontiguousarray(sample.label_map[:, ::-1]),
        instance_map=None if instances is None else np.ascontiguousarray(instances[:, ::-1]),
        photo=np.ascontiguousarray(sample.photo[:, ::-1]),
        positions=None if made is None else lambda: mirrored(made()),
        mirrored=True,
    )
