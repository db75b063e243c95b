# SPDX-License-Identifier: Apache-2.0
"""Photos, label maps and instance maps read from files, refusing what would be read wrongly.

Label maps are files of class ids, one channel, and never colours: a palette or RGB file would give
grey values that look like ids (NVlabs/SPADE issues 5, 18, 29), and an id outside the label set ends
in a device-side assert on a GPU (pix2pixHD issue 6 and eight like it). Both are refused here, with
the file's name. Every error is a `UserError` of one line. Photos are not turned by their EXIF tag,
since label maps are not either.
"""

import io
import os
import stat
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from spade_eval.datasets import layouts, palettes, png
from spade_eval.datasets.image_memory import BYTES_READ, PIXELS, memory_of_image
from spade_eval.errors import UserError
from spade_eval.files import lfs_pointer
from spade_eval.models.labels import IGNORE_INDEX, Size
from spade_eval.models.limits import MOST_IMAGE_BYTES

PHOTO_EXTENSIONS = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
MAP_EXTENSIONS = (".png",)  # lossy formats change ids

# Other decoders are never tried: some start programs (EPS), and nobody names files for them.
PHOTO_FORMATS = ("PNG", "JPEG", "WEBP", "BMP")
_MAP_FORMATS = ("PNG",)
# What else label maps are saved as, by first bytes.
_OTHER_CONTAINERS = (
    *((b"\xff\xd8\xff", "JPEG"), (b"II*\0", "TIFF"), (b"MM\0*", "TIFF"), (b"BM", "BMP")),
    *((b"GIF8", "GIF"), (b"RIFF", "WEBP"), (b"\x93NUMPY", "npy")),
)

_PHOTO_MODES = ("RGB", "L", "CMYK", "YCbCr", "P", "RGBA", "LA", "1")
_ID_MODES = ("1", "L", "I;16", "I;16L", "I;16B", "I")  # one integer channel of up to 16 bits
# What the decoders of Pillow raise on damaged bytes besides OSError.
_DECODING_ERRORS = (
    *(OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, EOFError),
    *(NotImplementedError, struct.error, zlib.error),
)


class FileError(UserError):
    """A fault of one file, `path`; `values` are the offending label ids, if it is about ids."""

    # The defaults let pickle and the workers of a DataLoader rebuild it from its message alone.
    def __init__(self, message: str, path: Path = Path(), values: tuple[int, ...] = ()) -> None:
        super().__init__(message)
        self.path = path
        self.values = values


class UnreadableImageError(FileError):
    """A file that is missing, truncated, no image or suspiciously large."""


class ContainerError(FileError):
    """A label or instance map in a format that does not keep ids, whatever its name says."""


class ImageModeError(FileError):
    """A file whose channels are not what its role asks for."""


class LabelValueError(FileError):
    """A label map with ids outside the label set; `held` are all its ids."""

    held: tuple[int, ...] = ()


class SizeMismatchError(FileError):
    """A map whose height or width is not its photo's."""


def read_photo(path: Path, formats: Sequence[str] = PHOTO_FORMATS) -> NDArray[np.uint8]:
    """Read (H, W, 3) RGB, read-only; other modes are converted, transparent pixels are refused."""
    with opened(path, formats) as (image, _):
        mode = image.mode
        photo = None
        if mode in _PHOTO_MODES:
            _require_opaque(image, path)
            # Not copied: a second buffer of this size can cost as much as decoding.
            photo = np.asarray(image if mode == "RGB" else image.convert("RGB"))
    if photo is None:
        raise ImageModeError(
            f"{path}: mode {mode} was found, 8 bits per channel were expected; save it as 8-bit "
            "RGB",
            path,
        )
    return photo


def _require_opaque(image: Image.Image, path: Path) -> None:
    """Refuse pixels whose colour depends on what lies below: no viewer shows the one stored."""
    if not image.has_transparency_data:
        return
    (alpha, _) = image.convert("RGBA").getchannel("A").getextrema()
    if alpha != 255:
        raise ImageModeError(
            f"{path}: transparent pixels (alpha down to {alpha}) were found, opaque ones (255) "
            "were expected; put the image on a colour of your choice and save it as 8-bit RGB",
            path,
        )


