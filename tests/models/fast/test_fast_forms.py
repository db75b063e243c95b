# SPDX-License-Identifier: Apache-2.0
"""The look-up forms against the dense ones, and windows against brute force."""

import copy
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spade_eval.models.fast.accelerate import accelerate
from spade_eval.models.fast.label_convolution import convolve_rows
from spade_eval.models.fast.modulation import (
    _compiled_modulation,
    _segment_sums,
    mixed_modulation,
    modulate,
    modulated_densely,
    plain_modulation,
)
from spade_eval.models.fast.neighbourhoods import Padding, distinct_windows, windows_at
from spade_eval.models.fast.spade import chosen_windows
from spade_eval.models.labels import SemanticLayout
from spade_eval.models.layers.semantic_convolution import SemanticConv2d
from spade_eval.models.layers.spade import SPADE
from spade_eval.models.semantics import SemanticMap
from spade_eval.models.systems.presets import plain_generator

CLASSES = 6
# A sum of some 1200 float32 terms of order one, in another order; the bounds.
EVALUATED = {"atol": 2e-5, "rtol": 0.0}
GRADIENT = 1e-4


def _random() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def _one_pixel_classes() -> Tensor:
    labels = torch.zeros(2, 12, 15, dtype=torch.int64)
    for number, (y, x) in enumerate(((0, 0), (0, 14), (11, 7), (5, 5), (5, 6)), start=1):
        labels[:, y, x] = number
    return labels


LABEL_MAPS: dict[str, Callable[[], Tensor]] = {
    "random": lambda: torch.randint(0, CLASSES, (2, 11, 13), generator=_random()),
    "uniform": lambda: torch.full((1, 16, 8), 3),
    "different_uniform_maps": lambda: torch.tensor([1, 4])[:, None, None].expand(2, 7, 9),
    "one_pixel_classes": _one_pixel_classes,
    "one_pixel": lambda: torch.tensor([[[2]]]),
    "one_row": lambda: torch.randint(0, CLASSES, (1, 1, 9), generator=_random()),
    "every_class_in_stripes": lambda: torch.arange(24).remainder(CLASSES).expand(2, 10, 24),
    "unknown_half": lambda: torch.where(torch.arange(14) < 7, 255, 2).expand(1, 9, 14),
}


def _semantics(name: str, edges: bool) -> SemanticMap:
    labels = LABEL_MAPS[name]().clone()
    layout = SemanticLayout(num_classes=CLASSES, unknown="last", edges=edges)
    instances = torch.randint(0, 2, labels.shape, generator=_random()) if edges else None
    return SemanticMap(labels, layout, instances)


def _spade(semantics: SemanticMap, kernel_size: int, norm: str = "syncbatch") -> SPADE:
    torch.manual_seed(0)
    layer = SPADE(
        5, semantics.num_labels, kernel_size=kernel_size, hidden_channels=8, param_free=norm
    )
    if isinstance(layer.param_free_norm, nn.BatchNorm2d):
        layer.param_free_norm.running_mean.uniform_(-1, 1)
        layer.param_free_norm.running_var.uniform_(0.5, 2)
    return layer


@pytest.mark.parametrize("edges", [False, True])
@pytest.mark.parametrize("kernel_size", [1, 3, 5])
@pytest.mark.parametrize("name", LABEL_MAPS)
def test_spade_in_evaluation(name: str, kernel_size: int, edges: bool) -> None:
    semantics = _semantics(name, edges)
    layer = _spade(semantics, kernel_size).eval()
    x = torch.randn(semantics.batch_size, 5, *semantics.size, generator=_random())
    dense = F.leaky_relu(layer(x, semantics), 0.2)
    fast = accelerate(layer, always=True).activated(x, semantics, 0.2)
    torch.testing.assert_close(fast, dense, **EVALUATED)


