# SPDX-License-Identifier: Apache-2.0
"""Colour label maps into files of ids, by a palette.

Colours must be exact: a colour that the palette lacks is refused with the file's name, since the
nearest colour of a smoothed edge is a class that nobody annotated. JPEG files have no exact
colours: they are taken by the nearest, and what that costs is counted, told, and a note of every
score.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spade_eval.datasets import files
from spade_eval.datasets.class_table import Colour
from spade_eval.datasets.class_tables import CLASS_TABLES
from spade_eval.datasets.jpeg import encoding_of
from spade_eval.datasets.lossy_maps import (
    LossyCounts,
    counted,
    nearest_places,
    record,
    recorded,
)
from spade_eval.datasets.parallel import DEFAULT_WORKERS, Progress, run_parallel, write_png
from spade_eval.datasets.text import read_text
from spade_eval.datasets.tools.coco_instances import Written
from spade_eval.datasets.tools.derived import claim_folder
from spade_eval.errors import UserError

INDEX = "index"
"""Instead of a palette: the indices of palette files are the ids."""

_COLOUR_FILES = (".png", ".bmp", ".tif", ".tiff", ".gif")
_JPEG_FILES = (".jpg", ".jpeg")
_COLOUR_FORMATS = ("PNG", "BMP", "TIFF", "GIF")


@dataclass(frozen=True, kw_only=True)
class Palette:
    """Colour -> id; of ids that share a colour, the first has it."""

    origin: str
    id_of: dict[Colour, int]
    shared: tuple[str, ...]  # a line per colour that stood for several ids

    @property
    def sha256(self) -> str:
        return hashlib.sha256(repr(sorted(self.id_of.items())).encode()).hexdigest()


class UnknownColourError(files.FileError):
    """A colour label map with colours that are not in the palette."""


def read_palette(name_or_file: str) -> Palette:
    """Read that of a dataset by name, or a text file with a line `id red green blue` per class."""
    if name_or_file in CLASS_TABLES:
        table = CLASS_TABLES[name_or_file]
        unlabelled = next(iter(table.unlabelled.values()))
        rows = list(zip(table.file_values, table.colours, strict=True))
        black = (0, 0, 0)
        if unlabelled is not None and black not in table.colours:
            rows.append((unlabelled, black))
        return _palette(name_or_file, rows)
    path = Path(name_or_file)
    if not path.is_file():
        raise UserError(
            f"--palette {name_or_file!r} is neither a file nor one of {', '.join(CLASS_TABLES)}; "
            "a text file with a line `id red green blue` per class was expected"
        )
    lines = [line.partition("#")[0].replace(",", " ") for line in read_text(path).splitlines()]
    return _palette(path.name, [_row(path, line) for line in lines if line.strip()])


def to_ids(
    image: NDArray[np.uint8], palette: Palette, path: Path
) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Turn (H, W, 3) colours into (H, W) ids, 8 bit where they fit, else 16."""
    code = image.astype(np.int64) @ np.array([65536, 256, 1])
    colours = np.array(list(palette.id_of), dtype=np.int64) @ np.array([65536, 256, 1])
    order = np.argsort(colours)
    place = np.searchsorted(colours[order], code).clip(max=len(colours) - 1)
    unknown = colours[order][place] != code
    if unknown.any():
        raise _unknown(image[unknown], palette, path)
    largest = max(palette.id_of.values())
    ids = np.array(list(palette.id_of.values()))[order][place]
    return ids.astype(np.uint8) if largest < 256 else ids.astype(np.uint16)


