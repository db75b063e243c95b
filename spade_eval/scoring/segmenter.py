# SPDX-License-Identifier: Apache-2.0
"""Which network scores a run: its weights and their hash, and how label values become its classes.

`in-domain` is the small U-Net of this suite, `in-domain-dilated` and `in-domain-pyramid` check its
verdicts; a name of `SEGMENTERS` is a paper's; `mmseg:CONFIG` or
`mmseg:CONFIG:CHECKPOINT` and `hf:NAME_OR_DIR` come from other libraries.
"""

import dataclasses
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from spade_eval.datasets import DATASETS
from spade_eval.datasets.base import Dataset
from spade_eval.datasets.file_dataset import FileDataset
from spade_eval.errors import UserError, as_user_error, lookup
from spade_eval.json_fields import parsed_json
from spade_eval.models.checkpoints.safe_load import load_tensors
from spade_eval.models.fast.accelerate import accelerate_frozen
from spade_eval.models.labels import IGNORE_INDEX
from spade_eval.protocol import called, is_in_domain
from spade_eval.records import sha256_of_file, sha256_of_json
from spade_eval.scoring.in_domain import ARCHITECTURES, load_in_domain
from spade_eval.segmenters import SEGMENTERS
from spade_eval.segmenters.base import Segmenter
from spade_eval.segmenters.entry import SegmenterEntry
from spade_eval.segmenters.label_spaces import ADE20K, CITYSCAPES, COCO_STUFF, ScoredLabels
from spade_eval.weights import installed, is_installed, sha256_of_weights
from spade_eval.weights.table import files_of_segmenter

if TYPE_CHECKING:
    from spade_eval.segmenters.hugging_face import HuggingFaceSegmenter

# Where weights come from; "filled" is deterministic noise, "random" an untrained network.
Weights = Literal["in-domain", "published", "given", "filled", "random"]

# Model types, and names that models have on the hub: sam, sam2_video, sam-vit-huge, sam2.1-hiera...
_PROMPTED = re.compile(r"(mobile|edge|fast)?-?(sam\d?|edgetam)([^a-z]|$)")
_LARGEST_CONFIG = 1 << 20  # bytes
_LABELS: dict[str, ScoredLabels] = {
    labels.name: labels for labels in (COCO_STUFF, ADE20K, CITYSCAPES)
}


@dataclass(frozen=True)
class ScoringSegmenter:
    """A network that gives logits in its own classes, and what it is."""

    title: str
    network: Segmenter
    sha256: str
    weights: Weights
    class_names: tuple[str, ...]
    labels: ScoredLabels  # the class of each label value


def open_segmenter(
    name: str,
    dataset: Dataset,
    weights_dir: Path,
    device: torch.device,
    *,
    filled: bool = False,
    short_sides: tuple[int, ...] | None = None,
    in_domain: Callable[[], Path],
) -> ScoringSegmenter:
    """Open the segmenter of that name for a dataset; every file that it needs is checked.

    `short_sides` are UperNet's scales where a protocol wants others than the segmenter's own.
    """
    if is_in_domain(name):
        lookup(ARCHITECTURES, name, "segmenter")
        return _in_domain(in_domain(), dataset, device)
    kind, _, rest = name.partition(":")
    if kind == "mmseg" and rest:
        return _mmsegmentation(rest, dataset, device)
    if kind == "hf" and rest:
        return _hugging_face(rest, dataset, device)
    options = {} if short_sides is None else {"short_sides": short_sides}
    return _published(name, dataset, weights_dir, device, filled, options)


def _in_domain(path: Path, dataset: Dataset, device: torch.device) -> ScoringSegmenter:
    names, labels = _own_classes(dataset)
    network = accelerate_frozen(load_in_domain(path, dataset).to(device))
    return ScoringSegmenter(
        network.title, network, sha256_of_file(path), "in-domain", names, labels
    )


def _published(
    name: str,
    dataset: Dataset,
    weights_dir: Path,
    device: torch.device,
    filled: bool,
    options: Mapping[str, Any],
) -> ScoringSegmenter:
    entry = lookup({**SEGMENTERS, **dict.fromkeys(ARCHITECTURES)}, name, "segmenter")
    assert entry is not None
    if entry.labels != _scored_labels(dataset):
        raise UserError(
            f"--segmenter {name} predicts {entry.labels.name}; expected the classes of "
            f"{dataset.name}: choose a segmenter that was trained on the dataset"
        )
    network, digest = _network(name, entry, weights_dir, filled, options)
    weights: Weights = "filled" if filled else "published"
    title = ", ".join([entry.title, *(f"{key} {value}" for key, value in options.items())])
    return _foreign(title, accelerate_frozen(network.to(device)), digest, weights, dataset)


