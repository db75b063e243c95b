# SPDX-License-Identifier: Apache-2.0
"""`dataset.toml`: what a folder of one's own holds, in as few lines as it takes.

name = "Streets of Ghent"       # titles the tables; leave out for the name "folder"
images = "images/{split}"       # {split} is train or val; without it, val is drawn by name
labels = "labels/{split}"
instances = "instances/{split}" # leave out if there are none
classes = ["sky", "tree"]       # label values 0, 1, 2, ...
values = [10, 20]               # their values in label files, if not 0, 1, 2, ...
ignored = [255]                 # values of unlabelled pixels; leave out if there are none
palette = [[70, 130, 180], [107, 142, 35]]  # colours in figures; leave out for automatic
val_share = 0.1                 # where folders have no {split}
crop = false                    # samples are only flipped in training; leave out to crop, too
segmenter = "scenes"            # these are scenes, scored by the segmenter that is shipped for them
"""

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spade_eval.datasets.base import LabelSpace
from spade_eval.datasets.class_table import Colour, distinct
from spade_eval.datasets.files import shortened
from spade_eval.datasets.label_files import MOST_CLASSES, LabelFiles
from spade_eval.datasets.scenes import Scenes
from spade_eval.datasets.text import read_text
from spade_eval.errors import UserError, lookup
from spade_eval.json_fields import require_bounded
from spade_eval.models.limits import DEEPEST_NESTING, MOST_KEY_PARTS, MOST_TOML_BYTES

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILE_NAME = "dataset.toml"
VAL_SHARE = 0.1
_TEXTS = re.compile(
    r'"""(?:[^\\]|\\.)*?"""|\'\'\'.*?\'\'\'|"(?:[^"\\\n]|\\[^\n])*"|\'[^\'\n]*\'|#[^\n]*', re.DOTALL
)
_WORDS = re.compile(r"[\w. \t-]+")
_HELP = f"`spade-eval data check --dataset folder` proposes a {FILE_NAME} where there is none"
_LONGEST_NAME = 60  # letters: it stands in titles and names of folders
_KEYS = {
    "name": str,
    "images": str, "labels": str, "instances": str, "classes": list, "values": list,
    "ignored": list, "palette": list, "val_share": float, "crop": bool,
    "segmenter": str,
}  # fmt: skip


class NoDescriptionError(UserError):
    """The folder has no `dataset.toml` yet."""


@dataclass(frozen=True, kw_only=True)
class FolderDescription:
    """Folders are relative to the one that the description lies in."""

    name: str | None
    images: str
    labels: str
    instances: str | None
    label_files: LabelFiles
    val_share: float
    crop: bool
    segmenter: str | None


def read_description(root: Path) -> FolderDescription:
    """Read and check `dataset.toml`; every refusal names the key."""
    path = root / FILE_NAME
    if not path.is_file():
        raise NoDescriptionError(
            f"folder: there is no {FILE_NAME} in {root}, a list of folders and classes was "
            f"expected there; {_HELP}"
        )
    try:
        given = _parsed(path)
    except UserError:
        raise
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: is not TOML ({reason}); {_HELP}") from error
    _require_types(path, given)
    label_files = _label_files(path, given)
    share = given.get("val_share", VAL_SHARE)
    if not 0 < share < 1:
        raise UserError(f"{path}: val_share is {share}, a number between 0 and 1 was expected")
    return FolderDescription(
        name=_name(path, given.get("name")),
        images=given["images"],
        labels=given["labels"],
        instances=given.get("instances"),
        label_files=label_files,
        val_share=share,
        crop=given.get("crop", True),
        segmenter=_segmenter(path, given.get("segmenter"), label_files.space),
    )