def convert_folder(
    source: Path,
    target: Path,
    palette: Palette | None,
    workers: int = DEFAULT_WORKERS,
    progress: Progress | None = None,
) -> Written:
    """Convert every colour label map of a folder; what is converted already is left.

    Without a palette, the files are palette files whose indices are ids.
    """
    if not source.is_dir():
        raise UserError(f"{source}: there is no such folder; one of colour label maps was expected")
    if target.resolve() == source.resolve():
        raise UserError(f"{target}: the originals lie there; choose another folder for the ids")
    known = (*_COLOUR_FILES, *(_JPEG_FILES if palette else ()))
    paths = files.files_by_stem(source, known)
    if not paths:
        raise UserError(
            f"{source} holds 0 colour label maps; files ending in {', '.join(known)} were expected"
        )
    mark, before = f"{palette.origin} {palette.sha256}" if palette else INDEX, recorded(target)
    done = claim_folder(target, {"palette": mark}, paths)
    missing = [stem for stem in paths if stem not in done]

    def convert(stem: str) -> LossyCounts | None:
        path, counts = paths[stem], None
        if palette and path.suffix.lower() in _JPEG_FILES:
            ids, counts = nearest_ids(path, palette)
        elif palette:
            ids = to_ids(files.read_photo(path, _COLOUR_FORMATS), palette, path)
        else:
            ids = read_indices(path)
        write_png(target / f"{stem}.png", ids)
        return counts

    lost = before if done else None
    for counts in run_parallel(convert, missing, workers, progress):
        if counts is not None:
            lost = counts if lost is None else lost + counts
    if lost is not None:
        record(target, lost)
    return Written(
        folder=target,
        written=len(missing),
        kept=len(paths) - len(missing),
        lost="" if lost is None else lost.sentence(),
    )


def nearest_ids(
    path: Path, palette: Palette
) -> tuple[NDArray[np.uint8] | NDArray[np.uint16], LossyCounts]:
    """Read (H, W) ids of a JPEG file, each the nearest colour's, and what is lost by it."""
    image = files.read_photo(path, ("JPEG",))
    encoding, _ = encoding_of([path])
    assert encoding is not None
    colours = np.array(list(palette.id_of), dtype=np.int64)
    ids = np.array(list(palette.id_of.values()), dtype=np.int64)
    places = nearest_places(image, colours)
    kind = np.uint8 if ids.max() < 256 else np.uint16
    return ids[places].astype(kind), counted(image, places, colours, ids, encoding)


def read_indices(path: Path) -> NDArray[np.uint8]:
    """Read the (H, W) indices of a palette file; its colours are for the eye, greys must agree."""
    with files.opened(path, _COLOUR_FORMATS) as (image, _):
        mode = image.mode
        indices = np.array(image) if mode == "P" else None
        if indices is not None:
            files.require_greys_of_indices(image, indices, path)
    if indices is None:
        raise files.ImageModeError(
            f"{path}: mode {mode} was found, a palette file (mode P) was expected with --palette "
            f"{INDEX}; name a palette of colours instead",
            path,
        )
    return indices


def _palette(origin: str, rows: list[tuple[int, Colour]]) -> Palette:
    id_of: dict[Colour, int] = {}
    shared = []
    for number, colour in rows:
        if colour in id_of:
            shared.append(f"colour {colour} of id {number} is read as id {id_of[colour]}")
        id_of.setdefault(colour, number)
    if not id_of:
        raise UserError(f"{origin}: the palette is empty, lines `id red green blue` were expected")
    return Palette(origin=origin, id_of=id_of, shared=tuple(shared))


def _row(path: Path, line: str) -> tuple[int, Colour]:
    try:
        number, red, green, blue = (int(part) for part in line.split()[:4])
    except ValueError:
        number = -1
        red = green = blue = 0
    if not (0 <= number < 65536 and all(0 <= part < 256 for part in (red, green, blue))):
        raise UserError(
            f"{path}: the line {line.strip()!r} was found, `id red green blue` was expected, the "
            "id in 0..65535 and colours in 0..255"
        )
    return number, (red, green, blue)


def _unknown(pixels: NDArray[np.uint8], palette: Palette, path: Path) -> UnknownColourError:
    colours, counts = np.unique(pixels, axis=0, return_counts=True)
    frequent = [
        f"({', '.join(map(str, colours[i]))}) on {counts[i]} pixels" for i in np.argsort(-counts)
    ]
    return UnknownColourError(
        f"{path}: colours were found that the palette {palette.origin} lacks: "
        f"{files.shortened(frequent, limit=3)}; add them to a palette file, or redraw the file "
        "without smoothing",
        path,
    )
