# SPDX-License-Identifier: Apache-2.0
"""Weight files of other people's networks: which, from where, and whether they are unchanged.

They lie in one folder (`--weights-dir`) and are downloaded only when asked.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from spade_eval.errors import UserError
from spade_eval.records import sha256_of_file

DEFAULT_WEIGHTS_DIR = Path("~/.cache/spade_eval/weights")


@dataclass(frozen=True, kw_only=True)
class WeightFile:
    """One file; `sha256_prefix` is what its publishers put into its name."""

    title: str
    file_name: str
    sha256_prefix: str
    origin: str
    megabytes: int


INCEPTION = WeightFile(
    title="Inception 2015-12-05 (pytorch-fid)",
    file_name="pt_inception-2015-12-05-6726825d.pth",
    sha256_prefix="6726825d",
    origin="https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/"
    "pt_inception-2015-12-05-6726825d.pth",
    megabytes=91,
)
VGG19 = WeightFile(
    title="VGG-19 (torchvision, ImageNet)",
    file_name="vgg19-dcbb9e9d.pth",
    sha256_prefix="dcbb9e9d",
    origin="https://download.pytorch.org/models/vgg19-dcbb9e9d.pth",
    megabytes=548,
)
WEIGHT_FILES = (INCEPTION, VGG19)


def is_installed(weights: WeightFile, folder: Path) -> bool:
    """Whether the file is there; a file with other content is an error, not an absence."""
    if not (folder / weights.file_name).is_file():
        return False
    installed(weights, folder)
    return True


def installed(weights: WeightFile, folder: Path) -> Path:
    """The file's path, checked against the hash in its name; `UserError` where it is not there."""
    path = folder / weights.file_name
    if not path.is_file():
        raise UserError(
            f"{path} does not exist; download it from {weights.origin} ({weights.megabytes} MB) "
            "into that folder, or run `spade-eval benchmark --download-weights`"
        )
    digest = _sha256(path, path.stat().st_mtime_ns)
    if not digest.startswith(weights.sha256_prefix):
        raise UserError(
            f"{path} has SHA-256 {digest[:16]}..., expected {weights.sha256_prefix}...; "
            f"the download was cut off or the file changed: fetch it again from {weights.origin}"
        )
    return path


@cache
def _sha256(path: Path, changed: int) -> str:
    return sha256_of_file(path)


def download(weights: WeightFile, folder: Path) -> Path:
    """Fetch the file with a progress bar unless it is there; it is complete or absent."""
    from torch.hub import download_url_to_file

    if not is_installed(weights, folder):
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / weights.file_name
        try:
            download_url_to_file(weights.origin, str(path), hash_prefix=weights.sha256_prefix)
        except (OSError, RuntimeError) as error:
            raise UserError(
                f"{weights.origin} could not be downloaded ({error}); "
                f"fetch it by another way and put it at {path}"
            ) from error
    return installed(weights, folder)
