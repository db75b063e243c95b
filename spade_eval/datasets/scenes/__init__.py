# SPDX-License-Identifier: Apache-2.0
"""A procedural outdoor world: layouts painted by depth order, photos rendered in drawn styles."""

from spade_eval.datasets.scenes.dataset import Scenes
from spade_eval.datasets.scenes.render import render
from spade_eval.datasets.scenes.style import Style, draw_style

__all__ = ["Scenes", "Style", "draw_style", "render"]
