# SPDX-License-Identifier: Apache-2.0
"""Encoders: SPADE's image encoder for styles, and pix2pixHD's instance-wise feature encoder."""

from models.encoders.instance_features import InstanceFeatureEncoder
from models.encoders.variational import ImageEncoder, reparametrise

__all__ = ["ImageEncoder", "InstanceFeatureEncoder", "reparametrise"]
