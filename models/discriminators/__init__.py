# SPDX-License-Identifier: Apache-2.0
"""Discriminators: the multi-scale patch discriminator of pix2pixHD and SPADE."""

from spade_eval.models.discriminators.multiscale import MultiscaleDiscriminator

__all__ = ["MultiscaleDiscriminator"]
