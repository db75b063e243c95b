# SPDX-License-Identifier: Apache-2.0
"""Encoders: SPADE's image encoder for styles, and pix2pixHD's instance-wise feature encoder."""

from spade_eval.models.encoders.instance_features import InstanceFeatureEncoder
from spade_eval.models.encoders.variational import ImageEncoder, reparametrise

__all__ = ["ImageEncoder", "InstanceFeatureEncoder", "reparametrise"]
