# SPDX-License-Identifier: Apache-2.0
"""Stored reference statistics: features of real photos with all that makes them what they are.

An FID against statistics of another profile, other weights, another list of images or another size
is a number of nothing, and none of this can be seen in the statistics. So each file states it, and
a file is used only where every statement fits.
"""

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spade_eval.datasets.base import Dataset
from spade_eval.datasets.files import PHOTO_EXTENSIONS, files_by_stem, read_size
from spade_eval.datasets.images import ImageFolder
from spade_eval.errors import UserError, as_user_error, lookup
from spade_eval.json_fields import parsed_json, require_types
from spade_eval.metrics.arrays import read_arrays, read_features, write_arrays
from spade_eval.metrics.fid_profiles import FID_PROFILES
from spade_eval.metrics.inception import InceptionFeatures
from spade_eval.metrics.moments import FeatureMoments
from spade_eval.models.checkpoints.safe_load import load_tensors
from spade_eval.models.fast.accelerate import accelerate_frozen
from spade_eval.models.labels import Size
from spade_eval.records import sha256_of_json
from spade_eval.weights import installed, sha256_of_weights

SCHEMA_VERSION = 1
Stored = Literal["moments", "features"]


@dataclass(frozen=True, kw_only=True)
class StatisticsIdentity:
    """What must agree between reference statistics and the run that uses them."""

    profile: str
    weights_sha256: str
    list_sha256: str  # of the names of the images in order
    num_images: int  # that entered, after the profile's rule of counting
    height: int
    width: int

    def differences(self, other: "StatisticsIdentity") -> list[str]:
        """Return one phrase per statement on which the two disagree, with both values."""
        ours, expected = dataclasses.asdict(self), dataclasses.asdict(other)
        return [
            f"{name} {_short(ours[name])} for {_short(value)}"
            for name, value in expected.items()
            if ours[name] != value
        ]


@dataclass(frozen=True, kw_only=True)
class _Statement:
    """What a file states besides its arrays."""

    schema: int
    identity: Mapping[str, Any]
    origin: str
    content_sha256: str
    stored: str


