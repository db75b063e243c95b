# SPDX-License-Identifier: Apache-2.0
"""From label maps (and instance maps) to the semantic map that the networks see.

A label map holds one class index a pixel; a semantic map holds one channel a label: the classes, an
"unknown" channel where the data has unlabelled pixels, and a channel of instance edges. A
`SemanticMap` is made once per batch and given to every layer, so that layers of one resolution
share one resized map (nearest, source index floor(target * scale), as the published networks do).
"""

import copy
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from spade_eval.models.labels import IGNORE_INDEX, SemanticLayout, Size
from spade_eval.models.positions import positional_map

Made = TypeVar("Made")
Positions = Callable[[], Tensor]
"""Makes positional maps (N, 2, H, W), in [-1, 1]: only some networks ask for them."""


def instance_edges(instance_map: Tensor) -> Tensor:
    """Mark pixels whose id differs from a 4-neighbour's, ids (N, H, W) -> (N, H, W) bool.

    Nothing is added at the image border (SPADE and pix2pixHD, Sec. 3.3 of the latter).
    """
    edges = torch.zeros_like(instance_map, dtype=torch.bool)
    horizontal = instance_map[:, :, 1:] != instance_map[:, :, :-1]
    vertical = instance_map[:, 1:, :] != instance_map[:, :-1, :]
    edges[:, :, 1:] |= horizontal
    edges[:, :, :-1] |= horizontal
    edges[:, 1:, :] |= vertical
    edges[:, :-1, :] |= vertical
    return edges


def channels_of(label_map: Tensor, layout: SemanticLayout) -> Tensor:
    """Label values (N, H, W) -> channel indices (N, H, W) int64, or `ValueError`."""
    _check(label_map, layout)
    labels = label_map.long()
    if layout.unknown == "none":
        return labels
    unknown = labels == IGNORE_INDEX
    if layout.unknown == "first":
        return torch.where(unknown, 0, labels + 1)
    return torch.where(unknown, layout.num_classes, labels)


def _check(label_map: Tensor, layout: SemanticLayout) -> None:
    if label_map.ndim != 3 or label_map.is_floating_point():
        raise ValueError(
            f"the label map is {tuple(label_map.shape)} {label_map.dtype}, "
            "expected (N, H, W) integers; pass class indices, one a pixel"
        )
    wrong = (label_map < 0) | (label_map >= layout.num_classes)
    if layout.unknown != "none":
        wrong &= label_map != IGNORE_INDEX
    if wrong.any():
        values = torch.unique(label_map[wrong]).tolist()
        shown = ", ".join(map(str, values[:8])) + (", ..." if len(values) > 8 else "")
        unknown = " or 255 (unlabelled)" if layout.unknown != "none" else ""
        hint = "map other values to classes first"
        if layout.unknown == "none" and IGNORE_INDEX in values:
            hint = 'set unknown="first" or "last" in the SemanticLayout to keep 255'
        raise ValueError(
            f"the label map holds {shown}, expected 0..{layout.num_classes - 1}{unknown}; {hint}"
        )


