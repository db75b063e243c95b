# SPDX-License-Identifier: Apache-2.0
"""The mean photo of a label map."""

from torch import Tensor

from spade_eval.sources.red_team.trained import CheatBatch, TrainedCheat


class Regressor(TrainedCheat):
    """What L1 asks for has no texture, and the segmenter likes it."""

    name = "regressor"
    about = "learns L1 to the photos alone, in half of the steps"

    def loss(self, images: Tensor, batch: CheatBatch) -> Tensor:
        """Return the mean absolute difference."""
        return (images - batch.photos).abs().mean()
