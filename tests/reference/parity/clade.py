# SPDX-License-Identifier: Apache-2.0
"""CLADE's layer, generators, discriminator and positional maps against the reference's numbers."""

from typing import Any

import torch
from parity.case import INSTANCE_NORM_TOLERANCE, TOLERANCE, Case, layout_of, norm_options
from parity.spade import published_size, spade_discriminator
from torch import Tensor

from spade_eval.models.discriminators.multiscale import MultiscaleDiscriminator
from spade_eval.models.generators.clade import CLADEGenerator
from spade_eval.models.layers.clade import CLADE
from spade_eval.models.positions import positional_map
from spade_eval.models.semantics import SemanticMap


class GivenEdges(SemanticMap):
    """The semantic map of a case, which stores edges, not instances."""

    def __init__(self, case: Case) -> None:
        layout = layout_of(case.options)
        labels = case.tensor("label").long()
        if layout.unknown != "none":
            labels = torch.where(labels == layout.num_classes, 255, labels)
        edges = case.tensor("edge") if layout.edges else None
        positions = (lambda: case.tensor("dist")) if "dist" in case.arrays else None
        super().__init__(labels, layout, edges, positions)
        self._edges = None if edges is None else edges.bool()


def _soft(hard: SemanticMap, case: Case) -> SemanticMap:
    """The same map as floats, such as probabilities are."""
    positions = (lambda: case.tensor("dist")) if "dist" in case.arrays else None
    return SemanticMap.from_tensor(hard.full, positions)


def _norm(options: dict[str, Any]) -> Any:
    return "clade_icpe" if options.get("add_dist") else "clade"


def check_layer(case: Case) -> None:
    options = {"norm_G": case.options["config"], **case.options}
    semantics = GivenEdges(case)
    layer = CLADE(
        options["norm_nc"],
        semantics.num_labels - semantics.has_edges,
        param_free=norm_options(options["norm_G"])["param_free_norm"],
        edges=semantics.has_edges,
        positional=_norm(options) == "clade_icpe",
    )
    case.prepare(layer)
    for name, map_ in (("out", semantics), ("out of a soft map", _soft(semantics, case))):
        case.close(name, layer(case.tensor("x"), map_), case.arrays["out"], TOLERANCE)


def check_generator(case: Case) -> None:
    options, layout = case.options, layout_of(case.options)
    made = norm_options(options["norm_G"])
    upsampling = options["num_upsampling_layers"]
    network = CLADEGenerator(
        CLADEGenerator.Config(
            num_labels=layout.num_labels,
            base_channels=options["ngf"],
            upsampling=upsampling,
            z_dim=options.get("z_dim", 256) if options.get("use_vae") else None,
            image_size=published_size(
                options["crop_size"], options.get("aspect_ratio", 1.0), upsampling
            ),
            norm=_norm(options),
            edges=layout.edges,
            param_free_norm=made["param_free_norm"],
            spectral=made["spectral"],
        )
    )
    case.prepare(network)
    tolerance = TOLERANCE
    if made["param_free_norm"] == "instance":
        tolerance = INSTANCE_NORM_TOLERANCE
    semantics = GivenEdges(case)
    z = case.tensor("z") if "z" in case.arrays else None
    for name, map_ in (("image", semantics), ("image of a soft map", _soft(semantics, case))):
        with torch.no_grad():
            image = network(map_, z)
        stored = case.arrays["image"]
        stride = image.shape[-1] // stored.shape[-1]
        case.close(name, image[:, :, ::stride, ::stride], stored, tolerance)


def check_discriminator(case: Case) -> None:
    compare_on_noise(case, spade_discriminator(case.options))


def compare_on_noise(case: Case, network: MultiscaleDiscriminator) -> None:
    """Compare features and predictions on normal numbers in place of map and image."""
    discriminator = case.prepare(network)
    x = case.normal_input()
    with torch.no_grad():
        scales = discriminator(x[:, :-3], x[:, -3:])
    some = case.arrays["feat0_1"]
    case.close("feat0_1", scales[0][1][:, : some.shape[1]], some, INSTANCE_NORM_TOLERANCE)
    for number, layers in enumerate(scales):
        name = f"pred{number}"
        case.close(name, layers[-1], case.arrays[name], INSTANCE_NORM_TOLERANCE)
        known = case.meta["feature_mean_std_maxabs"][number]
        for place, (feature, moments) in enumerate(zip(layers, known, strict=True)):
            name = f"moments of {number}.{place}"
            case.close(name, _moments(feature.double()), moments, INSTANCE_NORM_TOLERANCE)


def _moments(values: Tensor) -> Tensor:
    return torch.stack([values.mean(), values.std(correction=0), values.abs().max()])


def check_positions(case: Case) -> None:
    made = torch.from_numpy(positional_map(case.arrays["label"]))
    case.close("norm", made, case.arrays["norm"], tolerance=0.0)
