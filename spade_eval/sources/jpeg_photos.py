# SPDX-License-Identifier: Apache-2.0
"""The real photos through the JPEG of given images: what the kind of file alone costs."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spade_eval.datasets.base import Sample
from spade_eval.datasets.jpeg import JPEGEncoding

KIND = "real as JPEG"


class JPEGPhotos:
    """What a perfect generator would score whose images are saved as JPEG."""

    def __init__(self, encoding: JPEGEncoding) -> None:
        self.encoding = encoding
        self.name = row_name(encoding)
        self.identity: Mapping[str, Any] = {"kind": KIND, "encoding": encoding.sha256}
        self.provenance: Mapping[str, Any] = {
            "source_kind": KIND, "source_sha256": encoding.sha256, "style_input": "none",
            "file_format": "JPEG",
        }  # fmt: skip
        self.notes = (f"{self.name}: the real photos through JPEG, {encoding.described}.",)

    def floats(self, indices: Sequence[int], samples: Sequence[Sample]) -> Tensor:
        images = np.stack([self.encoding.applied(sample.photo) for sample in samples])
        return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255


def row_name(encoding: JPEGEncoding) -> str:
    """Return what the row of the photos in an encoding is called."""
    return f"real {encoding.name}"


def jpeg_note(name: str, encoding: JPEGEncoding, count: int, of: int) -> str:
    """Say that images come from JPEG files, and which row shows what that costs."""
    return (
        f"{name}: {count} of {of} images are JPEG files ({encoding.described}), whose losses are "
        f"scored, too; the row {row_name(encoding)} is what they cost the real photos."
    )
