# SPDX-License-Identifier: Apache-2.0
"""Folders that hold several images of each label map: `stem_0.png`, `stem_1.png`, or `0/stem.png`.

Files that are called as the label maps are one image each, whatever numbers their names end in.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from spade_eval.datasets.files import PHOTO_EXTENSIONS, files_by_stem, shortened
from spade_eval.datasets.images import ImageFolder
from spade_eval.datasets.layouts import visible
from spade_eval.errors import UserError
from spade_eval.models.labels import Size

_NUMBERED = re.compile(r"(?P<stem>.+)_(?P<number>\d{1,6})")
_FOLDER = re.compile(r"(?P<prefix>[A-Za-z_-]*)(?P<number>\d{1,6})")
Draws = dict[int, dict[str, Path]]
"""Images by stem of the label map, by number of the draw."""


def image_draws(
    directory: Path, names: Sequence[str], size: Size, count: int | None = None
) -> list[ImageFolder]:
    """Open the images of each draw; one where there is one image a label map.

    `UserError` names the first label map that has fewer images than others.
    """
    draws = _in_subfolders(directory) or _by_suffix(directory, names)
    if not draws:
        return [ImageFolder(directory, names, size, count)]
    _require_complete(directory, draws, names[:count])
    return [ImageFolder(directory, names, size, count, draws[number]) for number in sorted(draws)]


def folder_numbers(names: Sequence[str]) -> dict[str, int]:
    """Return the draw of each folder of `0`, `1` or `group_0`, `group_1`; none if one is not so."""
    found = [_FOLDER.fullmatch(name) for name in names]
    known = [match for match in found if match is not None]
    if len(known) < len(names) or len({match["prefix"] for match in known}) > 1:
        return {}
    numbers = {match[0]: int(match["number"]) for match in known}
    return numbers if len(set(numbers.values())) == len(numbers) else {}


def _in_subfolders(directory: Path) -> Draws:
    if not directory.is_dir() or files_by_stem(directory, PHOTO_EXTENSIONS):
        return {}
    folders = {path.name: path for path in visible(directory) if path.is_dir()}
    numbers = folder_numbers(list(folders))
    return {
        number: files_by_stem(folders[name], PHOTO_EXTENSIONS) for name, number in numbers.items()
    }


def _by_suffix(directory: Path, names: Sequence[str]) -> Draws:
    """Sort the files of a folder by the numbers behind their stems, if any is not called so."""
    files = files_by_stem(directory, PHOTO_EXTENSIONS) if directory.is_dir() else {}
    known = set(names)
    if not known.isdisjoint(files):
        return {}
    draws: Draws = {}
    for stem, path in files.items():
        match = _NUMBERED.fullmatch(stem)
        if match is None or match["stem"] not in known:
            if draws:
                raise UserError(
                    f"{directory}: {path.name} belongs to no label map, expected "
                    f"{names[0]}_0{path.suffix} and so on; remove it"
                )
            return {}
        of_draw = draws.setdefault(int(match["number"]), {})
        if match["stem"] in of_draw:
            raise UserError(
                f"{directory}: {of_draw[match['stem']].name} and {path.name} have one number, "
                "expected one image each; rename one of them"
            )
        of_draw[match["stem"]] = path
    return draws


def _require_complete(directory: Path, draws: Mapping[int, Mapping[str, Path]],
                      names: Sequence[str]) -> None:  # fmt: skip
    numbers = sorted(draws)
    expected = range(min(numbers[0], 1), min(numbers[0], 1) + len(numbers))
    if numbers != list(expected):
        raise UserError(
            f"{directory}: images are numbered {shortened(numbers)}, expected 0, 1, 2 and so on "
            "without a gap; rename them"
        )
    for name in names:
        missing = [number for number in numbers if name not in draws[number]]
        if missing:
            raise UserError(
                f"{directory}: label map {name} has {len(numbers) - len(missing)} of "
                f"{len(numbers)} images, number {shortened(missing)} is missing; expected as many "
                "for every label map: add them, or remove those numbers from all"
            )