def read_ids(
    path: Path, kind: Literal["class", "instance"], colours: palettes.Colours | None = None
) -> NDArray[np.integer]:
    """Read (H, W) values as stored, of 1 to 16 bits, read-only; colour files are refused.

    With `colours`, those of the ids, palette files are read whose own colours are the same.
    """
    with opened(path, _MAP_FORMATS, require=_require_png) as (image, stored_png):
        mode = image.mode
        readable = (
            mode in _ID_MODES or palettes.has_grey_palette(image) or palettes.agrees(image, colours)
        )
        ids = np.asarray(image) if readable else None  # not copied, as above
        if ids is not None and stored_png is not None and stored_png.is_scaled_grey:
            ids = png.unscaled(ids, stored_png.bits)
        if ids is not None and mode == "P":
            require_greys_of_indices(image, ids, path)
    if ids is None:
        stored = "palette image" if mode == "P" else "image"
        raise ImageModeError(
            f"{path}: a {stored} of mode {mode} was found, one channel of {kind} ids was expected; "
            f"convert it to a single-channel PNG of {kind} ids: "
            f"{palettes.converter(path.parent, mode)}",
            path,
        )
    return ids


def read_instance_map(path: Path) -> NDArray[np.int32]:
    """Read (H, W) instance ids; 16-bit ids above 32767 stay as they are."""
    return read_ids(path, "instance").astype(np.int32)


def read_size(path: Path) -> Size:
    """Read height and width from the file's header, without decoding its pixels."""
    with header_of(path) as image:
        width, height = image.size
    return height, width


def read_format(path: Path) -> str:
    """Read what kind of file a photo's is, "PNG" or "JPEG", by its content."""
    with header_of(path) as image:
        return image.format or "unknown"


@contextmanager
def header_of(path: Path) -> Iterator[Image.Image]:
    """Open a photo of which size and tags are wanted alone (of a PNG: the size)."""
    with decoding(path, PHOTO_FORMATS):
        regular_status(path)
        with path.open("rb") as file:
            header = png.header_alone(file)
        with Image.open(io.BytesIO(header) if header else path, formats=PHOTO_FORMATS) as image:
            yield image


def values_outside(ids: NDArray[np.integer], num_classes: int) -> tuple[int, ...]:
    """Return the distinct values that are neither a class nor `IGNORE_INDEX`, ascending."""
    wrong = ((ids < 0) | (ids >= num_classes)) & (ids != IGNORE_INDEX)
    return tuple(np.unique(ids[wrong]).tolist()) if wrong.any() else ()


def require_same_size(photo: Path, photo_size: Size, map_file: Path, map_size: Size) -> None:
    """Refuse a map that differs from its photo: resizing both would hide a wrong pairing."""
    if photo_size != map_size:
        raise SizeMismatchError(
            f"{map_file}: {text_of_size(map_size)} (height x width) was found, "
            f"{text_of_size(photo_size)} was expected as in {photo}; check that these files belong "
            "together",
            map_file,
        )


def files_by_stem(folder: Path, extensions: Sequence[str]) -> dict[str, Path]:
    """Return the files directly in a folder of these extensions (any case) by stem, in order."""
    found = [path for path in layouts.visible(folder) if path.suffix.lower() in extensions]
    return by_stem(folder, found)


def by_stem(folder: Path, found: Sequence[Path]) -> dict[str, Path]:
    """Return files that were found in a folder by stem, in order; two of one stem are refused."""
    paths: dict[str, Path] = {}
    for path in found:
        stem = layouts.stem_of(path)
        if not is_utf8(path.name):
            raise UserError(
                f"{folder}: the name {path.name!r} is not UTF-8, as records and tables have to be; "
                "rename the file"
            )
        if stem in paths:
            names = " and ".join(str(item.relative_to(folder)) for item in (paths[stem], path))
            raise UserError(
                f"{folder}: {names} share one stem, one file per stem was expected; remove or "
                "rename one of them"
            )
        paths[stem] = path
    return dict(sorted(paths.items()))


def is_utf8(name: str) -> bool:
    """Return whether a file's name can be written as text: Linux takes any bytes."""
    return not any("\ud800" <= letter <= "\udfff" for letter in name)


def shortened(items: Sequence[object], limit: int = 5) -> str:
    """Write `a, b, c, ... (9 in all)`: enough of a long list to find the rest."""
    shown = ", ".join(str(item) for item in items[:limit])
    return f"{shown}, ... ({len(items)} in all)" if len(items) > limit else shown


def text_of_size(size: Size) -> str:
    """Write a size: `256x512` is 256 high and 512 wide."""
    return f"{size[0]}x{size[1]}"


