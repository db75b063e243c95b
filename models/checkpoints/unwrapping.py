# SPDX-License-Identifier: Apache-2.0
"""From what a user saved to the state dict of one network, under the names that its authors gave.

Data parallelism and compilation put words into the names of tensors, training scripts put state
dicts under names of their own, and PyTorch has two spellings of spectral normalisation. What is
left is what the network itself would have saved.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from spade_eval.models.checkpoints.recognition import is_generator, network_of
from spade_eval.models.mismatch import listed

# Parts of names that PyTorch's wrappers add, wherever they stand (compiled blocks of a network).
_ADDED = {"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}
# The counter of torch.optim.swa_utils.AveragedModel beside the weights.
_COUNTER = "n_averaged"
# Under such names scripts keep a network: `netG`, `g_ema`, `model_state_dict`. Others, such as
# `spade_generator` of imaginaire, are parts of another network and stay.
_WORDS = {
    *("model", "models", "net", "nets", "network", "networks", "state", "dict", "weights"),
    *("params", "ema", "g", "gen", "generator", "d", "dis", "discriminator", "e", "enc", "encoder"),
}
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")
_DEEPEST = 8  # names before a network's own; scripts nest two or three
# torch.nn.utils.parametrizations.spectral_norm -> torch.nn.utils.spectral_norm, the same numbers.
_SPECTRAL = {
    "parametrizations.weight.original": "weight_orig",
    "parametrizations.weight.0._u": "weight_u",
    "parametrizations.weight.0._v": "weight_v",
}
# How far one power iteration may still move u where v has to be made from it; see `_right_vector`.
_CONVERGED = 1e-2


@dataclass(frozen=True)
class Unwrapped:
    """The state dict of one network, and what has to be known of how it was found."""

    tensors: dict[str, Tensor]
    notes: tuple[str, ...] = ()


def unwrapped(content: Mapping[str, Any]) -> Unwrapped:
    """Return the network's state dict in what a file holds, at the top or under a usual name.

    Of several networks a generator is taken, of several generators the one average (a name with
    `ema`); of two domains `a` and `b`, what translates from a to b. `ValueError` where that leaves
    several, or where a spectral norm cannot be told.
    """
    tensors = plain_names(content)
    if (translation := _from_first_to_second(tensors)) is not None:
        return translation
    found = {place: part for place, part in _parts(tensors) if _is_network(part)}
    places = [place for place in found if not any(_is_below(place, other) for other in found)]
    if not places:
        return Unwrapped(_below_wrappers(tensors))
    chosen = _preferred(places, found)
    part, notes = _with_right_vectors(found[chosen])
    if len(places) > 1:
        notes = (f"Of the networks in the file ({', '.join(places)}), {chosen} was taken.", *notes)
    return Unwrapped(part, notes)


def _from_first_to_second(tensors: Mapping[str, Tensor]) -> Unwrapped | None:
    """Return what translates from domain a to domain b in a file that holds just these two.

    UNIT and MUNIT save whole domains: the encoder of a and the decoder of b make one network of it.
    """
    domains: dict[str, dict[str, Tensor]] = {}
    for name, tensor in _below_wrappers(dict(tensors)).items():
        domain, _, rest = name.partition(".")
        domains.setdefault(domain, {})[rest] = tensor
    if set(domains) != {"a", "b"} or not all(map(_is_network, domains.values())):
        return None
    network = network_of(domains["b"])
    first: tuple[str, ...] = network.published.of_first_domain  # type: ignore[attr-defined]
    encoded = {name: of_a for name, of_a in domains["a"].items() if name.startswith(first)}
    decoded = {name: of_b for name, of_b in domains["b"].items() if not name.startswith(first)}
    taken = "all of b"
    if first:
        taken = f"{', '.join(part.rstrip('.') for part in first)} of a and all else of b"
    return Unwrapped(
        encoded | decoded, (f"Of the domains a and b in the file, {taken} was taken.",)
    )


def plain_names(content: Mapping[str, Any]) -> dict[str, Tensor]:
    """Flatten dictionaries to dotted names, without what wrappers of PyTorch add to them."""
    tensors: dict[str, Tensor] = {}
    for name, tensor in _leaves(content):
        parts = [part for part in name.split(".") if part not in _ADDED]
        name = ".".join(parts) or name
        for theirs, ours in _SPECTRAL.items():
            if name.endswith(f".{theirs}"):
                name = name.removesuffix(theirs) + ours
        if name in tensors:
            raise ValueError(
                f"two tensors are called {name} once what PyTorch's wrappers add is left out; "
                "give the file of one network, such as latest_net_G.pth"
            )
        if parts[-1:] != [_COUNTER]:
            tensors[name] = tensor
    return tensors


def _leaves(content: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Tensor]]:
    others = [n for n, value in content.items() if not isinstance(value, Tensor | Mapping)]
    if others or not content:
        raise ValueError(
            f"not a plain state dict: {listed(others) or 'no entries'} instead of tensors; "
            "give the file of one network, such as latest_net_G.pth"
        )
    for name, value in content.items():
        if isinstance(value, Tensor):
            yield before + name, value
        else:
            yield from _leaves(value, f"{before}{name}.")


def _parts(tensors: Mapping[str, Tensor]) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Yield what stands below each chain of usual names, the whole first."""
    parts: dict[str, dict[str, Tensor]] = {"": dict(tensors)}
    for name, tensor in tensors.items():
        words = name.split(".", _DEEPEST)
        for cut in range(1, len(words)):
            if not _is_usual(words[cut - 1]):
                break
            place = ".".join(words[:cut])
            parts.setdefault(place, {})[name[len(place) + 1 :]] = tensor
    yield from parts.items()


