# SPDX-License-Identifier: Apache-2.0
"""What all tests share: one thread a process, their order, and where real sample files are."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
SHARED = REPOSITORY.parent / "shared"
# Test processes share the cores; read by OpenMP when torch is imported, here and in children.
os.environ["OMP_NUM_THREADS"] = "1"
# Children run this code wherever they are started.
os.environ["PYTHONPATH"] = str(REPOSITORY)
# Test folders are no packages; this makes `processes.py` importable.
sys.path.insert(0, str(REPOSITORY / "tests"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests first, so that no worker is left with one when the others are done."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


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


@pytest.fixture(scope="session", autouse=True)
def _hashes_of_their_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Test files leave nothing in the user's cache of hashes."""
    from spade_eval.datasets import fingerprints

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fingerprints, "CACHE", tmp_path_factory.mktemp("hashes"))
        yield
