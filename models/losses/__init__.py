# SPDX-License-Identifier: Apache-2.0
"""Adversarial, feature-matching, perceptual and KL losses, and their composition per method."""

from models.losses.objective import OBJECTIVES, Objective, ObjectiveConfig
from models.losses.perceptual import PerceptualLoss

__all__ = ["OBJECTIVES", "Objective", "ObjectiveConfig", "PerceptualLoss"]
