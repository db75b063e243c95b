# SPDX-License-Identifier: Apache-2.0
"""Bundles: the same bytes for the same results, every kind of tampering found and named."""

import json
import shutil
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from counted import write_run

from spade_eval.errors import UserError
from spade_eval.records import sha256_of_bytes
from spade_eval.reports.bundle import safe_zip
from spade_eval.reports.bundle.bundle import MANIFEST, extract_bundle, write_bundle
from spade_eval.reports.bundle_check import verify_bundle
from spade_eval.reports.run_report import write_run_tables
from spade_eval.reports.runs import merged, open_run, open_runs


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundles")
    for seed in (0, 1):
        write_run(folder / f"run{seed}", {"real": 0.1, "spade": 0.5}, seed=seed)
        run = open_run(folder / f"run{seed}")
        write_run_tables(run)
    write_bundle([folder / "run0", folder / "run1"], folder / "good.zip")
    return folder / "good.zip"


def changed(bundle: Path, path: Path, name: str, edit: Callable[[bytes], bytes], *,
            restated: bool) -> Path:  # fmt: skip
    """A copy with one file edited; `restated` writes its new hash into the manifest."""
    with zipfile.ZipFile(bundle) as archive:
        files = {item: archive.read(item) for item in archive.namelist()}
    (full,) = [item for item in files if name in item and "run0" in item]
    assert edit(files[full]) != files[full]
    files[full] = edit(files[full])
    if restated:
        manifest = json.loads(files[MANIFEST])
        manifest["files"][full] = sha256_of_bytes(files[full])
        files[MANIFEST] = json.dumps(manifest).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for item, content in files.items():
            archive.writestr(item, content)
    return path


def test_a_sound_bundle_is_verified_and_merges(bundle: Path, tmp_path: Path) -> None:
    found = verify_bundle(bundle)
    assert found.faults == ()
    assert found.runs == ("run0", "run1")
    runs = open_runs([bundle, bundle.parent / "run0"], tmp_path)
    assert [run.name for run in runs] == ["run0", "run1", "run0"]
    together = merged(runs)
    assert together.num_duplicates == len(runs[0].measurements)
    assert not together.disagreements
    assert len(together.measurements) == found.num_measurements


