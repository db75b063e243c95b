# SPDX-License-Identifier: Apache-2.0
"""What a folder of one's own seems to hold: number of classes, ignored value, a `dataset.toml`.

Every label file is read. A number of classes below the largest value, or an ignored value taken for
a class, ends in a device-side assert or in a class that is never right (NVlabs/SPADE issues 68 and
137, boschresearch/OASIS issue 14), so the values themselves are shown with the proposal.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spade_eval.datasets import files
from spade_eval.datasets.folder_description import FILE_NAME
from spade_eval.datasets.label_files import MOST_CLASSES, text_of_values
from spade_eval.datasets.parallel import DEFAULT_WORKERS, Progress, run_parallel
from spade_eval.errors import UserError
from spade_eval.models.labels import IGNORE_INDEX

_NAMES = {
    "photos": ("images", "image", "photos", "imgs", "img", "photo"),
    # First what `data convert` makes of the others.
    "labels": ("ids", "labels", "label", "annotations", "masks", "mask", "segmentation", "gt"),
    "instances": ("instances", "inst", "instance", "objects"),
}
_FORMS = ("{name}/{{split}}", "{{split}}/{name}", "{{split}}_{name}", "{name}")


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """`toml` is what `dataset.toml` may start from; `values` counts pixels by label value."""

    folders: dict[str, str]  # role -> folder, with {split} where it has splits
    num_files: int
    values: dict[int, int]
    ignored: tuple[int, ...]
    hints: tuple[str, ...]
    faults: tuple[str, ...]  # files that could not be read as ids

    @property
    def classes(self) -> tuple[int, ...]:
        """The values that are taken for classes."""
        return tuple(value for value in self.values if value not in self.ignored)

    @property
    def toml(self) -> str:
        """The description, ready to be saved and corrected."""
        keys = {"photos": "images", "labels": "labels", "instances": "instances"}
        lines = [f'{keys[role]} = "{folder}"' for role, folder in self.folders.items()]
        names = ", ".join(f'"class {value}"' for value in self.classes)
        lines.append(f"classes = [{names}]  # names, in the order of their values")
        if self.classes != tuple(range(len(self.classes))):
            lines.append(f"values = {list(self.classes)}")
        if self.ignored:
            lines.append(f"ignored = {list(self.ignored)}")
        return "\n".join(lines)

    def lines(self) -> list[str]:
        """Return histogram, proposal, hints and the description as text."""
        total = max(1, sum(self.values.values()))
        text = [f"{self.num_files} label maps in {self.folders['labels']}"]
        text += ["  value  share of pixels"]
        text += [f"  {value:5d}  {count / total:15.4%}" for value, count in self.values.items()]
        ignored = files.shortened(self.ignored) or "none"
        text.append(
            f"proposal: {len(self.classes)} classes (values {text_of_values(self.classes)}), "
            f"ignored: {ignored}"
        )
        text += [f"hint: {hint}" for hint in self.hints]
        text += [f"problem: {fault}" for fault in self.faults]
        return [*text, f"{FILE_NAME} to start from:", "", self.toml, ""]


def propose(
    root: Path, workers: int = DEFAULT_WORKERS, progress: Progress | None = None
) -> Proposal:
    """Read every label file below `root`; `UserError` where there are none that hold ids."""
    folders = find_folders(root)
    label_files = [path for folder in _split(root, folders["labels"]) for path in _maps(folder)]
    pixels: Counter[int] = Counter()
    faults = []
    for outcome in run_parallel(_values_or_fault, label_files, workers, progress):
        if isinstance(outcome, UserError):
            faults.append(outcome)
        else:
            pixels.update(outcome)
    if not pixels:
        where = root / folders["labels"]
        nothing = UserError(f"{where}: no label maps were found, PNG files of ids were expected")
        raise faults[0] if faults else nothing
    values = dict(sorted(pixels.items()))
    ignored = _ignored(list(values))
    shown = [str(fault) for fault in faults[:3]]
    if len(faults) > 3:
        shown.append(f"{len(faults) - 3} further label maps could not be read")
    return Proposal(
        folders=folders,
        num_files=len(label_files),
        values=values,
        ignored=ignored,
        hints=tuple(_hints(list(values), ignored, bool(faults))),
        faults=tuple(shown),
    )


def find_folders(root: Path) -> dict[str, str]:
    """Find folders of photos, labels and instances by their usual names; instances may lack."""
    folders: dict[str, str] = {}
    for role, names in _NAMES.items():
        patterns = [form.format(name=name) for name in names for form in _FORMS]
        place = next((pattern for pattern in patterns if _split(root, pattern)), None)
        if place is not None:
            folders[role] = place
        elif role != "instances":
            inside = sorted(path.name for path in root.glob("*/")) if root.is_dir() else []
            raise UserError(
                f"{root}: no folder of {role} was found among {files.shortened(inside) or 'none'}; "
                f"{', '.join(names)} were sought, with train and val in or before them; rename "
                f"yours or write a {FILE_NAME}"
            )
    return folders


def _split(root: Path, pattern: str) -> list[Path]:
    """Return the folders of a pattern, if it has them for every split that it names."""
    if "{split}" not in pattern:
        return [root / pattern] if (root / pattern).is_dir() else []
    folders = [root / pattern.replace("{split}", split) for split in ("train", "val")]
    return folders if all(folder.is_dir() for folder in folders) else []


def _maps(folder: Path) -> list[Path]:
    return list(files.files_by_stem(folder, files.MAP_EXTENSIONS).values())


def _values_or_fault(path: Path) -> dict[int, int] | UserError:
    try:
        values, counts = np.unique(files.read_ids(path, "class"), return_counts=True)
    except UserError as error:
        return error
    return dict(zip(values.tolist(), counts.tolist(), strict=True))


def _ignored(values: Sequence[int]) -> tuple[int, ...]:
    """255 beside other values means unlabelled, unless they make a mask or run up to it."""
    others = [value for value in values if value != IGNORE_INDEX]
    if IGNORE_INDEX not in values or not others or others == [0]:
        return ()
    return (IGNORE_INDEX,) if IGNORE_INDEX - 1 not in others else ()


def _hints(values: list[int], ignored: tuple[int, ...], faulty: bool) -> list[str]:
    classes = [value for value in values if value not in ignored]
    hints = []
    if values == [0, IGNORE_INDEX]:
        hints.append(
            "only 0 and 255 occur: these are black and white masks, both values are taken for "
            "classes"
        )
    elif classes != list(range(len(classes))):
        absent = sorted(set(range(max(classes) + 1)) - set(classes))
        hints.append(
            f"values {files.shortened(absent)} never occur; if they are classes without a pixel, "
            f"name all {max(classes) + 1} classes and leave out `values`"
        )
    if len(classes) > MOST_CLASSES or (len(classes) > 60 and not ignored):
        hints.append(
            f"{len(classes)} values are many for classes; grey versions of colour label maps or "
            "files saved as JPEG look like this (see `spade-eval data convert`)"
        )
    if faulty:
        hints.append("colour label maps become ids with `spade-eval data convert`")
    return hints
