# SPDX-License-Identifier: Apache-2.0
"""Any configuration of mmsegmentation 1.2 as a segmenter, without compiled operators.

The network is built from its configuration file by mmengine's registry, without its pretrained
backbone, and applied to the images as they are: the configuration's mean and standard deviation,
and of its test pipeline's resizing the short side alone, where one is asked for. A configuration
file is a Python program and is run: give files that you trust. Weights are tensors that the caller
has opened.
"""

import difflib
import importlib
import importlib.util
import sys
import types
from collections.abc import Callable, Mapping
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from spade_eval.models.labels import Size
from spade_eval.segmenters.eight_bit import ByteNormalization, resize_opencv, to_bytes
from spade_eval.segmenters.foreign import (
    ADE20K_150,
    CITYSCAPES_19,
    COCO_STUFF_171,
    ChannelOrder,
    require_labels,
    scored_logits,
)
from spade_eval.segmenters.label_spaces import ScoredLabels
from spade_eval.segmenters.loading import load_strict

# Dataset classes of mmsegmentation whose classes this suite scores.
_ORDERS = {
    "ADE20KDataset": ADE20K_150,
    "CityscapesDataset": CITYSCAPES_19,
    "COCOStuffDataset": COCO_STUFF_171,
}
_EXTENSION = "mmcv._ext"
_NEAR_NAMES = 3


