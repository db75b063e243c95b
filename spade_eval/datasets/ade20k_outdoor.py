# SPDX-License-Identifier: Apache-2.0
"""ADE20K-outdoor: outdoor scenes of SceneParse150, from a list that names itself.

No official list exists. SPADE used that of Qi et al. (CVPR 2018), which was not published; the
authors of OASIS describe theirs (boschresearch/OASIS issue 23): images with classes such as sky,
mountain, earth, without those of ceiling, bed, sink, and leftovers removed by eye. `is_outdoor` is
that rule without the eye. `spade-eval data prepare ade20k_outdoor` applies it to every label file
and writes `ade20k_outdoor/{train,val}.txt` below the data root; a list from elsewhere may be put
there instead. Whichever it is, the first digits of its hash are part of the set's name, and scores
on different lists never share a column.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from spade_eval.datasets import files
from spade_eval.datasets.ade20k import LABEL_FILES, Ade20k
from spade_eval.datasets.ade20k_classes import CLASS_NAMES
from spade_eval.datasets.file_dataset import AbsentSplitError, SplitFiles
from spade_eval.datasets.parallel import Progress, run_parallel, write_text
from spade_eval.datasets.text import read_text
from spade_eval.errors import UserError
from spade_eval.models.labels import Size

OUTDOOR_CLASSES = ("sky", "mountain", "earth")
INDOOR_CLASSES = ("ceiling", "bed", "sink")
RULE = f"any of {', '.join(OUTDOOR_CLASSES)}; none of {', '.join(INDOOR_CLASSES)}"

_OUTDOOR = [CLASS_NAMES.index(name) for name in OUTDOOR_CLASSES]
_INDOOR = [CLASS_NAMES.index(name) for name in INDOOR_CLASSES]


class Ade20kOutdoor(Ade20k):
    """The samples of SceneParse150 that a list names."""

    name = "ade20k_outdoor"
    official_counts: ClassVar[Mapping[str, int]] = {}  # there is no official list

    def __init__(
        self, split: str, size: Size = (256, 256), data_root: Path | str | None = None
    ) -> None:
        super().__init__(split, size, data_root)
        self.set_name = f"ADE20K-outdoor (list {list_sha256(self.names)[:8]})"

    @classmethod
    def find(cls, root: Path, split: str) -> SplitFiles:
        """Find the files of SceneParse150, as far as the list names them."""
        whole = super().find(root, split)
        stems = read_list(list_file(root, split))
        missing = [stem for stem in stems if stem not in whole.samples]
        problems = [
            f"{list_file(root, split)}: {len(missing)} names have no photo and label map "
            f"({files.shortened(missing)}); unpack SceneParse150 again or make the list anew"
        ]
        samples = {stem: whole.samples[stem] for stem in stems if stem in whole.samples}
        return SplitFiles(
            samples=samples, has_instances=False, problems=problems if missing else []
        )

    @classmethod
    def notes(cls, root: Path) -> list[str]:
        """Name the lists by which the splits were chosen."""
        lists = [
            f"{split}: ADE20K-outdoor (list {list_sha256(read_list(path))[:8]})"
            for split in cls.splits
            if (path := list_file(root, split)).is_file()
        ]
        return [*super().notes(root), *lists]


def is_outdoor(label_map: NDArray[np.uint8]) -> bool:
    """Return whether label values (H, W) are those of an outdoor scene by `RULE`."""
    present = np.bincount(label_map.ravel(), minlength=256) > 0
    return bool(present[_OUTDOOR].any() and not present[_INDOOR].any())


def list_file(root: Path, split: str) -> Path:
    """Return where the list of a split lies."""
    return root / "ade20k_outdoor" / f"{split}.txt"


def list_sha256(stems: Sequence[str]) -> str:
    """Return the SHA-256 of the sorted names, one a line: the same for the same set of images."""
    return hashlib.sha256("".join(f"{stem}\n" for stem in sorted(stems)).encode()).hexdigest()


def read_list(path: Path) -> list[str]:
    """Read the stems of a list in lexicographic order; `#` begins a comment."""
    if not path.is_file():
        raise AbsentSplitError(
            f"{path}: there is no such list, one image name a line was expected; run `spade-eval "
            "data prepare ade20k_outdoor` to make it, or put another list there"
        )
    lines = [line.partition("#")[0].strip() for line in read_text(path).splitlines()]
    stems = sorted({Path(line).stem for line in lines if line})
    if not stems:
        raise UserError(f"{path}: the list is empty, one image name a line was expected")
    return stems


def write_list(
    root: Path, split: str, workers: int = 1, progress: Progress | None = None
) -> list[str]:
    """Apply the rule to every label file of a split, write the list and return it.

    A list that is there is kept and returned, whoever wrote it.
    """
    path = list_file(root, split)
    if path.is_file():
        return read_list(path)
    whole = Ade20k.find(root, split)
    if whole.problems:
        raise UserError("; ".join(whole.problems))
    label_maps = [sample.label_map for sample in whole.samples.values()]
    chosen = run_parallel(
        lambda file: is_outdoor(LABEL_FILES.read(file)), label_maps, workers, progress
    )
    stems = [stem for stem, outdoor in zip(whole.samples, chosen, strict=True) if outdoor]
    if not stems:
        raise UserError(
            f"{root}: no image of {split} is an outdoor scene ({RULE}); check the label files"
        )
    head = f"# ADE20K-outdoor, {split}: {RULE}\n# SHA-256 of the names: {list_sha256(stems)}\n"
    write_text(path, head + "".join(f"{stem}\n" for stem in stems))
    return stems