def require_greys_of_indices(image: Image.Image, indices: NDArray[np.uint8], path: Path) -> None:
    """Refuse a palette file whose greys are other values than the indices they stand for."""
    if other := palettes.other_greys(image, indices):
        raise ImageModeError(
            f"{path}: a palette file was found whose index {shortened(other)}, one value per pixel "
            "was expected; if the greys are the ids, save it as a grey PNG, else convert it with a "
            "palette of lines `id red green blue`",
            path,
        )


@contextmanager
def opened(
    path: Path, formats: Sequence[str], require: Callable[[Path, bytes], None] | None = None
) -> Iterator[tuple[Image.Image, png.Png | None]]:
    """Open an image of these formats of Pillow; whatever decoding it raises names the file.

    A PNG comes with its chunks, whose checksums are right; that it holds every row is checked when
    the block, which decodes it, ends. `require` may refuse a file by its bytes.
    """
    with decoding(path, formats), memory_of_image() as memory:
        memory.enter_context(BYTES_READ.hold(_bounded_size(path)))
        content = path.read_bytes()
        if require:
            require(path, content)
        chunks = png.parsed(content) if content.startswith(png.SIGNATURE) else None
        file = io.BytesIO(chunks.content if chunks else content)
        with Image.open(file, formats=tuple(formats)) as image:
            memory.enter_context(PIXELS.hold(image.width * image.height))
            yield image, chunks
            # Pillow leaves rows that are not there at 0, and the last row is among them.
            if chunks and (chunks.interlaced or _ends_in_zeros(image)):
                chunks.require_every_row()


def _ends_in_zeros(image: Image.Image) -> bool:
    """Return whether the last row is 0; as an array it would take a tenth of a small map's time."""
    extrema = image.crop((0, image.height - 1, image.width, image.height)).getextrema()
    return not any(max(band) if isinstance(band, tuple) else band for band in extrema)


def _require_png(path: Path, content: bytes) -> None:
    """Refuse other containers by name: a JPEG changes ids into classes that nobody drew."""
    for start, kind in _OTHER_CONTAINERS:
        if content.startswith(start):
            raise ContainerError(
                f"{path}: {kind} content was found, PNG was expected, which keeps ids as they are; "
                "export the map again from its source as a PNG of ids",
                path,
            )


def _bounded_size(path: Path) -> int:
    """Return the bytes of a file; one larger than any image that is decoded is refused unread."""
    size = regular_status(path).st_size
    if size > MOST_IMAGE_BYTES:
        raise UnreadableImageError(
            f"{path}: {size:,} bytes were found, an image of at most {MOST_IMAGE_BYTES:,} was "
            "expected; scale it down or remove it",
            path,
        )
    return size


def regular_status(path: Path) -> os.stat_result:
    """Return a file's status; what opening may wait for (a pipe) or never end on is refused."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        kind = "a folder" if path.is_dir() else "a pipe, socket or device"
        raise UnreadableImageError(
            f"{path}: {kind} was found, an image file was expected; replace it by the file", path
        )
    return status


@contextmanager
def decoding(path: Path, formats: Sequence[str] = PHOTO_FORMATS) -> Iterator[None]:
    """Turn what Pillow raises on a missing or damaged file into an `UnreadableImageError`."""
    try:
        yield
    except UserError:
        raise
    except FileNotFoundError as error:
        absent = "its link leads nowhere" if path.is_symlink() else "there is no such file"
        raise UnreadableImageError(
            f"{path}: {absent}; an image was expected there", path
        ) from error
    except PermissionError as error:
        raise UnreadableImageError(
            f"{path}: cannot be read ({error.strerror}); give yourself permission to read it", path
        ) from error
    except Image.DecompressionBombError as error:
        raise UnreadableImageError(
            f"{path}: more than {2 * (Image.MAX_IMAGE_PIXELS or 0)} pixels were found, an ordinary "
            "photo or label map was expected; scale it down or remove it",
            path,
        ) from error
    except UnidentifiedImageError as error:
        reason = lfs_pointer(path) or f"cannot be decoded as {' or '.join(formats)}"
        raise UnreadableImageError(
            f"{path}: {reason}, a complete image file was expected; copy or download it again, or "
            "save it in one of these formats",
            path,
        ) from error
    except _DECODING_ERRORS as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UnreadableImageError(
            f"{path}: cannot be decoded ({reason}), a complete image file was expected; copy or "
            "download it again",
            path,
        ) from error
