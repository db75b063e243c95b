# SPDX-License-Identifier: Apache-2.0
"""A folder of baselines in the place of the package's own."""

from pathlib import Path

import pytest

from spade_eval import baselines


@pytest.fixture
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty one: `baselines ship` writes into it, and rows come from it."""
    folder = tmp_path / "ships"
    folder.mkdir()
    (folder / baselines.LIST).write_text('{"baselines": []}\n')
    monkeypatch.setattr(baselines, "FOLDER", folder)
    return folder
