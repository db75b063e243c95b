# SPDX-License-Identifier: Apache-2.0
"""The 34 label ids of Cityscapes, and the 19 train ids that are scored.

Cordts et al., "The Cityscapes Dataset for Semantic Urban Scene Understanding", CVPR 2016, and the
project's `labels.py`. The license plate has id -1: the project's code does not draw such polygons,
so `labelIds` files hold what lies below it, and neither -1 nor 255 occurs in them.
"""

from spade_eval.datasets.class_table import ClassTable, numbered

# label id = row; name, train id (None: not scored), colour
_ROWS = (
    ("unlabeled", None, (0, 0, 0)),
    ("ego vehicle", None, (0, 0, 0)),
    ("rectification border", None, (0, 0, 0)),
    ("out of roi", None, (0, 0, 0)),
    ("static", None, (0, 0, 0)),
    ("dynamic", None, (111, 74, 0)),
    ("ground", None, (81, 0, 81)),
    ("road", 0, (128, 64, 128)),
    ("sidewalk", 1, (244, 35, 232)),
    ("parking", None, (250, 170, 160)),
    ("rail track", None, (230, 150, 140)),
    ("building", 2, (70, 70, 70)),
    ("wall", 3, (102, 102, 156)),
    ("fence", 4, (190, 153, 153)),
    ("guard rail", None, (180, 165, 180)),
    ("bridge", None, (150, 100, 100)),
    ("tunnel", None, (150, 120, 90)),
    ("pole", 5, (153, 153, 153)),
    ("polegroup", None, (153, 153, 153)),
    ("traffic light", 6, (250, 170, 30)),
    ("traffic sign", 7, (220, 220, 0)),
    ("vegetation", 8, (107, 142, 35)),
    ("terrain", 9, (152, 251, 152)),
    ("sky", 10, (70, 130, 180)),
    ("person", 11, (220, 20, 60)),
    ("rider", 12, (255, 0, 0)),
    ("car", 13, (0, 0, 142)),
    ("truck", 14, (0, 0, 70)),
    ("bus", 15, (0, 60, 100)),
    ("caravan", None, (0, 0, 90)),
    ("trailer", None, (0, 0, 110)),
    ("train", 16, (0, 80, 100)),
    ("motorcycle", 17, (0, 0, 230)),
    ("bicycle", 18, (119, 11, 32)),
)

CLASS_NAMES = tuple(name for name, _, _ in _ROWS)
TRAIN_IDS = tuple(train_id for _, train_id, _ in _ROWS)

TABLE = ClassTable(
    class_names=CLASS_NAMES,
    colours=tuple(colour for _, _, colour in _ROWS),
    numberings={"label id": numbered(range(34)), "train id": TRAIN_IDS},
    unlabelled={"label id": None, "train id": 255},
)
