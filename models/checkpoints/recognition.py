# SPDX-License-Identifier: Apache-2.0
"""Which network a released file belongs to, read from the names and shapes of its tensors."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from spade_eval.models.checkpoints.safe_load import load_tensors
from spade_eval.models.labels import RELEASED_LAYOUTS, SPADE_LAYOUTS, SemanticLayout
from spade_eval.models.released import Hints, Published, Shapes
from spade_eval.models.systems.presets import networks, scored_networks


def layout_called(name: str) -> SemanticLayout:
    """Return the layout of a released network by its name, or raise `ValueError`."""
    if name not in RELEASED_LAYOUTS:
        known = ", ".join(RELEASED_LAYOUTS)
        raise ValueError(f"no label layout is called {name!r}; known: {known}")
    return RELEASED_LAYOUTS[name]


def resolve_layout(
    num_labels: int,
    layout: str | SemanticLayout | None,
    known: Iterable[str] = SPADE_LAYOUTS,
) -> tuple[str, SemanticLayout]:
    """Return (name, layout) for so many channels; `ValueError` where it must be asked for.

    `known` are the names of the layouts that networks of its kind were released with.
    """
    fitting = [name for name in known if RELEASED_LAYOUTS[name].num_labels == num_labels]
    if isinstance(layout, SemanticLayout):
        name, chosen = "custom", layout
    elif layout is not None:
        name, chosen = layout, layout_called(layout)
    elif len(fitting) == 1:
        name, chosen = fitting[0], RELEASED_LAYOUTS[fitting[0]]
    else:
        choices = " or ".join(fitting) or "a SemanticLayout (none of the known ones fits)"
        raise ValueError(
            f"the network has {num_labels} label channels, whose order its shapes cannot tell; "
            f"set the label layout: {choices}"
        )
    if chosen.num_labels != num_labels:
        raise ValueError(
            f"the label layout {name} has {chosen.num_labels} channels, the network {num_labels}; "
            f"layouts that fit: {', '.join(fitting) or 'none of the known ones'}"
        )
    return name, chosen


def recognised(tensors: Shapes, hints: Hints = Hints()) -> tuple[type[nn.Module], Any]:  # noqa: B008
    """Infer class and configuration of a state dict with published names, or raise `ValueError`."""
    network = network_of(tensors)
    published: Published = network.published  # type: ignore[attr-defined]
    return network, published.config_of(tensors, hints)


def network_of(tensors: Shapes) -> type[nn.Module]:
    """Infer the class from a state dict with published names, or raise `ValueError`."""
    for network in networks().values():
        published: Published | None = getattr(network, "published", None)
        if published is not None and published.recognises(tensors):
            return network
    shown = ", ".join(list(tensors)[:4])
    raise ValueError(
        f"the tensors ({shown}, ...) are no released network's; known are those of "
        f"{', '.join(networks())}; give the file of the generator (*_net_G.pth)"
    )


def load_released(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a released file, PyTorch's or of a form that its network reads."""
    for network in networks().values():
        published: Published | None = getattr(network, "published", None)
        if published is not None and published.read is not None and published.is_file(path):
            return published.read(path)
    return load_tensors(path)


def is_generator(network: type[nn.Module]) -> bool:
    """Return whether a class of networks synthesizes images."""
    return network in scored_networks().values()


def families() -> tuple[str, ...]:
    """Return the names by which a user says whose generator a file holds."""
    named = (
        family
        for network in scored_networks().values()
        if hasattr(network, "published")
        for family in network.published.families
    )
    return tuple(dict.fromkeys(named))
