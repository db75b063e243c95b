# SPDX-License-Identifier: Apache-2.0
"""Any dataset as the folders of `--dataset folder`, so that other programs can train on it.

What comes out is scored as what went in: the same photos, label values, instance maps, names,
classes and colours, and the same flips in training where the dataset crops nothing. Its
`dataset.toml` is written last: without it, an export is not complete, and goes on when repeated.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from spade_eval.datasets import files, layouts
from spade_eval.datasets.base import Dataset, LabelSpace, Sample, segmenter_of, set_name_of
from spade_eval.datasets.file_dataset import FileDataset
from spade_eval.datasets.folder_description import FILE_NAME
from spade_eval.datasets.parallel import Progress, run_parallel, write_png, write_text
from spade_eval.datasets.scenes import Scenes
from spade_eval.datasets.tools.coco_instances import Written
from spade_eval.datasets.tools.derived import MARK
from spade_eval.errors import UserError
from spade_eval.json_fields import parsed_json
from spade_eval.models.labels import IGNORE_INDEX

_ROLES = ("images", "labels", "instances")


def export(
    splits: Sequence[Dataset],
    folder: Path,
    limit: int | None = None,
    *,
    as_stored: bool = False,
    workers: int = 1,
    progress: Progress | None = None,
) -> list[Written]:
    """Write the first `limit` samples of splits of one dataset below `folder`.

    `as_stored` takes files at their own sizes, else samples have the size of the opened splits.
    """
    _claim(folder, splits, limit, as_stored)
    description = folder / FILE_NAME
    description.unlink(missing_ok=True)
    done = [_export_split(split, folder, limit, as_stored, workers, progress) for split in splits]
    write_text(description, _toml(splits[0]))
    return done


def _export_split(
    split: Dataset, folder: Path, limit: int | None, as_stored: bool, workers: int,
    progress: Progress | None,
) -> Written:  # fmt: skip
    roles = _ROLES if split.has_instances else _ROLES[:2]
    names = split.names[:limit]

    def places(name: str) -> dict[str, Path]:
        return {role: folder / role / split.split / f"{name}.png" for role in roles}

    missing = [
        index for index, name in enumerate(names)
        if not all(path.is_file() for path in places(name).values())
    ]  # fmt: skip

    def write(index: int) -> None:
        stored = split if as_stored and isinstance(split, FileDataset) else None
        sample = stored.stored_sample(index) if stored else split[index]
        for role, path in places(sample.name).items():
            write_png(path, _pixels(sample, role))

    for _ in run_parallel(write, missing, workers, progress):
        pass
    kept = len(names) - len(missing)
    return Written(folder=folder / "images" / split.split, written=len(missing), kept=kept)


def _pixels(sample: Sample, role: str) -> Any:
    if role != "instances":
        return sample.photo if role == "images" else sample.label_map
    assert sample.instance_map is not None
    if not 0 <= sample.instance_map.min() <= sample.instance_map.max() < 2**16:
        raise UserError(
            f"{sample.name}: its instance ids exceed 16 bits, 0..65535 were expected; number its "
            "instances anew"
        )
    return sample.instance_map.astype(np.uint16)


def _claim(folder: Path, splits: Sequence[Dataset], limit: int | None, as_stored: bool) -> None:
    """Mark a new or empty folder; go on in one that holds the same data, or other splits of it."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file, a folder to write into was expected")
    mark = folder / MARK
    size = "as stored" if as_stored else files.text_of_size(splits[0].size)
    origin = {"export": set_name_of(splits[0]), "size": size}
    wanted = {split.split: f"{limit or 'all'} of {split.fingerprint()}" for split in splits}
    known: Mapping[str, Any] = {}
    if mark.is_file():
        known = _known(mark)
    elif folder.is_dir() and layouts.visible(folder):
        raise UserError(
            f"{folder} holds files that were not made by this command; an empty or new folder was "
            "expected, since nothing is overwritten"
        )
    before: Mapping[str, Any] = known.get("splits", {})
    changed = [key for key in origin if known and known.get(key) != origin[key]]
    changed += [
        f"{split} (samples or --limit)"
        for split in wanted
        if before.get(split, wanted[split]) != wanted[split]
    ]
    if changed:
        raise UserError(
            f"{folder} was made with another {', '.join(changed)}; choose another folder, or "
            "remove it to make it anew"
        )
    write_text(mark, json.dumps({**origin, "splits": {**before, **wanted}}, indent=1))


def _known(mark: Path) -> Mapping[str, Any]:
    """Read what a folder was made of."""
    try:
        known = parsed_json(mark.read_bytes())
        if not (isinstance(known, dict) and isinstance(known.get("splits", {}), dict)):
            raise ValueError("it is no object of the expected form")
    except ValueError as error:
        raise UserError(
            f"{mark} does not say what the folder was made of ({error}); choose another folder, or "
            "remove it to make it anew"
        ) from error
    return known


def _toml(split: Dataset) -> str:
    """Describe what was written: label values 0, 1, 2, ..., and 255 where there is none."""
    space: LabelSpace = split.label_space
    roles = _ROLES if split.has_instances else _ROLES[:2]
    lines = [f'{role} = "{role}/{{split}}"' for role in roles]
    # Strings of JSON are strings of TOML, once characters stand for themselves.
    lines.append(f"classes = {json.dumps(space.class_names, ensure_ascii=False)}")
    lines.append(f"palette = {json.dumps(space.palette)}")
    if space.has_unlabelled:
        lines.append(f"ignored = [{IGNORE_INDEX}]")
    if not (isinstance(split, FileDataset) and split.crops):
        lines.append("crop = false")
    if segmenter_of(split) == Scenes.name:
        lines.append(f'segmenter = "{Scenes.name}"')
    return "".join(f"{line}\n" for line in lines)
