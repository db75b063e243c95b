# SPDX-License-Identifier: Apache-2.0
"""CLADE's layer against its equations, pixel by pixel."""

import pytest
import torch
from torch import Tensor

from spade_eval.models.initialisation import initialise
from spade_eval.models.labels import SemanticLayout
from spade_eval.models.layers.clade import CLADE
from spade_eval.models.layers.norms import appended_channels
from spade_eval.models.layers.spade import norm_maker
from spade_eval.models.semantics import SemanticMap

LAYOUT = SemanticLayout(num_classes=4, unknown="last", edges=True)


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def semantics() -> SemanticMap:
    labels = torch.randint(0, 4, (2, 8, 6), generator=torch.Generator().manual_seed(0))
    labels[0, 0, :3] = 255
    return SemanticMap(labels, LAYOUT, labels, lambda: numbers(2, 2, 8, 6, seed=1))


def layer(*, edges: bool = False, positional: bool = False) -> CLADE:
    made = CLADE(3, 5, edges=edges, positional=positional)
    with torch.no_grad():
        for number, parameter in enumerate(made.parameters()):
            parameter.copy_(numbers(*parameter.shape, seed=number + 5))
    return made


@pytest.mark.parametrize("positional", [False, True])
@pytest.mark.parametrize("edges", [False, True])
def test_clade_is_the_equation_at_every_pixel(edges: bool, positional: bool) -> None:
    """gamma_c * (x - mean) / std + beta_c in training mode, at half of the map's resolution."""
    clade, maps, x = layer(edges=edges, positional=positional), semantics(), numbers(2, 3, 4, 3)
    affine = clade.class_specified_affine
    std = (x.var((0, 2, 3), correction=0) + 1e-5).sqrt()
    expected = torch.empty(2, 3 + edges, 4, 3)
    for n, i, j in torch.cartesian_prod(torch.arange(2), torch.arange(4), torch.arange(3)):
        label = maps.labels_at((8, 6))[n, 2 * i, 2 * j]
        gamma, beta = affine.weight[label], affine.bias[label]
        if positional:
            place = maps.positions_at((8, 6))[n, :, 2 * i, 2 * j]
            for_w, for_b = affine.dist_conv_w, affine.dist_conv_b
            gamma = gamma * (1 + for_w.weight.flatten() @ place + for_w.bias)
            beta = beta * (1 + for_b.weight.flatten() @ place + for_b.bias)
        expected[n, :3, i, j] = (x[n, :, i, j] - x.mean((0, 2, 3))) / std * gamma + beta
        if edges:
            edge = maps.full[n, -1, 2 * i, 2 * j]
            expected[n, 3, i, j] = edge * clade.inst_conv.weight.item() + clade.inst_conv.bias
    torch.testing.assert_close(clade(x, maps), expected)
    assert appended_channels(clade) == edges
    soft = SemanticMap.from_tensor(maps.full, lambda: maps.positions_at((8, 6)))
    torch.testing.assert_close(clade(x, soft), expected)


def test_tables_begin_as_published() -> None:
    """Scales are uniform in [0, 1), shifts and what varies them in a region zero."""
    clade = layer(edges=True, positional=True)
    initialise(clade, "as_trained", seed=0)
    affine = clade.class_specified_affine
    assert 0 <= affine.weight.min() < 0.3 < 0.7 < affine.weight.max() < 1
    assert not any(
        part.any()
        for part in (
            affine.bias,
            *affine.dist_conv_w.parameters(),
            *affine.dist_conv_b.parameters(),
        )
    )
    assert clade.inst_conv.weight.any()
    x, maps = numbers(2, 3, 8, 6), semantics()
    there = clade(x, maps)
    elsewhere = clade(x, maps.with_positions(lambda: numbers(2, 2, 8, 6, seed=9)))
    assert torch.equal(there, elsewhere)


def test_any_generator_may_have_it_as_its_norm() -> None:
    """Without `edges` nothing is appended, so that it fits wherever a norm does."""
    x = numbers(2, 3, 8, 6)
    for kind in ("clade", "clade_icpe"):
        norm = norm_maker(kind, LAYOUT.num_labels)(3)
        assert norm(x, semantics()).shape == x.shape
        assert norm.class_specified_affine.positional == (kind == "clade_icpe")


def test_a_map_without_edges_is_refused_where_they_are_needed() -> None:
    labels = torch.zeros(1, 8, 6, dtype=torch.int64)
    maps = SemanticMap(labels, SemanticLayout(num_classes=6))
    with pytest.raises(ValueError, match=r"no instance edges.*edges=False"):
        layer(edges=True)(numbers(1, 3, 8, 6), maps)
