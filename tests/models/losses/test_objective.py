# SPDX-License-Identifier: Apache-2.0
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from spade_eval.models.discriminators import MultiscaleDiscriminator
from spade_eval.models.encoders.variational import kl_divergence
from spade_eval.models.losses import (
    PIX2PIXHD_OBJECTIVE,
    Objective,
    ObjectiveConfig,
    PerceptualLoss,
)
from spade_eval.models.losses.gan import (
    pix2pixhd_feature_matching,
    spade_feature_matching,
)
from spade_eval.models.losses.perceptual import vgg19_loss
from spade_eval.models.losses.vgg19 import CONV5_1, vgg19_trunk
from spade_eval.models.semantics import SemanticMap

MakeSemantics = Callable[..., SemanticMap]
OBJECTIVES = {
    "spade": ObjectiveConfig(),
    "spade_without_perceptual": ObjectiveConfig(perceptual_weight=0.0),
    "spade_without_feature_matching": ObjectiveConfig(feature_matching_weight=0.0),
    "pix2pixhd": PIX2PIXHD_OBJECTIVE,
}


def _images() -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(0)
    fake, real = (torch.rand(2, 3, 64, 64, generator=random) * 2 - 1 for _ in range(2))
    return fake.requires_grad_(), real


def _discriminator(norm: str = "instance") -> MultiscaleDiscriminator:
    torch.manual_seed(0)
    config = MultiscaleDiscriminator.Config(num_labels=7, base_channels=4, norm=norm)
    return MultiscaleDiscriminator(config)


@pytest.fixture(scope="module")
def perceptual() -> PerceptualLoss:
    state = {f"features.{k}": v for k, v in vgg19_trunk(CONV5_1).state_dict().items()}
    return vgg19_loss(state | {"classifier.0.weight": torch.zeros(1)})


@pytest.mark.parametrize("name", OBJECTIVES)
def test_terms_of_every_objective(
    name: str, make_semantics: MakeSemantics, perceptual: PerceptualLoss
) -> None:
    config = OBJECTIVES[name]
    objective, network = Objective(config, perceptual), _discriminator()
    fake, real = _images()
    mu = torch.ones(2, 4)
    terms = objective.generator_terms(network, make_semantics(), fake, real, mu, mu)
    expected = {"gan"}
    expected |= {"feature_matching"} if config.feature_matching_weight else set()
    expected |= {"perceptual"} if config.perceptual_weight else set()
    expected |= {"kld"} if config.kld_weight else set()
    assert set(terms) == expected
    for term in terms.values():
        assert term.shape == ()
        assert term.isfinite()
    torch.stack(list(terms.values())).sum().backward()
    assert fake.grad is not None
    fake.grad = None
    judged = objective.discriminator_terms(network, make_semantics(), fake, real)
    torch.stack(list(judged.values())).sum().backward()
    assert set(judged) == {"fake", "real"}
    assert fake.grad is None


def test_stacking_changes_nothing_without_shared_statistics(make_semantics: MakeSemantics) -> None:
    """Instance norm and no spectral norm: one pass over both or two passes are the same."""
    from dataclasses import replace

    network, (fake, real) = _discriminator(), _images()
    stacked = Objective(OBJECTIVES["spade"])
    apart = Objective(replace(OBJECTIVES["spade"], stacked=False))
    one = stacked.generator_terms(network, make_semantics(), fake, real)
    two = apart.generator_terms(network, make_semantics(), fake, real)
    for name in one:  # other batch size, other convolution kernels
        torch.testing.assert_close(one[name], two[name], rtol=1e-4, atol=1e-5)


def test_without_weights_the_perceptual_term_is_left_out(make_semantics: MakeSemantics) -> None:
    terms = Objective(OBJECTIVES["spade"]).generator_terms(
        _discriminator(), make_semantics(), *_images()
    )
    assert set(terms) == {"gan", "feature_matching"}


def test_feature_matching_by_hand() -> None:
    scales = [[torch.zeros(1, 2), torch.zeros(3), torch.zeros(1)], [torch.zeros(4)] * 3]
    moved = [[feature + shift for feature in scale] for shift, scale in zip((1, 3), scales)]  # noqa: B905
    # Two layers a scale, the last map left out: (2 * 1 + 2 * 3) / 2.
    assert spade_feature_matching(moved, scales).item() == pytest.approx(4.0)
    assert pix2pixhd_feature_matching(moved, scales).item() == pytest.approx(8.0)


def test_kl_divergence_is_zero_for_the_prior_and_a_sum() -> None:
    assert kl_divergence(torch.zeros(3, 2), torch.zeros(3, 2)).item() == 0.0
    assert kl_divergence(torch.ones(3, 2), torch.zeros(3, 2)).item() == pytest.approx(3.0)


def test_perceptual_loss_stays_frozen(perceptual: PerceptualLoss) -> None:
    perceptual.train()
    assert not perceptual.training
    assert not any(parameter.requires_grad for parameter in perceptual.parameters())
    fake, real = _images()
    assert perceptual(real, real).item() == 0.0
    perceptual(fake, real).backward()
    assert fake.grad is not None


def test_foreign_weights_are_refused() -> None:
    with pytest.raises(ValueError, match="not torchvision's VGG-19"):
        vgg19_loss({"features.0.weight": torch.zeros(1)})
