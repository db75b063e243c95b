# SPDX-License-Identifier: Apache-2.0
"""What generators refuse, and the sizes they give."""

from collections.abc import Callable

import pytest
import torch

from spade_eval.models.labels import SemanticLayout
from spade_eval.models.semantics import SemanticMap
from spade_eval.models.systems.presets import build_generator

MakeSemantics = Callable[..., SemanticMap]


@pytest.mark.parametrize(
    ("upsampling", "size"), [("normal", (32, 96)), ("more", (64, 128)), ("most", (128, 128))]
)
def test_output_follows_the_map(
    upsampling: str, size: tuple[int, int], make_semantics: MakeSemantics
) -> None:
    generator = build_generator("spade", 7, width=1 / 32, upsampling=upsampling)
    assert generator(make_semantics(2, *size)).shape == (2, 3, *size)


def test_latent_input_fixes_the_size(make_semantics: MakeSemantics) -> None:
    generator = build_generator("spade_random", 7, (32, 64), width=1 / 32)
    z = torch.zeros(2, 256)
    assert generator(make_semantics(2, 32, 64), z).shape == (2, 3, 32, 64)
    with pytest.raises(ValueError, match=r"expected \(32, 64\)"):
        generator(make_semantics(2, 64, 64), z)
    with pytest.raises(ValueError, match="no z was given"):
        generator(make_semantics(2, 32, 64))
    with pytest.raises(ValueError, match=r"expected \(2, 256\)"):
        generator(make_semantics(2, 32, 64), z[:1])


@pytest.mark.parametrize("name", ["spade", "pix2pixhdpp", "pix2pixhd_local"])
def test_wrong_inputs(name: str, make_semantics: MakeSemantics) -> None:
    generator = build_generator(name, 7, width=1 / 16)
    with pytest.raises(ValueError, match="multiples of"):
        generator(make_semantics(1, 40, 64))
    with pytest.raises(ValueError, match="takes the semantic map alone"):
        generator(make_semantics(1, 64, 64), torch.zeros(1, 256))
    other = SemanticMap(torch.zeros(1, 64, 64, dtype=torch.int64), SemanticLayout(num_classes=3))
    with pytest.raises(ValueError, match="3 channels, the generator was built for 7"):
        generator(other)


def test_feature_channels_of_pix2pixhd(make_semantics: MakeSemantics) -> None:
    generator = build_generator("pix2pixhd", 7, width=1 / 16, num_features=3)
    semantics = make_semantics(2, 64, 64)
    assert generator(semantics, features=torch.zeros(2, 3, 64, 64)).shape == (2, 3, 64, 64)
    with pytest.raises(ValueError, match="no features given"):
        generator(semantics)
