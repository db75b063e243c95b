# SPDX-License-Identifier: Apache-2.0
"""The methods of the suite by name: one row per variant of the papers' tables.

A row is all that there is to register: what is listed, built, trained, synthesized, exported,
described and recognised derives from it.
"""

from typing import Any

import torch
from torch import nn

from spade_eval.errors import lookup
from spade_eval.models.fast.accelerate import accelerate
from spade_eval.models.generators.clade import CLADEGenerator
from spade_eval.models.generators.crn import CRNGenerator
from spade_eval.models.generators.local_enhancer import LocalEnhancerGenerator
from spade_eval.models.generators.munit import MUNITGenerator
from spade_eval.models.generators.oasis import OASISGenerator
from spade_eval.models.generators.pix2pixhd import Pix2PixHDGenerator
from spade_eval.models.generators.resnet import ResNetGenerator
from spade_eval.models.generators.sdm import SDMGenerator
from spade_eval.models.generators.sean import SEANGenerator
from spade_eval.models.generators.spade import SPADEGenerator
from spade_eval.models.generators.unet import UNetGenerator
from spade_eval.models.generators.unit import UNITGenerator
from spade_eval.models.initialisation import build
from spade_eval.models.labels import Size
from spade_eval.models.systems.base import Preset, System
from spade_eval.models.systems.clade import CLADE
from spade_eval.models.systems.crn import CRN
from spade_eval.models.systems.cyclegan import CycleGAN
from spade_eval.models.systems.munit import MUNIT
from spade_eval.models.systems.oasis import OASIS
from spade_eval.models.systems.pix2pix import Pix2Pix
from spade_eval.models.systems.scaling import network_config
from spade_eval.models.systems.sdm import SDM
from spade_eval.models.systems.sean import SEAN, ACEDecoder
from spade_eval.models.systems.settings import resolved
from spade_eval.models.systems.spade import SPADE, Pix2PixHD
from spade_eval.models.systems.unit import UNIT

# The SPADE repository's pix2pixHD: no convolution bias where an (affine) norm follows.
_PLUS_PLUS = {"norm": "syncbatch", "spectral": True, "conv_bias": False}

# Norms of the related work of Park et al., in SPADE's decoder, which begins with the map.
_DECODERS = {
    "sft": ("sft", "Wang et al., CVPR 2018", "spatial feature transform of a shared condition map"),
    "adain": ("adain", "Huang & Belongie, ICCV 2017", "adaptive instance norm of label shares"),
    "conditional_batch": (
        "conditional_batch", "Dumoulin et al., ICLR 2017", "batch norm conditioned on label shares",
    ),
    "batch": ("syncbatch", "Ioffe & Szegedy, ICML 2015", "batch norm"),
    "instance": ("instance", "Ulyanov et al., 2016", "instance norm"),
    "layer": ("layer", "Ba et al., 2016", "layer norm over channels and pixels"),
    "group": ("group", "Wu & He, ECCV 2018", "group norm"),
    "weight": ("weight", "Salimans & Kingma, NeurIPS 2016", "weight-normalised convolutions"),
    "local_response": (
        "local_response", "Krizhevsky et al., NeurIPS 2012", "local response norm",
    ),
}  # fmt: skip

