# SPDX-License-Identifier: Apache-2.0
"""What can be read off the label and instance map: horizon, distance, boxes of things, shadows.

The renderer knows the scene from the two maps alone, as a generator does. Coordinates are in units
of the image height. A camera at height `CAMERA` above a ground plane sees the ground at height y
below the horizon at distance CAMERA / (y - horizon) (pinhole, focal length 1).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spade_eval.datasets.scenes import classes
from spade_eval.datasets.scenes.noise import Array

Labels = NDArray[np.uint8]
Ids = NDArray[np.int32]
Indices = NDArray[np.intp]

CAMERA = 0.5
_NEAREST_TO_HORIZON = 0.02  # keeps the distance of a pixel on the horizon finite: 25 units
_RANGE_SPACING = 11.0  # distance between one mountain range and the next
_SHADOW_LENGTH = 1.1  # of an object of height 1 in the lowest light, sideways


def _is_one_of(labels: tuple[int, ...]) -> NDArray[np.bool_]:
    table = np.zeros(256, dtype=bool)
    table[list(labels)] = True
    return table


_IS_GROUND = _is_one_of(classes.GROUND)
_IS_UPRIGHT = _is_one_of(classes.UPRIGHT)


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """Geometry of one scene; arrays over pixels are flat, in row-major order."""

    height: int
    width: int
    labels: Labels
    ids: Ids
    x: Array
    y: Array
    horizon: float
    distance: Array  # of the ground plane, of the foot of things; sky and clouds: meaningless
    boxes: Array  # (ids, 4): top, left, bottom, right of each instance
    sun: tuple[float, float] | None  # centre of the sun, where the maps show one

    @property
    def aspect(self) -> float:
        return self.width / self.height

    def pixels_of(self, label: int) -> Indices:
        return np.flatnonzero(self.labels == label)

    def image(self, values: Array) -> Array:
        return values.reshape(self.height, self.width)


def read_geometry(label_map: Labels, instance_map: Ids) -> Geometry:
    """Derive the geometry of a (H, W) label map and instance map (ids from 0, far below 2**16)."""
    height, width = label_map.shape
    rows, columns = np.indices((height, width), dtype=np.float32)
    y, x = (rows.ravel() + 0.5) / height, (columns.ravel() + 0.5) / height
    labels, ids = label_map.ravel(), instance_map.ravel()
    horizon = _horizon(_IS_GROUND[label_map])
    boxes = _boxes(instance_map)
    foot = np.where(_IS_UPRIGHT[labels], boxes[ids, 2], y)
    distance = CAMERA / (np.maximum(foot - horizon, 0.0) + _NEAREST_TO_HORIZON)
    _set_ranges_back(distance, labels, ids, y, horizon)
    return Geometry(
        height=height,
        width=width,
        labels=labels,
        ids=ids,
        x=x,
        y=y,
        horizon=horizon,
        distance=distance.astype(np.float32),
        boxes=boxes,
        sun=_centre(labels == classes.SUN, x, y),
    )


def _horizon(ground: NDArray[np.bool_]) -> float:
    """Return the top of the ground: the first row with a twelfth of its pixels on it."""
    rows = np.flatnonzero(ground.mean(axis=1) > 1.0 / 12.0)
    return float(rows[0]) / ground.shape[0] if rows.size else 0.5


def _set_ranges_back(distance: Array, labels: Labels, ids: Ids, y: Array, horizon: float) -> None:
    """Give mountain ranges above the horizon distances by the order of their mean heights."""
    pixels = np.flatnonzero(labels == classes.MOUNTAIN)
    if pixels.size == 0:
        return
    count = np.bincount(ids[pixels])
    mean = np.bincount(ids[pixels], weights=y[pixels]) / np.maximum(count, 1)
    ranges = np.flatnonzero((count > 0) & (mean < horizon + 0.02))
    table = np.zeros(count.size, dtype=np.float32)
    table[ranges[np.argsort(-mean[ranges])]] = _RANGE_SPACING * np.arange(1, ranges.size + 1)
    back = table[ids[pixels]]
    distance[pixels[back > 0]] = back[back > 0]


def _boxes(instance_map: Ids) -> Array:
    from scipy import ndimage

    height = instance_map.shape[0]
    boxes = np.zeros((int(instance_map.max()) + 1, 4), dtype=np.float32)
    for index, box in enumerate(ndimage.find_objects(instance_map + 1)):
        if box is not None:
            boxes[index] = box[0].start, box[1].start, box[0].stop, box[1].stop
    return boxes / np.float32(height)


def _centre(mask: NDArray[np.bool_], x: Array, y: Array) -> tuple[float, float] | None:
    if not mask.any():
        return None
    return float(x[mask].mean()), float(y[mask].mean())


def cast_shadows(geometry: Geometry, light_x: float, elevation: float, behind: bool) -> Array:
    """Share of the sunlight that upright things take from each pixel, (H, W) in 0..1.

    Each pixel of a thing falls onto the ground in line with its foot: sideways away from the light
    and, foreshortened, towards the viewer if the light is `behind` the scene, else away from it.
    """
    mask = np.zeros((geometry.height, geometry.width), dtype=np.float32)
    pixels = np.flatnonzero(_IS_UPRIGHT[geometry.labels])
    if pixels.size == 0:
        return mask
    foot = geometry.boxes[geometry.ids[pixels], 2]
    above = foot - geometry.y[pixels]
    length = _SHADOW_LENGTH * (1.1 - elevation)
    row = foot + (0.35 if behind else -0.12) * length * above
    column = geometry.x[pixels] - light_x * length * above
    rows = np.clip((row * geometry.height).astype(np.int32), 0, geometry.height - 1)
    columns = (column * geometry.height).astype(np.int32)
    inside = (columns >= 0) & (columns < geometry.width)
    mask[rows[inside], columns[inside]] = 1.0
    return soft(mask, max(3, geometry.height // 40))


def soft(mask: Array, width: int) -> Array:
    """Average a (H, W) map over squares of `width` pixels."""
    from scipy import ndimage

    return np.asarray(ndimage.uniform_filter(mask, width, mode="nearest"), dtype=np.float32)
