# SPDX-License-Identifier: Apache-2.0
"""OASIS's generator, discriminator and losses, run by the authors' code."""

import re
from typing import Any

import torch
from parity.case import INSTANCE_NORM_TOLERANCE, TOLERANCE, Case
from torch import Tensor

from spade_eval.models.discriminators.unet import UNetDiscriminator
from spade_eval.models.generators.oasis import OASISGenerator
from spade_eval.models.labels import SemanticLayout
from spade_eval.models.losses.segmentation import (
    as_fake,
    as_real,
    consistency,
    label_weights,
)
from spade_eval.models.semantics import SemanticMap

# Means of some hundred float32 terms of order 10.
_LOSS_TOLERANCE = 2e-6


def _semantics(case: Case, num_labels: int) -> SemanticMap:
    return SemanticMap(case.tensor("label").long(), SemanticLayout(num_classes=num_labels))


def _strided(case: Case, name: str, actual: Tensor) -> Tensor:
    """The pixels that the file holds, as it says: `logits[:, :, ::2, ::2]`."""
    said = re.fullmatch(rf"{name}\[:, :, ::(\d+), ::(\d+)\]", case.meta.get("stride", ""))
    return actual if said is None else actual[:, :, :: int(said[1]), :: int(said[2])]


def check_generator(case: Case) -> None:
    options: dict[str, Any] = case.options
    assert options["num_res_blocks"] == 6, "what the published code can build"
    network = OASISGenerator(
        OASISGenerator.Config(
            num_labels=options["semantic_nc"],
            base_channels=options["channels_G"],
            z_dim=None if options["no_3dnoise"] else options["z_dim"],
            param_free_norm=options["param_free_norm"],
            spade_kernel_size=options["spade_ks"],
            spectral=not options["no_spectral_norm"],
        )
    )
    case.prepare(network)
    semantics = _semantics(case, options["semantic_nc"])
    z = case.tensor("z") if "z" in case.arrays else None
    if "z_per_class" in case.arrays:
        labels = semantics.labels_at(semantics.size)
        z = case.tensor("z_per_class")[labels].permute(0, 3, 1, 2)
    with torch.no_grad():
        image = network(semantics, z)
    by_norm = {"instance": INSTANCE_NORM_TOLERANCE}
    tolerance = by_norm.get(options["param_free_norm"], TOLERANCE)
    case.close("image", _strided(case, "image", image), case.arrays["image"], tolerance)


def check_discriminator(case: Case) -> None:
    config = UNetDiscriminator.Config(
        num_labels=case.options["semantic_nc"], spectral=not case.options["no_spectral_norm"]
    )
    network = UNetDiscriminator(config)
    case.prepare(network)
    with torch.no_grad():
        logits = network(case.image("image_u8"))
    case.close("logits", _strided(case, "logits", logits), case.arrays["logits"], TOLERANCE)
    mean, std, largest = case.meta["logit_mean_std_maxabs"]
    values = logits.double()
    case.close("logits mean", values.mean(), mean, TOLERANCE)
    case.close("logits std", values.std(correction=0), std, TOLERANCE)
    case.close("logits maxabs", values.abs().max(), largest, TOLERANCE)


def check_losses(case: Case) -> None:
    """Targets, weights and every loss, balanced or not, with label 0 as a class or as none."""
    labels = case.tensor("label").long()
    real, fake, on_mixed = (case.tensor(f"logits_{name}") for name in ("real", "fake", "mixed"))
    counts = torch.bincount(labels.flatten(), minlength=real.shape[1] - 1).float()
    case.close("target_real", labels + 1, case.arrays["target_real"], 0.0)
    case.close("target_fake", torch.zeros_like(labels), case.arrays["target_fake"], 0.0)
    for kind, known in case.meta["losses"].items():
        if kind == "labelmix_mse":
            continue
        weights = torch.ones_like(counts)
        if kind.endswith("_balanced"):
            weights = label_weights(counts, dont_care=kind.startswith("dontcare"))
            stored = case.arrays[f"weight_{kind}"]
            case.close(f"weight_{kind}", weights[labels], stored, _LOSS_TOLERANCE)
        case.close(f"{kind} real", as_real(real, labels, weights), known["real"], _LOSS_TOLERANCE)
        case.close(f"{kind} fake", as_fake(fake), known["fake"], _LOSS_TOLERANCE)
    # The bits of a file are those that the labels got in the end.
    mask = case.tensor("class_bits").float()[labels][:, None]
    differing = consistency(on_mixed, mask, real, fake)
    case.close("labelmix_mse", differing, case.meta["losses"]["labelmix_mse"], _LOSS_TOLERANCE)
