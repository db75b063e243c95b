# SPDX-License-Identifier: Apache-2.0
"""Features of a split's photos at the size of their files, for profiles whose FID is against those.

Sizes differ from photo to photo, so that each goes through the network alone, and the network's own
resize is the only one.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from spade_eval.datasets.file_dataset import FileDataset
from spade_eval.errors import UserError
from spade_eval.metrics.base import in_order
from spade_eval.metrics.feature_set import FeatureSet
from spade_eval.progress import Progress
from spade_eval.scoring.distances import Distance
from spade_eval.scoring.scorer import Scorer


def features_of_originals(scorer: Scorer, distance: Distance) -> FeatureSet:
    """Compute features of the photos as their files hold them; in the first process all of them."""
    dataset = scorer.dataset
    if not isinstance(dataset, FileDataset):
        raise UserError(
            f"{dataset.name} has no photo files, but the profile compares with photos of their "
            "original size; choose another --profile"
        )
    used = distance.used_images(scorer.count)
    mine, parts = scorer.world.dealt(used), {}
    with Progress(
        "scoring original photos", len(mine), "image", shown=scorer.world.is_first
    ) as bar:
        for index in mine:
            photo = np.ascontiguousarray(dataset.stored_sample(index).photo.transpose(2, 0, 1))
            image = torch.from_numpy(photo)[None].to(scorer.device).float() / 255
            parts[index] = {"features": distance.features(image)}
            bar.advance(1)
    nothing: Mapping[str, Tensor] = {"features": torch.empty(0, distance.feature_dim)}
    gathered = scorer.world.gathered(parts, used)
    return FeatureSet.of(in_order([nothing, *gathered])["features"])
