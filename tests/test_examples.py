# SPDX-License-Identifier: Apache-2.0
"""Scripts in examples/ run: here with the least budget and on the CPU."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TINY = ("--budget", "smoke", "--steps", "1", "--batch-size", "2", "--width", "0.0625",
        "--limit", "4", "--model", "spade", "--seeds", "1", "--jobs", "1")  # fmt: skip


@pytest.mark.slow
def test_the_campaign_trains_and_reports_and_stops_in_time(tmp_path: Path) -> None:
    script = ROOT / "examples" / "gpu_campaign.sh"
    for minutes, is_there in (("0", False), ("5", True)):
        ended = subprocess.run(
            [script, tmp_path, minutes, *TINY, "--device", "cpu"],
            env={**os.environ, "TABLES": "3"}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert ended.returncode == 0, ended.stderr
        assert (tmp_path / "table3" / "table3.csv").is_file() is is_there