@pytest.mark.parametrize("slope", [1.0, 0.2, 0.0])
@pytest.mark.parametrize("norm", ["syncbatch", "instance"])
@pytest.mark.parametrize("kernel_size", [1, 3, 5])
@pytest.mark.parametrize("name", ["random", "one_pixel_classes", "every_class_in_stripes"])
def test_spade_in_training(name: str, kernel_size: int, norm: str, slope: float) -> None:
    semantics = _semantics(name, edges=True)
    layer = _spade(semantics, kernel_size, norm)
    dense_layer, fast_layer = layer, accelerate(copy.deepcopy(layer), always=True)
    results = []
    for layer in (dense_layer, fast_layer):
        x = torch.randn(semantics.batch_size, 5, *semantics.size, generator=_random())
        x.requires_grad_()
        if layer is dense_layer:
            y = F.leaky_relu(layer(x, semantics), slope)
        else:
            y = layer.activated(x, semantics, slope)
        weights = torch.randn(y.shape, generator=_random())
        results.append((y, torch.autograd.grad((y * weights).sum(), [x, *layer.parameters()])))
    (dense, of_dense), (fast, of_fast) = results
    torch.testing.assert_close(fast, dense, **EVALUATED)
    for expected, actual in zip(of_dense, of_fast, strict=True):
        assert (expected - actual).abs().max() <= GRADIENT * expected.abs().max().clamp(min=1)


def test_one_convolution_for_gamma_and_beta_in_training_alone() -> None:
    semantics = _semantics("random", edges=True)
    layer = _spade(semantics, 3)
    fast = accelerate(copy.deepcopy(layer))  # too small to be looked up
    x = torch.randn(semantics.batch_size, 5, *semantics.size, generator=_random())
    found = []
    for one in (layer, fast):
        y = one(x, semantics)
        gradients = torch.autograd.grad(y.square().sum(), list(one.parameters()))
        found.append([y, *gradients])
    torch.testing.assert_close(found[1], found[0], rtol=1e-5, atol=1e-3)  # sums of 1e3 in float32
    layer.eval(), fast.eval()
    assert torch.equal(fast(x, semantics), layer(x, semantics))


