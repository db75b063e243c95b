# SPDX-License-Identifier: Apache-2.0
"""The generators of the suite by name: one row per variant of the paper's Tables 3, 4 and 5."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import nn

from spade_eval.models.generators.local_enhancer import LocalEnhancerGenerator
from spade_eval.models.generators.pix2pixhd import Pix2PixHDGenerator
from spade_eval.models.generators.spade import SPADEGenerator
from spade_eval.models.initialisation import Scheme, build
from spade_eval.models.labels import Size

MIN_HIDDEN_CHANNELS = 16


@dataclass(frozen=True, kw_only=True)
class GeneratorPreset:
    """A generator class, what its configuration changes at full width, and its row in the paper."""

    generator: type[nn.Module]
    config: Mapping[str, Any] = field(default_factory=dict)
    paper_row: str = ""  # table and row of Park et al., CVPR 2019
    millions: int | None = None  # parameters as printed there
    method: Literal["spade", "pix2pixhd"] = "spade"  # whose objective and settings train it
    training: Mapping[str, Any] = field(default_factory=dict)  # changes to those settings
    latent: Literal["none", "encoder", "random"] = "none"  # where z comes from in training
    initialisation: Scheme = "as_trained"
    description: str = ""


# The SPADE repository's pix2pixHD: no convolution bias where an (affine) norm follows.
_PLUS_PLUS = {"norm": "syncbatch", "spectral": True, "conv_bias": False}

GENERATORS: dict[str, GeneratorPreset] = {
    # Table 3: the eight architectures, all trained with SPADE's objective.
    "spade": GeneratorPreset(
        generator=SPADEGenerator,
        paper_row="Table 3: decoder w/ SPADE",
        millions=96,
        description="SPADE generator on the segmentation map",
    ),
    "spade_compact": GeneratorPreset(
        generator=SPADEGenerator,
        config={"base_channels": 48},
        paper_row="Table 3: compact decoder w/ SPADE",
        millions=61,
        description="three quarters of the filters; SPADE layers keep their hidden width",
    ),
    "concat": GeneratorPreset(
        generator=SPADEGenerator,
        config={"norm": "syncbatch", "concat": True},
        paper_row="Table 3: decoder w/ Concat",
        millions=79,
        description="SPADE's decoder with batch norm, the map concatenated to every block",
    ),
    "pix2pixhdpp_spade": GeneratorPreset(
        generator=Pix2PixHDGenerator,
        config={"norm": "spade", "spectral": True},
        paper_row="Table 3: pix2pixHD++ w/ SPADE",
        millions=237,
        description="pix2pixHD++ with SPADE in place of all 27 norms",
    ),
    "pix2pixhdpp_concat": GeneratorPreset(
        generator=Pix2PixHDGenerator,
        config={**_PLUS_PLUS, "concat": True},
        paper_row="Table 3: pix2pixHD++ w/ Concat",
        millions=195,
        description="pix2pixHD++ with the map concatenated to every residual block",
    ),
    "pix2pixhdpp": GeneratorPreset(
        generator=Pix2PixHDGenerator,
        config=_PLUS_PLUS,
        paper_row="Table 3: pix2pixHD++",
        millions=183,
        description="pix2pixHD with spectral norm, synchronised batch norm, hinge loss and TTUR",
    ),
    "pix2pixhdpp_compact": GeneratorPreset(
        generator=Pix2PixHDGenerator,
        config={**_PLUS_PLUS, "base_channels": 48},
        paper_row="Table 3: compact pix2pixHD++",
        millions=103,
        description="pix2pixHD++ with three quarters of the filters",
    ),
    "pix2pixhd": GeneratorPreset(
        generator=Pix2PixHDGenerator,
        paper_row="Table 3: pix2pixHD",
        millions=183,
        method="pix2pixhd",
        initialisation="pix2pixhd",
        description="the global generator of Wang et al. with its own objective",
    ),
    # Table 4: input, kernel size, capacity and parameter-free norm of the SPADE generator.
    "spade_random": GeneratorPreset(
        generator=SPADEGenerator,
        config={"z_dim": 256},
        latent="random",
        paper_row="Table 4: random input",
        description="z from N(0, 1) as input, the map through the SPADE layers alone",
    ),
    "spade_kernel1": GeneratorPreset(
        generator=SPADEGenerator,
        config={"spade_kernel_size": 1},
        paper_row="Table 4: kernelsize 1x1",
        description="1x1 convolutions inside the SPADE layers",
    ),
    "spade_kernel5": GeneratorPreset(
        generator=SPADEGenerator,
        config={"spade_kernel_size": 5},
        paper_row="Table 4: kernelsize 5x5",
        description="5x5 convolutions inside the SPADE layers",
    ),
    "spade_141m": GeneratorPreset(
        generator=SPADEGenerator,
        config={"base_channels": 80},
        paper_row="Table 4: 141M parameters",
        millions=141,
        description="the wider SPADE generator",
    ),
    "spade_batch": GeneratorPreset(
        generator=SPADEGenerator,
        config={"param_free_norm": "batch"},
        paper_row="Table 4: BatchNorm",
        description="batch statistics of each process instead of all",
    ),
    "spade_instance": GeneratorPreset(
        generator=SPADEGenerator,
        config={"param_free_norm": "instance"},
        paper_row="Table 4: InstanceNorm",
        description="instance norm inside the SPADE layers",
    ),
    # Table 5: what SPADE owes to its losses, and pix2pixHD++ to its two normalisations.
    "spade_without_perceptual": GeneratorPreset(
        generator=SPADEGenerator,
        training={"objective": "spade_without_perceptual"},
        paper_row="Table 5: SPADE w/o perceptual loss",
        description="SPADE trained without the VGG-19 loss",
    ),
    "spade_without_feature_matching": GeneratorPreset(
        generator=SPADEGenerator,
        training={"objective": "spade_without_feature_matching"},
        paper_row="Table 5: SPADE w/o GAN feature matching loss",
        description="SPADE trained without the discriminator's features",
    ),
    "spade_deeper_discriminator": GeneratorPreset(
        generator=SPADEGenerator,
        training={"discriminator_layers": 5},
        paper_row="Table 5: SPADE w/ a deeper discriminator",
        description="SPADE against discriminators with one convolution more",
    ),
    "pix2pixhdpp_without_syncbn": GeneratorPreset(
        generator=Pix2PixHDGenerator,
        config={**_PLUS_PLUS, "norm": "instance"},
        paper_row="Table 5: pix2pixHD++ w/o Sync BatchNorm",
        description="pix2pixHD++ with instance norm",
    ),
    "pix2pixhdpp_without_both": GeneratorPreset(
        generator=Pix2PixHDGenerator,
        paper_row="Table 5: pix2pixHD++ w/o Sync BatchNorm and w/o Spectral Norm",
        description="the global generator with pix2pixHD++'s objective and initialisation",
    ),
    # Further networks of the two papers.
    "spade_vae": GeneratorPreset(
        generator=SPADEGenerator,
        config={"z_dim": 256},
        latent="encoder",
        paper_row="Sec. 3: multi-modal synthesis",
        description="z from the image encoder in training, from it or N(0, 1) at test time",
    ),
    "pix2pixhd_local": GeneratorPreset(
        generator=LocalEnhancerGenerator,
        method="pix2pixhd",
        initialisation="pix2pixhd",
        paper_row="Wang et al., Fig. 3",
        description="pix2pixHD with its local enhancer, for 1024 x 2048",
    ),
}


def lookup(name: str) -> GeneratorPreset:
    """The preset of that name; `ValueError` gives the nearest names and the list."""
    if name not in GENERATORS:
        near = difflib.get_close_matches(name, GENERATORS, n=3)
        meant = f"; did you mean {' or '.join(near)}?" if near else "."
        raise ValueError(
            f"no generator is called {name!r}{meant} Known: {', '.join(sorted(GENERATORS))}"
        )
    return GENERATORS[name]


def generator_config(
    name: str,
    num_labels: int,
    image_size: Size = (256, 256),
    width: float = 1.0,
    **overrides: Any,
) -> Any:
    """The `Config` of a preset; `width` scales base channels and SPADE's hidden width."""
    preset = lookup(name)
    config_class = preset.generator.Config  # type: ignore[attr-defined]
    known = config_class.__dataclass_fields__
    settings = dict(preset.config)
    base = settings.get("base_channels", known["base_channels"].default)
    hidden = settings.get("hidden_channels", known["hidden_channels"].default)
    settings["base_channels"] = max(1, round(base * width))
    if (settings | overrides).get("norm", known["norm"].default) == "spade":
        settings["hidden_channels"] = max(MIN_HIDDEN_CHANNELS, round(hidden * width))
    if "image_size" in known:
        settings["image_size"] = image_size
    settings |= overrides
    unknown = sorted(set(settings) - set(known))
    if unknown:
        raise ValueError(
            f"{name} has no setting {', '.join(unknown)}; its settings are {', '.join(known)}"
        )
    return config_class(num_labels=num_labels, **settings)


def build_generator(
    name: str,
    num_labels: int,
    image_size: Size = (256, 256),
    width: float = 1.0,
    seed: int = 0,
    **overrides: Any,
) -> nn.Module:
    """A generator with its method's initialisation drawn from `seed`; no global state changes.

    `image_size` (height, width) fixes the output of latent-input generators; the others follow the
    semantic map. `width=1.0` is the paper's; miniatures scale every width. Further settings of the
    preset's `Config` go by name.
    """
    config = generator_config(name, num_labels, image_size, width, **overrides)
    preset = lookup(name)
    return build(preset.generator, config, preset.initialisation, seed)


def count_parameters(name: str, num_labels: int, **overrides: Any) -> int:
    """Trainable parameters at full width, counted on the meta device."""
    with torch.device("meta"):
        generator = lookup(name).generator(generator_config(name, num_labels, **overrides))
    return sum(parameter.numel() for parameter in generator.parameters())
