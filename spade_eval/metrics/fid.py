# SPDX-License-Identifier: Apache-2.0
"""The Fréchet distance as a metric of a run: FID by a named profile, or FD of another network.

Only a distance of Inception features by a profile of `FID_PROFILES` is called FID.
"""

from typing import ClassVar

from spade_eval.metrics.base import Column, FeatureMetric
from spade_eval.metrics.feature_set import FeatureSet
from spade_eval.metrics.frechet import frechet_distance


class FID(FeatureMetric):
    """The distance by each profile of the run."""

    columns: ClassVar = {
        "fid": Column(
            label="FID",
            unit="",
            larger_is_better=False,
            description="Fréchet distance of Inception features of photos and synthesized images",
        ),
    }
    of_every_profile = True

    def compare(self, real: FeatureSet, synthesized: FeatureSet) -> dict[str, float | None]:
        """Compute the distance of two sets, also where only their moments are kept."""
        assert self.space.profile is not None
        distance = self.space.profile.distance(real.moments, synthesized.moments)
        return {self.space.column: distance}


class FD(FeatureMetric):
    """The distance of features of another network, at the head of a column of its own."""

    def compare(self, real: FeatureSet, synthesized: FeatureSet) -> dict[str, float | None]:
        """Compute the distance of two sets."""
        return {self.space.column: frechet_distance(real.moments, synthesized.moments)}


class InDomainFD(FD):
    """The distance of features of the segmenter that was trained on the dataset itself."""

    columns: ClassVar = {
        "fd_in_domain": Column(
            label="FD (in-domain)",
            unit="",
            larger_is_better=False,
            description="Fréchet distance of features of a segmenter trained on the dataset itself",
        ),
    }
    networks = ("in-domain",)


class Lite0FD(FD):
    """The distance of features of EfficientNet-Lite0, a classifier of ImageNet."""

    columns: ClassVar = {
        "fd_lite0": Column(
            label="FD (EfficientNet-Lite0)",
            unit="",
            larger_is_better=False,
            description="Fréchet distance of features of EfficientNet-Lite0, trained on ImageNet",
        ),
    }
    networks = ("lite0",)


class Lite0DirectionsFD(FD):
    """The same along few directions, of which also few images tell the covariance."""

    columns: ClassVar = {
        "fd_lite0_64": Column(
            label="FD (EfficientNet-Lite0, 64 directions)",
            unit="",
            larger_is_better=False,
            description="the same along the first 64 principal directions of training photos",
        ),
    }
    networks = ("lite0-64",)


class DINOv2FD(FD):
    """The distance of class tokens of DINOv2, as Stein et al. (NeurIPS 2023) propose."""

    columns: ClassVar = {
        "fd_dinov2": Column(
            label="FD (DINOv2)",
            unit="",
            larger_is_better=False,
            description="Fréchet distance of class tokens of DINOv2, which has seen no labels",
        ),
    }
    networks = ("dinov2",)


class CLIPFD(FD):
    """The distance of CLIP's image embeddings."""

    columns: ClassVar = {
        "fd_clip": Column(
            label="FD (CLIP)",
            unit="",
            larger_is_better=False,
            description="Fréchet distance of CLIP's image embeddings of length 1",
        ),
    }
    networks = ("clip",)


class OtherFD(FD):
    """The distance of features of a network that the user chose."""

    columns: ClassVar = {
        "fd_hf": Column(
            label="FD (hf)",
            unit="",
            larger_is_better=False,
            description="Fréchet distance of features of a Hugging Face model",
        ),
    }
    networks = ("hf",)
