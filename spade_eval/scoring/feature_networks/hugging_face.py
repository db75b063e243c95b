# SPDX-License-Identifier: Apache-2.0
"""Vision models of Hugging Face transformers whose features are compared: `--features hf:DIR`.

A model is a folder that `save_pretrained` wrote, or a name whose files `hf download` has put on
this machine. Its `config.json` says of which family it is, and the family what its features are and
how images enter. Nothing is downloaded, no code of the model's is run, weights are safetensors.
"""

import importlib
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from spade_eval.errors import as_user_error
from spade_eval.json_fields import parsed_json
from spade_eval.metrics.base import FeatureKind
from spade_eval.models.limits import (
    DEEPEST_MODEL,
    LARGEST_MODEL_INPUT,
    LONGEST_MODEL_CONFIG,
    MOST_MODEL_BYTES,
    MOST_MODEL_PATCHES,
    MOST_TIMES_WIDE,
    WIDEST_MODEL,
)
from spade_eval.records import sha256_of_json
from spade_eval.scoring.distances import Distance
from spade_eval.scoring.segmenter import sha256_of_tensors
from spade_eval.segmenters.eight_bit import (
    ByteNormalization,
    resize_pillow,
    standardized,
    to_bytes,
)
from spade_eval.segmenters.pretrained import library, loaded, one_line

_NUMBERS_OF_BLOCKS = ("num_hidden_layers", "num_layers", "num_stages")
_LEAST_BYTES = 2  # of a stored number: half precision
IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True, kw_only=True)
class Entrance:
    """How 8-bit images become a network's input; Pillow's bicubic resize, as papers' code has it.

    "squeeze" resizes both sides whatever their ratio, "centre" takes the middle square before.
    """

    side: int
    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]
    fit: Literal["squeeze", "centre"] = "squeeze"


@dataclass(frozen=True, kw_only=True)
class Read:
    """What a family makes of a configuration of transformers."""

    variant: str  # as papers name it: "ViT-L/14"
    entrance: Entrance
    labels: Mapping[str, str]  # heads of table columns, by metric


@dataclass(frozen=True, kw_only=True)
class Family:
    """Networks of one `model_type`: what opens them, and which of their outputs is compared."""

    title: str
    kind: FeatureKind
    metric: str  # the column of the Fréchet distance
    loader: str  # a class of transformers
    read: Callable[[Any], Read]  # of its configuration
    features: Callable[[Any], Tensor]  # of its output, -> (N, D)
    what: str  # these features, in words
    options: Mapping[str, Any]  # of the loader
    vision: Callable[[Any], Any] = lambda config: config  # the part of a configuration for images


class Features(nn.Module):
    """A family's features of images of any size."""

    def __init__(self, network: nn.Module, family: Family, entrance: Entrance) -> None:
        super().__init__()
        self.network, self.family, self.entrance = network, family, entrance
        self.normalization = ByteNormalization(standardized(entrance.mean, entrance.deviation))
        with torch.inference_mode():
            self.feature_dim = self(torch.zeros(1, 3, entrance.side, entrance.side)).shape[1]

    def forward(self, images: Tensor) -> Tensor:
        """Map (N, 3, H, W) in [0, 1], 8-bit levels -> (N, D)."""
        pixels = to_bytes(images)
        if self.entrance.fit == "centre":
            pixels = _centre_square(pixels)
        side = (self.entrance.side, self.entrance.side)
        resized = resize_pillow(pixels, side, "bicubic")
        output = self.network(pixel_values=self.normalization(resized))
        return self.family.features(output).float()


def _centre_square(images: Tensor) -> Tensor:
    """Cut (N, 3, H, W) to its middle square; odd rests leave one more row or column behind it."""
    height, width = images.shape[-2:]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return images[..., top : top + side, left : left + side]


def require_family(name: str, families: Mapping[str, Family]) -> Family:
    """Return the family of a model on this machine; `UserError` for another, or one too large."""
    with as_user_error(f"--features hf:{name}"):
        if not name:
            raise ValueError("a folder is missing; expected hf:DIR")
        folder = _folder(name)
        _stored_bytes(folder)
        kind = _model_type(folder)
        if kind not in families:
            raise ValueError(
                f"its config.json says model_type {kind:.80}, expected one of {', '.join(families)}"
            )
        if importlib.util.find_spec("transformers") is None:
            library(name, ())
        return families[kind]


def open_family(name: str, families: Mapping[str, Family], device: torch.device) -> Distance:
    """Open a model and the distance of its features."""
    family = require_family(name, families)
    with as_user_error(f"--features hf:{name}"):
        folder = _folder(name)
        _, (loader, configurations) = library(name, (family.loader, "AutoConfig"))
        config = _configuration(configurations, folder)
        read = family.read(config)
        _require_within(family.vision(config), read.entrance.side, _stored_bytes(folder))
        network = _network(loader, folder, family)
        features = Features(network.eval().requires_grad_(False), family, read.entrance)
    entered = [family.title, family.what, repr(read.entrance)]
    return Distance(
        family.metric,
        f"{family.title} {read.variant}, {family.what} ({folder.name})",
        sha256_of_json([*entered, sha256_of_tensors(network)]),
        features.to(device),
        kind=family.kind,
        labels=read.labels,
        remark=_remark(family, read),
    )


def _remark(family: Family, read: Read) -> str:
    side = read.entrance.side
    fit = "the middle square " if read.entrance.fit == "centre" else ""
    return (
        f"{' and '.join(read.labels.values())}: {family.what}, {fit}at {side}x{side}. weights: "
        "given; no hash of published ones is known to this suite."
    )


