# SPDX-License-Identifier: Apache-2.0
"""Released checkpoints: their names to ours and back, and strict loading that reports everything.

A network carries its table of names (`published`); a name stands for the module's own
entries and all below it. Files are plain state dicts; opening them is the caller's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from spade_eval.models.checkpoints.bounds import require_buildable
from spade_eval.models.checkpoints.recognition import (
    is_generator,
    layout_called,
    recognised,
    resolve_layout,
)
from spade_eval.models.checkpoints.unwrapping import plain_names, unwrapped
from spade_eval.models.labels import SemanticLayout, Size
from spade_eval.models.limits import LARGEST_WEIGHT
from spade_eval.models.mismatch import listed, mismatch
from spade_eval.models.released import Hints, Published
from spade_eval.models.systems.presets import networks

Names = Mapping[str, str]
"""Our module names -> published ones."""

# Buffers that training alone reads, or that old files carry for norms without statistics.
_COUNTER = "num_batches_tracked"
_STATISTICS = ("running_mean", "running_var", _COUNTER)


@dataclass(frozen=True, kw_only=True)
class PublishedGenerator:
    """A generator with released weights, in eval mode, and the label layout it was trained with."""

    generator: nn.Module
    arch: str
    layout: SemanticLayout
    layout_name: str


def load_published_generator(
    state_dict: Mapping[str, Any],
    layout: str | SemanticLayout | None = None,
    *,
    arch: str | None = None,
    upsampling: str | None = None,
    image_size: Size | None = None,
    num_features: int = 0,
    palette: str = "",
) -> PublishedGenerator:
    """Build the generator that a released file belongs to.

    Shapes give family, widths, depth, label channels and latent input. What they cannot tell is an
    argument, asked for by a `ValueError`: the label `layout` (ADE20K's two orders), `upsampling` of
    unknown networks, `image_size` of latent-input ones; `num_features` of pix2pixHD's inputs; the
    `palette` of networks that read pictures. An `arch` that is given must be the file's.
    """
    tensors = unwrapped(state_dict).tensors
    said = layout_called(layout) if isinstance(layout, str) else layout
    hints = Hints(
        upsampling=upsampling,
        image_size=image_size,
        num_features=num_features,
        num_labels=None if said is None else said.num_labels,
        palette=palette,
    )
    network, config = recognised(tensors, hints)
    if not is_generator(network):
        raise ValueError(f"the file holds a {network.__name__}, expected a generator's file")
    own: Published = network.published  # type: ignore[attr-defined]
    assert own.family_of is not None
    family = own.family_of(config)
    if arch not in (None, family):
        raise ValueError(f"the file holds a {family} generator, not {arch}; set arch to {family}")
    layout_name, resolved = resolve_layout(config.num_labels, layout, own.layouts)
    require_buildable(network, config)
    with torch.device("meta"):
        generator: nn.Module = network(config)
    generator.to_empty(device="cpu")
    load_published(generator, tensors)
    return PublishedGenerator(
        generator=generator.eval(), arch=family, layout=resolved, layout_name=layout_name
    )


def load_published_network(state_dict: Mapping[str, Any]) -> nn.Module:
    """Load a released discriminator or image encoder, recognised by names and shapes."""
    tensors = unwrapped(state_dict).tensors
    network, config = recognised(tensors)
    require_buildable(network, config)
    with torch.device("meta"):
        module: nn.Module = network(config)
    module.to_empty(device="cpu")
    load_published(module, tensors)
    return module.eval()


def load_published(
    module: nn.Module, state_dict: Mapping[str, Any], names: Names | None = None
) -> None:
    """Load a state dict with published names into any network of the families, strictly.

    One `ValueError` names all that is missing, unexpected or of another shape. Missing
    `num_batches_tracked` counters start at 0; statistics of instance norms, which files of PyTorch
    0.3 carry, are dropped. `names` replaces the family's usual table of names.
    """
    tensors = plain_names(state_dict)
    wanted = to_published(module, names=names)
    tensors = {
        name: tensor
        for name, tensor in tensors.items()
        if name in wanted or not _belongs_to_bare_norm(name, wanted)
    }
    for name, tensor in wanted.items():
        if name.endswith(_COUNTER):
            tensors.setdefault(name, torch.zeros_like(tensor, device="cpu"))
    refuse_mismatch(tensors, wanted)
    refuse_absurd(tensors)
    module.load_state_dict(from_published(module, tensors, names))


def to_published(
    module: nn.Module,
    state_dict: Mapping[str, Tensor] | None = None,
    names: Names | None = None,
) -> dict[str, Tensor]:
    """Rename a state dict (the module's own, unless given) to published names."""
    source = module.state_dict() if state_dict is None else state_dict
    return _renamed(source, names or _names_of(module))


def from_published(
    module: nn.Module, state_dict: Mapping[str, Tensor], names: Names | None = None
) -> dict[str, Tensor]:
    """Rename a state dict with published names to ours."""
    names = names or _names_of(module)
    return _renamed(state_dict, {theirs: ours for ours, theirs in names.items()})


def _names_of(module: nn.Module) -> dict[str, str]:
    if not hasattr(module, "published"):
        known = [name for name, network in networks().items() if hasattr(network, "published")]
        raise ValueError(
            f"{type(module).__name__} has no published layout; these have: {', '.join(known)}"
        )
    names: dict[str, str] = module.published.names(module.config)  # type: ignore[union-attr,operator]
    return names


def _renamed(state_dict: Mapping[str, Tensor], names: Names) -> dict[str, Tensor]:
    """Replace the longest leading part of every name that the table knows."""
    renamed = {}
    for name, tensor in state_dict.items():
        parts = name.split(".")
        for cut in range(len(parts), 0, -1):
            head = ".".join(parts[:cut])
            if head in names:
                name = ".".join([names[head], *parts[cut:]])
                break
        renamed[name] = tensor
    return renamed


def _belongs_to_bare_norm(name: str, wanted: Mapping[str, Tensor]) -> bool:
    """Return whether an entry is a statistic of a norm that has no entries in the network."""
    owner, _, leaf = name.rpartition(".")
    return leaf in _STATISTICS and not any(key.startswith(f"{owner}.") for key in wanted)


def refuse_mismatch(tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    """Raise `ValueError` that names what is missing, unexpected and of another shape, together."""
    if problem := mismatch(tensors, wanted):
        raise ValueError(
            f"the checkpoint does not fit the network ({problem}); "
            "check the architecture and its options"
        )


def refuse_absurd(tensors: Mapping[str, Tensor]) -> None:
    """Raise `ValueError` that names tensors with elements that no training leaves.

    These are NaN, infinity and what is beyond `LARGEST_WEIGHT`; a running variance may be its
    square. A last tanh makes 1 or -1 of any of them, so no image and no number would show it.
    """
    broken = [name for name, tensor in tensors.items() if not _is_plausible(name, tensor)]
    if broken:
        raise ValueError(
            f"{listed(broken)}: NaN or infinity, or numbers beyond {LARGEST_WEIGHT:.0f}, expected "
            "weights as training leaves them; the file is damaged, or its training diverged: get "
            "it again, or train again"
        )


def _is_plausible(name: str, tensor: Tensor) -> bool:
    if not tensor.is_floating_point():  # counters
        return not tensor.is_complex()
    largest = LARGEST_WEIGHT**2 if name.endswith("running_var") else LARGEST_WEIGHT
    return tensor.numel() == 0 or float(tensor.float().abs().max()) <= largest  # not of NaN
