# SPDX-License-Identifier: Apache-2.0
"""What each kind of reference file is checked with: the longest prefix of its name decides."""

from collections.abc import Callable

from parity import (
    clade,
    crn,
    domains,
    losses,
    norms,
    oasis,
    pix2pixhd,
    preprocess,
    sdm,
    sean,
    segmenters,
    spade,
    translation,
)
from parity.case import Case

KINDS: dict[str, Callable[[Case], None]] = {
    "cbn_": norms.check_conditional_batch,
    "clade_discriminator": clade.check_discriminator,
    "clade_generator": clade.check_generator,
    "clade_layer": clade.check_layer,
    "clade_positional_map": clade.check_positions,
    "cyclegan_patchgan": translation.check_discriminator,
    "cyclegan_resnet": translation.check_resnet,
    "crn_": crn.check_generator,
    "discriminator_": spade.check_discriminator,
    "edges_": spade.check_edges,
    "encoder_": spade.check_encoder,
    "losses_": losses.check_losses,
    "objective_": losses.check_objective,
    "munit_discriminator": domains.check_discriminator,
    "munit_generator": domains.check_munit,
    "oasis_discriminator": oasis.check_discriminator,
    "oasis_generator": oasis.check_generator,
    "oasis_losses": oasis.check_losses,
    "pix2pix_patchgan": translation.check_discriminator,
    "pix2pix_unet": translation.check_unet,
    "pix2pixhd_discriminator_": pix2pixhd.check_discriminator,
    "pix2pixhd_encoder_": pix2pixhd.check_encoder,
    "pix2pixhd_global_": pix2pixhd.check_global,
    "pix2pixhd_local_": pix2pixhd.check_local,
    "pix2pixhdpp_": pix2pixhd.check_pix2pixhdpp,
    "preprocess_": preprocess.check_preprocess,
    "sdm_unet_and_sampling": sdm.check_network_and_chain,
    "sean_ace": sean.check_layer,
    "sean_discriminator": sean.check_discriminator,
    "sean_generator": sean.check_generator,
    "sean_zencoder": sean.check_encoder,
    "segmenter_": segmenters.check_segmenter,
    "sft_": norms.check_sft,
    "spade_generator_": spade.check_generator,
    "spade_layer_": spade.check_layer,
    "spade_resblk_": spade.check_block,
    "unit_generator": domains.check_unit,
    "vgg_loss_": losses.check_perceptual,
    "washaway_": pix2pixhd.check_washaway,
}

# Whole ResNet-101s on the CPU.
_SLOW = ("segmenter_deeplab", "segmenter_drn", "segmenter_inception", "segmenter_upernet")

# Arithmetic on the CPU wherever networks are, or pixels that must be equal bit for bit, which other
# devices do not promise.
_ON_CPU_ALONE = ("clade_positional_map", "losses_", "oasis_losses", "objective_", "preprocess_",
                 "segmenter_confusion", "segmenter_fid", "segmenter_preprocess", "vgg_loss_",
                 "washaway_")  # fmt: skip


def check_of(stem: str) -> Callable[[Case], None]:
    """The check for a file; an unknown kind is a failure, so that no file is passed over."""
    prefixes = [prefix for prefix in KINDS if stem.startswith(prefix)]
    assert prefixes, f"{stem}.npz is of no known kind; kinds: {', '.join(KINDS)}"
    return KINDS[max(prefixes, key=len)]


def is_known(stem: str) -> bool:
    """Whether a file is of one of the kinds."""
    return any(stem.startswith(prefix) for prefix in KINDS)


def on_cpu_alone(stem: str) -> bool:
    """Whether a kind says nothing of another device."""
    return stem.startswith(_ON_CPU_ALONE)


def is_slow(stem: str) -> bool:
    """Whether the check takes more than a few seconds."""
    return stem.startswith(_SLOW)
