# SPDX-License-Identifier: Apache-2.0
"""The discriminator's fast form against one pass over synthesized and real images, stacked."""

import copy

import pytest
import torch
from torch import Tensor

from spade_eval.models.discriminators.multiscale import DiscriminatorNorm, MultiscaleDiscriminator
from spade_eval.models.fast.accelerate import accelerate
from spade_eval.models.fast.discriminators import FastMultiscaleDiscriminator
from spade_eval.models.labels import SemanticLayout
from spade_eval.models.losses.objective import Objective, ObjectiveConfig
from spade_eval.models.semantics import SemanticMap
from spade_eval.models.training.trainer import frozen_but

LAYOUT = SemanticLayout(num_classes=5)


def networks(norm: DiscriminatorNorm) -> list[MultiscaleDiscriminator]:
    torch.manual_seed(0)
    config = MultiscaleDiscriminator.Config(
        num_labels=LAYOUT.num_labels, base_channels=4, num_layers=3, norm=norm
    )
    plain = MultiscaleDiscriminator(config).double()
    return [plain, accelerate(copy.deepcopy(plain))]


def batch() -> tuple[SemanticMap, Tensor, Tensor]:
    numbers = torch.Generator().manual_seed(1)
    labels = torch.randint(5, (2, 16, 24), generator=numbers)
    fake, real = torch.rand(2, 2, 3, 16, 24, generator=numbers, dtype=torch.float64) * 2 - 1
    return SemanticMap(labels, LAYOUT).to(dtype=torch.float64), fake.requires_grad_(), real


@pytest.mark.parametrize("norm", ["spectralinstance", "spectralnone", "instance", "spectralbatch"])
def test_terms_gradients_and_buffers_are_those_of_the_stacked_pass(norm: DiscriminatorNorm) -> None:
    objective, found = Objective(ObjectiveConfig()), []
    for network in networks(norm):
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
