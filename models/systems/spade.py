# SPDX-License-Identifier: Apache-2.0
"""SPADE and pix2pixHD: the numbers their papers print and those their published code uses.

Park et al., CVPR 2019, Sec. 4 and Appendix A against the NVlabs/SPADE repository; Wang et al., CVPR
2018, whose paper and code agree. The architecture is the code's in both sets.
"""

from dataclasses import replace
from typing import ClassVar

from spade_eval.models.losses.objective import PIX2PIXHD_OBJECTIVE, ObjectiveConfig
from spade_eval.models.systems.base import Difference, Optimizer, Original
from spade_eval.models.systems.conditional_gan import ConditionalGAN, ConditionalGANSettings


def _two_time_scale(beta2: float) -> dict[str, Optimizer]:
    """Half the rate 2e-4 for G and E, twice that for D (Heusel et al. 2017)."""
    return {
        "G": Optimizer(rate=1e-4, betas=(0.0, beta2)),
        "D": Optimizer(rate=4e-4, betas=(0.0, beta2)),
    }


_PAPER = ConditionalGANSettings(
    objective=ObjectiveConfig(kld_images=4),
    optimizers=_two_time_scale(0.999),
    batch_size=32,
    constant_epochs=100,
    decay_epochs=100,
    initialisation="as_printed",
)
_RELEASE = ConditionalGANSettings(
    objective=ObjectiveConfig(),
    optimizers=_two_time_scale(0.9),
    batch_size=1,
    constant_epochs=50,
    decay_epochs=0,
)
_PIX2PIXHD = ConditionalGANSettings(
    objective=PIX2PIXHD_OBJECTIVE,
    optimizers={name: Optimizer(rate=2e-4, betas=(0.5, 0.999)) for name in ("G", "D")},
    batch_size=1,
    constant_epochs=100,
    decay_epochs=100,
    initialisation="pix2pixhd",
    discriminator_norm="instance",
)


class SPADE(ConditionalGAN):
    """The method of Park et al. (GauGAN); it also trains the concat and pix2pixHD++ baselines."""

    name = "spade"
    original = Original(
        paper="Park et al., Semantic Image Synthesis with Spatially-Adaptive Normalization, "
        "CVPR 2019",
        objective="hinge GAN of two scales, feature matching, VGG-19; KL divergence with an "
        "encoder",
        protocol="mIoU and accuracy (DeepLab-v2, UperNet-101, DRN-D-105), FID; choices of people. "
        "Profile spade-paper",
        licence="CC BY-NC-SA 4.0",
        released=("*_net_G.pth", "*_net_D.pth", "*_net_E.pth"),
    )
    # COCO-Stuff: 100 epochs, Flickr Landscapes: 50, a decay is not stated. The release's Cityscapes
    # batch of 16 was set in October 2019.
    settings: ClassVar = {
        ("paper", ""): _PAPER,
        ("paper", "cocostuff"): replace(_PAPER, constant_epochs=100, decay_epochs=0),
        ("paper", "flickr_landscapes"): replace(_PAPER, constant_epochs=50, decay_epochs=0),
        ("release", ""): _RELEASE,
        ("release", "cityscapes"): replace(_RELEASE, batch_size=16),
    }
    setting_notes: ClassVar = {
        "betas": "the author says that the paper's models used 0.9 (NVlabs/SPADE#50)",
        "initialisation": "on a GPU the code's initialisation misses spectrally normalised weights",
        "batch_size": "the code's default; the paper trains on 8 GPUs",
        "constant_epochs": "the code's default",
        "decay_epochs": "the code's default; the paper decays from half of the epochs on",
        "kld_images": "the code sums over a GPU's images: of 32 on 8 GPUs, those of 4",
    }
    printed_architecture = (
        Difference(
            setting="SPADE layer",
            paper="normalised * gamma + beta (Fig. 10)",
            release="normalised * (1 + gamma) + beta",
            note="built as released",
        ),
        Difference(
            setting="residual block",
            paper="ReLU; shortcut SPADE, ReLU, 3x3 convolution (Fig. 11)",
            release="leaky ReLU 0.2; shortcut SPADE, 1x1 convolution without bias",
            note="built as released: the 96M parameters of Table 3 need the 1x1",
        ),
        Difference(
            setting="generator",
            paper="from 4x4, upsampling after each of seven blocks (Fig. 12)",
            release="from 8x8 at 256x256, five upsamplings, none after the last block",
            note='built as released; upsampling="more" starts from 4x4',
        ),
        Difference(
            setting="spectral norm",
            paper="on all convolutions",
            release="generator: conv_0, conv_1, conv_s; discriminator: all but first and last",
            note="built as released",
        ),
    )


class Pix2PixHD(ConditionalGAN):
    """The method of Wang et al. with its own objective."""

    name = "pix2pixhd"
    original = Original(
        paper="Wang et al., High-Resolution Image Synthesis and Semantic Manipulation with "
        "Conditional GANs, CVPR 2018",
        objective="least squares GAN of two scales, feature matching, VGG-19",
        protocol="mIoU and accuracy of PSPNet on Cityscapes; choices of people",
        licence="BSD",
        released=("*_net_G.pth", "*_net_D.pth", "*_net_E.pth"),
    )
    settings: ClassVar = {("paper", ""): _PIX2PIXHD, ("release", ""): _PIX2PIXHD}