class MMSegmentationSegmenter(nn.Module):
    """Image in [0, 1] to logits at the image's size, in the dataset's scored classes."""

    def __init__(
        self,
        network: nn.Module,
        preprocessor: Mapping[str, Any],
        order: ChannelOrder,
        short_side: int | None = None,
    ) -> None:
        """`preprocessor` is the configuration's; images there are read as BGR.

        With a `short_side` images are scaled to it before the network and logits back after it, as
        mmsegmentation's own inference does: OpenCV's linear filter, then bilinear.
        """
        super().__init__()
        self.order, self.num_classes = order, order.labels.num_classes
        self.short_side = short_side
        rgb = bool(preprocessor.get("bgr_to_rgb") or preprocessor.get("rgb_to_bgr"))
        self.normalization = ByteNormalization(_standardized_levels(preprocessor), bgr=not rgb)
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Map (N, 3, H, W) in [0, 1], 8-bit levels -> (N, num_classes, H, W) logits."""
        height, width = images.shape[-2:]
        pixels, size = to_bytes(images), (height, width)
        if self.short_side is not None:
            size = scaled_to(size, self.short_side)
            pixels = resize_opencv(pixels, size)
        sizes = ("img_shape", "ori_shape", "pad_shape", "batch_input_shape")
        descriptions = [dict.fromkeys(sizes, size) for _ in images]
        x = self.normalization(pixels)
        logits = self.network.encode_decode(x, descriptions)  # type: ignore[operator]
        if size != (height, width):
            # By the head's own rule, before classes without a channel become -inf.
            corners = bool(getattr(self.network, "align_corners", False))
            logits = interpolate(logits, (height, width), mode="bilinear", align_corners=corners)
        return scored_logits(logits, self.order)


def scaled_to(size: Size, short_side: int) -> Size:
    """Return (height, width) with the shorter side as given, both rounded half up."""
    factor = short_side / min(size)
    return int(size[0] * factor + 0.5), int(size[1] * factor + 0.5)


def build_mmsegmentation(
    config: str,
    checkpoint: Mapping[str, Any] | None = None,
    labels: ScoredLabels | None = None,
    seed: int = 0,
    short_side: int | None = None,
) -> MMSegmentationSegmenter:
    """Build a configuration, by path or by name, in eval mode.

    Weights are given, or drawn from `seed`. `checkpoint` is a state dict or holds one under
    `state_dict`; it has to fit. `labels` are the classes that are to be scored; images are scaled
    to `short_side` if there is one. `ValueError` where anything does not fit or cannot be imported.
    """
    path = find_config(config)
    registry, config_class, default_scope = _libraries()
    try:
        loaded = config_class.fromfile(str(path))
        order = _channel_order(loaded, config)
        require_labels(order, labels, config)
        # A configuration again: networks read its entries as attributes.
        description = config_class(without_pretrained({"model": loaded.model.to_dict()})).model
        with torch.random.fork_rng(devices=[]), default_scope("mmseg"):
            torch.manual_seed(seed)
            network = registry.build(description)
    except (ImportError, KeyError, AttributeError, TypeError, AssertionError, OSError) as error:
        raise ValueError(
            f"{config} cannot be built by mmsegmentation ({_one_line(error)}); configurations of "
            "mmdet (Mask2Former: pip install 'spade-eval[mask2former]'), of mmpretrain and with "
            "compiled operators need these packages in full"
        ) from error
    _require_classes(network, order, config)
    segmenter = MMSegmentationSegmenter(network, description.data_preprocessor, order, short_side)
    if checkpoint is not None:
        load_strict(network, checkpoint)
    return segmenter.eval().requires_grad_(False)


def find_config(config: str) -> Path:
    """Find the file of that path, or of that name in the installed mmsegmentation."""
    path = Path(config)
    if path.is_file():
        return path
    folder = config_folder()
    if (folder / config).is_file():
        return folder / config
    # Parts from which others are made (`_base_`) lie one folder deeper.
    files = {file.stem: file for file in sorted(folder.glob("*/*.py"))}
    if path.stem in files:
        return files[path.stem]
    near = difflib.get_close_matches(path.stem, files, _NEAR_NAMES, cutoff=0.4)
    raise ValueError(
        f"{config!r} is neither a file nor one of the {len(files)} configurations in {folder}; "
        f"near names: {', '.join(near) or 'none'}"
    )


def config_folder() -> Path:
    """Find where the installed mmsegmentation keeps its configurations; it is not imported."""
    spec = importlib.util.find_spec("mmseg")
    if spec is None or not spec.submodule_search_locations:
        raise ValueError("mmsegmentation is not installed; run `pip install mmsegmentation`")
    return Path(spec.submodule_search_locations[0]) / ".mim" / "configs"


def guard_extension() -> None:
    """Let mmseg be imported with mmcv-lite: stand in for `mmcv._ext` where it is absent.

    Four files of mmseg import compiled operators that most networks never call. The stand-in gives
    a function for every name; calling one is the error that importing it was.
    """
    if _EXTENSION in sys.modules or importlib.util.find_spec(_EXTENSION) is not None:
        return
    module = types.ModuleType(_EXTENSION, "Stands in for the compiled operators of mmcv.")
    # The import system looks the specification up and fails on None.
    module.__spec__ = ModuleSpec(_EXTENSION, loader=None)
    module.__getattr__ = _missing_operator  # type: ignore[method-assign]
    sys.modules[_EXTENSION] = module


def _missing_operator(name: str) -> Callable[..., Any]:
    if name.startswith("__"):
        raise AttributeError(name)

    def fail(*_: Any, **__: Any) -> Any:
        raise ValueError(
            f"this network calls {name}, a compiled operator that mmcv-lite does not have; "
            "install the full mmcv, or choose another configuration"
        )

    return fail


def without_pretrained(description: Any) -> Any:
    """Remove every place in a configuration from which weights would be fetched."""
    if isinstance(description, dict):
        return {
            key: None if key in ("pretrained", "init_cfg") else without_pretrained(value)
            for key, value in description.items()
        }
    if isinstance(description, (list, tuple)):
        return type(description)(without_pretrained(value) for value in description)
    return description


def _libraries() -> tuple[Any, Any, Any]:
    """mmseg's registry of models, mmengine's `Config`, and its scope of names."""
    try:
        guard_extension()
        importlib.import_module("mmseg.models")  # which fills the registry
        registry = importlib.import_module("mmseg.registry").MODELS
        config = importlib.import_module("mmengine.config").Config
        scope = importlib.import_module("mmengine.registry").DefaultScope
    except Exception as error:  # binary packages that do not fit each other raise anything
        raise ValueError(
            f"mmsegmentation cannot be imported ({_one_line(error)}); install mmsegmentation, "
            "mmengine, mmcv-lite 2.1, ftfy and regex, and a torchvision that fits torch"
        ) from error
    return registry, config, scope.overwrite_default_scope


def _channel_order(config: Any, name: str) -> ChannelOrder:
    """Find whose classes the configuration's dataset has."""
    dataset = config.get("dataset_type", "no dataset")
    if dataset not in _ORDERS:
        raise ValueError(
            f"{name} is for {dataset}, which this suite does not score; expected a configuration "
            f"for one of {', '.join(_ORDERS)}"
        )
    return _ORDERS[dataset]


def _require_classes(network: Any, order: ChannelOrder, name: str) -> None:
    head = network.decode_head
    last = head[-1] if isinstance(head, nn.ModuleList) else head  # of a cascade the last counts
    if last.num_classes != len(order.classes):
        raise ValueError(
            f"{name} has {last.num_classes} classes, expected {len(order.classes)} for "
            f"{order.labels.name}; its dataset and its head do not belong together"
        )


def _standardized_levels(preprocessor: Mapping[str, Any]) -> Callable[[Tensor], Tensor]:
    """(x - mean) / std in float32, as the configuration's preprocessor computes it."""
    mean, std = preprocessor.get("mean") or (0.0,) * 3, preprocessor.get("std") or (1.0,) * 3
    mean_, std_ = (torch.tensor(values, dtype=torch.float32) for values in (mean, std))
    return lambda levels: (levels.float() - mean_) / std_


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__
