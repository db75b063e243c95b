# SPDX-License-Identifier: Apache-2.0
"""CRN's system: what it trains with, with and without VGG-19."""

import torch
from torch import Tensor

from spade_eval.models.inputs import Batch, Noise
from spade_eval.models.losses.diversity import BEST, MEAN, AveragePooledVGG19
from spade_eval.models.losses.vgg19 import CONV5_2, vgg19_trunk
from spade_eval.models.semantics import SemanticMap
from spade_eval.models.systems.base import Data
from spade_eval.models.systems.crn import CRN
from spade_eval.models.systems.presets import GENERATORS
from spade_eval.models.systems.settings import resolved

LAYOUT = CRN.layout({}, 4, has_unlabelled=True, has_instances=True)


def system(weights: dict[str, Tensor] | None = None) -> CRN:
    preset = GENERATORS["crn"]
    data = Data(num_labels=LAYOUT.num_labels, size=(32, 32))
    measure = None if weights is None else CRN.measure(weights)
    return CRN.build(preset, data, resolved(preset, "paper"), width=1 / 64, measure=measure)


def batch() -> Batch:
    random = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 4, (2, 32, 32), generator=random)
    photos = torch.rand(2, 3, 32, 32, generator=random) * 2 - 1
    return Batch(SemanticMap(labels, LAYOUT), photos, Noise.of_step(0, 0, 0, 2))


def vgg19() -> dict[str, Tensor]:
    """Weights drawn at random, under torchvision's names."""
    shapes = vgg19_trunk(CONV5_2).state_dict()
    return {f"features.{name}": tensor for name, tensor in shapes.items()}


def test_the_layout_has_the_rest_last_and_no_edges() -> None:
    assert (LAYOUT.num_labels, LAYOUT.unknown, LAYOUT.edges) == (5, "last", False)


def test_without_features_the_loss_is_that_of_the_pixels() -> None:
    crn = system()
    terms = crn.terms(batch())
    images = crn.generator.collection(batch().semantics)
    errors = torch.zeros(2, 9, 5)
    for n in range(2):
        for k in range(9):
            difference = (images[n, k] - batch().photos[n]).abs().mean(dim=0) * 127.5
            for c in range(5):
                errors[n, k, c] = (difference * batch().semantics.full[n, c]).mean()
    torch.testing.assert_close(terms["best"], BEST * errors.amin(1).sum(1).mean())
    torch.testing.assert_close(terms["mean"], MEAN * errors.mean(1).sum(1).mean())


def test_features_add_to_it_and_stay_out_of_the_state() -> None:
    torch.manual_seed(0)
    weights = {
        f"features.{name}": tensor for name, tensor in vgg19_trunk(CONV5_2).state_dict().items()
    }
    crn, plain = system(weights), system()
    assert list(crn.state_dict()) == list(plain.state_dict())
    with_features, without = crn.terms(batch()), plain.terms(batch())
    assert with_features["best"] > without["best"]
    with_features["best"].backward()
    assert all(parameter.grad is not None for parameter in crn.generator.parameters())
    assert not any(isinstance(module, AveragePooledVGG19) for module in crn.modules())


def test_the_measure_pools_by_averages_and_never_trains() -> None:
    weights = {
        f"features.{name}": tensor for name, tensor in vgg19_trunk(CONV5_2).state_dict().items()
    }
    measure = AveragePooledVGG19(weights)
    assert not measure.train().training
    assert not any(parameter.requires_grad for parameter in measure.parameters())
    shapes = [tuple(a.shape[1:]) for a in measure.activations(torch.zeros(1, 3, 32, 32))]
    assert shapes == [(64, 32, 32), (128, 16, 16), (256, 8, 8), (512, 4, 4), (512, 2, 2)]


def test_the_measure_moves_along_with_the_system() -> None:
    weights = {
        f"features.{name}": tensor for name, tensor in vgg19_trunk(CONV5_2).state_dict().items()
    }
    crn = system(weights).to(torch.float64)
    (measure,) = crn.measures
    assert {parameter.dtype for parameter in measure.parameters()} == {torch.float64}
