# SPDX-License-Identifier: Apache-2.0
"""The command line as a user meets it: speed of --help, one-line errors, exit codes, whole runs."""

import json
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from processes import Fork

from spade_eval.cli import main
from spade_eval.records import RecordStore

REPOSITORY = Path(__file__).resolve().parents[3]
VOLATILE = {"started", "seconds", "images_per_second"}


def in_process(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    output = capsys.readouterr()
    code = ended.value.code
    return int(code) if code is not None else 0, output.out, output.err


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    code, _, error = in_process(capsys, *arguments)
    assert code == 2
    lines = [line for line in error.replace("\r", "\n").splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert "Traceback" not in error
    return lines[0]


def command(*arguments: str) -> list[str]:
    return [sys.executable, str(REPOSITORY / "run_benchmark.py"), *arguments]


@pytest.mark.parametrize("name", ["benchmark", "train", "score", "report", "data"])
def test_help_answers_at_once_without_torch(name: str) -> None:
    program = (
        "import sys; from spade_eval.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'numpy', 'pandas', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", program, name, "--help"],
        capture_output=True, text=True, check=True, cwd=REPOSITORY,
    )  # fmt: skip
    # Half a second of computing; four times that for a slower machine. Waiting does not count.
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime < 2.0
    assert "--help" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--dataset", "scnes"), "did you mean scenes"),
        (("--model", "spad"), "did you mean spade"),
        (("--budget", "smok"), "did you mean smoke"),
        (("--size", "64by64"), "expected N or HEIGHTxWIDTH"),
        (("--size", "50"), "multiples of 32"),
        (("--images", "folder"), "expected NAME=PATH"),
        (("--images", "../up=folder"), "becomes a folder"),
        (("--images", "a=x", "--images", "a=y"), "given twice"),
        (("--images", "mine=nowhere"), "nowhere does not exist"),
        (("--checkpoint", "mine=nowhere.safetensors"), "nowhere.safetensors does not exist"),
        (("--device", "warp"), "use --device cpu"),
        (("--batch-size", "5000", "--model", "spade"), "set it with --batch-size"),
    ],
)
def test_a_wrong_value_is_one_line_with_exit_code_2(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    arguments: tuple[str, ...],
    expected: str,
) -> None:
    where = ("--out", str(tmp_path / "run"), "--weights-dir", str(tmp_path / "weights"))
    error = refused(capsys, "benchmark", "--budget", "smoke", "--limit", "4", *where, *arguments)
    assert expected in error


def test_without_data_the_archives_are_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPADE_EVAL_DATA", str(tmp_path / "data"))
    error = refused(capsys, "benchmark", "--dataset", "cocostuff", "--out", str(tmp_path / "run"))
    for part in ("val2017.zip", "stuffthingmaps_trainval2017.zip", "GB", "--dataset scenes"):
        assert part in error
    assert str(tmp_path / "data") in error


def damage(root: Path, kind: str) -> str:
    """Spoil one file of a COCO-Stuff folder; returns what the error must say."""
    label = sorted((root / "val_label").iterdir())[0]
    photo = sorted((root / "val_img").iterdir())[0]
    if kind == "id outside the range":
        Image.new("L", (40, 40), 200).save(label)
        return "200"
    if kind == "palette":
        coloured = Image.new("P", (40, 40))
        coloured.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
        coloured.save(label)
        return "single-channel"
    if kind == "RGB":
        Image.new("RGB", (40, 40)).save(label)
        return "single-channel"
    if kind == "truncated":
        photo.write_bytes(photo.read_bytes()[:300])
        return photo.name
    label.unlink()
    return "000000000139"


