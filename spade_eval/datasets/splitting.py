# SPDX-License-Identifier: Apache-2.0
"""Training and validation parts of a folder that has none of its own."""

import hashlib
from pathlib import Path

from spade_eval.datasets.file_dataset import SplitFiles
from spade_eval.errors import UserError


def is_validation(stem: str, share: float) -> bool:
    """Whether a sample belongs to val; a pure function of its name, for about `share` of names."""
    number = int.from_bytes(hashlib.sha256(stem.encode()).digest()[:8], "big")
    return number < share * 2**64


def only_split(found: SplitFiles, split: str, val_share: float, root: Path) -> SplitFiles:
    """The samples of one split; if chance gives one split nothing, that is said."""
    wanted = split == "val"
    samples = {
        stem: sample
        for stem, sample in found.samples.items()
        if is_validation(stem, val_share) == wanted
    }
    if not samples and not found.problems:
        raise UserError(
            f"{root}: none of its {len(found.samples)} samples is in {split} when about "
            f"{val_share:.3g} of them are for val, chosen by the hash of their names; sort them "
            "into the folders train/ and val/, or add more"
        )
    return SplitFiles(samples=samples, has_instances=found.has_instances, problems=found.problems)