def _network(
    name: str,
    entry: SegmenterEntry,
    weights_dir: Path,
    filled: bool,
    options: Mapping[str, Any] | None = None,
) -> tuple[nn.Module, str]:
    """Return a published network with its files or with noise, and the hash of either."""
    options = options or {}
    if filled:
        with as_user_error(f"--segmenter {name}"):
            return entry.filled(**options), sha256_of_json({"filled": name})
    paths = [installed(file, weights_dir) for file in files_of_segmenter(name)]
    hashes = [sha256_of_weights(path) for path in paths]
    _require_own_files(name, hashes, weights_dir)
    with as_user_error(f"--segmenter {name}"):
        network = entry.load([load_tensors(path) for path in paths], **options)
    return network, sha256_of_json(hashes)


def _require_own_files(name: str, hashes: Sequence[str], weights_dir: Path) -> None:
    """Refuse a file that also lies under another release's name.

    UperNet's two releases have equal names and shapes but other inputs: with the wrong one nothing
    fails, the score drops.
    """
    own = {file.file_name for file in files_of_segmenter(name)}
    others = [file for other in SEGMENTERS for file in files_of_segmenter(other)]
    for file in others:
        if file.file_name in own or not is_installed(file, weights_dir):
            continue
        path = installed(file, weights_dir)
        if sha256_of_weights(path) in hashes:
            raise UserError(
                f"--segmenter {name}: its file and {path} are one and the same, files of two "
                "releases with other inputs were expected; fetch both again"
            )


def photo_labeller(
    name: str, weights_dir: Path, device: torch.device, filled: bool
) -> tuple[Callable[[NDArray[np.uint8]], NDArray[np.uint8]], str]:
    """Return a photo (H, W, 3) -> label values of COCO-Stuff's files, and their origin."""
    entry = lookup(SEGMENTERS, name, "segmenter")
    if entry.labels != COCO_STUFF:
        raise UserError(
            f"--segmenter {name} predicts {entry.labels.name}; expected one of COCO-Stuff: "
            "deeplab-v2"
        )
    network, digest = _network(name, entry, weights_dir, filled)
    accelerate_frozen(network.to(device))

    @torch.inference_mode()
    def segment(photo: NDArray[np.uint8]) -> NDArray[np.uint8]:
        image = torch.from_numpy(photo.copy()).permute(2, 0, 1)[None].to(device).float() / 255
        # Its classes are the values of COCO-Stuff's files themselves.
        classes: NDArray[np.uint8] = network(image).argmax(dim=1)[0].byte().cpu().numpy()
        return classes

    noise = ", filled: these labels mean nothing" if filled else ""
    return segment, f"{entry.title}, {digest[:16]}{noise}"


def _mmsegmentation(name: str, dataset: Dataset, device: torch.device) -> ScoringSegmenter:
    from spade_eval.segmenters.mmsegmentation import build_mmsegmentation, find_config

    config, _, file = name.partition(":")
    with as_user_error(f"--segmenter mmseg:{name}"):
        path = find_config(config)
        checkpoint = load_tensors(Path(file)) if file else None
        network = build_mmsegmentation(config, checkpoint, _scored_labels(dataset))
    digest = sha256_of_json([sha256_of_file(path), sha256_of_weights(Path(file)) if file else ""])
    weights: Weights = "given" if file else "random"
    return _foreign(
        f"mmseg {path.stem} at image size", network.to(device), digest, weights, dataset
    )


def _hugging_face(name: str, dataset: Dataset, device: torch.device) -> ScoringSegmenter:
    from spade_eval.segmenters.hugging_face import build_hugging_face

    with as_user_error(f"--segmenter hf:{name}"):
        _require_unprompted(name)
        if DATASETS[dataset.name].scored_as is None:
            return _hugging_face_by_names(name, dataset, device)
        network = build_hugging_face(name, _scored_labels(dataset))
    return _foreign(_title(name), network.to(device), _digest(network), "given", dataset)


