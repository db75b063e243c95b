# SPDX-License-Identifier: Apache-2.0
"""Photos to label maps by a method's own network, scored as a segmenter in a table of its own.

As Zhu et al., ICCV 2017 (Sec. 5.1, "photo to labels") score CycleGAN: each pixel that the network
paints is the class whose colour is nearest, and is compared with the true class. Methods share a
table, so their networks are no part of its protocol; the records name each one's file.
"""

import dataclasses
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from spade_eval.datasets.base import Dataset
from spade_eval.models.colours import colour_distances, written_palette
from spade_eval.protocol import AS_GENERATED, ResolvedProtocol
from spade_eval.records import PHOTOS_TO_LABELS, sha256_of_file, sha256_of_json
from spade_eval.scoring.networks import ScoringNetworks, numbers_of
from spade_eval.scoring.scorer import Scorer
from spade_eval.scoring.segmenter import ScoringSegmenter, scored_classes
from spade_eval.sources.checkpoints import open_checkpoint

_TITLE = "the method's own network, nearest colour"


class NearestColours(nn.Module):
    """A network that paints label maps, as a `Segmenter`: the nearest colour wins."""

    def __init__(self, network: nn.Module, palette: str, num_classes: int) -> None:
        super().__init__()
        self.network, self.palette, self.num_classes = network, palette, num_classes

    def forward(self, images: Tensor) -> Tensor:
        """Map (N, 3, H, W) in [0, 1] -> (N, num_classes, H, W)."""
        painted = self.network.translated(images * 2 - 1)  # type: ignore[operator]
        return -colour_distances(painted, self.palette)


@dataclass(frozen=True)
class Reversal:
    """A split's photos with the network that labels them."""

    scorer: Scorer
    resolved: ResolvedProtocol
    file_sha256: str
    parameters: int

    def fields(self, name: str) -> dict[str, Any]:
        """Return the fields of `Measurement` in which such a row differs from its generator's."""
        return {
            "source_sha256": self.file_sha256,
            "parameters": self.parameters,
            "multiplications": None,
            "style_input": "none",
            "images_per_second": None,
            "until": None,
            "profile": self.resolved.protocol.profile,
            "protocol_sha256": self.resolved.sha256,
            "segmenter": self.resolved.segmenter,
            "segmenter_sha256": None,  # each row's own
            "segmenter_weights": self.resolved.segmenter_weights,
            "notes": (
                f"{name}: from photos to label maps, as a segmenter; each pixel is the class whose "
                "colour is nearest.",
            ),
        }


def open_reversal(file: Path, networks: ScoringNetworks) -> Reversal:
    """Open the network of a training that translates photos into label maps."""
    dataset, scorer = networks.dataset, networks.scorer
    segmenter = _segmenter(file, dataset, networks)
    protocol = dataclasses.replace(
        networks.protocol,
        profile=PHOTOS_TO_LABELS,
        segmenter=PHOTOS_TO_LABELS,
        short_sides=None,
        segmenter_input=AS_GENERATED,
        fid_profiles=(),
        until="",  # the whole split, whatever ends the scoring of images
    )
    resolved = ResolvedProtocol(
        protocol=protocol,
        size=networks.config.budget.size,
        segmenter=segmenter.title,
        segmenter_sha256="",
        segmenter_weights=segmenter.weights,
        features=(),
    )
    judging = dataclasses.replace(scorer, protocol=protocol, segmenter=segmenter, distances=())
    network = segmenter.network
    assert isinstance(network, NearestColours)
    parameters = sum(weight.numel() for weight in network.parameters())
    return Reversal(judging, resolved, segmenter.sha256, parameters)


def reversal_numbers(networks: ScoringNetworks) -> frozenset[Hashable]:
    """Return what is recorded of every such row; no network is opened for it."""
    names, _ = scored_classes(networks.dataset)
    return numbers_of(dataclasses.replace(networks.scorer, distances=()), names)


def reversal_job(job_sha256: str) -> str:
    """Identify the job of a row's other direction by that of the row."""
    return sha256_of_json({PHOTOS_TO_LABELS: job_sha256})


def _segmenter(file: Path, dataset: Dataset, networks: ScoringNetworks) -> ScoringSegmenter:
    names, labels = scored_classes(dataset)
    value_of = {index: value for value, index in reversed(list(enumerate(labels.classes)))}
    colours = [dataset.label_space.palette[value_of[index]] for index in range(len(names))]
    palette = written_palette(colours, len(names), unlabelled_first=False)
    network = NearestColours(open_checkpoint(file).network, palette, len(names))
    return ScoringSegmenter(
        _TITLE,
        network.to(networks.place.device),
        sha256_of_file(file),
        "given",
        names,
        labels,
    )
