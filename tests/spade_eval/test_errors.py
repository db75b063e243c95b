# SPDX-License-Identifier: Apache-2.0
"""A torchvision that was built for another torch is answered in one line that names the fix."""

import importlib.abc
import importlib.metadata
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from typing import Any

import pytest

from spade_eval.errors import UserError
from spade_eval.metrics.inception_network import inception_v3
from spade_eval.metrics.lpips import LPIPS
from spade_eval.models.losses.perceptual import vgg19_loss

ERRORS = (
    RuntimeError("operator torchvision::nms does not exist\nand more"),
    ImportError("DLL load failed"),
    OSError("undefined symbol: _ZN3c10"),
    AttributeError("partially initialized module 'torchvision' has no attribute 'extension'"),
)
USERS: dict[str, Callable[[], object]] = {
    "FID": inception_v3,
    "LPIPS": lambda: LPIPS({}, {}),
    "perceptual loss": lambda: vgg19_loss({}),
}


class Misfit(importlib.abc.MetaPathFinder):
    """Fails an import of torchvision as its build for another torch does."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> ModuleSpec | None:
        if fullname.split(".")[0] == "torchvision":
            raise self.error
        return None


def break_torchvision(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Misfit(error), *sys.meta_path])


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("use", USERS.values(), ids=USERS)
def test_a_misfit_is_one_line_with_both_versions_and_the_fix(
    monkeypatch: pytest.MonkeyPatch, use: Callable[[], object], error: Exception
) -> None:
    break_torchvision(monkeypatch, error)
    with pytest.raises(UserError, match=r"^[^\n]+$") as raised:
        use()
    parts = [
        f"torch {importlib.metadata.version('torch')}",
        f"torchvision {importlib.metadata.version('torchvision')}",
        str(error).splitlines()[0],
        "reinstall torchvision to match the installed torch",
    ]
    assert all(part in str(raised.value) for part in parts)


def test_an_absent_torchvision_is_named_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(package: str) -> str:
        raise importlib.metadata.PackageNotFoundError(package)

    break_torchvision(monkeypatch, ModuleNotFoundError("No module named 'torchvision'"))
    monkeypatch.setattr(importlib.metadata, "version", version)
    with pytest.raises(UserError, match=r"torchvision \(not installed\)"):
        inception_v3()