@pytest.mark.parametrize("padding", ["zeros", "reflect"])
@pytest.mark.parametrize("kernel_size", [1, 3, 4, 5, 7])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_windows_by_brute_force(stride: int, kernel_size: int, padding: Padding) -> None:
    symbols = torch.randint(0, 3, (2, 9, 11), generator=_random())
    windows = distinct_windows(symbols, 3, kernel_size, padding, stride)
    margin = (kernel_size // 2,) * 4
    mode = {"mode": "reflect"} if padding == "reflect" else {"value": 3.0}
    padded = F.pad(symbols[:, None].float(), margin, **mode)
    columns = F.unfold(padded, kernel_size, stride=stride)
    columns = columns.transpose(1, 2).reshape(-1, kernel_size**2).long()
    assert torch.equal(windows.symbols[windows.pixels], columns)
    assert windows.count == len(torch.unique(columns, dim=0))


def test_windows_whose_keys_outgrow_64_bits() -> None:
    """2**20 symbols in 7x7 windows: rows are renumbered on the way, and stay exact."""
    symbols = torch.randint(0, 2**20, (1, 8, 9), generator=_random())
    windows = distinct_windows(symbols, 2**20, 7)
    padded = F.pad(symbols, (3, 3, 3, 3), value=2**20)
    columns = padded.unfold(1, 7, 1).unfold(2, 7, 1).reshape(-1, 49)
    assert torch.equal(windows.symbols[windows.pixels], columns)


def test_tables_are_shared_by_layers() -> None:
    semantics = _semantics("random", edges=True)
    first = windows_at(semantics, (11, 13), 3, layer=2)
    assert windows_at(semantics, torch.Size((11, 13)), 3, layer=2) is first
    assert windows_at(semantics, (11, 13), 1, layer=2) is not first


def test_fused_steps_are_their_formulas() -> None:
    x, table = torch.randn(50, 4, generator=_random()), torch.randn(7, 8, generator=_random())
    ids = torch.randint(0, 7, (50,), generator=_random())
    assert torch.allclose(modulate(x, table, ids, 0.2), plain_modulation(x, table, ids, 0.2))
    mix = nn.Conv2d(4, 3, 1)
    with torch.no_grad():
        mixed = mixed_modulation(x, table, ids, 0.2, mix, width=5)
        expected = mix(plain_modulation(x, table, ids, 0.2)[..., None, None])[..., 0, 0]
    torch.testing.assert_close(mixed, expected)
    windows = distinct_windows(torch.randint(0, 3, (1, 9, 9), generator=_random()), 3, 3)
    values, weight, bias = torch.randn(4, 6), torch.randn(40, 6, 3, 3), torch.randn(40)
    products = values @ weight.permute(1, 2, 3, 0).flatten(1)  # (symbols, k * k * C)
    expected = F.embedding_bag(windows.rows, products.view(-1, 40), mode="sum") + bias
    torch.testing.assert_close(convolve_rows(values, windows, weight, bias), expected)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("slope", [1.0, 0.2])
def test_dense_modulation_is_its_formula_to_the_bit(
    slope: float, layout: torch.memory_format
) -> None:
    def leaf(channels: int) -> Tensor:
        drawn = torch.randn(2, channels, 6, 5, generator=random)
        return drawn.to(memory_format=layout).requires_grad_()

    random = _random()
    x, both, onward = leaf(3), leaf(6), leaf(3).detach()
    gamma, beta = both.chunk(2, dim=1)
    plain = x * (1 + gamma) + beta
    plain = plain if slope == 1 else F.leaky_relu(plain, slope)
    expected = [plain, *torch.autograd.grad(plain, [x, both], onward)]
    fused = modulated_densely(x, both, slope)
    found = [fused, *torch.autograd.grad(fused, [x, both], onward)]
    for name, one, other in zip(("y", "x", "gamma, beta"), found, expected, strict=True):
        assert torch.equal(one, other), name
    assert found[2].is_contiguous(memory_format=layout)


def test_nothing_is_compiled_where_nothing_can(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise RuntimeError("no compiler")

    monkeypatch.setattr(torch, "compile", lambda function, dynamic: refuse)
    _compiled_modulation.cache_clear()
    x, table, ids = torch.randn(3, 2), torch.randn(4, 4), torch.arange(3)
    with torch.no_grad(), pytest.warns(UserWarning, match="no compiler; going on without"):
        actual = modulate(x, table, ids, 0.2, compiled=True)
    _compiled_modulation.cache_clear()
    assert torch.equal(actual, plain_modulation(x, table, ids, 0.2))


def test_rows_added_in_segments_equal_index_add() -> None:
    """The order-keeping sum of GPUs, with segments that are empty, short and longer than one."""
    counts = torch.tensor([0, 3, 1700, 0, 512])
    ids = torch.repeat_interleave(counts)[torch.randperm(2215, generator=_random())]
    rows = torch.randn(2215, 3, generator=_random(), dtype=torch.float64)
    expected = torch.zeros(5, 3, dtype=torch.float64).index_add_(0, ids, rows)
    actual = _segment_sums(rows, torch.argsort(ids, stable=True), torch.bincount(ids))
    torch.testing.assert_close(actual, expected)


def test_two_training_passes_give_the_same_bits() -> None:
    semantics = _semantics("one_pixel_classes", edges=True)
    layer = accelerate(_spade(semantics, 3), always=True)
    x = torch.randn(2, 5, 12, 15, generator=_random())
    squares = (layer.activated(x, semantics, 0.2).square().sum() for _ in range(2))
    runs = [torch.autograd.grad(square, [*layer.parameters()]) for square in squares]
    assert all(torch.equal(first, second) for first, second in zip(*runs, strict=True))


def test_gradients_in_half_precision_are_summed_in_float32() -> None:
    """4096 pixels of one window: a bfloat16 sum of ones stops at 256."""
    semantics = SemanticMap(
        torch.zeros(1, 64, 64, dtype=torch.int64), SemanticLayout(num_classes=2)
    )
    layer = accelerate(_spade(semantics, 1), always=True)
    x = torch.randn(1, 5, 64, 64, generator=_random()).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = layer(x, semantics)
    (actual,) = torch.autograd.grad(y.float().sum(), [layer.mlp_beta.bias])
    torch.testing.assert_close(actual, torch.full((5,), 4096.0))


def test_the_rule_reads_the_batch() -> None:
    layout = SemanticLayout(num_classes=CLASSES)
    uniform = SemanticMap(torch.zeros(1, 64, 64, dtype=torch.int64), layout)
    noise = SemanticMap(torch.randint(0, CLASSES, (1, 64, 64), generator=_random()), layout)
    soft = SemanticMap.from_tensor(uniform.full)
    conv, narrow = (nn.Conv2d(channels, 128, 3) for channels in (128, 4))
    assert chosen_windows(uniform, (64, 64), conv) is not None
    assert chosen_windows(uniform, (16, 16), conv) is None  # too little work
    assert chosen_windows(uniform, (64, 64), narrow) is None
    assert chosen_windows(noise, (64, 64), conv) is None
    assert chosen_windows(soft, (64, 64), conv) is None
    assert chosen_windows(soft, (64, 64), conv, always=True) is None


@pytest.mark.parametrize("edges", [False, True])
@pytest.mark.parametrize(("kernel_size", "padding"), [(1, "zeros"), (3, "zeros"), (7, "reflect")])
@pytest.mark.parametrize("features", [0, 4])
def test_semantic_convolution(kernel_size: int, padding: str, edges: bool, features: int) -> None:
    semantics = _semantics("random", edges)
    torch.manual_seed(0)
    conv = SemanticConv2d(
        features + semantics.num_labels,
        9,
        kernel_size,
        padding=kernel_size // 2,
        padding_mode=padding,
    )
    x = torch.randn(2, features, 11, 13, generator=_random()) if features else None
    gradients = []
    for layer in (conv, accelerate(copy.deepcopy(conv), always=True)):
        y = layer(x, semantics)
        gradients.append((y, *torch.autograd.grad(y.square().sum(), [*layer.parameters()])))
    for expected, actual in zip(*gradients, strict=True):
        assert (expected - actual).abs().max() <= GRADIENT * expected.abs().max().clamp(min=1)
    torch.testing.assert_close(gradients[1][0], gradients[0][0], **EVALUATED)


# Not pix2pixhd: its instance norms amplify the last bits of flat regions.
@pytest.mark.parametrize("name", ["spade", "concat", "pix2pixhdpp", "pix2pixhdpp_spade"])
def test_whole_generators(name: str) -> None:
    labels = torch.randint(0, 5, (2, 8, 8), generator=_random())
    labels = labels.repeat_interleave(8, 1).repeat_interleave(8, 2)
    layout = SemanticLayout(num_classes=5, unknown="last", edges=True)
    semantics = SemanticMap(labels, layout, labels)
    generator = plain_generator(name, 7, width=1 / 16)
    with torch.no_grad():
        for _ in range(20):  # running statistics and spectral norms of a network in use
            generator(semantics)
        generator.eval().to_rgb.weight.mul_(50)  # from the small images of an untrained network
        fast = accelerate(copy.deepcopy(generator), always=True)
        chosen = accelerate(copy.deepcopy(generator))
        images = [
            network(SemanticMap(labels, layout, labels)) for network in (generator, fast, chosen)
        ]
    assert images[0].std() > 0.01
    torch.testing.assert_close(images[1], images[0], **EVALUATED)
    torch.testing.assert_close(images[2], images[0], **EVALUATED)
