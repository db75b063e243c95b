# SPDX-License-Identifier: Apache-2.0
"""Results in one file: records, counts, features, configuration and tables of runs, with hashes.

A bundle is a zip of `manifest.json` and `runs/NAME/...`. The manifest states the SHA-256 of every
file; the SHA-256 of the manifest itself is the bundle's identity, to be published with it. Hashes
find what was damaged. Who changes a file may write a new manifest too, so the numbers are computed
again as well: recorded mIoU, accuracies and IoU from the per-image counts, distances from the
features of rows and photos, and the tables from the records. What nothing stored makes is named.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from spade_eval.errors import UserError
from spade_eval.files import written_whole
from spade_eval.json_fields import parsed_json
from spade_eval.records import provenance, sha256_of_bytes, sha256_of_file
from spade_eval.reports.bundle.safe_zip import SafeZip, opened_zip, write_zip

MANIFEST = "manifest.json"
FORMAT = "spade-eval bundle"
VERSION = 1
# What of a run goes into a bundle. Pictures and weights do not: they are large, and hashes name
# them.
_SINGLE = ("config.json", "records.jsonl", "classes.json")
_ARRAYS = (("counts",), ("features",))
_PARTS = (*_SINGLE, "counts/*.npz", "features/*.npz", "tables/**/*.csv")


def write_bundle(run_folders: Sequence[Path], path: Path, *, features: bool = True) -> str:
    """Write a bundle of run folders; returns its SHA-256 (of the manifest).

    Without `features` it is small, and nobody can compute its distances again. The folders' tables
    should be fresh (`write_tables`); `UserError` for a folder without records and for two folders
    of one name.
    """
    files: dict[str, Path] = {}
    for folder in run_folders:
        name = folder.resolve().name
        if f"runs/{name}/records.jsonl" in files:
            raise UserError(f"two run folders are called {name!r}, expected different names")
        if not (folder / "records.jsonl").is_file():
            raise UserError(f"{folder}: holds no records.jsonl; give a run folder")
        parts = [part for part in _parts_of(folder) if features or part.parent.name != "features"]
        files |= {f"runs/{name}/{file.relative_to(folder).as_posix()}": file for file in parts}
    manifest = _manifest(files)
    with written_whole(path) as partial:
        write_zip(partial, {MANIFEST: manifest, **files})
    return sha256_of_bytes(manifest)


def copied_parts(folder: Path, below: Path) -> Path:
    """Copy what a bundle takes of a run folder (one where nothing can be written) into another."""
    copy = below / folder.resolve().name
    for file in _parts_of(folder):
        target = copy / file.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
    return copy


def _parts_of(folder: Path) -> list[Path]:
    return sorted({file for part in _PARTS for file in folder.glob(part) if file.is_file()})


def bundled_runs(bundle: SafeZip) -> list[str]:
    """Return the names of the runs in a bundle."""
    runs = [name.split("/")[1] for name in bundle.names if name.startswith("runs/")]
    return list(dict.fromkeys(runs))


def hash_faults(bundle: SafeZip) -> list[str]:
    """Name the files that are not what the manifest says, each in a sentence."""
    stated = read_manifest(bundle)["files"]
    present = set(bundle.names) - {MANIFEST}
    faults = [
        f"{name}: stated in {MANIFEST}, but missing" for name in stated if name not in present
    ]
    for name in sorted(present):
        if name not in stated:
            faults.append(f"{name}: not stated in {MANIFEST}")
        elif sha256_of_bytes(bundle.read(name)) != stated[name]:
            faults.append(f"{name}: changed, its SHA-256 is not the one stated in {MANIFEST}")
    return [*faults, *(f"{name}: not a part of a run" for name in present if not _expected(name))]


def read_manifest(bundle: SafeZip) -> dict[str, Any]:
    """Read the manifest; `UserError` for an archive that is no bundle of this version."""
    try:
        manifest = parsed_json(bundle.read(MANIFEST))
        form = (manifest["format"], manifest["version"])
        files = manifest["files"]
        sound = form == (FORMAT, VERSION) and all(isinstance(sha, str) for sha in files.values())
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise _no_bundle(bundle.path) from error
    if not sound:
        raise _no_bundle(bundle.path)
    return dict(manifest)


def extract_bundle(path: Path, folder: Path) -> list[Path]:
    """Unpack a bundle whose hashes agree into an empty folder; returns its run folders."""
    with opened_zip(path) as bundle:
        faults = hash_faults(bundle)
        if faults:
            more = f" and {len(faults) - 1} more" if len(faults) > 1 else ""
            raise UserError(
                f"{path}: {faults[0]}{more}; nothing was unpacked: ask for the bundle again"
            )
        if folder.exists() and not folder.is_dir():
            raise UserError(f"{folder} is a file, expected a new folder; give another one")
        if folder.is_dir() and any(folder.iterdir()):
            raise UserError(f"{folder} is not empty, expected a new folder; give another one")
        for name in bundle.names:
            bundle.extract(name, folder)
        return [folder / "runs" / name for name in bundled_runs(bundle)]


def _expected(name: str) -> bool:
    """Return whether a file is one of those that `write_bundle` writes."""
    runs, _, inner = name.partition("/")
    part = PurePosixPath(inner.partition("/")[2])
    return runs == "runs" and (
        str(part) in _SINGLE
        or (part.parts[:1] in _ARRAYS and len(part.parts) == 2 and part.suffix == ".npz")
        or (part.parts[:1] == ("tables",) and part.suffix == ".csv")
    )


def _manifest(files: Mapping[str, Path]) -> bytes:
    known = provenance()
    stated = {
        "format": FORMAT,
        "version": VERSION,
        "commit": known["commit"],
        "versions": known["versions"],
        "files": {name: sha256_of_file(file) for name, file in sorted(files.items())},
    }
    return (json.dumps(stated, indent=1, sort_keys=True) + "\n").encode()


def _no_bundle(path: Path) -> UserError:
    return UserError(
        f"{path}: holds no {MANIFEST} of version {VERSION}, expected a file that "
        "`spade-eval bundle` wrote"
    )