@pytest.fixture
def small_coco(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    for split in ("train", "val"):
        for stem in ("000000000139", "000000000785"):
            for kind, extension in (("img", "jpg"), ("label", "png"), ("inst", "png")):
                path = tmp_path / "coco" / f"{split}_{kind}" / f"{stem}.{extension}"
                path.parent.mkdir(parents=True, exist_ok=True)
                shape = (40, 40, 3) if kind == "img" else (40, 40)
                highest = 10 if kind == "label" else 89  # id 11, street sign, never occurs
                values = random.integers(0, highest + 1, shape, dtype=np.uint8)
                Image.fromarray(values).save(path)
    return tmp_path / "coco"


def coco_arguments(root: Path, out: Path) -> list[str]:
    return ["benchmark", "--dataset", "cocostuff", "--data-root", str(root), "--budget", "smoke",
            "--size", "64", "--steps", "1", "--segmenter-steps", "1", "--batch-size", "2",
            "--width", "0.0625", "--model", "spade", "--out", str(out),
            "--weights-dir", str(out / "weights")]  # fmt: skip


@pytest.mark.parametrize(
    "kind", ["id outside the range", "palette", "RGB", "truncated", "label missing"]
)
def test_a_damaged_file_is_named(
    capsys: pytest.CaptureFixture[str], small_coco: Path, tmp_path: Path, kind: str
) -> None:
    expected = damage(small_coco, kind)
    error = refused(capsys, *coco_arguments(small_coco, tmp_path / "run"))
    assert expected in error


def images_like_the_val_set(folder: Path, count: int = 4) -> Path:
    from spade_eval.datasets.scenes import Scenes

    folder.mkdir()
    for name in Scenes("val", (64, 64)).names[:count]:
        Image.new("RGB", (64, 64), (9, 9, 9)).save(folder / f"{name}.png")
    return folder


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lambda folder: [path.unlink() for path in folder.iterdir()], "holds 0 images"),
        (lambda folder: next(folder.iterdir()).unlink(), "1 images are missing"),
        (lambda folder: Image.new("RGB", (64, 64)).save(folder / "other.png"), "other"),
        (lambda folder: Image.new("RGB", (32, 64)).save(sorted(folder.iterdir())[0]), "sizes"),
        (lambda folder: sorted(folder.iterdir())[0].write_bytes(b"no image"), "val_"),
    ],
    ids=["empty", "missing", "extra", "mixed sizes", "not an image"],
)
def test_a_folder_of_images_that_does_not_fit_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, spoil: object, expected: str
) -> None:
    folder = images_like_the_val_set(tmp_path / "images")
    spoil(folder)  # type: ignore[operator]
    error = refused(
        capsys, "score", f"mine={folder}", "--budget", "smoke", "--limit", "4",
        "--out", str(tmp_path / "run"),
    )  # fmt: skip
    assert expected in error


def test_a_full_disk_is_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from spade_eval.models.training import loop

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "state.pt")

    monkeypatch.setattr(loop, "save_state", full)
    error = refused(
        capsys, "train", "--budget", "smoke", "--steps", "1", "--batch-size", "2",
        "--width", "0.0625", "--out", str(tmp_path / "run"),
    )  # fmt: skip
    assert "No space left on device" in error
    assert "nothing recorded is lost" in error


def test_score_prints_the_table_and_where_everything_is(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder = images_like_the_val_set(tmp_path / "images")
    run = tmp_path / "run"
    arguments = ["score", f"plain={folder}", "--budget", "smoke", "--limit", "4", "--out", str(run)]
    code, out, _ = in_process(capsys, *arguments)
    assert code == 0
    assert "measured now: real, oracle, grey, label colours, plain" in out
    assert str(run) in out.splitlines()[-6:][0] or str(run) in out
    for file in (
        "tables/scores.csv",
        "tables/per_class_iou.csv",
        "plots/scores.png",
        "samples.png",
    ):
        assert file in out
        assert (run / file).stat().st_size > 0
    again = in_process(capsys, *arguments)[1]
    assert "measured now: nothing" in again
    report = in_process(capsys, "report", str(run))[1]
    assert report.splitlines()[-3:] == again.splitlines()[-3:]


def unread(*arguments: str, stderr: int) -> "subprocess.Popen[bytes]":
    """A command that has ended, whose reader had left before the first line."""
    words = [sys.executable, "-m", "spade_eval", *arguments]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=stderr)
    assert process.stdout is not None
    process.stdout.close()
    process.wait()
    return process


def test_a_closed_pipe_is_no_error() -> None:
    process = unread("models", stderr=subprocess.PIPE)
    assert process.stderr is not None
    with process.stderr:
        assert (process.returncode, process.stderr.read()) == (0, b"")


