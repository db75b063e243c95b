# SPDX-License-Identifier: Apache-2.0
"""`spade_eval.evaluate` and `evaluate_images`: a generator, or images, and their scores."""

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spade_eval.api.result import Result
from spade_eval.api.running import Scoring, benchmark_of
from spade_eval.errors import UserError
from spade_eval.files import require_folder_name
from spade_eval.models.choices import StyleInput
from spade_eval.models.training.precision import tf32
from spade_eval.rows import Request
from spade_eval.sources.called import Generator, called, called_name
from spade_eval.sources.given_images import Images, given_images, images_of_file
from spade_eval.sources.stated import stated_facts
from spade_eval.sources.value_range import ValueRange
from spade_eval.sources.zipped_images import unpack_images

if TYPE_CHECKING:
    from typing_extensions import Unpack

_NAMELESS = "mine"


def evaluate(
    generator: Generator,
    *,
    name: str | None = None,
    value_range: ValueRange | None = None,
    style_input: StyleInput = "none",
    time_limit: float | None = None,
    stated: Mapping[str, object] | None = None,
    **scoring: "Unpack[Scoring]",
) -> Result:
    """Score a generator: any callable from a `MapBatch` to images (N, 3, H, W).

    `value_range` ("[-1,1]", "[0,1]" or "uint8") may be an attribute of the generator instead; it is
    checked and never guessed. `style_input` "another photo" or "real image (same)" hands it photos
    as well. A batch may take `time_limit` seconds. `stated` are facts that nobody can see, as
    {"trained_with_segmenter": "none"}, here or as an attribute of the generator. How it is scored,
    and where: `Scoring`. Raises `UserError`, which names the first label map whose image is wrong.
    """
    row = name or _plain(called_name(generator))
    opened = called(generator, value_range, style_input=style_input, time_limit=time_limit)
    return _scored(row, Request(given={row: opened}), scoring, stated)


def evaluate_images(
    images: "str | Path | Images",
    *,
    name: str | None = None,
    value_range: ValueRange | None = None,
    style_input: StyleInput | None = None,
    stated: Mapping[str, object] | None = None,
    **scoring: "Unpack[Scoring]",
) -> Result:
    """Score images that are made already, one for each label map of the split.

    A folder or `.zip` of files named after the label maps; a `.npy` or `.npz` file (`arr_0` in the
    order of the split, or an array an image); an array (N, H, W, 3) or (N, 3, H, W); a list of
    arrays, tensors or PIL images in that order; a mapping or iterator of names and images. Floats
    need a `value_range`. Say by `style_input` whether a photo went into them, and by `stated` what
    else nobody can see, as {"text_input": "captions", "guidance": 7.5}. Raises `UserError`.
    """
    if not isinstance(images, str | Path):
        row = name or _NAMELESS
        request = Request(given={row: given_images(images, value_range, style_input)})
        return _scored(row, request, scoring, stated)
    path = Path(images)
    row = name or _plain(path.stem)
    if path.suffix.lower() in (".npy", ".npz"):
        opened = given_images(images_of_file(path), value_range, style_input, str(path))
        return _scored(row, Request(given={row: opened}), scoring, stated)
    if value_range not in (None, "uint8"):
        raise UserError(
            f"{path}: value range {value_range!r} of image files, which hold 8 bits; leave it out"
        )
    styles = {} if style_input is None else {row: style_input}
    with tempfile.TemporaryDirectory(prefix="spade-eval-zip-") as scratch:
        folder = path
        if path.suffix.lower() == ".zip" and path.is_file():
            folder = Path(scratch)
            unpack_images(path, folder)
        request = Request(images={row: folder}, style_inputs=styles)
        return _scored(row, request, scoring, stated)


def _scored(
    row: str, request: Request, scoring: Any, stated: Mapping[str, object] | None
) -> Result:
    require_folder_name("name", row)
    facts = {row: stated_facts(stated or {}, f"stated of {row}")}
    request = replace(request, stated=facts)
    with tf32(False):  # as reported numbers are computed; afterwards as it was
        suite = benchmark_of(**scoring)
        suite.run(request)
        (planned,) = (item for item in suite.rows(request) if item.name == row)
        return Result.of(suite.place.run_folder, row, suite.job_sha256(planned))


def _plain(name: str) -> str:
    """Return a name for a row: that of a function or file, unless no folder may have it."""
    try:
        require_folder_name("name", name)
    except UserError:
        return _NAMELESS
    return name