def _is_usual(name: str) -> bool:
    words = _WORD.findall(name)
    return bool(words) and {word.lower() for word in words} <= _WORDS


def _is_below(place: str, other: str) -> bool:
    return place != other and (other == "" or place.startswith(f"{other}."))


def _is_network(part: Mapping[str, Tensor]) -> bool:
    try:
        network_of(part)
    except ValueError:
        return False
    return True


def _below_wrappers(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the deepest part that holds everything: its names say best what a file is of."""
    return [part for _, part in _parts(tensors) if len(part) == len(tensors)][-1]


def _preferred(places: list[str], found: Mapping[str, Mapping[str, Tensor]]) -> str:
    rules: tuple[Callable[[str], bool], ...] = (
        lambda place: is_generator(network_of(found[place])),
        lambda place: "ema" in {word.lower() for word in _WORD.findall(place)},
    )
    for rule in rules:
        places = [place for place in places if rule(place)] or places
    if len(places) > 1:
        raise ValueError(
            f"it holds {len(places)} networks between which no rule decides ({listed(places)}); "
            "save the state dict of the one that is meant as a file of its own"
        )
    return places[0]


def _with_right_vectors(
    tensors: Mapping[str, Tensor],
) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Add each `weight_v` that is missing beside `weight_orig` and `weight_u`."""
    completed, made, effective = dict(tensors), 0, 0
    for name in tensors:
        layer = name.removesuffix("weight_u")
        wanted = (f"{layer}weight_orig", f"{layer}weight_v")
        if not name.endswith(".weight_u") or wanted[0] not in tensors or wanted[1] in tensors:
            continue
        stored = completed.pop(f"{layer}weight", None)
        completed[wanted[1]] = _right_vector(layer, tensors[wanted[0]], tensors[name], stored)
        made, effective = made + 1, effective + (stored is not None)
    if not made:
        return completed, ()
    how = "v = W'u / |W'u| (Miyato et al., Algorithm 1) from a u that has converged"
    if effective:
        how = "such that the norm is that of the stored effective weight"
    return completed, (f"weight_v is missing in the file for {made} layers; made anew, {how}.",)


def _right_vector(layer: str, weight: Tensor, u: Tensor, effective: Tensor | None) -> Tensor:
    """Return v of a layer: from the weight that was divided by its norm, or else from u.

    Files of PyTorch 0.4 hold the divided weight, so that u'Wv can be made its very norm. Else v is
    one power iteration from u: what it was, if u has converged. Before, it followed from weights
    that are lost, and so has the norm that the network was trained with.
    """
    matrix = weight.detach().double()
    if len(u) != len(weight):  # transposed convolutions: output channels stand second
        matrix = matrix.transpose(0, 1)
    matrix, left = matrix.flatten(1), u.detach().double()
    along = matrix.T @ left  # W'u
    if effective is not None:
        norm = _ratio(layer, weight.double(), effective.double())
        return (along * (norm / along.square().sum())).to(weight.dtype)
    right = normalize(along, dim=0)
    moved = (normalize(matrix @ right, dim=0) - left).norm().item()
    if not moved <= _CONVERGED:
        raise ValueError(
            f"{layer}weight_v is missing, and {layer}weight_u has not converged (one more "
            f"iteration moves it by {moved:.2g}, expected at most {_CONVERGED:g}), so the spectral "
            "norm of the training cannot be told; save the network with weight_v"
        )
    return right.to(weight.dtype)


def _ratio(layer: str, weight: Tensor, effective: Tensor) -> Tensor:
    """Return the number by which a weight was divided."""
    if weight.shape == effective.shape:
        norm = weight.square().sum() / (weight * effective).sum()
        if torch.allclose(
            effective * norm, weight, rtol=1e-4, atol=float(1e-5 * weight.abs().max())
        ):
            return norm
    raise ValueError(
        f"{layer}weight is no multiple of {layer}weight_orig, so the spectral norm of the training "
        "cannot be told; save the network with weight_v"
    )
