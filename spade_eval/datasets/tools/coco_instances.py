# SPDX-License-Identifier: Apache-2.0
"""Instance maps of COCO-Stuff from the polygons of the COCO annotations, as SPADE made its own.

Each map starts as the label map; every annotation that is a list of polygons overwrites its pixels
with a running number, counted from 0 within the image, with coordinates shifted by -1; crowd
regions, which are run lengths, are skipped (Park et al., CVPR 2019, released files). A number may
therefore equal a label value elsewhere in the image, as in the released maps. Maps are 16 bit, so
that numbers never wrap. The maps go to `instances/<split>2017/`; nothing that was there changes.
"""

from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spade_eval.datasets import files
from spade_eval.datasets.coco_stuff import CocoStuff, place_of
from spade_eval.datasets.fingerprints import content_hashes
from spade_eval.datasets.pairing import listing
from spade_eval.datasets.parallel import DEFAULT_WORKERS, Progress, run_parallel, write_png
from spade_eval.datasets.tools.derived import claim_folder
from spade_eval.datasets.tools.polygons import fill_polygon
from spade_eval.errors import UserError
from spade_eval.json_fields import parsed_json

_ARCHIVE = "http://images.cocodataset.org/annotations/annotations_trainval2017.zip (241 MB)"

Polygons = list["array[float]"]
"""The parts of one object: x0, y0, x1, y1, ..."""


@dataclass(frozen=True, kw_only=True)
class Written:
    """What a command that fills a folder did."""

    folder: Path
    written: int
    kept: int  # were there from before
    lost: str = ""  # what files that are not exact cost


def write_instance_maps(
    data_root: Path, split: str, workers: int = DEFAULT_WORKERS, progress: Progress | None = None
) -> Written:
    """Make the instance maps of a split that are not there yet."""
    home = place_of(data_root, split).home
    labels = _label_maps(home, split)
    annotations = _annotation_file(home, split)
    folder = home / "instances" / f"{split}2017"
    origin = {
        "annotations": f"{annotations.name}, {annotations.stat().st_size} bytes",
        "annotations (SHA-256)": content_hashes([annotations])[annotations],
    }
    done = claim_folder(folder, origin, labels)
    missing = [stem for stem in labels if stem not in done]
    if missing:
        objects = read_objects(annotations)

        def make(stem: str) -> None:
            label_map = files.read_ids(labels[stem], "class").astype(np.uint16)
            write_png(folder / f"{stem}.png", instance_map(label_map, objects.get(stem, [])))

        for _ in run_parallel(make, missing, workers, progress):
            pass
    return Written(folder=folder, written=len(missing), kept=len(labels) - len(missing))


def instance_map(label_map: NDArray[np.uint16], objects: list[Polygons]) -> NDArray[np.uint16]:
    """Return (H, W): the label map with the k-th object's pixels set to k."""
    instances = label_map.copy()
    for number, polygons in enumerate(objects):
        for polygon in polygons:
            corners = np.asarray(polygon, dtype=np.float64).reshape(-1, 2) - 1
            fill_polygon(instances, corners[:, 0], corners[:, 1], number)
    return instances


def read_objects(annotations: Path) -> dict[str, list[Polygons]]:
    """Read the polygon annotations of every image, in the order of the file, by stem.

    Each annotation is packed when it has been read: the text of the file (448 MB for train) and its
    coordinates as 8-byte numbers are all that memory holds.
    """
    try:
        with annotations.open(encoding="utf-8") as file:
            content = parsed_json(file.read(), object_hook=_packed)
        stems = {image["id"]: Path(image["file_name"]).stem for image in content["images"]}
        objects: dict[str, list[Polygons]] = {}
        for image_id, polygons in content["annotations"]:
            if polygons is not None:
                objects.setdefault(stems[image_id], []).append(polygons)
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{annotations}: is no complete file of COCO instance annotations "
            f"({type(error).__name__}: {error}); unpack {_ARCHIVE} again"
        ) from error
    return objects


def _packed(entry: dict[str, Any]) -> object:
    """Return an annotation as (image id, polygons), None for run lengths.

    Of an image, return what is used.
    """
    if "segmentation" in entry:
        parts = entry["segmentation"]
        polygons = [array("d", part) for part in parts] if isinstance(parts, list) else None
        return entry["image_id"], polygons
    if "file_name" in entry:
        return {"id": entry["id"], "file_name": entry["file_name"]}
    return None if "counts" in entry else entry


def _label_maps(data_root: Path, split: str) -> dict[str, Path]:
    ready = data_root / f"{split}_inst"
    if ready.is_dir():
        raise UserError(
            f"{ready}: instance maps of {split} are there already, and would be read instead of "
            "new ones; there is nothing to do, or move that folder away"
        )
    folder = place_of(data_root, split).labels
    if folder is None:
        raise UserError(
            f"{data_root}: no label maps of {split} were found, instance maps start from them. "
            f"{CocoStuff.how_to_get(split)}"
        )
    return listing(folder, files.MAP_EXTENSIONS).files


def _annotation_file(data_root: Path, split: str) -> Path:
    name = f"instances_{split}2017.json"
    paths = [path for path in (data_root / "annotations" / name, data_root / name) if path.exists()]
    if not paths:
        raise UserError(
            f"{data_root}: there is no annotations/{name}; unpack {_ARCHIVE} into the data root"
        )
    return paths[0]
