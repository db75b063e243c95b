# SPDX-License-Identifier: Apache-2.0
"""What every generator of the registry must do, tried at tiny widths."""

import copy
import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from spade_eval.models.layers.diffusion import ZeroConv1d, ZeroConv2d
from spade_eval.models.semantics import SemanticMap
from spade_eval.models.systems.presets import GENERATORS, build_generator, count_parameters

MakeSemantics = Callable[..., SemanticMap]

SIZE = (64, 64)
NORMS = (
    "batch", "syncbatch", "instance", "layer", "group", "conditional_batch", "adain", "sft",
    "clade", "clade_icpe", "weight", "local_response",
)  # fmt: skip
# Few steps, from noise in which much of the photo is left: what is left amplifies rounding.
OWN: dict[str, dict[str, Any]] = {"sdm": {"sampling_steps": 2, "last_beta": 0.004}}
TINY: list[tuple[str, dict[str, Any]]] = [(name, OWN.get(name, {})) for name in GENERATORS]
TINY += [("pix2pixhdpp", {"norm": norm}) for norm in NORMS]
TINY += [("spade", {"norm": norm}) for norm in ("clade", "clade_icpe")]
tiny_generators = pytest.mark.parametrize(
    ("name", "overrides"), TINY, ids=["-".join([n, *map(str, o.values())]) for n, o in TINY]
)


def _build(name: str, overrides: dict[str, Any], seed: int = 0) -> nn.Module:
    generator = build_generator(name, 7, SIZE, width=1 / 16, seed=seed, **overrides)
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for layer in generator.modules():  # zeros, behind which nothing shows
            if isinstance(layer, (ZeroConv1d, ZeroConv2d)):
                layer.weight.normal_(std=0.02, generator=random)
    return generator


def _styled(generator: nn.Module, semantics: SemanticMap) -> dict[str, Any]:
    """What SEAN and SDM take for all of them to have a gradient: a photo's codes, and noise."""
    random = torch.Generator().manual_seed(1)
    if hasattr(generator, "diffusion"):
        shape = (semantics.batch_size, 3, *SIZE)
        return {"noise": lambda name: torch.randn(shape, generator=random)}
    if not hasattr(generator, "styles"):
        return {}
    photos = torch.rand(semantics.batch_size, 3, *SIZE, generator=random)
    return {
        "codes": generator.styles(photos, semantics),
        "noise": lambda layer, size: torch.randn(len(photos), 1, *size, generator=random),
    }


def _latent(generator: nn.Module, batch_size: int = 2) -> Tensor | None:
    z_dim = getattr(generator.config, "z_dim", None)
    random = torch.Generator().manual_seed(1)
    return None if z_dim is None else torch.randn(batch_size, z_dim, generator=random)


@tiny_generators
def test_output_gradient_and_copies(
    name: str, overrides: dict[str, Any], make_semantics: MakeSemantics
) -> None:
    generator = _build(name, overrides)
    semantics, z = make_semantics(2, *SIZE), _latent(generator)
    copy.deepcopy(generator)
    styled = _styled(generator, semantics)
    image = generator(semantics, **styled) if styled else generator(semantics, z)
    assert image.shape == (2, 3, *SIZE)
    assert image.isfinite().all()
    assert image.abs().max() <= 1
    image.square().sum().backward()
    for parameter_name, parameter in generator.named_parameters():
        if re.fullmatch(r"blocks\.6\..*\.blending_\w+", parameter_name):
            continue  # SEAN's last block has nothing to mix
        if name == "munit" and parameter_name.startswith("style."):
            continue  # sees photos, where the style is not given
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.isfinite().all(), parameter_name
        # A bias in front of a norm without affine part has, but for rounding, a zero gradient; so
        # has what varies CLADE's shifts as long as these are zero, and SEAN's layer of a label that
        # no pixel has at its size.
        may_be_zero = parameter_name.endswith(("bias", "dist_conv_b.weight"))
        may_be_zero |= ".fc_mu" in parameter_name
        assert may_be_zero or parameter.grad.any(), parameter_name
    average = AveragedModel(generator)  # a deep copy, though the graph is still alive
    average.update_parameters(generator)
    average.eval()
    generator.eval()
    torch.testing.assert_close(average(semantics, z), generator(semantics, z))
    copy.deepcopy(generator)  # after an eval forward with gradients


@tiny_generators
def test_eval_mode_is_independent_of_the_batch_and_of_loading(
    name: str, overrides: dict[str, Any], make_semantics: MakeSemantics
) -> None:
    generator = _build(name, overrides)
    z = _latent(generator)
    with torch.no_grad():
        for seed in range(3):  # moves running statistics and spectral vectors from their start
            generator(make_semantics(2, *SIZE, seed=seed), z)
        generator.eval()
        both = generator(make_semantics(2, *SIZE), z)
        state = copy.deepcopy(generator.state_dict())
        # Networks see image 0 alone: its label map comes from a batch of the same first image.
        pair = make_semantics(2, *SIZE)
        alone = SemanticMap.from_tensor(pair.full[:1], lambda: pair.positions_at(SIZE)[:1])
        one = generator(alone, None if z is None else z[:1])
        # Different batch sizes choose different convolution kernels; instance norms over few
        # pixels amplify their rounding.
        torch.testing.assert_close(one, both[:1], atol=1e-4, rtol=0)
        other = _build(name, overrides, seed=1).eval()
        other.load_state_dict(state)
        assert torch.equal(other(pair, z), both)


@pytest.mark.parametrize("name", GENERATORS)
def test_weights_are_a_function_of_the_seed(name: str) -> None:
    before = torch.get_rng_state()
    first, again, other = (_build(name, {}, seed).state_dict() for seed in (3, 3, 4))
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)


def test_forward_leaves_global_randomness_alone(make_semantics: MakeSemantics) -> None:
    generator = _build("spade_vae", {})
    before = torch.get_rng_state()
    generator(make_semantics(2, *SIZE), _latent(generator))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("name", GENERATORS)
def test_rows_describe_themselves(name: str) -> None:
    preset = GENERATORS[name]
    assert preset.source
    assert preset.description
    if preset.millions is not None:  # as printed for ADE20K
        assert round(count_parameters(name, 151) / 1e6) == preset.millions


def test_unknown_names_and_settings_are_answered() -> None:
    with pytest.raises(ValueError, match="did you mean spade"):
        build_generator("spad", 7)
    with pytest.raises(ValueError, match="no setting depth"):
        build_generator("spade", 7, depth=3)
