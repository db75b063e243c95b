# SPDX-License-Identifier: Apache-2.0
"""How the authors' files of a network look: the names of its tensors, and what their shapes tell.

Each network that was ever released carries one `Published`; nothing else lists them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from spade_eval.models.labels import SPADE_LAYOUTS, Size

Shapes = Mapping[str, Tensor]
"""A state dict with published names, of which only names and shapes are read."""


@dataclass(frozen=True, kw_only=True)
class Hints:
    """What the user says where shapes cannot; None leaves it to the shapes."""

    upsampling: str | None = None  # of SPADE's decoder
    image_size: Size | None = None  # of latent-input generators
    num_features: int = 0  # channels of pix2pixHD's instance features
    # Label channels, where the first convolution does not tell: noise beside them, or colours.
    num_labels: int | None = None
    palette: str = ""  # their colours, for networks that read label maps as pictures


@dataclass(frozen=True, kw_only=True)
class Published:
    """The released form of one class of networks."""

    recognises: Callable[[Shapes], bool]  # whether a state dict is one of this class, and no other
    config_of: Callable[[Shapes, Hints], Any]  # its `Config`; `ValueError` where hints are missing
    names: Callable[[Any], dict[str, str]]  # our module names -> published ones, by `Config`
    # For releases that are no PyTorch files: whether a file is one, and its tensors under published
    # names and in PyTorch's order of dimensions, of sizes that were checked.
    is_file: Callable[[Path], bool] = lambda path: False
    read: Callable[[Path], dict[str, Tensor]] | None = None
    # Names of `RELEASED_LAYOUTS` that its label channels may have; with one that fits, nobody asks.
    layouts: tuple[str, ...] = SPADE_LAYOUTS
    # Beginnings of the names that are of the domain translated from, where a file holds two domains
    # as `a` and `b`, the second being photos; all else of the network is of the second one.
    of_first_domain: tuple[str, ...] = ()
    # Whether it reads label maps in colours, which are the dataset's and not in the file; the
    # second argument is how many label channels the user says there are, if at all.
    reads_colours: Callable[[Shapes, int | None], bool] = lambda tensors, said: False
    # Names by which a user says whose file it is, and which of them a generator's `Config` has.
    families: tuple[str, ...] = ()
    family_of: Callable[[Any], str] | None = None


def numbered(tensors: Shapes, before: str, after: str) -> set[int]:
    """Collect the numbers between two parts of the names."""
    return {
        int(name.removeprefix(before).partition(".")[0])
        for name in tensors
        if name.startswith(before) and after in name
    }
