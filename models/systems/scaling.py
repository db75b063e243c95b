# SPDX-License-Identifier: Apache-2.0
"""The configuration of a preset's network, for any width."""

import dataclasses
from typing import Any

from spade_eval.models.labels import Size
from spade_eval.models.systems.base import Preset

# Below this SPADE's hidden layer tells too few labels apart.
MIN_HIDDEN_CHANNELS = 16


def network_config(
    preset: Preset,
    num_labels: int,
    image_size: Size = (256, 256),
    width: float = 1.0,
    edges: bool = False,
    **overrides: Any,
) -> Any:
    """Return the `Config` of a preset's network; `width` scales its numbers of channels.

    A network whose widths are no `base_channels` (and `hidden_channels` of SPADE layers) scales
    itself: its `Config` has a method `scaled(width)`; one whose depth hangs on the image size has
    `fitted(image_size)`. `edges` says whether the last label is instance edges. `overrides` are
    settings as they shall be.
    """
    config_class: Any = preset.network.Config  # type: ignore[attr-defined]
    known = {field.name: field.default for field in dataclasses.fields(config_class)}
    unknown = sorted({*preset.config, *overrides} - known.keys())
    if unknown:
        raise ValueError(
            f"{preset.network.__name__} has no setting {', '.join(unknown)}; its settings are "
            f"{', '.join(known)}"
        )
    given = {**preset.config, "num_labels": num_labels}
    if "image_size" in known:
        given["image_size"] = image_size
    if "edges" in known:
        given["edges"] = edges
    if hasattr(config_class, "scaled"):
        config = config_class(**given).scaled(width)
    else:
        base = given.get("base_channels", known["base_channels"])
        given["base_channels"] = max(1, round(base * width))
        if (given | overrides).get("norm", known.get("norm")) == "spade":
            hidden = given.get("hidden_channels", known["hidden_channels"])
            given["hidden_channels"] = max(MIN_HIDDEN_CHANNELS, round(hidden * width))
        config = config_class(**given)
    if hasattr(config_class, "fitted"):
        config = config.fitted(image_size)
    return dataclasses.replace(config, **overrides)
