# SPDX-License-Identifier: Apache-2.0
"""Records, configurations and bundles of strangers, damaged from seeds: right, or refused."""

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from borders import tried
from counted import stored, write_run
from mutations import damaged, misstated
from synthetic import run

from spade_eval.config import RunConfig, budget_for
from spade_eval.errors import UserError
from spade_eval.metrics.counts import StoredCounts
from spade_eval.records import Measurement, RecordStore
from spade_eval.reports.bundle.bundle import MANIFEST, extract_bundle, write_bundle
from spade_eval.reports.bundle_check import verify_bundle
from spade_eval.reports.measured.grouping import by_protocol
from spade_eval.reports.run_report import write_run_tables
from spade_eval.reports.runs import open_run
from spade_eval.reports.tables.scores import scores_table
from spade_eval.workplace import claim_folder


def test_records(tmp_path: Path) -> None:
    """What is taken from a line is what Python's JSON reads there, and a value that can be one."""
    path = tmp_path / "records.jsonl"
    lines = [item.to_json() for item in run(models=("spade",), notes=("a", "é"))]
    content = "".join(f"{line}\n" for line in lines).encode()

    def variants() -> Iterator[tuple[int, bytes]]:
        for seed in range(300):
            yield seed, damaged(content, seed)
            place = seed % len(lines)
            changed = [
                *lines[:place],
                misstated(json.loads(lines[place]), seed),
                *lines[place + 1 :],
            ]
            yield -seed, "".join(f"{line}\n" for line in changed).encode("utf-8", "surrogatepass")

    def right(read: list[Measurement]) -> bool:
        text = path.read_text("utf-8", errors="replace").splitlines()
        stated = []
        for line in text:
            try:
                stated.append(json.loads(line))
            except ValueError:
                continue
        for item in read:
            fields = json.loads(item.to_json())
            possible = item.value is None or 0 <= item.value <= (1 if item.unit == "%" else 1e300)
            if fields not in [{**fields, **line} for line in stated] or not possible:
                return False
        for group in by_protocol(read):
            scores_table(group)
        return True

    def read(file: Path) -> list[Measurement]:
        return list(RecordStore(file))

    accepted, refused = tried(path, variants(), read, right)
    assert accepted > 0
    assert refused > 0


def test_configurations(tmp_path: Path) -> None:
    """A run goes on only in the folder of its very configuration."""
    config = RunConfig(
        dataset="scenes",
        profile="in-domain",
        budget_name="smoke",
        budget=budget_for("scenes", "smoke"),
        seed=0,
    )
    path = tmp_path / "config.json"
    claim_folder(tmp_path, config)
    content = path.read_bytes()

    def variants() -> Iterator[tuple[int, bytes]]:
        for seed in range(300):
            yield seed, damaged(content, seed)
            yield -seed, misstated(json.loads(content), seed).encode("utf-8", "surrogatepass")

    def right(_: None) -> bool:
        return bool(json.loads(path.read_bytes()) == json.loads(content))

    accepted, refused = tried(
        path, variants(), lambda file: claim_folder(file.parent, config), right
    )
    assert refused > accepted


def test_counts(tmp_path: Path) -> None:
    """A zip file's checksums protect what was counted."""
    path = tmp_path / "counts.npz"
    sound = stored(num_images=9, num_classes=4, seed=1)
    sound.save(path)
    content = path.read_bytes()

    def right(read: StoredCounts) -> bool:
        same = np.array_equal(read.counts, sound.counts)
        return same and np.array_equal(read.num_ignored, sound.num_ignored)

    variants = ((seed, damaged(content, seed)) for seed in range(400))
    accepted, refused = tried(path, variants, StoredCounts.load, right)
    assert refused > accepted


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundles")
    write_run(folder / "run", {"real": 0.1, "spade": 0.5}, num_images=6)
    write_run_tables(open_run(folder / "run"))
    write_bundle([folder / "run"], folder / "good.zip")
    return folder / "good.zip"


def test_bundles(bundle: Path, tmp_path: Path) -> None:
    """Hashes protect every file of a bundle, and the checksum of the manifest its own identity."""
    path, content = tmp_path / "b.zip", bundle.read_bytes()
    with zipfile.ZipFile(bundle) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}

    def variants() -> Iterator[tuple[int, bytes]]:
        for seed in range(100):
            yield seed, damaged(content, seed)
            with zipfile.ZipFile(tmp_path / "m.zip", "w") as archive:
                for name, data in files.items():
                    text = misstated(json.loads(data), seed) if name == MANIFEST else data
                    archive.writestr(name, text)
            yield -seed, (tmp_path / "m.zip").read_bytes()

    def read(file: Path) -> dict[str, bytes]:
        check = verify_bundle(file)
        if check.faults:
            raise UserError(check.faults[0])
        out = tmp_path / "out" / str(len([*(tmp_path / "out").glob("*")]))
        extract_bundle(file, out)
        return {
            str(part.relative_to(out)): part.read_bytes()
            for part in out.rglob("*")
            if part.is_file()
        }

    def right(unpacked: dict[str, bytes]) -> bool:
        return unpacked == {name: data for name, data in files.items() if name != MANIFEST} | (
            {MANIFEST: unpacked[MANIFEST]} if MANIFEST in unpacked else {}
        )

    accepted, refused = tried(path, variants(), read, right)
    assert refused > accepted
