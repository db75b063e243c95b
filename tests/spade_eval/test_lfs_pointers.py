# SPDX-License-Identifier: Apache-2.0
"""A file that Git LFS has not fetched is named as such by all who open files of that kind."""

from collections.abc import Callable
from pathlib import Path

import pytest

from spade_eval.datasets.files import read_ids, read_photo, read_size
from spade_eval.errors import UserError
from spade_eval.metrics.arrays import read_features
from spade_eval.models.checkpoints.files import load_description, load_state
from spade_eval.models.checkpoints.safe_load import load_tensors
from spade_eval.reports.bundle.safe_zip import opened_zip
from spade_eval.scoring.reference_statistics import load_statistics
from spade_eval.sources.checkpoints import open_checkpoint
from spade_eval.weights import INCEPTION, installed

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("G.pth", load_tensors),
        ("G.safetensors", load_tensors),
        ("state.pt", load_state),
        ("own.safetensors", load_description),
        ("checkpoint.pth", open_checkpoint),
        ("statistics.npz", load_statistics),
        ("features.npz", read_features),
        ("photo.jpg", read_photo),
        ("labels.png", lambda path: read_ids(path, "class")),
        ("header.png", read_size),
        ("bundle.zip", lambda path: opened_zip(path).__enter__()),
    ],
)
def test_a_pointer_of_git_lfs_is_named_wherever_a_file_is_opened(
    tmp_path: Path, name: str, read: Callable[[Path], object]
) -> None:
    (tmp_path / name).write_text(POINTER)
    with pytest.raises(ValueError, match=f"{name}.*a Git LFS pointer.*git lfs pull"):
        read(tmp_path / name)


def test_a_pointer_of_git_lfs_is_named_where_weights_are_checked(tmp_path: Path) -> None:
    (tmp_path / INCEPTION.file_name).write_text(POINTER)
    with pytest.raises(UserError, match="a Git LFS pointer"):
        installed(INCEPTION, tmp_path)