def test_the_same_results_are_the_same_bytes(bundle: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.zip"
    identity = write_bundle([bundle.parent / "run1", bundle.parent / "run0"], again)
    assert again.read_bytes() == bundle.read_bytes()
    assert identity == verify_bundle(bundle).sha256


def test_damage_is_named(bundle: Path, tmp_path: Path) -> None:
    for name in ("records.jsonl", "config.json", "counts/spade", "tables/scores.csv"):
        bad = changed(bundle, tmp_path / "bad.zip", name, lambda data: data + b" ", restated=False)
        (fault, *_) = verify_bundle(bad).faults
        assert name in fault
        assert "changed" in fault
        with pytest.raises(UserError, match="nothing was unpacked"):
            extract_bundle(bad, tmp_path / "out")
        assert not (tmp_path / "out").exists()


def test_changed_numbers_are_found_behind_fresh_hashes(bundle: Path, tmp_path: Path) -> None:
    def better(data: bytes) -> bytes:
        lines = [json.loads(line) for line in data.splitlines()]
        for line in lines:
            if line["metric"] == "miou" and line["source"] == "spade":
                line["value"] += 0.1
        return b"".join(json.dumps(line, sort_keys=True).encode() + b"\n" for line in lines)

    bad = changed(bundle, tmp_path / "bad.zip", "records.jsonl", better, restated=True)
    faults = verify_bundle(bad).faults
    assert any("spade" in fault and "mIoU" in fault for fault in faults)
    assert any("scores.csv" in fault for fault in faults)
    assert not any("run1" in fault for fault in faults)

    def other_table(data: bytes) -> bytes:
        head, _, rest = data.partition(b"\n")
        return head + b"\n" + rest.replace(b"0.", b"0.9", 1)

    bad = changed(bundle, tmp_path / "bad.zip", "scores.csv", other_table, restated=True)
    assert verify_bundle(bad).faults == (
        "runs/run0/tables/scores.csv: other numbers than the records hold",
    )


def forged(bundle: Path, path: Path, metric: str, **changes: object) -> tuple[str, ...]:
    """Faults of a bundle in which every record of a metric of spade was edited."""

    def edit(data: bytes) -> bytes:
        lines = [json.loads(line) for line in data.splitlines()]
        for line in lines:
            if (line["metric"], line["source"]) == (metric, "spade"):
                line |= changes
        return b"".join(json.dumps(line, sort_keys=True).encode() + b"\n" for line in lines)

    return verify_bundle(changed(bundle, path, "records.jsonl", edit, restated=True)).faults


@pytest.mark.parametrize(
    ("metric", "changes", "said"),
    [
        ("fd_in_domain", {"value": 0.001}, "fd_in_domain is recorded as 0.001, what is stored"),
        ("fwiou", {"value": 0.9}, "fwiou is recorded as 0.9, what is stored gives 0."),
        ("iou", {"value": 0.9}, "IoU of sky is recorded as 0.9"),
        ("mean_accuracy", {"value": None}, "mean_accuracy is recorded as None"),
        ("fd_in_domain", {"larger_is_better": True}, "another unit or direction"),
        ("acc_all", {"unit": ""}, "another unit or direction"),
    ],
)
def test_every_forged_number_is_named(
    bundle: Path, tmp_path: Path, metric: str, changes: dict[str, object], said: str
) -> None:
    faults = forged(bundle, tmp_path / "bad.zip", metric, **changes)
    assert any("spade" in fault and said in fault for fault in faults), faults


def test_swapped_classes_and_removed_numbers_are_named(bundle: Path, tmp_path: Path) -> None:
    def edited(edit: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> str:
        def of_bytes(data: bytes) -> bytes:
            lines = edit([json.loads(line) for line in data.splitlines()])
            return b"".join(json.dumps(line, sort_keys=True).encode() + b"\n" for line in lines)

        bad = changed(bundle, tmp_path / "bad.zip", "records.jsonl", of_bytes, restated=True)
        return "\n".join(verify_bundle(bad).faults)

    def swap(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
        names = {"sky": "sea", "sea": "sky"}
        return [
            line | {"class_name": names.get(line["class_name"], line["class_name"])}
            if line["source"] == "spade"
            else line
            for line in lines
        ]

    def lower(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
        kept = [line for line in lines if (line["metric"], line["source"]) != ("fwiou", "spade")]
        return [
            line | {"job_size": line["job_size"] - (line["source"] == "spade")} for line in kept
        ]

    assert "spade: names the classes in another order than real" in edited(swap)
    assert "spade: fwiou is not recorded, though what is stored makes it" in edited(lower)


def test_what_cannot_be_computed_again_is_named(bundle: Path, tmp_path: Path) -> None:
    assert verify_bundle(bundle).verdict.startswith("every hash agrees, and all ")
    run = tmp_path / "run"
    shutil.copytree(bundle.parent / "run0", run)
    (run / "tables" / "table3.csv").write_text("row,mIoU\nspade,99\n")
    write_bundle([run], tmp_path / "few.zip", features=False)
    found = verify_bundle(tmp_path / "few.zip")
    assert found.faults == ()
    assert found.num_unchecked == 2
    assert found.unchecked == (
        "runs/run: 2 of fd_in_domain (real, spade): features of the row or of the photos are not "
        "stored",
        "runs/run/tables/table3.csv: not made of this run's records alone",
    )
    assert "2 cannot be checked (named above)" in found.verdict
    shutil.rmtree(run / "counts")
    write_bundle([run], tmp_path / "none.zip", features=False)
    none = verify_bundle(tmp_path / "none.zip")
    assert none.num_unchecked == none.num_measurements
    assert any("2 of miou (real, spade)" in sentence for sentence in none.unchecked)


def test_missing_and_added_files_are_named(bundle: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(bundle) as archive:
        files = {item: archive.read(item) for item in archive.namelist()}
    files.pop("runs/run0/config.json")
    files["runs/run0/extra.py"] = b"print(1)"
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    text = "\n".join(verify_bundle(tmp_path / "bad.zip").faults)
    assert "runs/run0/config.json: stated" in text
    assert "runs/run0/extra.py: not stated" in text
    assert "runs/run0/extra.py: not a part of a run" in text


@pytest.mark.parametrize(
    "name",
    ["../out.txt", "/etc/out.txt", "a/../../b", "a\\b", "C:x", "con.txt", "a//b", "a/", "a\n", "."],
)
def test_names_that_leave_the_folder_are_refused(name: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr(zipfile.ZipInfo(name), b"x")
    with pytest.raises(UserError, match="nothing was unpacked"):
        verify_bundle(tmp_path / "bad.zip")
    assert [path.name for path in tmp_path.iterdir()] == ["bad.zip"]


@pytest.mark.parametrize(
    "names", [("runs", "runs/a/b"), ("a/b", "A/B/c"), ("a/b/c/d", "a/b"), ("é" * 130,)]
)
def test_names_that_cannot_be_together_are_refused(names: tuple[str, ...], tmp_path: Path) -> None:
    """A file that is a folder of another; a name of more bytes than a file system takes."""
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        for name in names:
            archive.writestr(name, b"x")
    for use in (verify_bundle, lambda path: extract_bundle(path, tmp_path / "out")):
        with pytest.raises(UserError, match="nothing was unpacked"):
            use(tmp_path / "bad.zip")
    assert not (tmp_path / "out").exists()


def test_places_that_are_no_folders_are_refused(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="is a file, expected a new folder"):
        extract_bundle(bundle, tmp_path / "file")
    with pytest.raises(UserError, match="cannot be written"):
        extract_bundle(bundle, tmp_path / "file" / "below")
    for out in (tmp_path, tmp_path / "file" / "x.zip"):
        with pytest.raises(UserError, match="cannot be written"):
            write_bundle([bundle.parent / "run0"], out)


def test_links_and_bombs_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = zipfile.ZipInfo("runs/a/records.jsonl")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "link.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(UserError, match="link or device"):
        verify_bundle(tmp_path / "link.zip")
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for place in range(3):
            archive.writestr(f"runs/a/{place}", bytes(100_000))
    for limit, value, said in (
        ("MAX_FILE_BYTES", 99_999, "at most 99,999 bytes a file"),
        ("MAX_TOTAL_BYTES", 200_000, "bytes unpacked"),
        ("MAX_FILES", 2, "3 files"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(safe_zip, limit, value)
            with pytest.raises(UserError, match=said):
                verify_bundle(tmp_path / "bomb.zip")


@pytest.mark.parametrize(
    ("content", "packed", "said"),
    [
        ({"runs": b"x", "runs/a/b": b"x"}, zipfile.ZIP_STORED, "'runs' as a file and as a folder"),
        ({"A/b": b"x", "a": b"x"}, zipfile.ZIP_STORED, "'a' as a file and as a folder"),
        ({"a": bytes(80 << 20)}, zipfile.ZIP_DEFLATED, r"unpack to 83,886,080, expected at most"),
        ({"a": b"x"}, zipfile.ZIP_LZMA, "'a' is packed by method 14"),
    ],
)
def test_archives_that_no_disk_or_memory_holds_are_refused(
    tmp_path: Path, content: dict[str, bytes], packed: int, said: str
) -> None:
    with zipfile.ZipFile(tmp_path / "bad.zip", "w", packed) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    with pytest.raises(UserError, match=rf"^[^\n]*{said}[^\n]*nothing was unpacked[^\n]*$"):
        verify_bundle(tmp_path / "bad.zip")


def test_a_deep_manifest_and_a_file_for_the_folder_are_refused(
    bundle: Path, tmp_path: Path
) -> None:
    with zipfile.ZipFile(tmp_path / "deep.zip", "w") as archive:
        archive.writestr("manifest.json", "[" * 100_000)
    with pytest.raises(UserError, match=r"^[^\n]+$"):
        verify_bundle(tmp_path / "deep.zip")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="file is a file, expected a new folder"):
        extract_bundle(bundle, tmp_path / "file")


def test_a_size_that_lies_and_broken_archives_are_refused(bundle: Path, tmp_path: Path) -> None:
    data = bundle.read_bytes()
    (tmp_path / "cut.zip").write_bytes(data[: len(data) // 2])
    with pytest.raises(UserError, match="not a zip archive"):
        verify_bundle(tmp_path / "cut.zip")
    with zipfile.ZipFile(tmp_path / "no.zip", "w") as archive:
        archive.writestr("a.txt", "x")
    with pytest.raises(UserError, match=r"holds no manifest\.json"):
        verify_bundle(tmp_path / "no.zip")
    with zipfile.ZipFile(bundle) as archive:
        entry = archive.getinfo("runs/run0/config.json")
    at = entry.header_offset + 30 + len(entry.filename)
    (tmp_path / "bits.zip").write_bytes(data[:at] + bytes([data[at] ^ 255]) + data[at + 1 :])
    with pytest.raises(UserError, match=r"config\.json cannot be unpacked"):
        verify_bundle(tmp_path / "bits.zip")


def test_folders_without_records_or_of_one_name_are_refused(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no records\.jsonl"):
        write_bundle([tmp_path], tmp_path / "x.zip")
    run = bundle.parent / "run0"
    with pytest.raises(UserError, match="two run folders are called 'run0'"):
        write_bundle([run, run], tmp_path / "x.zip")
    assert not (tmp_path / "x.zip").exists()
