# SPDX-License-Identifier: Apache-2.0
"""Who may import whom, read from the source: the rooms of the house and their doors."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# Folders at the top of the repository that are imported, and installed, below `spade_eval`.
LINKED = ("models", "segmenters", "reports")
OURS = {"spade_eval", *LINKED, "run_benchmark"}
# Leaves, which themselves import nothing else of ours.
MISMATCH, LABELS = "spade_eval.models.mismatch", "spade_eval.models.labels"
POSITIONS = "spade_eval.models.positions"
SEMANTICS, FAST = "spade_eval.models.semantics", "spade_eval.models.fast"
LIMITS, ZIP_MEMBERS = "spade_eval.models.limits", "spade_eval.models.zip_members"
ERRORS, FILES, JSON = "spade_eval.errors", "spade_eval.files", "spade_eval.json_fields"
PROGRESS = "spade_eval.progress"
MAY_IMPORT = {  # besides itself
    "spade_eval/errors.py": (),
    "spade_eval/progress.py": (),
    "spade_eval/files.py": (ERRORS, PROGRESS),
    "models": (ERRORS, FILES, JSON, PROGRESS),
    "models/labels.py": (),
    "models/choices.py": (),
    "models/limits.py": (),
    "models/zip_members.py": (LIMITS,),
    "models/mismatch.py": (),
    "models/positions.py": (),
    "models/semantics.py": (LABELS, POSITIONS),
    "models/layers": (SEMANTICS, LABELS),
    "segmenters": (MISMATCH, LABELS),
    "spade_eval/metrics": (
        *(ERRORS, FILES, JSON, "spade_eval.weights"),
        *(MISMATCH, LIMITS, ZIP_MEMBERS),
    ),
    "spade_eval/datasets": (ERRORS, FILES, JSON, LABELS, LIMITS, POSITIONS, PROGRESS),
    "spade_eval/json_fields.py": (LIMITS,),
    "spade_eval/records.py": (ERRORS, JSON),
    "spade_eval/papers": (ERRORS,),
    "reports": (
        ERRORS,
        FILES,
        JSON,
        ZIP_MEMBERS,
        "spade_eval.records",
        "spade_eval.papers",
        "spade_eval.pages.study",
        "spade_eval.figures.grid",
        "spade_eval.metrics.arrays",
        "spade_eval.metrics.counts",
        "spade_eval.metrics.count_influence",
        "spade_eval.metrics.draws",
        "spade_eval.metrics.stopping",
        "spade_eval.metrics.recomputed",
        "spade_eval.metrics.root_trace",
    ),
}
# The rooms at the top of `spade_eval/`, from the ground up; each imports from floors below alone.
FLOORS = (
    ("errors", "json_fields", "memory", "progress"),
    ("files", "records", "devices", "papers"),
    ("weights", "datasets"),
    ("config",),
    ("workplace", "metrics"),
    ("protocol",),
    ("batches",),
    ("sources",),
    ("scoring",),
    ("baselines",),
    ("rows", "training", "figures"),
    ("engine", "bench", "pages"),
    ("api",),
    ("jobs",),
    ("cli",),
)
# Where networks are built for use or opened, those that score too, and the bench, which compares.
MAY_ACCELERATE = (
    "models/systems/presets.py",
    "spade_eval/training/setup.py",
    "spade_eval/training/memory_estimate.py",  # counts the forms that train
    "spade_eval/sources/checkpoints.py",
    "spade_eval/scoring",
    "spade_eval/bench",
)
# Rooms of `reports/`, in order: each may import itself and those before it; what lies at the top of
# the folder puts them together and is imported by none of them.
REPORT_ROOMS = ("measured", "statistics", "tables", "plots", "bench", "bundle", "html")
# At most so many files and folders at the top of a package.
MOST_ROOMS = {"spade_eval": 27, "spade_eval/cli": 14, "reports": 16}
# Imported only inside the functions that use them.
HEAVY = {"mmseg", "mmengine", "mmcv", "cv2", "pytorch_fid", "matplotlib", "tensorboard",
         "torchvision", "transformers", "sklearn", "wandb", "mlflow"}  # fmt: skip


def python_files(place: str) -> list[Path]:
    path = ROOT / place
    return [path] if path.suffix else sorted(path.rglob("*.py"))


def import_name(place: str) -> str:
    """The name under which a file or folder of the repository is imported."""
    name = place.removesuffix(".py").replace("/", ".")
    return f"spade_eval.{name}" if name.split(".")[0] in LINKED else name


def imports(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, "imports are absolute"
        yield node.module or ""


def all_imports(place: str) -> Iterator[tuple[Path, str]]:
    for path in python_files(place):
        for node in ast.walk(ast.parse(path.read_text())):
            for name in imports(node):
                yield path, name


@pytest.mark.parametrize("place", MAY_IMPORT)
def test_import_direction(place: str) -> None:
    own = import_name(place)
    for path, name in all_imports(place):
        allowed = name.startswith((own, *MAY_IMPORT[place]))
        assert name.split(".")[0] not in OURS or allowed, f"{path} imports {name}"


@pytest.mark.parametrize("place", [*LINKED, "spade_eval", "tests", "run_benchmark.py"])
def test_everything_of_ours_has_one_import_name(place: str) -> None:
    """A researcher's own `models` package is never found in the place of ours, nor ours in its."""
    for path, name in all_imports(place):
        assert name.split(".")[0] not in LINKED, f"{path} imports {name}"


