# SPDX-License-Identifier: Apache-2.0
"""Networks besides Inception and the segmenter whose features a run may compare, by --features.

One is a file here and a row of `FEATURES`, or of `FAMILIES` where it is a folder of a Hugging Face
model; its distances are metrics of `spade_eval.metrics` with names of their own, never FID.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from spade_eval.errors import UserError, lookup
from spade_eval.scoring.distances import Distance
from spade_eval.scoring.feature_networks.clip import CLIP
from spade_eval.scoring.feature_networks.dinov2 import DINOV2
from spade_eval.scoring.feature_networks.hugging_face import Family, open_family, require_family
from spade_eval.scoring.feature_networks.lite0 import open_lite0
from spade_eval.scoring.feature_networks.others import OTHERS

FEATURES: dict[str, Callable[[Path, torch.device], Distance]] = {"lite0": open_lite0}
# By the `model_type` of a model's config.json.
FAMILIES: dict[str, Family] = {**DINOV2, **CLIP, **OTHERS}
_HUGGING_FACE = "hf:"


def require_features(names: Sequence[str]) -> tuple[str, ...]:
    """Return those of --features, each once; `UserError` for what can be told without opening."""
    for name in names:
        if name.startswith(_HUGGING_FACE):
            require_family(name.removeprefix(_HUGGING_FACE), FAMILIES)
        else:
            known = {**FEATURES, f"{_HUGGING_FACE}DIR": None}
            lookup(known, name, "feature network of --features")
    return tuple(dict.fromkeys(names))


def open_features(names: Sequence[str], weights_dir: Path, device: torch.device) -> list[Distance]:
    """Open these networks; `UserError` where one is not there, or two would share a column."""
    opened: dict[str, str] = {}
    distances = []
    for name in names:
        distance = _open(name, weights_dir, device)
        if distance.column in opened:
            raise UserError(
                f"--features {opened[distance.column]} and {name} would share the column "
                f"{distance.column}; expected one network of a kind: score the other in a run of "
                "its own"
            )
        opened[distance.column] = name
        distances.append(distance)
    return distances


def _open(name: str, weights_dir: Path, device: torch.device) -> Distance:
    if name.startswith(_HUGGING_FACE):
        return open_family(name.removeprefix(_HUGGING_FACE), FAMILIES, device)
    return FEATURES[name](weights_dir, device)