def _parsed(path: Path) -> dict[str, Any]:
    """Parse TOML within limits; `ValueError` for anything else."""
    if path.stat().st_size > MOST_TOML_BYTES:
        raise ValueError(
            f"it has {path.stat().st_size:,} bytes, expected at most {MOST_TOML_BYTES:,}"
        )
    text = read_text(path)
    # Between texts and comments, a dot is one of a key or of a number.
    if any(part.count(".") > MOST_KEY_PARTS for part in _WORDS.findall(_TEXTS.sub("_", text))):
        raise ValueError(f"a key has more than {MOST_KEY_PARTS} parts")
    try:
        given = tomllib.loads(text)
    except RecursionError:
        raise ValueError(f"lists are nested deeper than {DEEPEST_NESTING}") from None
    except tomllib.TOMLDecodeError:
        raise
    except ValueError:  # of Python, which reads up to 4,300 digits
        raise ValueError("a whole number of more than 64 bits") from None
    require_bounded(given)
    return given


def _require_types(path: Path, given: dict[str, Any]) -> None:
    unknown = sorted(set(given) - set(_KEYS))
    if unknown:
        raise UserError(f"{path}: {shortened(unknown)} is no key; known: {', '.join(_KEYS)}")
    for key in ("images", "labels", "classes"):
        if key not in given:
            raise UserError(f"{path}: {key} is missing; {_HELP}")
    for key, value in given.items():
        kinds = (int, float) if _KEYS[key] is float else (_KEYS[key],)
        if type(value) not in kinds:
            shown = repr(value)[:50]
            raise UserError(
                f"{path}: {key} is {shown}, a {_KEYS[key].__name__} was expected; {_HELP}"
            )


def _name(path: Path, name: str | None) -> str | None:
    if name is not None:
        is_title = name.isprintable() and name == name.strip() and 0 < len(name) <= _LONGEST_NAME
        _require(path, "name", is_title, f"a title of 1 to {_LONGEST_NAME} letters")
    return name


def _label_files(path: Path, given: dict[str, Any]) -> LabelFiles:
    names = tuple(given["classes"])
    _require(path, "classes", all(isinstance(name, str) for name in names), "a list of names")
    _require(path, "classes", len(set(names)) == len(names), "names that differ")
    _require(path, "classes", 0 < len(names) <= MOST_CLASSES, f"1 to {MOST_CLASSES} names")
    values = tuple(given.get("values", range(len(names))))
    ignored = tuple(given.get("ignored", ()))
    numbers = all(type(v) is int and 0 <= v < 65536 for v in (*values, *ignored))
    _require(path, "values and ignored", numbers, "numbers 0..65535")
    _require(path, "values", len(values) == len(names), f"{len(names)} values, one a class")
    distinct_values = len({*values, *ignored}) == len(values) + len(ignored)
    _require(path, "values and ignored", distinct_values, "values that differ")
    space = LabelSpace(
        class_names=names,
        palette=_palette(path, given.get("palette"), len(names)),
        has_unlabelled=bool(ignored),
    )
    return LabelFiles(
        space=space,
        values=values,
        unlabelled=ignored,
        hint=f"list them in {path.name} as values of classes or as ignored",
    )


def _segmenter(path: Path, name: str | None, space: LabelSpace) -> str | None:
    if name is not None:
        shipped = {Scenes.name: Scenes.label_space}
        names = lookup(shipped, name, f"shipped segmenter in {path}").class_names
        _require(path, "segmenter", space.class_names == names, f"the classes of {name}")
    return name


def _palette(path: Path, given: list[Any] | None, count: int) -> tuple[Colour, ...]:
    if given is None:
        from spade_eval.datasets.cocostuff_classes import spread_colour

        return distinct(spread_colour(index) for index in range(count))
    _require(path, "palette", len(given) == count, f"{count} colours, one a class")
    sound = all(
        isinstance(colour, list)
        and len(colour) == 3
        and all(type(part) is int and 0 <= part <= 255 for part in colour)
        for colour in given
    )
    _require(path, "palette", sound, "colours as [red, green, blue], 0..255")
    return distinct((red, green, blue) for red, green, blue in given)


def _require(path: Path, key: str, condition: bool, expected: str) -> None:
    if not condition:
        raise UserError(f"{path}: {key}: {expected} were expected; {_HELP}")
