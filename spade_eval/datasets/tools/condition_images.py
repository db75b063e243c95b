# SPDX-License-Identifier: Apache-2.0
"""Label maps as the coloured images that pretrained systems take for a condition, and back."""

from collections.abc import Sequence
from pathlib import Path

from spade_eval.datasets import files
from spade_eval.datasets.base import Dataset
from spade_eval.datasets.condition_palettes import ConditionPalette
from spade_eval.datasets.file_dataset import FileDataset
from spade_eval.datasets.parallel import DEFAULT_WORKERS, Progress, run_parallel, write_png
from spade_eval.datasets.tools.coco_instances import Written
from spade_eval.datasets.tools.colour_maps import Palette, convert_folder
from spade_eval.datasets.tools.derived import claim_folder


def paint_split(
    split: Dataset,
    folder: Path,
    palette: ConditionPalette,
    limit: int | None = None,
    *,
    as_stored: bool = False,
    workers: int = DEFAULT_WORKERS,
    progress: Progress | None = None,
) -> Written:
    """Write a PNG a label map into `folder`, the first `limit`; what is there already is left.

    `as_stored` paints files at their own sizes, else label maps have the size of the split.
    """
    size = "as stored" if as_stored else files.text_of_size(split.size)
    origin = {
        "condition images": f"{palette.name} {palette.sha256}",
        "of": split.fingerprint(),
        "size": size,
    }
    names: Sequence[str] = split.names[:limit]
    done = claim_folder(folder, origin, {})
    missing = [index for index, name in enumerate(names) if name not in done]

    def paint(index: int) -> None:
        stored = split if as_stored and isinstance(split, FileDataset) else None
        labels = stored.stored_label_map(index) if stored else split[index].label_map
        write_png(folder / f"{names[index]}.png", palette.painted(labels))

    for _ in run_parallel(paint, missing, workers, progress):
        pass
    return Written(folder=folder, written=len(missing), kept=len(names) - len(missing))


def read_back(
    source: Path,
    target: Path,
    palette: ConditionPalette,
    workers: int = DEFAULT_WORKERS,
    progress: Progress | None = None,
) -> Written:
    """Turn condition images into label maps of values 0, 1, 2, ..., 255 where there is no label.

    `UserError` where two classes share a colour, and for colours that the palette lacks.
    """
    exact = Palette(origin=palette.name, id_of=palette.value_of(), shared=())
    return convert_folder(source, target, exact, workers, progress)
