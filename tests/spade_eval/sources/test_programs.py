# SPDX-License-Identifier: Apache-2.0
"""Programs as generators: files in, files out, and what is told of one that fails."""

import dataclasses
import os
import shlex
import sys
import time
from pathlib import Path

import pytest
import torch
from source_splits import split_of

from spade_eval.errors import UserError
from spade_eval.sources.called import CalledGenerator, called
from spade_eval.sources.factories import generator_row
from spade_eval.sources.programs import Program

PAINTER = """
import sys
from pathlib import Path
import numpy as np
from PIL import Image
label, out = map(Path, sys.argv[1:3])
for path in sorted(label.glob("*.png")):
    ids = np.asarray(Image.open(path))
    assert ids.dtype == np.uint8
    Image.fromarray(np.stack([ids, ids, 255 - ids], axis=-1)).save(out / path.name)
"""


def program(
    tmp_path: Path, code: str, arguments: str = "{label} {out}", seconds: float | None = None
) -> CalledGenerator:
    path = tmp_path / "program with spaces.py"
    path.write_text(code)
    command = f"{shlex.join([sys.executable, str(path)])} {arguments}"
    source = called(Program("mine", command, seconds), kind="program")(split_of())
    assert isinstance(source, CalledGenerator)
    return source


def test_ids_go_out_and_images_come_back(tmp_path: Path) -> None:
    source = program(tmp_path, PAINTER)
    dataset = source.split.dataset
    images = source.floats([3], [dataset[3]]) * 255
    ids = torch.from_numpy(dataset[3].label_map.copy()).float()
    assert torch.equal(images[0].round(), torch.stack([ids, ids, 255 - ids]))
    assert source.provenance["source_kind"] == "program"


def test_jpeg_files_are_told(tmp_path: Path) -> None:
    lossy = "save((out / path.name).with_suffix('.jpg'), quality=60)"
    source = program(tmp_path, PAINTER.replace("save(out / path.name)", lossy))
    assert source.jpeg is not None
    assert source.jpeg.name == "JPEG 60"
    assert source.provenance["file_format"] == "JPEG"
    told = "2 of 2 images are JPEG files (quality 60, 4:2:0)"
    assert any(told in note for note in source.notes)
    assert program(tmp_path, PAINTER).provenance["file_format"] == "PNG"


def test_instance_maps_go_out_where_they_are_asked_for(tmp_path: Path) -> None:
    code = PAINTER + (
        "ids = np.asarray(Image.open(next(Path(sys.argv[3]).glob('*.png'))))\n"
        "assert ids.max() > 0 and ids.dtype.itemsize == 2, ids.dtype\n"
    )
    program(tmp_path, code, "{label} {out} {instance}")


def test_photos_go_out_where_the_row_is_given_any(tmp_path: Path) -> None:
    code = "import sys, shutil; shutil.copytree(sys.argv[3], sys.argv[2], dirs_exist_ok=True)"
    (tmp_path / "copy.py").write_text(code)
    command = shlex.join([sys.executable, str(tmp_path / "copy.py")]) + " {label} {out} {style}"
    copying = Program("mine", command, with_photos=True)
    source = called(copying, style_input="real image (same)")(split_of())
    sample = split_of().dataset[3]
    copied = (source.floats([3], [sample])[0] * 255).round().permute(1, 2, 0)
    assert torch.equal(copied.byte(), torch.from_numpy(sample.photo.copy()))
    with pytest.raises(UserError, match="belong together"):
        Program("mine", command)
    with pytest.raises(UserError, match="belong together"):
        Program("mine", command.replace(" {style}", ""), with_photos=True)


def test_words_are_no_shell(tmp_path: Path) -> None:
    code = PAINTER + "assert sys.argv[3] == '$HOME;`touch', sys.argv\n"
    program(tmp_path, code, "{label} {out} '$HOME;`touch'")


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("print('one'); print('two'); print('three'); print('four'); raise SystemExit(3)",
         r"exit code 3 for the label maps from \S+ on, its last lines: two \| three \| four"),
        ("raise SystemExit(1)", "exit code 1 .*it said nothing"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", "exit code -15"),
        ("print('x' * 10_000_000); raise SystemExit(1)", "exit code 1 .*last lines: x{1,500}$"),
        ("pass", "what it wrote into {out}: .* holds 0 images"),
        (PAINTER + "path = max(out.glob('*.png')); path.unlink()", "1 images are missing"),
        (PAINTER + "Image.new('RGB', (8, 8)).save(max(out.glob('*.png')))", "1 of 8x8"),
    ],
)  # fmt: skip
def test_what_fails_is_told(tmp_path: Path, code: str, told: str) -> None:
    with pytest.raises(UserError, match=f"^program mine.*{told}"):
        program(tmp_path, code)


def test_a_program_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    code = f"""
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
open({str(tmp_path / "pid")!r}, "w").write(str(child.pid))
print("waiting", flush=True)
time.sleep(60)
"""
    with pytest.raises(UserError, match=r"no end after 2 s .*, its last lines: waiting; give it"):
        program(tmp_path, code, seconds=2)
    pid = int((tmp_path / "pid").read_text())
    for _ in range(100):
        try:  # gone, or a zombie that nobody has looked at yet
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return
        if state == "Z":
            return
        time.sleep(0.05)
    os.kill(pid, 9)
    pytest.fail("its child goes on")


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("paint {out}", "has no {label}"),
        ("paint {label} /tmp", "has no {out}"),
        ("no-such-program {label} {out}", "there is no program 'no-such-program'"),
        ("paint '{label} {out}", "cannot be read"),
    ],
)
def test_commands_are_judged_before_they_are_started(command: str, told: str) -> None:
    with pytest.raises(UserError, match=told):
        Program("mine", command)


def test_a_program_is_told_which_image_to_make(tmp_path: Path) -> None:
    code = PAINTER.replace("255 - ids", "ids * 0 + int(sys.argv[3])")
    source = program(tmp_path, code, "{label} {out} {draw}")
    sample = source.split.dataset[0]
    blue = [float(source.floats([0], [sample], draw)[:, 2].max()) for draw in range(3)]
    assert blue == pytest.approx([0.0, 1 / 255, 2 / 255])


def test_a_program_that_is_not_told_cannot_draw() -> None:
    command = f"{sys.executable} {{label}} {{out}}"
    with pytest.raises(UserError, match=r"--draws 2: the command of program mine has no \{draw\}"):
        generator_row("mine", command)(dataclasses.replace(split_of(), draws=2))