GENERATORS: dict[str, Preset] = {
    # Table 3: the eight architectures, all trained with SPADE's objective.
    "spade": Preset(
        system=SPADE,
        network=SPADEGenerator,
        source="Table 3: decoder w/ SPADE",
        millions=96,
        description="SPADE generator on the segmentation map",
    ),
    "spade_compact": Preset(
        system=SPADE,
        network=SPADEGenerator,
        config={"base_channels": 48},
        source="Table 3: compact decoder w/ SPADE",
        millions=61,
        description="three quarters of the filters; SPADE layers keep their hidden width",
    ),
    "concat": Preset(
        system=SPADE,
        network=SPADEGenerator,
        config={"norm": "syncbatch", "concat": True},
        source="Table 3: decoder w/ Concat",
        millions=79,
        description="SPADE's decoder with batch norm, the map concatenated to every block",
    ),
    "pix2pixhdpp_spade": Preset(
        system=SPADE,
        network=Pix2PixHDGenerator,
        config={"norm": "spade", "spectral": True},
        source="Table 3: pix2pixHD++ w/ SPADE",
        millions=237,
        description="pix2pixHD++ with SPADE in place of all 27 norms",
    ),
    "pix2pixhdpp_concat": Preset(
        system=SPADE,
        network=Pix2PixHDGenerator,
        config={**_PLUS_PLUS, "concat": True},
        source="Table 3: pix2pixHD++ w/ Concat",
        millions=195,
        description="pix2pixHD++ with the map concatenated to every residual block",
    ),
    "pix2pixhdpp": Preset(
        system=SPADE,
        network=Pix2PixHDGenerator,
        config=_PLUS_PLUS,
        source="Table 3: pix2pixHD++",
        millions=183,
        description="pix2pixHD with spectral norm, synchronised batch norm, hinge loss and TTUR",
    ),
    "pix2pixhdpp_compact": Preset(
        system=SPADE,
        network=Pix2PixHDGenerator,
        config={**_PLUS_PLUS, "base_channels": 48},
        source="Table 3: compact pix2pixHD++",
        millions=103,
        description="pix2pixHD++ with three quarters of the filters",
    ),
    "pix2pixhd": Preset(
        system=Pix2PixHD,
        network=Pix2PixHDGenerator,
        source="Table 3: pix2pixHD",
        millions=183,
        description="the global generator of Wang et al. with its own objective",
    ),
    # Table 4: input, kernel size, capacity and parameter-free norm of the SPADE generator.
    "spade_random": Preset(
        system=SPADE,
        network=SPADEGenerator,
        config={"z_dim": 256},
        changes={"latent": "random"},
        source="Table 4: random input",
        description="z from N(0, 1) as input, the map through the SPADE layers alone",
    ),
    "spade_kernel1": Preset(
        system=SPADE,
        network=SPADEGenerator,
        config={"spade_kernel_size": 1},
        source="Table 4: kernelsize 1x1",
        description="1x1 convolutions inside the SPADE layers",
    ),
    "spade_kernel5": Preset(
        system=SPADE,
        network=SPADEGenerator,
        config={"spade_kernel_size": 5},
        source="Table 4: kernelsize 5x5",
        description="5x5 convolutions inside the SPADE layers",
    ),
    "spade_141m": Preset(
        system=SPADE,
        network=SPADEGenerator,
        config={"base_channels": 80},
        source="Table 4: 141M parameters",
        millions=141,
        description="the wider SPADE generator",
    ),
    "spade_batch": Preset(
        system=SPADE,
        network=SPADEGenerator,
        config={"param_free_norm": "batch"},
        source="Table 4: BatchNorm",
        description="batch statistics of each process instead of all",
    ),
    "spade_instance": Preset(
        system=SPADE,
        network=SPADEGenerator,
        config={"param_free_norm": "instance"},
        source="Table 4: InstanceNorm",
        description="instance norm inside the SPADE layers",
    ),
    # Table 5: what SPADE owes to its losses, and pix2pixHD++ to its two normalisations.
    "spade_without_perceptual": Preset(
        system=SPADE,
        network=SPADEGenerator,
        changes={"objective.perceptual_weight": 0.0},
        source="Table 5: SPADE w/o perceptual loss",
        description="SPADE trained without the VGG-19 loss",
    ),
    "spade_without_feature_matching": Preset(
        system=SPADE,
        network=SPADEGenerator,
        changes={"objective.feature_matching_weight": 0.0},
        source="Table 5: SPADE w/o GAN feature matching loss",
        description="SPADE trained without the discriminator's features",
    ),
    "spade_deeper_discriminator": Preset(
        system=SPADE,
        network=SPADEGenerator,
        changes={"discriminator_layers": 5},
        source="Table 5: SPADE w/ a deeper discriminator",
        description="SPADE against discriminators with one convolution more",
    ),
    "pix2pixhdpp_without_syncbn": Preset(
        system=SPADE,
        network=Pix2PixHDGenerator,
        config={**_PLUS_PLUS, "norm": "instance"},
        source="Table 5: pix2pixHD++ w/o Sync BatchNorm",
        description="pix2pixHD++ with instance norm",
    ),
    "pix2pixhdpp_without_both": Preset(
        system=SPADE,
        network=Pix2PixHDGenerator,
        source="Table 5: pix2pixHD++ w/o Sync BatchNorm and w/o Spectral Norm",
        description="the global generator with pix2pixHD++'s objective and initialisation",
    ),
    # Further networks of the two papers.
    "spade_vae": Preset(
        system=SPADE,
        network=SPADEGenerator,
        config={"z_dim": 256},
        changes={"latent": "encoder"},
        source="Sec. 3: multi-modal synthesis",
        description="z from the image encoder in training, from it or N(0, 1) at test time",
    ),
    "pix2pixhd_local": Preset(
        system=Pix2PixHD,
        network=LocalEnhancerGenerator,
        source="Wang et al., Fig. 3",
        description="pix2pixHD with its local enhancer, for 1024 x 2048",
    ),
    "crn": Preset(
        system=CRN,
        network=CRNGenerator,
        source="Chen & Koltun, ICCV 2017, Sec. 3 and 4",
        description="cascaded refinement by features alone; the first of nine images is scored",
    ),
    "oasis": Preset(
        system=OASIS,
        network=OASISGenerator,
        source="Sushko et al., ICLR 2021, Table 1: OASIS",
        description="SPADE's decoder with 3D noise against a discriminator that segments",
    ),
    "oasis_without_noise": Preset(
        system=OASIS,
        network=OASISGenerator,
        config={"z_dim": None},
        source="Sushko et al., ICLR 2021: OASIS w/o 3D noise",
        description="OASIS on the label map alone: one image for each",
    ),
    "oasis_with_perceptual": Preset(
        system=OASIS,
        network=OASISGenerator,
        changes={"perceptual_weight": 10.0},
        source="Sushko et al., ICLR 2021, Table 1: OASIS with VGG",
        description="OASIS with SPADE's VGG-19 loss besides",
    ),
    "clade": Preset(
        system=CLADE,
        network=CLADEGenerator,
        source="Tan et al., TPAMI 2021: CLADE",
        description="SPADE's decoder with a scale and a shift for each class",
    ),
    "clade_icpe": Preset(
        system=CLADE,
        network=CLADEGenerator,
        config={"norm": "clade_icpe"},
        source="Tan et al., TPAMI 2021: CLADE-ICPE",
        description="CLADE that varies with the place in the region of a class",
    ),
    "sean": Preset(
        system=SEAN,
        network=SEANGenerator,
        source="Zhu et al., CVPR 2020: SEAN",
        description="a style for each region, by default the class means of training images",
    ),
    "decoder_ace": Preset(
        system=ACEDecoder,
        network=SEANGenerator,
        source="Zhu et al., CVPR 2020: ACE",
        description="SPADE's decoder with ACE in place of SPADE: styles of an encoder that learns "
        "along, class means at test; trained as SPADE",
    ),
    "pix2pix": Preset(
        system=Pix2Pix,
        network=UNetGenerator,
        source="Isola et al., CVPR 2017: L1+cGAN, U-Net",
        description="U-Net with dropout at test time against a patch discriminator, and L1",
    ),
    "cyclegan": Preset(
        system=CycleGAN,
        network=ResNetGenerator,
        source="Zhu et al., ICCV 2017: CycleGAN",
        description="label maps to photos and back, learned from unpaired ones",
    ),
    "unit": Preset(
        system=UNIT,
        network=UNITGenerator,
        source="Liu et al., NeurIPS 2017: UNIT",
        description="label maps as pictures to photos by one code, without pairs",
    ),
    "munit": Preset(
        system=MUNIT,
        network=MUNITGenerator,
        source="Huang et al., ECCV 2018: MUNIT",
        description="label maps as pictures to photos of any style, without pairs",
    ),
    "sdm": Preset(
        system=SDM,
        network=SDMGenerator,
        source="Wang et al., 2022: SDM",
        description="a diffusion model: from noise to a photo in many steps, guided by the map",
    ),
    **{
        f"decoder_{name}": Preset(
            system=SPADE,
            network=SPADEGenerator,
            config={"norm": kind},
            source=source,
            description=f"SPADE's decoder with {text} in place of SPADE",
        )
        for name, (kind, source, text) in _DECODERS.items()
    },
}


