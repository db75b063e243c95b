# SPDX-License-Identifier: Apache-2.0
"""What a user asks for and where it happens: the request, its rows, the workplace."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from spade_eval.models.training.distributed import ALONE, World
from spade_eval.sources.checkpoints import ReleasedOptions
from spade_eval.sources.image_files import FEW_IMAGES
from spade_eval.sources.source import Source, StyleInput


@dataclass(frozen=True, kw_only=True)
class Workplace:
    """Where a run happens; none of it changes a number."""

    run_folder: Path
    data_root: Path
    weights_dir: Path
    reference: Path | None = None  # stored statistics of the split's photos: saves computing them
    device: torch.device
    save_images: int | None = FEW_IMAGES  # of every row, the first so many; None: all
    world: World = ALONE  # the processes that share the work; the folders are common to them


@dataclass(frozen=True)
class Row:
    """A planned row of the table. `identity` decides whether it is recorded already."""

    name: str
    identity: Mapping[str, Any]
    open: Callable[[], Source]
    keep_images: bool = False


@dataclass(frozen=True)
class Request:
    """The rows a user asks for besides `real`, the floors and, where there is one, `oracle`."""

    models: tuple[str, ...] = ()
    checkpoints: Mapping[str, Path] = field(default_factory=dict)
    images: Mapping[str, Path] = field(default_factory=dict)
    released: ReleasedOptions = field(default_factory=ReleasedOptions)
    # What the generators of `images` were given besides label maps, by row, where it is stated.
    style_inputs: Mapping[str, StyleInput] = field(default_factory=dict)
