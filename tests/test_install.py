# SPDX-License-Identifier: Apache-2.0
"""Installed, the suite leaves one name at the top of site-packages."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of what git tracks, with the builder that is installed."""
    pytest.importorskip("setuptools", "77", reason="the wheel is built with setuptools 77 or newer")
    folder = tmp_path_factory.mktemp("wheel")
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True)
    for name in tracked.stdout.decode().split("\0"):
        if name and not name.startswith(("tests/", "docs/")) and (ROOT / name).exists():
            copy = folder / "source" / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / name).is_symlink():
                copy.symlink_to((ROOT / name).readlink())
            else:
                copy.write_bytes((ROOT / name).read_bytes())
    subprocess.run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps",
                    "--no-build-isolation", "--wheel-dir", str(folder), str(folder / "source")],
                   check=True)  # fmt: skip
    (built,) = folder.glob("*.whl")
    return built


def test_a_foreign_models_package_and_ours_live_side_by_side(wheel: Path, tmp_path: Path) -> None:
    site, project = tmp_path / "site", tmp_path / "project"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    for name in ("models", "segmenters", "reports"):
        (project / name).mkdir(parents=True)
        (project / name / "__init__.py").write_text(f"WHOSE = 'a researcher: {name}'\n")
    program = (
        "import models, segmenters, reports\n"
        "from spade_eval.models.generators.spade import SPADEGenerator\n"
        "from spade_eval.reports.tables.published import FILE\n"
        "import spade_eval.segmenters, spade_eval.reports, spade_eval.scoring.in_domain as ours\n"
        "assert spade_eval.__file__.startswith({site!r}), spade_eval.__file__\n"
        "assert FILE.is_file() and ours.SHIPPED['scenes'].is_file()\n"
        "print(models.WHOSE, segmenters.WHOSE, reports.WHOSE, sep='\\n')\n"
    ).replace("{site!r}", repr(str(site)))
    done = subprocess.run([sys.executable, "-c", program], cwd=project, check=True, text=True,
                          capture_output=True, env={"PYTHONPATH": f"{project}:{site}"})  # fmt: skip
    assert done.stdout.split("\n")[0] == "a researcher: models"
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"spade_eval"}


def test_everything_that_is_tracked_is_in_the_wheel(wheel: Path) -> None:
    inside = set(zipfile.ZipFile(wheel).namelist())
    tracked = subprocess.run(["git", "ls-files", "models", "segmenters", "reports", "spade_eval"],
                             cwd=ROOT, check=True, capture_output=True, text=True)  # fmt: skip
    links = ("spade_eval/models", "spade_eval/segmenters", "spade_eval/reports")
    for name in tracked.stdout.split():
        if name not in links and (ROOT / name).exists():
            packed = name if name.startswith("spade_eval/") else f"spade_eval/{name}"
            assert packed in inside, f"{packed} is not in the wheel"
