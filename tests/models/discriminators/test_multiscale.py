# SPDX-License-Identifier: Apache-2.0
from collections.abc import Callable

import pytest
import torch

from spade_eval.models.discriminators import MultiscaleDiscriminator
from spade_eval.models.discriminators.multiscale import published_names
from spade_eval.models.initialisation import build
from spade_eval.models.semantics import SemanticMap

MakeSemantics = Callable[..., SemanticMap]
Config = MultiscaleDiscriminator.Config
NORMS = (
    "spectralinstance",
    "spectralbatch",
    "spectralsyncbatch",
    "spectralnone",
    "instance",
    "batch",
    "syncbatch",
    "none",
)


@pytest.mark.parametrize("norm", NORMS)
def test_gradients_names_and_round_trip(norm: str, make_semantics: MakeSemantics) -> None:
    config = Config(num_labels=7, base_channels=4, norm=norm)
    network = build(MultiscaleDiscriminator, config, "as_trained", seed=0)
    semantics = make_semantics(2, 64, 64)
    image = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    scales = network(semantics.full, image)
    torch.stack([scale[-1].square().sum() for scale in scales]).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
    network.eval()
    alone = network(semantics.full[:1], image[:1])
    for both, one in zip(network(semantics.full, image), alone, strict=True):
        # Other convolution kernels for another batch size, then divisions by small deviations.
        torch.testing.assert_close(both[-1][:1], one[-1], atol=1e-4, rtol=1e-4)
    other = build(MultiscaleDiscriminator, config, "as_trained", seed=1).eval()
    other.load_state_dict(network.state_dict())
    assert torch.equal(other(semantics.full, image)[0][-1], network(semantics.full, image)[0][-1])
    names = published_names(config)
    assert len(set(names.values())) == len(names)


def test_sizes_of_the_published_network() -> None:
    """Spec of the released discriminator on 256 x 512: five layers, the last two keep the size."""
    with torch.device("meta"):
        network = MultiscaleDiscriminator(Config(num_labels=36))
        scales = network(torch.empty(1, 36, 256, 512), torch.empty(1, 3, 256, 512))
    assert [f.shape[1] for f in scales[0]] == [64, 128, 256, 512, 1]
    assert [f.shape[-2] for f in scales[0]] == [129, 65, 33, 34, 35]
    assert [f.shape[-1] for f in scales[0]] == [257, 129, 65, 66, 67]
    assert [f.shape[-2] for f in scales[1]] == [65, 33, 17, 18, 19]


def test_deeper_variant_stops_widening_at_512() -> None:
    with torch.device("meta"):
        network = MultiscaleDiscriminator(Config(num_labels=36, num_layers=5))
    convs = [layer.conv for layer in network.scales[0].layers]
    assert [conv.out_channels for conv in convs] == [64, 128, 256, 512, 512, 1]
    assert [conv.stride[0] for conv in convs] == [2, 2, 2, 2, 1, 1]


def test_names_without_feature_matching() -> None:
    names = published_names(Config(num_labels=3, norm="instance"), intermediate_features=False)
    indices = [names[f"scales.0.layers.{i}.conv"] for i in range(5)]
    assert indices == ["layer1.0", "layer1.2", "layer1.5", "layer1.8", "layer1.11"]


def test_wrong_channels_are_refused() -> None:
    network = MultiscaleDiscriminator(Config(num_labels=7, base_channels=4))
    with pytest.raises(ValueError, match="expected 7 channels"):
        network(torch.zeros(1, 5, 32, 32), torch.zeros(1, 3, 32, 32))
