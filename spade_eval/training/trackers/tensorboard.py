# SPDX-License-Identifier: Apache-2.0
"""TensorBoard: event files in `tensorboard/` of the training's folder."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from spade_eval.training.trackers.base import Tracked


class TensorBoard:
    """Writes event files, and each call whole."""

    def __init__(self, training: Tracked) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(training.folder / "tensorboard"))

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def image(self, step: int, name: str, pixels: NDArray[np.uint8]) -> None:
        self._writer.add_image(name, pixels, step, dataformats="HWC")
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


def open_tensorboard(training: Tracked) -> TensorBoard:
    """Open event files; `ImportError` where TensorBoard is not installed."""
    return TensorBoard(training)