def rooms_of(package: str) -> set[str]:
    """Folders and files of a package, without those that only open it and without links."""
    places = (path for path in (ROOT / package).iterdir() if not path.is_symlink())
    names = {
        path.stem for path in places if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    return names - {"__init__", "__main__"}


def test_no_import_of_the_suite_runs_up() -> None:
    floor_of = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
    for room in rooms_of("spade_eval"):
        place = ROOT / "spade_eval" / room
        for path, name in all_imports(f"spade_eval/{room}{'' if place.is_dir() else '.py'}"):
            _, _, below = name.partition("spade_eval.")
            other = below.split(".")[0]
            if other not in ("", room, *LINKED):
                assert floor_of[other] < floor_of[room], f"{path} imports {name}"


@pytest.mark.parametrize("package", MOST_ROOMS)
def test_the_top_of_a_package_can_be_overlooked(package: str) -> None:
    assert len(rooms_of(package)) <= MOST_ROOMS[package], sorted(rooms_of(package))


def test_the_fast_forms_have_one_door() -> None:
    """Networks are written, and correct, without them: equations know nothing of speed."""
    for package in ("spade_eval", *LINKED):
        for path, name in all_imports(package):
            place = path.relative_to(ROOT).as_posix()
            if not name.startswith(FAST) or place.startswith("models/fast/"):
                continue
            assert place.startswith(MAY_ACCELERATE), f"{path} imports {name}"
            inside = place.startswith("spade_eval/bench/")
            assert inside or name == f"{FAST}.accelerate", f"{path} imports {name}"


def test_reports_are_asked_for_by_command_line_and_python_interface_alone() -> None:
    for path, name in all_imports("spade_eval"):
        if not {"cli", "api"} & set(path.relative_to(ROOT).parts):
            assert not name.startswith("spade_eval.reports"), f"{path} imports {name}"


@pytest.mark.parametrize("place", range(len(REPORT_ROOMS)))
def test_no_import_runs_up_inside_reports(place: int) -> None:
    below = tuple(f"spade_eval.reports.{room}." for room in REPORT_ROOMS[: place + 1])
    for path, name in all_imports(f"reports/{REPORT_ROOMS[place]}"):
        if name.startswith("spade_eval.reports"):
            assert f"{name}.".startswith(below), f"{path} imports {name}"


def test_every_room_of_reports_has_its_place() -> None:
    folders = {path.parent.name for path in (ROOT / "reports").glob("*/__init__.py")}
    assert folders == set(REPORT_ROOMS)


@pytest.mark.parametrize("package", ["spade_eval", *LINKED])
def test_heavy_libraries_are_imported_where_used(package: str) -> None:
    for path in python_files(package):
        for node in ast.parse(path.read_text()).body:
            for name in imports(node):
                assert name.split(".")[0] not in HEAVY, f"{path} imports {name} at its top"


def test_only_the_command_line_prints_results() -> None:
    for package in ("spade_eval", *LINKED):
        for path in python_files(package):
            if "cli" in path.parts:
                continue
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print":
                    streams = {keyword.arg for keyword in node.keywords}
                    assert "file" in streams, f"{path}:{node.lineno} prints to stdout"


def test_files_are_replaced_in_one_place() -> None:
    """Whatever is written whole goes through `spade_eval.files`; these move what is whole."""
    movers = {
        "spade_eval/files.py",
        "spade_eval/weights/downloads.py",  # a download that was resumed
        "models/training/loop.py",  # a damaged state
        "reports/html/report.py",  # a folder
    }
    for package in ("spade_eval", *LINKED):
        for path in python_files(package):
            names = {ast.unparse(node) for node in ast.walk(ast.parse(path.read_text()))
                     if isinstance(node, ast.Attribute)}  # fmt: skip
            if names & {"os.replace", "os.rename"}:
                assert path.relative_to(ROOT).as_posix() in movers, path


def test_json_of_others_is_read_in_one_place() -> None:
    """So that its limits hold everywhere."""
    for package in ("spade_eval", *LINKED):
        for path in python_files(package):
            calls = {ast.unparse(node) for node in ast.walk(ast.parse(path.read_text()))
                     if isinstance(node, ast.Attribute)}  # fmt: skip
            if calls & {"json.load", "json.loads", "json.JSONDecoder"}:
                place = path.relative_to(ROOT).as_posix()
                writes = place == "reports/tables/writing.py"  # reads what it has just written
                assert place == "spade_eval/json_fields.py" or writes, path
