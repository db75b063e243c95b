# SPDX-License-Identifier: Apache-2.0
"""Adversarial, feature-matching, perceptual and KL losses, and their composition per method."""

from spade_eval.models.losses.objective import PIX2PIXHD_OBJECTIVE, Objective, ObjectiveConfig
from spade_eval.models.losses.perceptual import PerceptualLoss

__all__ = ["PIX2PIXHD_OBJECTIVE", "Objective", "ObjectiveConfig", "PerceptualLoss"]
