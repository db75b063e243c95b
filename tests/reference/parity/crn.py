# SPDX-License-Identifier: Apache-2.0
"""The Cascaded Refinement Network and its loss, run by the authors' graph under TensorFlow."""

from typing import Any

import numpy as np
import torch
from parity.case import DEVICE, Case
from parity.fill import draw
from torch import Tensor

from spade_eval.models.checkpoints.published import load_published
from spade_eval.models.generators.crn import CRNGenerator
from spade_eval.models.labels import SemanticLayout
from spade_eval.models.losses.diversity import diversity_terms, errors
from spade_eval.models.semantics import SemanticMap

# On the scale 0 to 255, as the notes on the reference data suggest.
_TOLERANCE = 5e-3
# A sum of some hundred means of float32 differences.
_LOSS_TOLERANCE = 1e-6


def check_generator(case: Case) -> None:
    """Some of the images, and the table of errors with the loss that it makes."""
    options = case.options
    widths = options["widths"]
    network = CRNGenerator(
        CRNGenerator.Config(
            num_labels=options["label_channels"],
            image_size=(options["top_height"], 2 * options["top_height"]),
            num_images=options["images"],
            widths=tuple(widths[str(height)] for height in sorted(map(int, widths))),
        )
    )
    load_published(network, _filled(case.meta["variables"], case.fill_prefix))
    layout = SemanticLayout(num_classes=options["label_channels"])
    semantics = SemanticMap(case.tensor("label")[None].long(), layout)
    with torch.no_grad():
        images = (network.eval().to(DEVICE).collection(semantics)[0] + 1) / 2 * 255
    stored = [0, 4, 8]
    case.close("image", images[stored], case.arrays["image"], _TOLERANCE)
    real, fake, labels = (
        case.tensor(f"loss_{name}").permute(0, 3, 1, 2) for name in ("real", "fake", "label")
    )
    table = errors(real, fake[None], labels)
    case.close("loss_table", table[0], case.arrays["loss_table"], _LOSS_TOLERANCE)
    loss = torch.stack(list(diversity_terms(table).values())).sum()
    case.close("diversity_loss", loss, case.meta["diversity_loss"], _LOSS_TOLERANCE)


def _filled(variables: dict[str, Any], prefix: str) -> dict[str, Tensor]:
    """Weights by the rule for TensorFlow's names and order of dimensions."""
    state = {}
    for name, shape in variables.items():
        scope, _, leaf = name.rpartition("/")
        d = draw(prefix + name, tuple(shape))
        if leaf == "weights":
            values = d * np.float32(1 / np.sqrt(np.prod(shape[:3])))
            state[f"{scope}.weight"] = torch.from_numpy(values).permute(3, 2, 0, 1)
        else:
            values = np.float32(0.1) * d + np.float32(leaf == "gamma")
            ours = "weight" if leaf == "gamma" else "bias"
            state[f"{scope.replace('/', '.')}.{ours}"] = torch.from_numpy(np.asarray(values))
    return state
