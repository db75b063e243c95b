# SPDX-License-Identifier: Apache-2.0
"""Inception v3 (Szegedy et al., CVPR 2016) in the two forms by which FIDs were computed.

FID is defined by TensorFlow's graph of 2015-12-05, with weights `pt_inception-2015-12-05`; the
blocks of pytorch-fid compute it. FIDs until May 2019 came from torchvision's network, with weights
trained on ImageNet. The names of the weights are the same. The graphs differ in two points: in
TensorFlow's, average pools do not count padding, and the pool branch of the last block takes
maxima. How images enter is the matter of the FID profiles.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Literal

import torch
from torch import nn

from spade_eval.errors import torchvision_that_fits

FEATURE_DIM = 2048
InceptionGraph = Literal["tensorflow-2015", "torchvision"]

_CLASSIFIER = ("dropout", "fc")


def inception_v3(graph: InceptionGraph = "tensorflow-2015") -> nn.Sequential:
    """Build the trunk on "meta", without content: nothing is drawn and nothing downloaded.

    It takes (N, 3, 299, 299) in [-1, 1] to (N, 2048), the spatial mean of the last block, once it
    is in eval mode. `UserError` where torchvision does not fit torch.
    """
    with torchvision_that_fits():
        from torchvision.models import Inception3
        from torchvision.models.inception import BasicConv2d
    blocks = _tensorflow_blocks() if graph == "tensorflow-2015" else None
    with torch.device("meta"):
        network = Inception3(aux_logits=False, init_weights=False, inception_blocks=blocks)
    for unit in network.modules():
        if isinstance(unit, BasicConv2d):  # convolution, norm, ReLU
            unit.norms_after = (("conv", "bn"),)
    layers = OrderedDict(
        (name, layer) for name, layer in network.named_children() if name not in _CLASSIFIER
    )
    return nn.Sequential(OrderedDict(layers, flatten=nn.Flatten()))


def _tensorflow_blocks() -> list[Callable[..., nn.Module]]:
    """Return torchvision's parts, with pytorch-fid's blocks in place of its own."""
    from pytorch_fid.inception import (
        FIDInceptionA,
        FIDInceptionC,
        FIDInceptionE_1,
        FIDInceptionE_2,
    )
    from torchvision.models import inception

    def widest(in_channels: int) -> nn.Module:
        last = in_channels == FEATURE_DIM
        return (FIDInceptionE_2 if last else FIDInceptionE_1)(in_channels)

    return [
        inception.BasicConv2d,
        FIDInceptionA,
        inception.InceptionB,
        FIDInceptionC,
        inception.InceptionD,
        widest,
        inception.InceptionAux,
    ]