@dataclass(frozen=True)
class ReferenceStatistics:
    """Moments of a reference set, its features where they were kept, and what they are of."""

    identity: StatisticsIdentity
    origin: str  # dataset and split, or folder
    content_sha256: str  # of the images: the dataset's fingerprint, or the folder's content
    moments: FeatureMoments
    features: Tensor | None = None  # (N, D) float32

    def save(self, path: Path) -> None:
        """Write an .npz without pickled objects."""
        metadata = {
            "schema": SCHEMA_VERSION,
            "identity": dataclasses.asdict(self.identity),
            "origin": self.origin,
            "content_sha256": self.content_sha256,
            "stored": "moments" if self.features is None else "features",
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        if self.features is None:
            self.moments.save(path, metadata)
            return
        text = np.array(json.dumps(metadata, sort_keys=True))
        write_arrays(path, features=self.features.numpy(), metadata=text)


class ImageSet(NamedTuple):
    """The images of a reference: named, of one size, in order."""

    origin: str
    names: Sequence[str]
    size: Size
    content_sha256: str
    images: Iterable[Tensor]  # each (3, H, W) uint8


def load_statistics(path: Path, expected: StatisticsIdentity | None = None) -> ReferenceStatistics:
    """Read what `save` wrote; with `expected`, a file of anything else is refused."""
    if not path.is_file():
        raise UserError(
            f"{path} does not exist; make the reference statistics with `spade-eval stats make`"
        )
    metadata = _read_metadata(path)
    identity = StatisticsIdentity(**metadata["identity"])
    if expected is not None and (wrong := identity.differences(expected)):
        raise UserError(
            f"{path} holds other reference statistics than this run needs, those of "
            f"{metadata['origin']}: {'; '.join(wrong)}; "
            "make them again with `spade-eval stats make`"
        )
    features = None
    if metadata["stored"] == "features":
        features = torch.from_numpy(read_features(path))
        moments = FeatureMoments(features.shape[1])
        moments.update(features)
    else:
        moments = FeatureMoments.load(path)[0]
    if moments.count != identity.num_images:
        raise UserError(
            f"{path} holds features of {moments.count} images, {identity.num_images} were expected "
            "by what it states; make the statistics again"
        )
    origin, content = metadata["origin"], metadata["content_sha256"]
    return ReferenceStatistics(identity, origin, content, moments, features)


def make_statistics(
    images: ImageSet,
    profile_name: str,
    weights_dir: Path,
    device: torch.device,
    stored: Stored = "moments",
    batch_size: int = 20,
) -> ReferenceStatistics:
    """Compute features of a reference set by one FID profile, whose weights must be there."""
    profile = lookup(FID_PROFILES, profile_name, "FID profile")
    path = installed(profile.weights, weights_dir)
    identity = expected_identity(profile_name, sha256_of_weights(path), images.names, images.size)
    with as_user_error(f"{path}"):
        network = accelerate_frozen(InceptionFeatures(load_tensors(path), profile).to(device))
    moments, kept = FeatureMoments(network.feature_dim), []
    for batch in _batches(islice(images.images, identity.num_images), batch_size):
        with torch.inference_mode():
            features = network(batch.to(device)).cpu()
        moments.update(features)
        if stored == "features":
            kept.append(features)
    return ReferenceStatistics(
        identity,
        images.origin,
        images.content_sha256,
        moments,
        torch.cat(kept) if kept else None,
    )


def expected_identity(
    profile_name: str, weights_sha256: str, names: Sequence[str], size: Size
) -> StatisticsIdentity:
    """Return the identity of statistics of these images; the profile says how many enter."""
    profile = lookup(FID_PROFILES, profile_name, "FID profile")
    count = profile.used_images(len(names))
    return StatisticsIdentity(
        profile=profile_name,
        weights_sha256=weights_sha256,
        list_sha256=sha256_of_json(list(names[:count])),
        num_images=count,
        height=size[0],
        width=size[1],
    )


def photos_of(dataset: Dataset, count: int | None = None) -> ImageSet:
    """Return the photos of a split, or the first so many, as they are scored."""
    names = dataset.names[:count]
    images = (_tensor(dataset[index].photo) for index in range(len(names)))
    origin = f"{dataset.name} {dataset.split}"
    return ImageSet(origin, names, dataset.size, dataset.fingerprint(), images)


def images_in(directory: Path, size: Size | None = None, count: int | None = None) -> ImageSet:
    """Return the images of a folder in the order of their stems, all of `size` or of one size."""
    if not directory.is_dir():
        raise UserError(f"{directory} is no folder; the folder of the reference images is expected")
    files = files_by_stem(directory, PHOTO_EXTENSIONS)
    if not files:
        raise UserError(
            f"{directory} holds no images; files ending in {', '.join(PHOTO_EXTENSIONS)} were "
            "expected"
        )
    names = list(files)[:count]
    folder = ImageFolder(directory, list(files), size or read_size(files[names[0]]), count)
    images = (_tensor(folder[index]) for index in range(len(names)))
    return ImageSet(str(directory), names, folder.size, folder.content_sha256(), images)


def _read_metadata(path: Path) -> dict[str, Any]:
    text = str(read_arrays(path, ("metadata",), "reference statistics")["metadata"])
    try:
        metadata = dict(parsed_json(text))
        if metadata["schema"] != SCHEMA_VERSION:
            raise ValueError(f"schema {metadata['schema']}, expected {SCHEMA_VERSION}")
        require_types(StatisticsIdentity, metadata["identity"])
        StatisticsIdentity(**metadata["identity"])
        require_types(_Statement, metadata)
        _Statement(**metadata)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(
            f"{path} does not say what its statistics are of ({error}); make them with "
            "`spade-eval stats make`"
        ) from error
    return metadata


def _batches(images: Iterable[Tensor], batch_size: int) -> Iterator[Tensor]:
    batch: list[Tensor] = []
    for image in images:
        batch.append(image)
        if len(batch) == batch_size:
            yield torch.stack(batch)
            batch = []
    if batch:
        yield torch.stack(batch)


def _tensor(photo: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(photo.transpose(2, 0, 1)))


def _short(value: object) -> str:
    """Cut a hash to its beginning; anything else stays whole."""
    text = str(value)
    return f"{text[:16]}..." if len(text) == 64 else text
