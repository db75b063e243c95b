# SPDX-License-Identifier: Apache-2.0
"""The discriminator's fast form against one pass over synthesized and real images, stacked."""

import copy

import pytest
import torch
from torch import Tensor

from spade_eval.models.discriminators.multiscale import DiscriminatorNorm, MultiscaleDiscriminator
from spade_eval.models.fast.accelerate import accelerate
from spade_eval.models.fast.discriminators import FastMultiscaleDiscriminator
from spade_eval.models.fast.semantic_convolution import map_convolution
from spade_eval.models.labels import SemanticLayout
from spade_eval.models.losses.objective import Objective, ObjectiveConfig
from spade_eval.models.semantics import SemanticMap
from spade_eval.models.training.trainer import frozen_but

LAYOUT = SemanticLayout(num_classes=5, edges=True)


def networks(norm: DiscriminatorNorm, *, always: bool = False) -> list[MultiscaleDiscriminator]:
    torch.manual_seed(0)
    config = MultiscaleDiscriminator.Config(
        num_labels=LAYOUT.num_labels, base_channels=4, num_layers=3, norm=norm
    )
    plain = MultiscaleDiscriminator(config).double()
    return [plain, accelerate(copy.deepcopy(plain), always=always)]


def batch() -> tuple[SemanticMap, Tensor, Tensor]:
    numbers = torch.Generator().manual_seed(1)
    labels = torch.randint(5, (2, 16, 24), generator=numbers)
    fake, real = torch.rand(2, 2, 3, 16, 24, generator=numbers, dtype=torch.float64) * 2 - 1
    instances = torch.randint(3, labels.shape, generator=numbers)
    return (
        SemanticMap(labels, LAYOUT, instances).to(dtype=torch.float64),
        fake.requires_grad_(),
        real,
    )


@pytest.mark.parametrize("looked_up", [False, True])
@pytest.mark.parametrize("norm", ["spectralinstance", "spectralnone", "instance", "spectralbatch"])
def test_terms_gradients_and_buffers_are_those_of_the_stacked_pass(
    norm: DiscriminatorNorm, looked_up: bool
) -> None:
    objective, found = Objective(ObjectiveConfig()), []
    for network in networks(norm, always=looked_up):
        semantics, fake, real = batch()
        system = torch.nn.ModuleDict({"discriminator": network})
        with frozen_but(system, ()):
            of_fake = objective.generator_terms(network, semantics, fake, real)
            sum(of_fake.values(), torch.tensor(0.0)).backward()
        assert all(item.grad is None for item in network.parameters())
        terms = objective.discriminator_terms(network, semantics, fake, real)
        sum(terms.values(), torch.tensor(0.0)).backward()
        gradients = {name: item.grad for name, item in network.named_parameters()}
        found.append([of_fake, terms, fake.grad, gradients, dict(network.named_buffers())])
    # In float64: 1e-16 times the numbers that are added.
    torch.testing.assert_close(found[1], found[0], rtol=1e-9, atol=1e-12)


def test_real_images_leave_no_graph_in_the_generator_s_update() -> None:
    _, network = networks("spectralinstance")
    assert isinstance(network, FastMultiscaleDiscriminator)
    semantics, fake, real = batch()
    on_fake, on_real = network.of_pair(semantics, fake, real)
    assert all(item.requires_grad for scale in on_fake for item in scale)
    # The first layer's is that of the map, which both share.
    assert not any(item.requires_grad for scale in on_real for item in scale[1:])


def test_a_map_is_looked_up_where_there_is_work_enough() -> None:
    conv = torch.nn.Conv2d(LAYOUT.num_labels, 64, 4, stride=2, padding=2)
    for side, enough in [(64, False), (512, True)]:
        labels = torch.zeros(1, side, side, dtype=torch.int64)
        semantics = SemanticMap(labels, LAYOUT, labels)
        found = map_convolution(conv, conv.weight, semantics, semantics.size)
        assert (found is not None) == enough
    assert found is not None
    # Sums of 16 weights, in another order.
    torch.testing.assert_close(found, conv(semantics.full), rtol=1e-5, atol=1e-6)


def test_gradients_of_looked_up_maps_are_the_same_every_time() -> None:
    """To the bit, whatever the threads do, as a training that is continued has to have them."""
    conv = torch.nn.Conv2d(LAYOUT.num_labels, 64, 4, stride=2, padding=2)
    labels = torch.zeros(2, 256, 256, dtype=torch.int64)
    labels[:, 100:, ::3] = 1
    semantics = SemanticMap(labels, LAYOUT, labels)
    threads, random = torch.get_num_threads(), torch.Generator().manual_seed(0)
    try:
        torch.set_num_threads(4)
        found = []
        for _ in range(6):
            y = map_convolution(conv, conv.weight, semantics, semantics.size, always=True)
            assert y is not None
            onward = torch.randn(y.shape, generator=random.manual_seed(1))
            found.append(torch.autograd.grad(y, conv.weight, onward)[0])
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(one, found[0]) for one in found)