def preset_of(name: str) -> Preset:
    """Return the row of that name, or answer a wrong name with the nearest ones."""
    return lookup(GENERATORS, name, "generator")


def systems() -> dict[str, type[System]]:
    """Return every method by its name, in the order of the rows."""
    return {preset.system.name: preset.system for preset in GENERATORS.values()}


def scored_networks() -> dict[str, type[nn.Module]]:
    """Return the classes of the rows' networks by name."""
    return {preset.network.__name__: preset.network for preset in GENERATORS.values()}


def networks() -> dict[str, type[nn.Module]]:
    """Return the classes of all networks by name: those of the rows, then those that help train."""
    others = {
        network.__name__: network for system in systems().values() for network in system.networks
    }
    return scored_networks() | others


def system_of(network: nn.Module) -> type[System]:
    """Return the method whose scored network is of this class."""
    for preset in GENERATORS.values():
        if preset.network is type(network):
            return preset.system
    raise ValueError(
        f"{type(network).__name__} is no generator of the suite; expected one of "
        f"{', '.join(sorted({preset.network.__name__ for preset in GENERATORS.values()}))}"
    )


def plain_generator(
    name: str,
    num_labels: int,
    image_size: Size = (256, 256),
    width: float = 1.0,
    seed: int = 0,
    **overrides: Any,
) -> nn.Module:
    """Return the scored network of a row as its equations stand, with first weights from `seed`.

    The initialisation is that of its method's release.

    `image_size` (height, width) fixes the output of latent-input generators; the others follow the
    semantic map. `width=1.0` is the paper's; miniatures scale every width. `edges=True` says that
    the last label is instance edges. Further settings of the network's `Config` go by name. No
    global state changes.
    """
    preset = preset_of(name)
    config = network_config(preset, num_labels, image_size, width, **overrides)
    return build(preset.network, config, resolved(preset, "release").initialisation, seed)


def build_generator(name: str, num_labels: int, *arguments: Any, **keywords: Any) -> nn.Module:
    """Return `plain_generator` of the same arguments with its fast forms, which are equal."""
    return accelerate(plain_generator(name, num_labels, *arguments, **keywords))


def count_parameters(name: str, num_labels: int, **overrides: Any) -> int:
    """Count the trainable parameters at full width, on the meta device."""
    preset = preset_of(name)
    with torch.device("meta"):
        network = preset.network(network_config(preset, num_labels, **overrides))
    return sum(parameter.numel() for parameter in network.parameters())