def _require_unprompted(name: str) -> None:
    """Refuse a network that outlines what it is prompted with: its prompt would be the truth."""
    path, kind = Path(name) / "config.json", Path(name).name
    if path.is_file() and path.stat().st_size < _LARGEST_CONFIG:
        kind = str(dict(parsed_json(path.read_text("utf-8"))).get("model_type", kind))
    if _PROMPTED.match(kind.lower()):
        raise ValueError(
            f"{kind} outlines what it is prompted with, and the prompt of a score would be the "
            "true map; give a network that finds the classes by itself"
        )


def _hugging_face_by_names(name: str, dataset: Dataset, device: torch.device) -> ScoringSegmenter:
    """Score a dataset that no paper scores, in its classes by their names."""
    from spade_eval.segmenters.hugging_face import build_hugging_face

    names = dataset.label_space.class_names
    try:
        network = build_hugging_face(name, dataset=dataset.name, class_names=names)
    except ValueError as error:
        raise ValueError(f"{error}. Besides, {_no_published(dataset)}") from error
    digest = _digest(network)
    labels = network.order.labels
    return ScoringSegmenter(_title(name), network.to(device), digest, "given", names, labels)


def _title(name: str) -> str:
    return f"hf {called(f'hf:{name}').partition(':')[2]} at image size"


def _digest(network: "HuggingFaceSegmenter") -> str:
    """Hash weights, configuration and normalisation: the same in whatever folder they lie."""
    table = network.normalization.table.cpu().numpy().tobytes()
    config: Any = network.network.config
    return sha256_of_json(
        [
            _without_places(config.to_diff_dict()),
            hashlib.sha256(table).hexdigest(),
            sha256_of_tensors(network),
        ]
    )


def _without_places(value: Any) -> Any:
    """Leave out of a configuration where its files lay and which library wrote them."""
    if not isinstance(value, dict):
        return value
    return {
        str(name): _without_places(item)
        for name, item in value.items()
        if not str(name).startswith("_") and name != "transformers_version"
    }


def sha256_of_tensors(network: nn.Module) -> str:
    """Hash names, types, shapes and bytes, the same on every machine."""
    digest = hashlib.sha256()
    for name, tensor in network.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _foreign(
    title: str, network: nn.Module, sha256: str, weights: Weights, dataset: Dataset
) -> ScoringSegmenter:
    class_names, labels = scored_classes(dataset)
    # Every segmenter keeps the promises of the protocol `Segmenter`.
    scoring = cast(Segmenter, network)
    return ScoringSegmenter(title, scoring, sha256, weights, class_names, labels)


def scored_classes(dataset: Dataset) -> tuple[tuple[str, ...], ScoredLabels]:
    """Return the classes that papers score, and of all where no paper scores the dataset."""
    if DATASETS[dataset.name].scored_as is None:
        return _own_classes(dataset)
    labels = _in_label_values(_scored_labels(dataset), dataset)
    names = dict(zip(labels.classes, dataset.label_space.class_names, strict=False))
    return tuple(names[index] for index in range(labels.num_classes)), labels


def _own_classes(dataset: Dataset) -> tuple[tuple[str, ...], ScoredLabels]:
    names = dataset.label_space.class_names
    classes = tuple(value if value < len(names) else IGNORE_INDEX for value in range(256))
    return names, ScoredLabels(name=dataset.name, num_classes=len(names), classes=classes)


def _in_label_values(labels: ScoredLabels, dataset: Dataset) -> ScoredLabels:
    """Give the same classes the label values of the suite instead of those of the files."""
    assert isinstance(dataset, FileDataset)
    values = dataset.label_files.values
    classes = [labels.classes[value] if value < 256 else IGNORE_INDEX for value in values]
    padding = [IGNORE_INDEX] * (256 - len(classes))
    return dataclasses.replace(labels, classes=(*classes, *padding))


def _scored_labels(dataset: Dataset) -> ScoredLabels:
    labels = DATASETS[dataset.name].scored_as
    if labels is None:
        raise UserError(_no_published(dataset))
    return _LABELS[labels]


def _no_published(dataset: Dataset) -> str:
    known = ", ".join(name for name, kind in DATASETS.items() if kind.scored_as is not None)
    return (
        f"no published segmenter scores {dataset.name}; expected one of {known}: leave "
        "--segmenter out to score in-domain"
    )
