# SPDX-License-Identifier: Apache-2.0
"""The multi-scale discriminator on synthesized and real images of one label map.

Stacked along the batch, as the paper's code has them, every layer reads the map twice, and in the
generator's update half of the gradient is that of real images: zeros. Here the first convolution is
that of the map, plus that of the image: the map's is looked up where that is faster, or computed
once and without a gradient of its input. Where the gradient is the generator's, real images go
through each layer beside the synthesized ones, with the same weight (one power iteration), but
leave nothing to go back through.
"""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spade_eval.models.discriminators.multiscale import (
    MultiscaleDiscriminator,
    PatchDiscriminator,
    PatchLayer,
    halved,
)
from spade_eval.models.fast.semantic_convolution import map_convolution
from spade_eval.models.semantics import SemanticMap

_PER_IMAGE = (nn.InstanceNorm2d, nn.Identity)
"""Norms by which no image of a batch sees another."""


class FastMultiscaleDiscriminator(MultiscaleDiscriminator):
    """`MultiscaleDiscriminator`; equal to it up to the order of additions.

    With `always` it looks the map up wherever it can.
    """

    always = False

    def of_pair(
        self, semantics: SemanticMap, fake: Tensor, real: Tensor
    ) -> tuple[list[list[Tensor]], list[list[Tensor]]]:
        """Compute as `MultiscaleDiscriminator.of_pair`."""
        if self._compiled_call_impl is not None or not self._judges_alone:
            return super().of_pair(semantics, fake, real)
        apart = fake.requires_grad and torch.is_grad_enabled()
        real = real.to(fake.dtype)
        images = [fake, real] if apart else [torch.cat([fake, real])]
        scales = []
        for index, network in enumerate(self.scales):
            images = [halved(one) for one in images] if index else images
            assert isinstance(network, PatchDiscriminator)
            scales.append(_features(network, self._of_map(semantics, index), images))
        if apart:
            return [[on[0] for on in scale] for scale in scales], [
                [on[1] for on in scale] for scale in scales
            ]
        count = len(fake)
        return [[on[0][:count] for on in scale] for scale in scales], [
            [on[0][count:] for on in scale] for scale in scales
        ]

    @property
    def _judges_alone(self) -> bool:
        layers = (layer for layer in self.modules() if isinstance(layer, PatchLayer))
        return all(isinstance(layer.norm, _PER_IMAGE) for layer in layers)

    def _of_map(self, semantics: SemanticMap, index: int) -> Tensor:
        """(N, C, h, w): the first convolution of a scale's map. Only the largest map is hard."""
        layer = cast(PatchLayer, cast(PatchDiscriminator, self.scales[index]).layers[0])
        conv, weight = layer.conv, layer.conv.weight[:, : semantics.num_labels]
        found = None
        # On GPUs, unmeasured: there a convolution waits for nobody, and numbering windows does.
        if index == 0 and semantics.device.type == "cpu":
            found = map_convolution(conv, weight, semantics, semantics.size, always=self.always)
        if found is None:
            maps = self._map_at(semantics, index)
            found = F.conv2d(maps, weight, conv.bias, conv.stride, conv.padding)
        return found

    def _map_at(self, semantics: SemanticMap, index: int) -> Tensor:
        """(N, num_labels, h, w) for a scale, once for all updates of a batch."""
        if not index:
            first = cast(PatchLayer, cast(PatchDiscriminator, self.scales[0]).layers[0])
            return semantics.at_for(first.conv.weight, semantics.size)
        finer = self._map_at(semantics, index - 1)
        return semantics.memo(("halved", index), lambda: halved(finer))


def _features(
    network: PatchDiscriminator, of_map: Tensor, images: list[Tensor]
) -> list[list[Tensor]]:
    """(N, C, h, w) of every layer for the first images, then without gradient for the others."""
    first, *others = network.layers
    assert isinstance(first, PatchLayer)
    features = [_of_map_and_images(first, of_map, images)]
    for layer in others:
        assert isinstance(layer, PatchLayer)
        features.append(_of_images(layer, features[-1]))
    return features


def _of_map_and_images(layer: PatchLayer, of_map: Tensor, images: list[Tensor]) -> list[Tensor]:
    conv, found = layer.conv, []
    for one in images:
        weight = conv.weight[:, -one.shape[1] :]
        of_image = F.conv2d(one, weight, None, conv.stride, conv.padding)
        of_image = of_image.unflatten(0, (-1, len(of_map)))
        both = (of_image + of_map.to(of_image.dtype)).flatten(0, 1)
        found.append(layer.activated(both))
    return found


def _of_images(layer: PatchLayer, images: list[Tensor]) -> list[Tensor]:
    first, *others = images
    found = [layer(first)]
    with torch.no_grad():
        for one in others:
            # The weight that the spectral norm of the first call has left.
            convolved = layer.conv._conv_forward(one, layer.conv.weight, layer.conv.bias)
            found.append(layer.activated(convolved))
    return found
