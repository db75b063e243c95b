# SPDX-License-Identifier: Apache-2.0
"""Images that are given as arrays: lists, iterators of (name, image), `.npy` and `.npz` files.

They are checked one by one and kept as one array, in memory mapped to a file where they come from
an iterator, so that no more of them than a batch has to fit into memory at once.
"""

import hashlib
import itertools
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from tokenize import TokenError
from typing import Any
from zipfile import BadZipFile, ZipFile

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spade_eval.datasets.base import Sample
from spade_eval.errors import UserError
from spade_eval.files import lfs_pointer
from spade_eval.metrics.arrays import read_arrays
from spade_eval.models.choices import StyleInput
from spade_eval.models.labels import Size
from spade_eval.sources.given import Opens, Split, once
from spade_eval.sources.source import notes_of_stated_style
from spade_eval.sources.value_range import ValueRange, as_unit_range, declared, doubt_of_range

Images = Iterable[object] | Mapping[str, object]
"""Images in the order of the split, (name, image) in any order, or images by name.

A list in the place of an image, or an array with one more axis, is several of one label map.
"""
_ORDERED = ("images", "arr_0")  # of an .npz: all images in order; else each array is one image


class GivenImages:
    """Images that somebody has made already, as tensors, arrays or PIL images."""

    def __init__(
        self,
        images: Images,
        split: Split,
        value_range: ValueRange,
        *,
        style_input: StyleInput | None = None,
        whose: str = "images",
    ) -> None:
        self.name, self.value_range = split.name, value_range
        self._folder = tempfile.TemporaryDirectory(prefix="spade-eval-images-")
        self._images, digest, doubt = self._kept(images, split, f"{whose} of {split.name}")
        self.identity: Mapping[str, Any] = {
            "source_kind": "images", "source_sha256": digest, "style_input": style_input
        }  # fmt: skip
        self.provenance: Mapping[str, Any] = self.identity
        doubts = (f"{self.name}: {doubt}.",) if doubt else ()
        self.notes = (*notes_of_stated_style(self.name, style_input), *doubts)

    @property
    def eight_bit(self) -> str:
        """Say whether there are 8 bits alone."""
        return f"{self.name} are 8-bit images" if self.value_range == "uint8" else ""

    @property
    def num_draws(self) -> int:
        """Images of each label map."""
        return int(self._images.shape[1])

    def floats(self, indices: Sequence[int], samples: Sequence[Sample], draw: int = 0) -> Tensor:
        images = torch.from_numpy(self._images[list(indices), draw])
        return images.float() / 255 if self.value_range == "uint8" else images

    def _kept(self, images: Images, split: Split, whose: str) -> tuple[NDArray[Any], str, str]:
        """Check all images; return them in split order, their hash and what is odd of them."""
        names, size = split.dataset.names[: split.count], split.dataset.size
        places = {name: place for place, name in enumerate(names)}
        absent, ends, kept = dict.fromkeys(names), [1.0, 0.0], None
        for name, image in _named(images, names, whose):
            if name not in absent:
                known = "is given twice" if name in places else "is no label map's name"
                raise UserError(f"{whose}: {name!r:.100} {known}; expected an image a label map")
            del absent[name]
            draws = _draws(image)
            _require_as_many(draws, len(draws) if kept is None else kept.shape[1], name, whose)
            kept = self._file(len(names), len(draws), size) if kept is None else kept
            checked = as_unit_range(draws, self.value_range, size, [name] * len(draws), whose)
            ends = [min(ends[0], float(checked.min())), max(ends[1], float(checked.max()))]
            stored = (checked * 255).round() if kept.dtype == np.uint8 else checked
            kept[places[name]] = stored.cpu().numpy().astype(kept.dtype)
        if absent:
            raise UserError(
                f"{whose}: {len(names) - len(absent)} images for {len(names)} label maps, expected "
                f"one each; the first one without an image is {next(iter(absent))}"
            )
        assert kept is not None
        digest = hashlib.sha256()
        for name, image in zip(names, kept, strict=True):
            digest.update(f"{name} {kept.dtype.name} ".encode() + image.tobytes())
        return kept, digest.hexdigest(), doubt_of_range(self.value_range, ends[0], ends[1])

    def _file(self, count: int, num_draws: int, size: Size) -> NDArray[Any]:
        """Open an array (N, K, 3, H, W) that lies in a file."""
        kind = np.uint8 if self.value_range == "uint8" else np.float32
        shape = (count, num_draws, 3, *size)
        return np.lib.format.open_memmap(Path(self._folder.name) / "images.npy", "w+", kind, shape)


