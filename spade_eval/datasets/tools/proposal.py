# SPDX-License-Identifier: Apache-2.0
"""What a folder of one's own seems to hold: number of classes, ignored value, a `dataset.toml`.

Every label file is read. A number of classes below the largest value, or an ignored value taken for
a class, ends in a device-side assert or in a class that is never right (NVlabs/SPADE issues 68 and
137, boschresearch/OASIS issue 14), so the values themselves are shown with the proposal.
"""

import contextlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spade_eval.datasets import files
from spade_eval.datasets.file_dataset import is_validation
from spade_eval.datasets.folder_description import FILE_NAME, VAL_SHARE
from spade_eval.datasets.label_files import MOST_CLASSES, text_of_values
from spade_eval.datasets.layouts import SPELLINGS, first_folder, spelled, visible
from spade_eval.datasets.pairing import listing
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
    val_share: float | None = None  # where the usual one would leave a split empty

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
        if self.val_share is not None:
            lines.append(f"val_share = {self.val_share}")
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
        if len(self.classes) > MOST_CLASSES:
            return [*text, f"problem: {MOST_CLASSES} classes at most can be described"]
        return [*text, f"{FILE_NAME} to start from:", "", self.toml, ""]


def propose(
    root: Path, workers: int = DEFAULT_WORKERS, progress: Progress | None = None
) -> Proposal:
    """Read every label file below `root`; `UserError` where there are none that hold ids."""
    folders = find_folders(root)
    maps = _maps(root, folders["labels"])
    stems, label_files = [stem for stem, _ in maps], [path for _, path in maps]
    pixels: Counter[int] = Counter()
    faults = []
    for outcome in run_parallel(_values_or_fault, label_files, workers, progress):
        if isinstance(outcome, UserError):
            faults.append(outcome)
        else:
            pixels.update(outcome)
    if not pixels:
        raise faults[0] if faults else _nothing(root, folders["labels"])
    hints = []
    others = [stem for stem, _ in _maps(root, folders.get("instances", folders["labels"]))]
    if sorted(others) != sorted(stems):
        place = folders.pop("instances")
        hints.append(f"{place} has not one file for each label map, so it is left out")
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
        hints=(*hints, *_hints(list(values), ignored, bool(faults))),
        faults=tuple(shown),
        val_share=None if "{split}" in "".join(folders.values()) else _share(stems),
    )


def find_folders(root: Path) -> dict[str, str]:
    """Find folders of photos, labels and instances by their usual names; instances may lack."""
    folders: dict[str, str] = {}
    for role, names in _NAMES.items():
        patterns = [form.format(name=name) for name in names for form in _FORMS]
        place = next((pattern for pattern in patterns if _folders(root, pattern)), None)
        if place is not None:
            folders[role] = place
        elif role != "instances":
            inside = [path for path in visible(root) if path.is_dir()] if root.is_dir() else []
            held = files.shortened([path.name for path in inside]) or "none"
            raise UserError(
                f"{root}: no folder of {role} was found among {held}; {', '.join(names)} were "
                f"sought, with {' and '.join(SPELLINGS)} in or before them; rename yours or write "
                f"a {FILE_NAME}{_deeper(inside)}"
            )
    return folders


def _deeper(inside: Sequence[Path]) -> str:
    """Name the folders in a root that are roots themselves."""
    for folder in inside:
        with contextlib.suppress(UserError):
            find_folders(folder)
            return f", or give --data-root {folder}"
    return ""


def _folders(root: Path, pattern: str) -> list[Path]:
    """Return the folders of a pattern that are there, of any split."""
    found = [first_folder(root, spelled([pattern], split)) for split in SPELLINGS]
    return list(dict.fromkeys(folder for folder in found if folder))


def _maps(root: Path, pattern: str) -> list[tuple[str, Path]]:
    """Return the maps of every split with their stems."""
    roles = [listing(folder, files.MAP_EXTENSIONS) for folder in _folders(root, pattern)]
    return [item for role in roles for item in role.files.items()]


def _nothing(root: Path, pattern: str) -> UserError:
    """Say that a folder of label maps holds none, and what it holds."""
    entries = [path for folder in _folders(root, pattern) for path in visible(folder)]
    endings = Counter(path.suffix for path in entries if path.is_file())
    found = " and ".join(f"{count} {ending}" for ending, count in endings.most_common(3))
    return UserError(
        f"{root / pattern}: no label maps were found, PNG files of ids were expected"
        + (f"; {found} files were found; PNG is read" if found else "")
    )


def _share(stems: Sequence[str]) -> float | None:
    """Return the share for val that leaves neither split empty; None where the usual one does."""
    for share in (number / 100 for number in (VAL_SHARE * 100, *range(1, 100))):
        if 0 < sum(is_validation(stem, share) for stem in stems) < len(stems):
            return None if share == VAL_SHARE else share
    return None


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
