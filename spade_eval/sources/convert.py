# SPDX-License-Identifier: Apache-2.0
"""Released checkpoint files into those of this suite, and back; every number stays as it is."""

from pathlib import Path
from typing import Any

from torch import Tensor, nn

from spade_eval.errors import UserError, as_user_error
from spade_eval.models.checkpoints.files import has_description, save_network, save_state_dict
from spade_eval.models.checkpoints.published import to_published
from spade_eval.models.checkpoints.recognition import recognised
from spade_eval.models.released import Hints
from spade_eval.sources.checkpoints import Checkpoint, ReleasedOptions, open_checkpoint

OWN_SUFFIX = ".safetensors"
RELEASED_SUFFIXES = (".pth", ".pt")


def convert(source: Path, target: Path, released: ReleasedOptions) -> Checkpoint:
    """Write `source` in the other form as `target`; what it holds, not its name, says its form."""
    if target.exists():
        raise UserError(f"{target} exists already; remove it or give another name")
    checkpoint = open_checkpoint(source, released)
    own = has_description(source)
    expected = RELEASED_SUFFIXES if own else (OWN_SUFFIX,)
    if target.suffix not in expected:
        raise UserError(
            f"{source} is {'a checkpoint of this suite' if own else 'a released file'}, so it "
            f"becomes a file ending in {' or '.join(expected)}, not {target.name}: "
            "rename the target"
        )
    if own:
        with as_user_error(f"checkpoint {source}"):
            save_state_dict(target, _released_tensors(checkpoint))
    else:
        save_network(target, checkpoint.network.state_dict(), dict(checkpoint.description))
    return checkpoint


def _released_tensors(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """Return the state dict under released names, provided it is read as the same network."""
    network = checkpoint.network
    tensors = to_published(network)
    try:
        restored = _read_back(network, tensors)
    except (ValueError, IndexError, KeyError, ZeroDivisionError) as error:
        raise ValueError(f"no released layout holds this network ({error})") from error
    ours: Any = vars(network.config)
    differing = [
        f"{name}={value}, read back as {vars(restored)[name]}"
        for name, value in ours.items()
        # Statistics over one process or over all are one and the same once they are stored.
        if vars(restored)[name] != value
        and (name, value) != ("param_free_norm", "batch")
        and name != "test_mode"  # how it is run, which no file of theirs says
    ]
    if differing:
        raise ValueError(
            f"no released layout holds this network: {'; '.join(differing)}; expected a SPADE, "
            "pix2pixHD or pix2pixHD++ network as its repository builds it"
        )
    return tensors


def _read_back(network: nn.Module, tensors: dict[str, Tensor]) -> Any:
    """Infer the configuration from the names and shapes of a released file."""
    config: Any = network.config
    hints = Hints(
        upsampling=getattr(config, "upsampling", None),
        image_size=getattr(config, "image_size", None),
        num_features=getattr(config, "num_features", 0),
        num_labels=getattr(config, "num_labels", None),
        palette=getattr(config, "palette", ""),
    )
    return recognised(tensors, hints)[1]