def test_a_closed_pipe_costs_no_file(tmp_path: Path) -> None:
    folder, run = images_like_the_val_set(tmp_path / "images"), tmp_path / "run"
    process = unread(
        "score", f"mine={folder}", "--budget", "smoke", "--limit", "4", "--out", str(run),
        stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert process.returncode == 0
    for file in ("tables/scores.csv", "plots/scores.png", "samples.png", "html/index.html"):
        assert (run / file).stat().st_size > 0


def test_a_report_of_nothing_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert str(tmp_path) in refused(capsys, "report", str(tmp_path))


def test_data_check_tells_by_its_exit_code(
    capsys: pytest.CaptureFixture[str], small_coco: Path
) -> None:
    arguments = ("data", "check", "--dataset", "cocostuff", "--data-root", str(small_coco))
    code, out, _ = in_process(capsys, *arguments)
    assert code == 0
    assert "val: 2 samples" in out
    damage(small_coco, "id outside the range")
    code, out, _ = in_process(capsys, *arguments)
    assert code == 1
    assert "problem:" in out


def test_train_writes_a_checkpoint_that_benchmark_scores(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    shared = ("--budget", "smoke", "--steps", "1", "--batch-size", "2", "--width", "0.0625")
    code, out, _ = in_process(
        capsys, "train", "--model", "spade", *shared, "--out", str(tmp_path / "training")
    )
    assert code == 0
    checkpoint = out.splitlines()[-1]
    assert Path(checkpoint).is_file()
    code, out, _ = in_process(
        capsys, "score", f"mine={checkpoint}", "--budget", "smoke", "--limit", "4",
        "--out", str(tmp_path / "run"),
    )  # fmt: skip
    assert code == 0
    assert "mine" in out


SHORT_RUN = ["--budget", "smoke", "--steps", "24", "--batch-size", "2", "--width", "0.0625",
             "--limit", "40", "--model", "spade", "--no-report"]  # fmt: skip


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("undisturbed") / "run"
    Fork(REPOSITORY / "run_benchmark.py", *SHORT_RUN, "--out", run).succeed()
    return run


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["training", "scoring"])
def test_sigkill_and_again_ends_with_the_same_records(
    undisturbed: Path, tmp_path: Path, moment: str
) -> None:
    killed = tmp_path / "killed"
    process = subprocess.Popen(
        command(*SHORT_RUN, "--out", str(killed)),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    sign = "state.pt" if moment == "training" else "generator.safetensors"
    while not list(killed.glob(f"checkpoints/*/{sign}")):
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    sources = {item.source for item in RecordStore(killed / "records.jsonl")}
    assert sources == {"real", "oracle", "grey", "label colours"}, (
        "killed before the model was recorded"
    )
    Fork(REPOSITORY / "run_benchmark.py", *SHORT_RUN, "--out", killed).succeed()
    assert lasting(killed) == lasting(undisturbed)


def lasting(run: Path) -> list[dict[str, object]]:
    lines = (run / "records.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k not in VOLATILE} for line in lines]


@pytest.mark.slow
def test_the_real_coco_files_go_all_the_way(
    capsys: pytest.CaptureFixture[str], coco_samples: Path, tmp_path: Path
) -> None:
    code, out, _ = in_process(capsys, *coco_arguments(coco_samples, tmp_path / "run"))
    assert code == 0
    assert "8 images are far too few" in out
    assert {item.num_images for item in RecordStore(tmp_path / "run" / "records.jsonl")} == {8}


@pytest.mark.slow
def test_a_run_needs_none_of_the_optional_libraries(tmp_path: Path) -> None:
    absent = ("matplotlib", "mmseg", "mmengine", "mmcv", "cv2", "pytorch_fid", "tensorboard",
              "torchvision", "torch.utils.tensorboard", "transformers")  # fmt: skip
    program = (
        f"import sys; sys.modules.update(dict.fromkeys({absent!r}))\n"
        "from spade_eval.cli import main; main(sys.argv[1:])"
    )
    arguments = ["benchmark", "--budget", "smoke", "--steps", "1", "--batch-size", "2",
                 "--width", "0.0625", "--limit", "2", "--out", str(tmp_path)]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True, text=True, cwd=REPOSITORY,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "matplotlib is not installed" in done.stdout
    assert "tracker tensorboard cannot be opened" in done.stderr
    assert (tmp_path / "tables" / "scores.csv").is_file()
    assert not (tmp_path / "plots").exists()
