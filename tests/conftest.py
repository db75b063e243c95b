# SPDX-License-Identifier: Apache-2.0
"""What many tests share: one thread, and where the real sample files are if they are there."""

import signal
from pathlib import Path

import pytest
import torch

REPOSITORY = Path(__file__).resolve().parents[1]
SHARED = REPOSITORY.parent / "shared"


@pytest.fixture(autouse=True, scope="session")
def _few_threads() -> None:
    torch.set_num_threads(min(2, torch.get_num_threads()))


@pytest.fixture(scope="session")
def coco_samples() -> Path:
    """Real COCO-Stuff files in the layout of SPADE's sample folder."""
    folder = SHARED / "samples" / "coco_stuff"
    if not folder.is_dir():
        pytest.skip("the real COCO-Stuff sample files are not on this machine")
    return folder


@pytest.fixture(scope="session", autouse=True)
def _interruptible() -> None:
    """A shell starts background jobs with SIGINT ignored, which tests of interruption inherit."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
