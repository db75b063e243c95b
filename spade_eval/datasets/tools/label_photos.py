# SPDX-License-Identifier: Apache-2.0
"""Label maps for any folder of photos, by a segmenter: the recipe of Flickr Landscapes.

Any callable will do: this module knows no networks.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spade_eval.datasets import files
from spade_eval.datasets.parallel import Progress, write_png
from spade_eval.datasets.tools.coco_instances import Written
from spade_eval.datasets.tools.derived import claim_folder
from spade_eval.errors import UserError

Segment = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
"""Photo (H, W, 3) RGB -> label values (H, W) of the same size."""


def label_photos(
    photos: Path, target: Path, segment: Segment, origin: str, progress: Progress | None = None
) -> Written:
    """Write `<stem>.png` of label values for every photo; those that are there are left.

    `origin` names the segmenter and its weights: labels of two segmenters are never mixed.
    """
    if not photos.is_dir():
        raise UserError(f"{photos}: there is no such folder; one of photos was expected")
    paths = files.files_by_stem(photos, files.PHOTO_EXTENSIONS)
    if not paths:
        raise UserError(
            f"{photos} holds 0 photos; files ending in {', '.join(files.PHOTO_EXTENSIONS)} were "
            "expected"
        )
    done = claim_folder(target, {"segmenter": origin}, paths)
    missing = [stem for stem in paths if stem not in done]
    for number, stem in enumerate(missing, start=1):
        photo = files.read_photo(paths[stem])
        label_map = segment(photo)
        assert label_map.shape == photo.shape[:2]
        write_png(target / f"{stem}.png", label_map.astype(np.uint8))
        if progress is not None:
            progress(number, len(missing))
    return Written(folder=target, written=len(missing), kept=len(paths) - len(missing))
