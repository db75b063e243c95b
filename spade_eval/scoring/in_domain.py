# SPDX-License-Identifier: Apache-2.0
"""The in-domain segmenters of a dataset: those shipped for scenes, else trained on demand.

`in-domain` is the U-Net; the others, of other architecture and seed, check its verdicts.
"""

import dataclasses
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from spade_eval.batches import segmenter_batch
from spade_eval.config import Budget
from spade_eval.datasets.base import Dataset, require_labelled, segmenter_of
from spade_eval.errors import UserError, as_user_error, lookup
from spade_eval.files import locked
from spade_eval.metrics.segmentation import SegmentationScores
from spade_eval.models.checkpoints.files import (
    load_description,
    load_weights,
    previous_state,
    save_network,
)
from spade_eval.models.labels import Size
from spade_eval.models.training.loop import Loop, LoopSettings
from spade_eval.models.training.order import DataOrder
from spade_eval.protocol import IN_DOMAIN
from spade_eval.records import sha256_of_json
from spade_eval.segmenters.in_domain import InDomainConfig, InDomainNetwork, InDomainSegmenter
from spade_eval.segmenters.in_domain_dilated import InDomainDilated
from spade_eval.segmenters.in_domain_pyramid import InDomainPyramid
from spade_eval.segmenters.training import SegmenterBatch, SegmenterTraining


@dataclass(frozen=True)
class Architecture:
    """An in-domain network and the seed of its training."""

    network: type[InDomainNetwork]
    seed: int
    stored_as: torch.dtype = torch.float16  # rounded once, before anything is scored


ARCHITECTURES = {
    IN_DOMAIN: Architecture(InDomainSegmenter, seed=0, stored_as=torch.float32),
    "in-domain-dilated": Architecture(InDomainDilated, seed=1),
    "in-domain-pyramid": Architecture(InDomainPyramid, seed=2),
}
_WEIGHTS = Path(__file__).parents[1] / "segmenters"
SHIPPED = {"scenes": _WEIGHTS / "scenes.safetensors"}
# Of the networks that check the verdicts of the U-Net, by dataset and name.
SHIPPED_CHECKS = {
    ("scenes", name): _WEIGHTS / f"scenes-{name.removeprefix(IN_DOMAIN + '-')}.safetensors"
    for name in ("in-domain-dilated", "in-domain-pyramid")
}
# The shipped weights score every size of scenes, so they are trained on two.
SHIPPED_SIZES: dict[str, tuple[Size, ...]] = {"scenes": ((128, 128), (64, 64))}


@dataclass(frozen=True, kw_only=True)
class SegmenterConfig:
    """One in-domain segmenter; equal hashes mean equal weights on one machine."""

    dataset: str
    dataset_sha256: str  # of the training split
    sizes: tuple[Size, ...]  # one step at each in turn
    steps: int
    batch_size: int
    base_channels: int = 24
    seed: int = 0
    architecture: str = IN_DOMAIN  # a row of ARCHITECTURES

    @property
    def sha256(self) -> str:
        fields = dataclasses.asdict(self)
        if self.architecture == IN_DOMAIN:  # the only one there was: its files keep their names
            del fields["architecture"]
        return sha256_of_json(fields)


def shipped(dataset: Dataset, name: str = IN_DOMAIN) -> Path | None:
    """Return the weights of an in-domain segmenter that ship for a dataset."""
    of = segmenter_of(dataset)
    return SHIPPED.get(of) if name == IN_DOMAIN else SHIPPED_CHECKS.get((of, name))


def segmenter_config(
    dataset_name: str, budget: Budget, splits: Sequence[Dataset], name: str = IN_DOMAIN
) -> SegmenterConfig:
    """Return how a budget trains an in-domain segmenter on a training split at some sizes."""
    return SegmenterConfig(
        architecture=name,
        seed=lookup(ARCHITECTURES, name, "in-domain segmenter").seed,
        dataset=dataset_name,
        dataset_sha256=sha256_of_json([split.fingerprint() for split in splits]),
        sizes=tuple(split.size for split in splits),
        steps=budget.segmenter_steps,
        batch_size=min(budget.segmenter_batch_size, len(splits[0])),
    )


