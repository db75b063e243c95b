# SPDX-License-Identifier: Apache-2.0
"""The 182 classes of COCO-Stuff in the numbering of its `stuffthingmaps` label files.

Caesar, Uijlings, Ferrari, "COCO-Stuff: Thing and Stuff Classes in Context", CVPR 2018. A label
value is the published id minus one: things 0..90, stuff 91..181. Eleven things were given an id
but never an annotation, so scores average over at most 171 classes.
"""

import colorsys

from spade_eval.datasets.class_table import ClassTable, numbered

THINGS = (
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat",
    "traffic light", "fire hydrant", "street sign", "stop sign", "parking meter", "bench", "bird",
    "cat", "dog", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe", "hat",
    "backpack", "umbrella", "shoe", "eye glasses", "handbag", "tie", "suitcase", "frisbee", "skis",
    "snowboard", "sports ball", "kite", "baseball bat", "baseball glove", "skateboard",
    "surfboard", "tennis racket", "bottle", "plate", "wine glass", "cup", "fork", "knife", "spoon",
    "bowl", "banana", "apple", "sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza",
    "donut", "cake", "chair", "couch", "potted plant", "bed", "mirror", "dining table", "window",
    "desk", "toilet", "door", "tv", "laptop", "mouse", "remote", "keyboard", "cell phone",
    "microwave", "oven", "toaster", "sink", "refrigerator", "blender", "book", "clock", "vase",
    "scissors", "teddy bear", "hair drier", "toothbrush", "hair brush",
)  # fmt: skip

STUFF = (
    "banner", "blanket", "branch", "bridge", "building-other", "bush", "cabinet", "cage",
    "cardboard", "carpet", "ceiling-other", "ceiling-tile", "cloth", "clothes", "clouds", "counter",
    "cupboard", "curtain", "desk-stuff", "dirt", "door-stuff", "fence", "floor-marble",
    "floor-other", "floor-stone", "floor-tile", "floor-wood", "flower", "fog", "food-other",
    "fruit", "furniture-other", "grass", "gravel", "ground-other", "hill", "house", "leaves",
    "light", "mat", "metal", "mirror-stuff", "moss", "mountain", "mud", "napkin", "net", "paper",
    "pavement", "pillow", "plant-other", "plastic", "platform", "playingfield", "railing",
    "railroad", "river", "road", "rock", "roof", "rug", "salad", "sand", "sea", "shelf",
    "sky-other", "skyscraper", "snow", "solid-other", "stairs", "stone", "straw",
    "structural-other", "table", "tent", "textile-other", "towel", "tree", "vegetable",
    "wall-brick", "wall-concrete", "wall-other", "wall-panel", "wall-stone", "wall-tile",
    "wall-wood", "water-other", "waterdrops", "window-blind", "window-other", "wood",
)  # fmt: skip

CLASS_NAMES: tuple[str, ...] = THINGS + STUFF

NEVER_ANNOTATED = (11, 25, 28, 29, 44, 65, 67, 68, 70, 82, 90)
"""Label values of street sign, hat, shoe, eye glasses, plate, mirror, window, desk, door, blender
and hair brush."""


def spread_colour(index: int) -> tuple[int, int, int]:
    """Return hues a golden section apart, so that neighbours differ; never near black.

    COCO-Stuff has no colours of its own.
    """
    hue = index * 0.618034 % 1.0
    saturation, value = ((0.9, 0.95), (0.6, 0.75), (0.45, 1.0))[index % 3]
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation, value)
    return round(255 * red), round(255 * green), round(255 * blue)


PALETTE = tuple(spread_colour(index) for index in range(len(CLASS_NAMES)))

_ANNOTATED = [value for value in range(len(CLASS_NAMES)) if value not in NEVER_ANNOTATED]

TABLE = ClassTable(
    class_names=CLASS_NAMES,
    colours=PALETTE,
    numberings={
        "file value": numbered(range(182)),
        "COCO id": numbered(range(1, 183)),
        # without gaps, as in mmsegmentation and other later code
        "171 classes": numbered(
            _ANNOTATED.index(value) if value in _ANNOTATED else None for value in range(182)
        ),
        "OASIS channel": numbered(range(1, 183)),
    },
    unlabelled={"file value": 255, "COCO id": 0, "171 classes": 255, "OASIS channel": 0},
)
