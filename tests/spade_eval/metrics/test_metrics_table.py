# SPDX-License-Identifier: Apache-2.0
import subprocess
import sys

from spade_eval.metrics import columns

_IS_LIGHT = "import sys, spade_eval.metrics; sys.exit('torch' in sys.modules)"


def test_import_leaves_torch_alone() -> None:
    subprocess.run([sys.executable, "-c", _IS_LIGHT], check=True)


def test_only_distances_likeness_and_copies_are_better_smaller() -> None:
    smaller = {name for name, column in columns().items() if not column.larger_is_better}
    assert smaller == {
        "fid",
        "fd_in_domain",
        "fd_lite0",
        "fd_lite0_64",
        *("fd_dinov2", "fd_clip", "fd_hf", "mmd_dinov2", "mmd_clip", "mmd_hf"),
        "kid",
        "memorised",
        "leaked",
        "ms_ssim_diversity",
    }


def test_labels_head_one_column_each() -> None:
    assert len({column.label for column in columns().values()}) == len(columns())
