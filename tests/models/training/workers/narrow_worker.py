# SPDX-License-Identifier: Apache-2.0
"""A narrow training in a process of its own: `python narrow_worker.py FOLDER STEPS MODEL`.

Saves after every step, and prints a line for each, so that a test can kill it between any two.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from small_training import IMAGES, batch_at, narrow

from spade_eval.models.training.loop import Loop, LoopSettings


def main(folder: Path, steps: int, model: str) -> None:
    torch.set_num_threads(1)

    def tell(step: int, losses: Mapping[str, float]) -> None:
        print(step, flush=True)

    settings = LoopSettings(steps=steps, batch_size=IMAGES, save_every=1, observe_every=1)
    Loop(narrow(model), batch_at, settings, folder / "state.pt", "sha", (tell,)).run()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