def given_images(
    images: Images,
    value_range: object = None,
    style_input: StyleInput | None = None,
    whose: str = "images",
) -> Opens:
    """Return what opens such images as a row; floats need a `value_range`, 8-bit images have one.

    `UserError` where it is not declared.
    """
    images = images if isinstance(images, Mapping | Sequence) else iter(_rows(images))
    if value_range is None:
        first, images = _first_of(images)
        value_range = "uint8" if _is_8_bit(first) else None
    known = declared(value_range, f"{whose} of floats" if value_range is None else whose)
    return once(
        lambda split: GivenImages(images, split, known, style_input=style_input, whose=whose)
    )


def images_of_file(path: Path) -> Images:
    """Open the images of a `.npy` or `.npz` file; nothing in it is run, and sizes are judged first.

    `.npy` holds (N, H, W, 3) or (N, 3, H, W) in the order of the split, with K images a label map
    (N, K, H, W, 3); so does `images` or `arr_0` of a `.npz`, which else holds an array a label map,
    by its name.
    """
    try:
        if path.suffix == ".npy":
            array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
            return _rows(array)
        with ZipFile(path) as archive:
            names = [name.removesuffix(".npy") for name in archive.namelist()]
    except (OSError, ValueError, EOFError, SyntaxError, TokenError, BadZipFile) as error:
        reason = lfs_pointer(path) or (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"{path}: not a {path.suffix} file of images ({reason}); save one with numpy, without "
            "pickled objects"
        ) from error
    ordered = next((name for name in _ORDERED if name in names), None)
    found = read_arrays(path, names if ordered is None else [ordered], "images")
    return found if ordered is None else _rows(found[ordered])


def _rows(images: Any) -> Images:
    """Return the images of one array of all of them, one by one."""
    if isinstance(images, np.ndarray | Tensor):
        if images.ndim not in (4, 5):
            raise UserError(
                f"images: an array {tuple(images.shape)} was found, expected (N, H, W, 3) or "
                "(N, 3, H, W), of K images a label map (N, K, H, W, 3)"
            )
        return [images[place] for place in range(len(images))]
    if not isinstance(images, Iterable):
        raise UserError(
            f"images: {type(images).__name__} was found, expected a folder, a .zip, .npy or .npz "
            "file, an array, or a list or iterator of images"
        )
    return images


def _first_of(images: Images) -> tuple[object, Images]:
    """Return an image, and all of them."""
    if isinstance(images, Mapping):
        return next(iter(images.values()), None), images
    if isinstance(images, Sequence):
        return (images[0] if images else None), images
    rest = iter(images)
    start = list(itertools.islice(rest, 1))
    return (start[0] if start else None), itertools.chain(start, rest)


def _is_8_bit(image: object) -> bool:
    """Return whether an image, or (name, image), says by its type that it is of 8 bits."""
    if isinstance(image, tuple) and len(image) == 2:
        image = image[1]
    if isinstance(image, list | tuple) and image:
        image = image[0]
    kind = getattr(image, "dtype", None)
    return str(kind) in ("uint8", "torch.uint8") or getattr(image, "mode", "") == "RGB"


def _draws(image: object) -> Sequence[object]:
    """Return the images of one label map."""
    if isinstance(image, list | tuple):
        return image
    if isinstance(image, np.ndarray | Tensor) and image.ndim == 4:
        return [image[place] for place in range(len(image))]
    return [image]


def _require_as_many(draws: Sequence[object], expected: int, name: str, whose: str) -> None:
    """Refuse a label map with another number of images than the first one that was given."""
    if len(draws) != expected or not draws:
        raise UserError(
            f"{whose}: label map {name} has {len(draws)} of {max(expected, 1)} images; expected as "
            "many for every label map"
        )


def _without_tracebacks(items: Iterable[object], whose: str) -> Iterator[object]:
    """Yield the items of a stranger's iterator; whatever it raises becomes one line."""
    count = 0
    try:
        for item in items:
            yield item
            count += 1
    except UserError:
        raise
    except Exception as error:
        line = " ".join(str(error).split()) or "no message"
        raise UserError(
            f"{whose}: their iterator raised {type(error).__name__} after {count} images: {line}"
        ) from error


def _named(images: Images, names: Sequence[str], whose: str) -> Iterator[tuple[str, object]]:
    """Yield (name, image), those without a name in the order of the split."""
    items = images.items() if isinstance(images, Mapping) else images
    for place, item in enumerate(_without_tracebacks(items, whose)):
        if isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str):
            yield item[0], item[1]
        elif place < len(names):
            yield names[place], item
        else:
            raise UserError(
                f"{whose}: more than {len(names)} images, expected one for each label map; the "
                f"last one is {names[-1]}"
            )