def _folder(name: str) -> Path:
    """Return the folder of a model: itself, or where the local cache has it."""
    if Path(name).is_dir():
        return Path(name)
    reason = "no folder"
    try:
        hub = importlib.import_module("huggingface_hub")
        return Path(hub.snapshot_download(name, local_files_only=True))
    except ImportError:
        pass
    except (OSError, ValueError) as error:
        reason = one_line(error)
    raise ValueError(
        f"is not on this machine ({reason}); give a folder that `save_pretrained` wrote, or the "
        "name of a model that `hf download` has fetched"
    )


def _stored_bytes(folder: Path) -> int:
    """Return the bytes of a folder's weights; `ValueError` for none in safetensors, or too many."""
    files = list(folder.glob("*.safetensors"))
    total = sum(file.stat().st_size for file in files)
    if not total or total > MOST_MODEL_BYTES:
        raise ValueError(
            f"{folder.name} holds {total:,} bytes of *.safetensors, expected 1 to "
            f"{MOST_MODEL_BYTES:,}; other files of weights are not read: save the model with "
            "`save_pretrained`"
        )
    return total


def _model_type(folder: Path) -> str:
    path = folder / "config.json"
    if not path.is_file() or path.stat().st_size > LONGEST_MODEL_CONFIG:
        raise ValueError(
            f"{folder.name}/config.json is missing or longer than {LONGEST_MODEL_CONFIG:,} bytes; "
            "expected the one that `save_pretrained` writes"
        )
    stated = parsed_json(path.read_bytes())
    if not isinstance(stated, dict):
        raise ValueError(f"{folder.name}/config.json is no object; restore it")
    # The library makes a list of the names of all blocks, before a configuration can be judged.
    for part in (stated, *(value for value in stated.values() if isinstance(value, dict))):
        for name in _NUMBERS_OF_BLOCKS:
            number = part.get(name, 0)
            if isinstance(number, int) and not 0 <= number <= DEEPEST_MODEL:
                raise ValueError(f"its {name} is {number}, expected 0 to {DEEPEST_MODEL}")
    return str(stated.get("model_type"))


def _configuration(configurations: Any, folder: Path) -> Any:
    try:
        return configurations.from_pretrained(
            str(folder), local_files_only=True, trust_remote_code=False
        )
    except Exception as error:  # fields of a wrong kind raise anything
        raise ValueError(f"its config.json cannot be read ({one_line(error)})") from error


def _require_within(config: Any, side: int, stored: int) -> None:
    """Refuse sizes beyond those of any model, or of which the files hold too few numbers."""
    blocks = _blocks(config)
    least = sum(count * width**2 for count, width in blocks)
    patch = getattr(config, "patch_size", 4)
    inner = getattr(config, "intermediate_size", 0) or 0
    ratio = getattr(config, "mlp_ratio", 0) or 0
    widest = max(width for _, width in blocks)
    others = [getattr(config, name, 0) or 0 for name in ("projection_dim", "embedding_size")]
    stated = {
        "the width": (widest, 1, WIDEST_MODEL),
        "the number of blocks": (sum(count for count, _ in blocks), 1, DEEPEST_MODEL),
        "the side of images": (side, 1, LARGEST_MODEL_INPUT),
        "patches": ((side // max(int(patch), 1)) ** 2, 1, MOST_MODEL_PATCHES),
        "intermediate_size": (inner, 0, MOST_TIMES_WIDE * widest),
        "mlp_ratio": (ratio, 0, MOST_TIMES_WIDE),
        "channels": (getattr(config, "num_channels", 3), 3, 3),
        "projection_dim or embedding_size": (max(others), 0, WIDEST_MODEL),
        "bytes of weights": (_LEAST_BYTES * least, 0, stored),
    }
    for name, (value, low, high) in stated.items():
        if not low <= value <= high:
            raise ValueError(
                f"its config.json makes {name} {value:,}, expected {low:,} to {high:,}; give the "
                "configuration that belongs to its weights"
            )


def _blocks(config: Any) -> list[tuple[int, int]]:
    """Return numbers of blocks and their width, a stage each; a block has width² numbers or more.

    `ValueError` where they are no whole numbers above 0.
    """
    depths = getattr(config, "depths", None) or [config.num_hidden_layers]
    widths = getattr(config, "hidden_sizes", None)
    if widths is None and hasattr(config, "embed_dim"):
        widths = [config.embed_dim * 2**stage for stage in range(len(depths))]
    widths = widths or [config.hidden_size]
    numbers = [*depths, *widths]
    if len(depths) != len(widths) or not all(type(n) is int and n > 0 for n in numbers):
        raise ValueError(f"its config.json has blocks {depths!r:.80} of widths {widths!r:.80}")
    return list(zip(depths, widths, strict=True))


def _network(loader: Any, folder: Path, family: Family) -> Any:
    try:
        network, lacking = loaded(loader, str(folder), **family.options)
    except (OSError, ValueError, RuntimeError, ImportError, TypeError) as error:
        raise ValueError(
            f"{folder.name} does not open as {loader.__name__} ({one_line(error)})"
        ) from error
    if lacking:
        raise ValueError(
            f"{folder.name} lacks weights or has others of {loader.__name__} ({len(lacking)}: "
            f"{', '.join(lacking[:3])}); expected a whole model"
        )
    return network