def segmenter_path(config: SegmenterConfig, folder: Path) -> Path:
    """Return where a trained in-domain segmenter is kept."""
    return folder / f"in-domain-{config.dataset}-{config.sha256[:12]}.safetensors"


def train_segmenter(
    config: SegmenterConfig, datasets: Sequence[Dataset], folder: Path, device: torch.device
) -> Path:
    """Train to the last step, continuing what is there; returns the weight file's path.

    `datasets` are the training split at each of `config.sizes`.
    """
    path = segmenter_path(config, folder)
    if not path.is_file():
        with locked(path.with_suffix(".lock"), wait=True):
            if not path.is_file():  # who was waited for has made it
                _train(config, datasets, path, device)
    return path


def _train(
    config: SegmenterConfig, datasets: Sequence[Dataset], path: Path, device: torch.device
) -> None:
    require_labelled(datasets[0])
    network = _network(config, datasets[0]).to(device)
    training = SegmenterTraining(network, config.steps)
    state_file = path.with_suffix(".state.pt")
    with as_user_error("training the in-domain segmenter"):
        Loop(
            trainable=training,
            batch_at=functools.partial(_batch_at, config, datasets, device),
            settings=LoopSettings(
                steps=config.steps,
                batch_size=config.batch_size,
                prefetch=0 if device.type == "cpu" else 2,
            ),
            state_file=state_file,
            config_sha256=config.sha256,
            title="in-domain segmenter",
        ).run()
    description = {
        "segmenter": dataclasses.asdict(network.config),
        "train": dataclasses.asdict(config),
    }
    stored_as = ARCHITECTURES[config.architecture].stored_as
    weights = {
        key: tensor.to(stored_as) if tensor.is_floating_point() else tensor
        for key, tensor in network.state_dict().items()
    }
    save_network(path, weights, description)
    for state in (state_file, previous_state(state_file)):
        state.unlink(missing_ok=True)


def load_in_domain(path: Path, dataset: Dataset) -> InDomainNetwork:
    """Read a weight file of `train_segmenter`, refused where its classes are not the dataset's."""
    network, trained_on = open_in_domain(path)
    expected = dataset.label_space.num_classes
    if (trained_on, network.num_classes) != (segmenter_of(dataset), expected):
        raise UserError(
            f"segmenter {path} knows {network.num_classes} classes of {trained_on}; "
            f"expected {expected} of {dataset.name}: its scores would mean nothing"
        )
    return network


def open_in_domain(path: Path) -> tuple[InDomainNetwork, str]:
    """Read a weight file of `train_segmenter`: the network, and the dataset it was trained on."""
    with as_user_error("segmenter"):
        description = load_description(path)
    train = description["train"]
    kind = lookup(ARCHITECTURES, train.get("architecture", IN_DOMAIN), "in-domain segmenter")
    network = kind.network(InDomainConfig(**description["segmenter"]))
    network.load_state_dict(load_weights(path))  # halves become floats
    return network.eval().requires_grad_(False), train["dataset"]


@torch.inference_mode()
def real_scores(path: Path, dataset: Dataset, device: torch.device) -> dict[str, float]:
    """Score a split's real photos by the segmenter of a weight file."""
    network = load_in_domain(path, dataset).to(device)
    counts = SegmentationScores(network.num_classes, averaged="target")
    for start in range(0, len(dataset), 20):
        samples = [dataset[i] for i in range(start, min(start + 20, len(dataset)))]
        batch = segmenter_batch(samples, device)
        counts.update(network(batch.photos).argmax(dim=1).cpu(), batch.label_maps.cpu())
    return counts.compute()


def _network(config: SegmenterConfig, dataset: Dataset) -> InDomainNetwork:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return ARCHITECTURES[config.architecture].network(
            InDomainConfig(
                num_classes=dataset.label_space.num_classes, base_channels=config.base_channels
            )
        )


def _batch_at(
    config: SegmenterConfig, datasets: Sequence[Dataset], device: torch.device, step: int
) -> SegmenterBatch:
    dataset = datasets[step % len(datasets)]
    order = DataOrder(num_samples=len(dataset), batch_size=config.batch_size, seed=config.seed)
    epoch, indices = order.at(step)
    samples = [dataset.training_sample(index, epoch, config.seed) for index in indices]
    return segmenter_batch(samples, device)