class SemanticMap:
    """The semantic map of one batch at every resolution that a network asks for.

    Label map (N, H, W) integers with 255 for unlabelled pixels, instance map (N, H, W) integers.
    Raises `ValueError` for labels outside the layout, and when the layout has an edge channel but
    no instance map is given; an instance map that the layout does not need is ignored.
    """

    def __init__(
        self,
        label_map: Tensor,
        layout: SemanticLayout,
        instance_map: Tensor | None = None,
        positions: Positions | None = None,
    ) -> None:
        self._channels: Tensor | None = channels_of(label_map, layout)
        self._positions = positions
        self._edges: Tensor | None = None
        self._soft: Tensor | None = None
        if layout.edges:
            if instance_map is None:
                raise ValueError(
                    f"the layout has {layout.num_labels} channels, the last for instance edges, "
                    "but no instance map was given; give one, or use a network with edges=False"
                )
            if instance_map.shape != label_map.shape:
                raise ValueError(
                    f"the instance map is {tuple(instance_map.shape)}, expected "
                    f"{tuple(label_map.shape)} like the label map; resize it (nearest)"
                )
            self._edges = instance_edges(instance_map)
        self._describe(label_map, layout.num_labels, torch.float32)

    @classmethod
    def from_tensor(cls, semantic_map: Tensor, positions: Positions | None = None) -> "SemanticMap":
        """Wrap a soft or continuous map (N, L, H, W) float, such as probabilities or features."""
        soft = cls.__new__(cls)
        soft._channels, soft._edges, soft._soft = None, None, semantic_map
        soft._positions = positions
        soft._describe(semantic_map, semantic_map.shape[1], semantic_map.dtype)
        return soft

    def _describe(self, source: Tensor, num_labels: int, dtype: torch.dtype) -> None:
        self.batch_size: int = source.shape[0]
        self.size: Size = (source.shape[-2], source.shape[-1])
        self.num_labels = num_labels
        self.dtype = dtype  # of the dense maps
        self._made: dict[Hashable, Any] = {}

    @property
    def _source(self) -> Tensor:
        source = self._channels if self._soft is None else self._soft
        assert source is not None
        return source

    @property
    def device(self) -> torch.device:
        return self._source.device

    @property
    def is_hard(self) -> bool:
        """Whether every pixel has exactly one label, so that `labels_at` exists."""
        return self._soft is None

    @property
    def has_edges(self) -> bool:
        """Whether the last channel of a hard map holds instance edges."""
        return self._edges is not None

    @property
    def full(self) -> Tensor:
        """(N, num_labels, H, W) float at the map's own size."""
        return self.at(self.size)

    def at(self, size: Size) -> Tensor:
        """Return (N, num_labels, h, w) float, computed once per resolution."""
        size = (int(size[0]), int(size[1]))
        return self.memo(("dense", size), lambda: self._dense(size))

    def at_for(self, weight: Tensor, size: Size) -> Tensor:
        """Return `at(size)` channels last if the kernel that reads it is, made once per resolution.

        Else each convolution would turn it round, on its way forward and on its way back.
        """
        if weight.is_contiguous() or not weight.is_contiguous(memory_format=torch.channels_last):
            return self.at(size)
        size = (int(size[0]), int(size[1]))
        return self.memo(
            ("channels last", size),
            lambda: self.at(size).contiguous(memory_format=torch.channels_last),
        )

    def labels_at(self, size: Size) -> Tensor:
        """Return (N, h, w) int64 channels of a hard map (edges aside), once per resolution."""
        channels = self._channels
        if channels is None:
            raise ValueError("a soft semantic map has no label a pixel; use at(size)")
        size = (int(size[0]), int(size[1]))
        return self.memo(("labels", size), lambda: _nearest(channels, size))

    def edges_at(self, size: Size) -> Tensor | None:
        """Return (N, h, w) bool instance edges, or None where the layout has no edge channel."""
        return None if self._edges is None else _nearest(self._edges, size)

    def positions_at(self, size: Size) -> Tensor:
        """Return (N, 2, h, w) float offsets in the regions of a class, made where first asked for.

        They are resized like labels (nearest); see `spade_eval.models.positions`.
        """
        make = self._positions or self._own_positions
        made = self.memo(("positions",), lambda: make().to(self.device, self.dtype))
        return made if tuple(made.shape[-2:]) == tuple(size) else F.interpolate(made, size=size)

    def with_positions(self, positions: Positions) -> "SemanticMap":
        """Return the same map with other positional maps."""
        other = copy.copy(self)
        other._positions = positions
        other._made = {key: made for key, made in self._made.items() if key != ("positions",)}
        return other

    def memo(self, key: Hashable, make: Callable[[], Made]) -> Made:
        """Return what `make` gives, once for the batch; it may depend on key and map alone."""
        if key not in self._made:
            self._made[key] = make()
        made: Made = self._made[key]
        return made

    def label_fractions(self) -> Tensor:
        """Return the share of the image that each channel covers, (N, num_labels)."""
        return self.full.mean(dim=(2, 3))

    def to(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> "SemanticMap":
        """Return the same map on another device, or with dense maps of another float type."""
        device = self.device if device is None else torch.device(device)
        dtype = self.dtype if dtype is None else dtype
        if (device, dtype) == (self.device, self.dtype):
            return self
        moved = SemanticMap.__new__(SemanticMap)
        for name in ("_channels", "_edges", "_soft"):
            value = getattr(self, name)
            setattr(moved, name, None if value is None else value.to(device, non_blocking=True))
        if moved._soft is not None:
            moved._soft = moved._soft.to(dtype)
        moved._positions = self._positions
        moved._describe(moved._source, self.num_labels, dtype)
        return moved

    def _own_positions(self) -> Tensor:
        """Make them of the label map as it is; channel 0 has none in the published networks."""
        channels = self.labels_at(self.size).cpu().numpy()
        return torch.from_numpy(np.stack([positional_map(one) for one in channels]))

    def _dense(self, size: Size) -> Tensor:
        if self._soft is not None:
            return self._soft if size == self.size else F.interpolate(self._soft, size=size)
        labels = self.labels_at(size)
        dense = torch.zeros(
            self.batch_size, self.num_labels, *size, dtype=self.dtype, device=labels.device
        )
        dense.scatter_(1, labels[:, None], 1.0)
        edges = self.edges_at(size)
        if edges is not None:
            dense[:, -1] = edges
        return dense


def _nearest(values: Tensor, size: Size) -> Tensor:
    """Resize (N, H, W) of any type -> (N, h, w); float32 holds labels exactly, by torch's rule."""
    if tuple(values.shape[-2:]) == tuple(size):
        return values
    resized = F.interpolate(values[:, None].float(), size=size, mode="nearest")
    return resized[:, 0].to(values.dtype)
