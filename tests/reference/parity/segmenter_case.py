# SPDX-License-Identifier: Apache-2.0
"""How cases of scoring networks are filled, fed and compared.

Differences of arrays are over the array's standard deviation, as the notes on this data measure
them. Arrays are thinned as `strides` in a file's meta says.
"""

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from parity.case import DEVICE, Case, on_device
from parity.fill import draw, filled
from torch import Tensor, nn

from spade_eval.models.fast.accelerate import accelerate_frozen
from spade_eval.segmenters.loading import is_optional, load_strict

# The references' own float32 is up to 7e-6 standard deviations from their float64.
TOLERANCE = 1e-4
EQUAL_LABELS = 0.999
# Between two forms, of the logits' standard deviation. With narrower vectors torch's own form sums
# less exactly: that of DRN-D-105 was 2.1e-5 from float64 (5e-6 with AVX-512), the fast one 1.1e-5.
FAST_TOLERANCE = 1e-5 if torch.backends.cpu.get_cpu_capability() == "AVX512" else 2e-5


def weights_of(case: Case, network: nn.Module, kept: tuple[str, ...] = ()) -> dict[str, Tensor]:
    """The case's weights for every entry but those kept as they were built."""
    prefix, gain = case.fill_prefix, case.meta["gain"]
    state = {}
    for name, tensor in network.state_dict().items():
        shape = tuple(tensor.shape)
        if name in kept:
            state[name] = tensor
        elif len(shape) >= 2:
            scale = np.float32(gain / np.sqrt(np.prod(shape[1:])))
            state[name] = torch.from_numpy(draw(prefix + name, shape) * scale)
        elif not is_optional(name):
            state[name] = torch.from_numpy(filled(prefix + name, shape))
    return state


def load_filled(case: Case, network: nn.Module, kept: tuple[str, ...] = ()) -> None:
    load_strict(network, weights_of(case, network, kept))
    network.eval().to(DEVICE)


def input_of(case: Case) -> Tensor:
    meta = case.meta
    seeded = draw("input:" + meta["input_tag"], tuple(meta["input_shape"]))
    return on_device(seeded * np.float32(meta["input_scale"]))


def image_of(case: Case) -> Tensor:
    """(1, 3, H, W) in [0, 1], from this file or from the one that its meta names."""
    other = re.search(r"segmenter_\w+\.npz", case.meta.get("image", ""))
    image = Case(case.path.parent / other[0]).arrays["image"] if other else case.arrays["image"]
    return on_device(image).permute(2, 0, 1)[None].float() / 255


def thinned(case: Case, name: str, actual: Tensor) -> Tensor:
    """The elements that the case kept of an array, by "name[:, ::2]" or "name_i[...]" in meta."""
    text = case.meta.get("strides", "")
    for key in (name, re.sub(r"\d+$", "i", name)):
        match = re.search(rf"\b{key}\b(?: \([^)]*\))?\[([^\]]*)\]", text)
        if match:
            starts = [part.strip().split(":") for part in match[1].split(",")]
            assert all(part[:2] == ["", ""] for part in starts), text
            return actual[tuple(slice(None, None, int(part[-1] or 1)) for part in starts)]
    return actual


def compare(case: Case, name: str, actual: Tensor, expected: Any = None) -> None:
    wanted = np.asarray(case.arrays[name] if expected is None else expected)
    scale = float(wanted.std()) or 1.0
    case.close(name, thinned(case, name, actual).double() / scale, wanted / scale, TOLERANCE)


def compare_labels(case: Case, scores: Tensor) -> None:
    labels, expected = scores.argmax(dim=1)[0], case.tensor("labels").long()
    assert labels.shape == expected.shape
    equal = (labels == expected).double().mean().item()
    assert equal >= EQUAL_LABELS, f"{equal:.3%} of labels are equal"


def compare_fast(network: nn.Module, logits: Callable[[], Tensor]) -> None:
    """Give the network its fast form, in place, which computes the same logits and label maps."""
    if DEVICE.type != "cpu":  # where it has no kernels of its own, and cuDNN rounds as it likes
        return
    plain = logits()
    accelerate_frozen(network)
    fast = logits()
    assert ((fast - plain).abs().max() / plain.std()).item() <= FAST_TOLERANCE
    assert torch.equal(fast.argmax(dim=1), plain.argmax(dim=1))


@contextlib.contextmanager
def stages(case: Case, network: nn.Module, known: Mapping[str, list[Any]]) -> Iterator[None]:
    """Compare [shape, mean, std, max |y|] of named modules, so that the first wrong one shows."""
    seen: set[str] = set()

    def check(name: str, y: Tensor) -> None:
        if name not in seen:  # the full image comes first, smaller ones follow
            seen.add(name)
            shape, mean, std, largest = known[name]
            assert list(y.shape) == shape, f"{name} is {tuple(y.shape)}, expected {shape}"
            values = y.double()
            found = torch.stack([values.mean(), values.std(correction=0), values.abs().max()])
            expected = np.array([mean, std, largest])
            case.close(f"stage {name}", found / std, expected / std, TOLERANCE)

    with contextlib.ExitStack() as hooks:
        for name in known:
            hook = network.get_submodule(name).register_forward_hook(
                lambda _module, _inputs, y, name=name: check(name, y)
            )
            hooks.callback(hook.remove)
        yield
    assert seen == set(known)
