# SPDX-License-Identifier: Apache-2.0
"""A report of a run folder, from records and images alone."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from synthetic import DISTANCE, IN_DOMAIN, TOO_FEW, run

from spade_eval.errors import UserError
from spade_eval.records import Measurement, RecordStore
from spade_eval.reports.run_report import write_report

ROOT = Path(__file__).parents[2]
CLASSES = [f"class {index}" for index in range(16)]


def _record(folder: Path, measurements: list[Measurement]) -> None:
    for job in dict.fromkeys(item.job_sha256 for item in measurements):
        items = [item for item in measurements if item.job_sha256 == job]
        RecordStore(folder / "records.jsonl").append(items)


def _draw(folder: Path, names: list[str], count: int = 3) -> None:
    for name in names:
        (folder / "images" / name).mkdir(parents=True)
        for index in range(count):
            Image.new("RGB", (64, 64), (index, 0, 0)).save(
                folder / "images" / name / f"{index:05d}.png"
            )


def test_report_writes_everything_and_prints_the_notes(tmp_path: Path) -> None:
    _record(tmp_path, run(classes=CLASSES, notes=(TOO_FEW,)))
    _draw(tmp_path, ["spade", "label map", "real", "zzz"])
    (tmp_path / "images" / "empty").mkdir()
    report = write_report(tmp_path)
    found = {str(path.relative_to(tmp_path)) for path in report.paths}
    tables = {f"tables/{stem}.{form}" for stem in ("scores", "per_class_iou")
              for form in ("csv", "md", "tex")}  # fmt: skip
    plots = {f"plots/{stem}.{form}" for stem in ("scores", "per_class_iou", "tradeoff")
             for form in ("png", "pdf", "svg")}  # fmt: skip
    assert tables | plots | {"samples.png"} <= found
    others = found - tables - plots - {"samples.png", "html/index.html"}
    assert all(name.endswith(".parquet") for name in others)
    assert all(path.is_file() for path in report.paths)
    for expected in ("scenes val, 500 images", "pix2pixhdpp", TOO_FEW, DISTANCE, IN_DOMAIN):
        assert expected in report.text
    assert report.text == write_report(tmp_path).text


def test_report_without_images_has_no_grid(tmp_path: Path) -> None:
    _record(tmp_path, run())
    assert not any(path.name == "samples.png" for path in write_report(tmp_path).paths)


def test_a_second_protocol_gets_tables_of_its_own(tmp_path: Path) -> None:
    _record(tmp_path, run())
    alone = write_report(tmp_path).paths
    _record(tmp_path, run(height=128, width=128))
    report = write_report(tmp_path)
    for size in ("64x64", "128x128"):
        assert report.text.count(f"500 images of {size}") == 1
    inner = [path for path in report.paths if path.parent.parent.name in ("tables", "plots")]
    moved = [path for path in alone if path.parent.name in ("tables", "plots")]
    assert len(inner) == 2 * len(moved)
    assert len({path.parent for path in report.paths if path.suffix == ".csv"}) == 2
    # Files of the single protocol would be stale: their numbers have moved.
    assert not any(path.exists() for path in moved)


def test_empty_store_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"records\.jsonl.*spade-eval benchmark --out") as raised:
        write_report(tmp_path)
    assert "\n" not in str(raised.value)


def test_every_module_is_imported_within_a_second_and_without_heavy_libraries() -> None:
    modules = [
        ".".join(("spade_eval", *path.relative_to(ROOT).with_suffix("").parts))
        for path in sorted((ROOT / "reports").rglob("*.py"))
        if path.name != "__init__.py"
    ]
    assert len(modules) > 20
    program = (
        "import time, pandas, numpy\n"  # ours is what is measured
        "start = time.process_time()\n"
        f"import {', '.join(modules)}\n"
        "import sys\n"
        "assert not {'torch', 'matplotlib', 'scipy'} & set(sys.modules)\n"
        "print(time.process_time() - start)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True,
                          capture_output=True, text=True)  # fmt: skip
    assert float(done.stdout) < 1


def test_reports_run_without_torch_and_quickly(tmp_path: Path) -> None:
    _record(tmp_path, run(classes=CLASSES))
    _draw(tmp_path, ["label map", "real", "oracle", "spade"], count=8)
    program = (
        "import sys, spade_eval.reports.run_report\n"
        "assert 'matplotlib' not in sys.modules\n"
        "from pathlib import Path\n"
        "spade_eval.reports.run_report.write_report(Path(sys.argv[1]))\n"
        "assert 'torch' not in sys.modules\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    start = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], cwd=ROOT, check=True)
    # Time of the processor, whatever else runs; this bound only catches a change of kind.
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - start < 20
