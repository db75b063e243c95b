# SPDX-License-Identifier: Apache-2.0
"""Weights & Biases: a run in `wandb/` of the training's folder.

Offline unless the environment says `WANDB_MODE=online`; `wandb sync` sends an offline run later.
Neither the program's text nor its output nor the machine's load is recorded.
"""

import importlib
import os
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from spade_eval.training.trackers.base import Tracked

_MODE = "WANDB_MODE"


class WeightsAndBiases:
    """A run of the library's own."""

    def __init__(self, training: Tracked) -> None:
        # Read when the library is imported: its reports of its own errors go to a server.
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        wandb = self._wandb = importlib.import_module("wandb")
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "spade-eval"),
            name=training.name,
            id=training.sha256[:32],
            resume="allow" if os.environ.get(_MODE) == "online" else None,
            dir=str(training.folder),
            mode=os.environ.get(_MODE, "offline"),
            config=dict(training.settings),
            settings=wandb.Settings(
                console="off",
                save_code=False,
                disable_git=True,
                disable_code=True,
                silent=True,
                x_disable_stats=True,
                x_disable_meta=True,
                x_save_requirements=False,
            ),
        )

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        self._run.log(dict(values), step=step)

    def image(self, step: int, name: str, pixels: NDArray[np.uint8]) -> None:
        self._run.log({name: self._wandb.Image(pixels)}, step=step)

    def close(self) -> None:
        self._run.finish()


def open_wandb(training: Tracked) -> WeightsAndBiases:
    """Open a run; a training that is continued online goes on with its own."""
    return WeightsAndBiases(training)
