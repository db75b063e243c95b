# SPDX-License-Identifier: Apache-2.0
"""Released checkpoints, the list of models and the figures, from the command line."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from spade_eval.cli import main
from spade_eval.models.checkpoints.published import to_published
from spade_eval.models.systems.presets import build_generator
from spade_eval.records import RecordStore

REPOSITORY = Path(__file__).resolve().parents[3]
LAYOUT = ("--upsampling", "normal", "--label-layout", "16+edges")


def called(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """What a command prints; it must succeed."""
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    output = capsys.readouterr()
    assert not ended.value.code, output.err
    return output.out


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    assert ended.value.code == 2
    (line,) = (
        line
        for line in capsys.readouterr().err.replace("\r", "\n").splitlines()
        if line.startswith("error: ")
    )
    return line


@pytest.fixture
def released(tmp_path: Path) -> Path:
    """A narrow SPADE generator for `scenes` as its release would write it."""
    file = tmp_path / "latest_net_G.pth"
    torch.save(to_published(build_generator("spade", 17, width=1 / 32)), file)
    return file


@pytest.mark.parametrize("name", ["models", "convert", "figures"])
def test_help_needs_no_torch(name: str) -> None:
    program = (
        "import sys; from spade_eval.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'numpy', 'pandas', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, name, "--help"],
        capture_output=True, text=True, check=True, cwd=REPOSITORY,
    )  # fmt: skip
    assert "--help" in done.stdout


def scoring(run: Path) -> tuple[object, ...]:
    return "--budget", "smoke", "--limit", 4, "--out", run, "--weights-dir", run / "weights"


def test_a_released_file_is_scored_converted_and_scored_again(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, released: Path
) -> None:
    run, ours = tmp_path / "run", tmp_path / "ours.safetensors"
    called(capsys, "score", f"theirs={released}", "--arch", "spade", *LAYOUT, *scoring(run))
    out = called(capsys, "convert", released, ours, "--arch", "spade", *LAYOUT)
    assert "label layout: 16+edges" in out
    assert f"written: {ours}" in out
    called(capsys, "score", f"ours={ours}", *scoring(run))
    items = list(RecordStore(run / "records.jsonl"))
    values = {name: [i.value for i in items if i.source == name] for name in ("theirs", "ours")}
    assert values["theirs"] == values["ours"]
    notes = {note for item in items if item.source == "ours" for note in item.notes}
    assert any("latest_net_G.pth (spade), label layout 16+edges" in note for note in notes)
    back = tmp_path / "back.pth"
    called(capsys, "convert", ours, back)
    for name, tensor in torch.load(back, weights_only=True).items():
        assert torch.equal(tensor, torch.load(released, weights_only=True)[name])


def test_a_released_clade_becomes_a_file_of_ours_and_back(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    theirs, ours, back = (tmp_path / name for name in ("best_net_G.pth", "c.safetensors", "b.pth"))
    network = build_generator("clade_icpe", 17, width=1 / 32, edges=True)
    torch.save(to_published(network), theirs)
    out = called(capsys, "convert", theirs, ours, "--arch", "clade", *LAYOUT)
    assert "label layout: 16+edges" in out
    called(capsys, "convert", ours, back)
    tensors = torch.load(theirs, weights_only=True)
    for name, tensor in torch.load(back, weights_only=True).items():
        assert torch.equal(tensor, tensors.pop(name))
    assert not tensors


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ((), "--upsampling"),
        (("--upsampling", "normal"), "--label-layout"),
        (("--arch", "pix2pixhd", *LAYOUT), "holds a spade generator, not pix2pixhd"),
        (("--arch", "spad", *LAYOUT), "did you mean spade"),
        (("--upsampling", "normal", "--label-layout", "17"), "expected 16 classes of scenes"),
        ((*LAYOUT, "--size", "80"), "set --size"),
    ],
)
def test_released_files_that_do_not_fit_are_refused_in_one_line(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    released: Path,
    flags: tuple[str, ...],
    expected: str,
) -> None:
    error = refused(capsys, "score", f"theirs={released}", *flags, *scoring(tmp_path / "run"))
    assert expected in error
    assert not (tmp_path / "run" / "records.jsonl").exists()


def test_models_lists_and_writes(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = called(capsys, "models", "spade", "--csv", tmp_path / "models.csv")
    assert "96.49" in out
    assert "Table 3: decoder w/ SPADE" in out
    assert (tmp_path / "models.csv").is_file()
    assert "0.999" in called(capsys, "models", "--diff")
    assert "agree" in called(capsys, "models", "--diff", "pix2pixhd")
    assert "did you mean spade" in refused(capsys, "models", "spad")


def test_figures_are_drawn(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "latest_net_G.pth"
    torch.save(to_published(build_generator("spade_vae", 17, (32, 32), width=1 / 32)), file)
    layout = ("--label-layout", "16+edges", "--upsampling", "normal")
    out = called(
        capsys, "figures", "multimodal", "--checkpoint", file, *layout, "--maps", 1,
        "--latents", 2, "--out", tmp_path / "figures",
    )  # fmt: skip
    assert "multi-modal" in out
    assert "random weights" not in out
    assert f"picture: {tmp_path / 'figures' / 'multimodal.png'}" in out
    error = refused(
        capsys, "figures", "style", "--checkpoint", file, *layout, "--out", tmp_path / "figures"
    )
    assert "without --encoder" in error


@pytest.mark.parametrize("command", ["washaway", "multimodal", "style"])
def test_figures_without_a_checkpoint_say_random_weights(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, command: str
) -> None:
    out = called(capsys, "figures", command, "--size", 32, "--out", tmp_path)
    assert "random weights" in out.splitlines()[0]
    assert (tmp_path / f"{command}.png").stat().st_size > 0
