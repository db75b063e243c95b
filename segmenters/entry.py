# SPDX-License-Identifier: Apache-2.0
"""What is known about a published segmenter: its network, its files, its licence, its score."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from spade_eval.segmenters.label_spaces import ScoredLabels

if TYPE_CHECKING:
    from torch import nn

    from spade_eval.segmenters.loading import Renaming


@dataclass(frozen=True, kw_only=True)
class OfficialFile:
    """A weight file as its authors published it."""

    # May be a pattern: the epoch in the name of some files is not known to this suite.
    file_name: str
    origin: str
    part: str = ""  # the submodule that it belongs to; all of the network unless given
    sha256: str | None = None  # None: not known to this suite; recorded on first use


@dataclass(frozen=True, kw_only=True)
class SegmenterEntry:
    """One row of `SEGMENTERS`.

    `network` builds the module from options, the fields of its `Config`: they choose scales and the
    like, change scores, and so belong into a record.
    """

    title: str
    labels: ScoredLabels
    network: Callable[..., nn.Module]
    files: tuple[OfficialFile, ...]
    preprocessing: str
    output: str  # what `argmax` is taken of
    licence: str
    # What its authors print for real images of the validation split, as fractions.
    published: Mapping[str, float]
    # Gain of the deterministic random weights with which a chain is tested without a file.
    fill_gain: float
    renamed: Callable[[], Renaming] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def load(self, checkpoints: Sequence[Mapping[str, Any]], **options: Any) -> nn.Module:
        """Load the network from its files, in the order of `files`, in eval mode.

        `ValueError` where the number of files, a name or a shape does not fit.
        """
        import torch

        from spade_eval.segmenters.loading import load_strict

        if len(checkpoints) != len(self.files):
            names = ", ".join(file.file_name for file in self.files)
            raise ValueError(f"{self.title} takes {len(self.files)} files ({names})")
        with torch.device("meta"):  # no random numbers that the files would replace at once
            network = self.network(**{**self.options, **options})
        renamed = None if self.renamed is None else self.renamed()
        for file, checkpoint in zip(self.files, checkpoints, strict=True):
            load_strict(network.get_submodule(file.part), checkpoint, renamed)
        return network.eval().requires_grad_(False)

    def filled(self, **options: Any) -> nn.Module:
        """Build the network with deterministic random weights; its scores mean nothing."""
        from spade_eval.segmenters.filled import fill

        network = self.network(**{**self.options, **options})
        for file in self.files:
            fill(network.get_submodule(file.part), self.fill_gain)
        return network.eval().requires_grad_(False)
