# SPDX-License-Identifier: Apache-2.0
"""The classes of the procedural outdoor world: label values, names and colours of the label map."""

from spade_eval.datasets.base import LabelSpace

SKY, CLOUD, SUN, MOUNTAIN, SEA, SAND, GRASS, FIELD = range(8)
ROAD, PAVEMENT, BUILDING, TREE, ROCK, PERSON, CAR, BOAT = range(8, 16)

GROUND = (SEA, SAND, GRASS, FIELD, ROAD, PAVEMENT)
"""Classes that lie on the ground plane: they show the horizon, and shadows fall on them."""

UPRIGHT = (BUILDING, TREE, ROCK, PERSON, CAR, BOAT)
"""Classes that stand on the ground plane: they cast shadows, and their foot gives their depth."""

LABEL_SPACE = LabelSpace(
    class_names=(
        "sky",
        "cloud",
        "sun",
        "mountain",
        "sea",
        "sand",
        "grass",
        "field",
        "road",
        "pavement",
        "building",
        "tree",
        "rock",
        "person",
        "car",
        "boat",
    ),
    palette=(
        (70, 130, 180),
        (220, 228, 236),
        (255, 214, 10),
        (120, 100, 140),
        (20, 60, 150),
        (238, 203, 140),
        (124, 200, 80),
        (190, 170, 30),
        (90, 70, 100),
        (230, 120, 200),
        (150, 90, 60),
        (20, 100, 45),
        (128, 128, 128),
        (220, 20, 60),
        (0, 200, 220),
        (255, 128, 0),
    ),
    has_unlabelled=False,
)

NUM_CLASSES = LABEL_SPACE.num_classes
