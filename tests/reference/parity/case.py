# SPDX-License-Identifier: Apache-2.0
"""One file of reference numbers: its inputs, its options and the comparison with its outputs."""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from parity.fill import draw, fill
from torch import Tensor, nn

from spade_eval.models.checkpoints.published import Names
from spade_eval.models.fast.accelerate import accelerate
from spade_eval.models.labels import SemanticLayout
from spade_eval.models.semantics import SemanticMap

# What the notes on the reference data suggest: absolute, one for networks whose activations stay
# moderate in eval mode, one for chains of instance norms, which divide by small deviations.
TOLERANCE = 2e-5
INSTANCE_NORM_TOLERANCE = 1e-4

# Where networks are compared: `spade-eval bench gpu` names a GPU. TensorFloat-32 rounds too much.
DEVICE = torch.device(os.environ.get("PARITY_DEVICE", "cpu"))
torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False


def on_device(array: NDArray[Any]) -> Tensor:
    """The array as a tensor where networks are compared."""
    return torch.from_numpy(array).to(DEVICE)


class Case:
    """An .npz file; `meta` says everything but the kind, which its name says.

    With `fast`, networks take their fast forms at every size.
    """

    def __init__(self, path: Path, *, fast: bool = False) -> None:
        self.path = path
        self.fast = fast
        with np.load(path, allow_pickle=False) as arrays:
            self.arrays = {name: arrays[name] for name in arrays.files if name != "meta"}
            self.meta: dict[str, Any] = json.loads(str(arrays["meta"]))
        self.options: dict[str, Any] = self.meta.get("options", {})
        self.differences: dict[str, float] = {}

    @property
    def fill_prefix(self) -> str:
        """What stands before the name of each tensor in the seed of its fill."""
        prefix: str = self.meta.get("fill_prefix", self.meta.get("salt", ""))
        return prefix

    def tensor(self, name: str) -> Tensor:
        return on_device(self.arrays[name])

    def image(self, name: str = "in_image_u8") -> Tensor:
        """(N, 3, H, W) in [-1, 1]."""
        return self.tensor(name).float() / 127.5 - 1

    def normal_input(self) -> Tensor:
        """The input that is not stored, by its rule: 'normal:TAG' and a shape."""
        rule, shape = re.findall(
            r"'(normal:[^']*)'.*standard_normal\(\(([\d, ]+)\)\)", self.meta["input_rule"]
        )[0]
        return on_device(draw(rule, tuple(map(int, shape.split(",")))))

    def layout(self) -> SemanticLayout:
        return layout_of(self.options)

    def semantics(self, suffix: str = "") -> SemanticMap:
        """The semantic map of `in_label` and, where the options have edges, `in_instance`."""
        layout = self.layout()
        labels = self.tensor(f"in_label{suffix}").long()
        if layout.unknown != "none":
            labels = torch.where(labels == layout.num_classes, 255, labels)
        instances = self.tensor(f"in_instance{suffix}") if layout.edges else None
        return SemanticMap(labels, layout, instances)

    def plain_semantics(self, num_classes: int) -> SemanticMap:
        """One channel a label value, as layers and blocks are tested."""
        return SemanticMap(self.tensor("in_label"), SemanticLayout(num_classes=num_classes))

    def prepare(
        self, network: nn.Module, prefix: str | None = None, names: Names | None = None
    ) -> nn.Module:
        """The network with filled weights, in the case's mode."""
        fill(network, self.fill_prefix if prefix is None else prefix, names)
        network.to(DEVICE)
        if self.fast:
            accelerate(network, always=True)
        return network.train(self.meta.get("mode") == "train")

    def close(self, name: str, actual: Tensor, expected: Any, tolerance: float) -> None:
        """Assert |actual - expected| <= tolerance everywhere, and remember the largest."""
        wanted = np.asarray(expected.cpu() if isinstance(expected, Tensor) else expected)
        found = actual.detach().cpu().numpy()
        assert found.shape == wanted.shape, f"{name} is {found.shape}, expected {wanted.shape}"
        largest = float(np.abs(found.astype(np.float64) - wanted.astype(np.float64)).max())
        self.differences[name] = largest
        assert largest <= tolerance, f"{name} differs by {largest:.3g}, more than {tolerance:.3g}"

    def output(self, name: str, actual: Tensor, tolerance: float) -> None:
        """Compare with a stored array, which may hold every `out_stride`-th pixel."""
        stride = self.meta.get("out_stride", 1)
        if actual.ndim == 4:
            actual = actual[:, :, ::stride, ::stride]
        self.close(name, actual, self.arrays[name], tolerance)

    def statistics(self, name: str, actual: Tensor, tolerance: float, correction: int = 0) -> None:
        """Compare mean and standard deviation of an output with `out_mean` and `out_std`."""
        actual = actual.double()
        if "out_mean" in self.meta:
            self.close(f"{name} mean", actual.mean(), self.meta["out_mean"], tolerance)
            self.close(
                f"{name} std", actual.std(correction=correction), self.meta["out_std"], tolerance
            )


def layout_of(options: Mapping[str, Any]) -> SemanticLayout:
    """The label layout that the reference's options mean."""
    return SemanticLayout(
        num_classes=options["label_nc"],
        unknown="last" if options.get("contain_dontcare_label") else "none",
        edges=not options.get("no_instance", True),
    )


def norm_options(norm_g: str) -> dict[str, Any]:
    """`spectralspadesyncbatch3x3` -> settings of our configurations."""
    match = re.fullmatch(r"(spectral)?spade(instance|batch|syncbatch)(\d)x\d", norm_g)
    assert match is not None, f"unknown norm_G {norm_g!r}"
    return {
        "spectral": match[1] is not None,
        "param_free_norm": match[2],
        "spade_kernel_size": int(match[3]),
    }
