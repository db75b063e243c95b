# SPDX-License-Identifier: Apache-2.0
"""Class-conditional batch norm and SFT against the reference's numbers."""

import re

import torch
import torch.nn.functional as F
from parity.case import DEVICE, TOLERANCE, Case, on_device
from parity.fill import draw, filled_state
from torch import Tensor, nn

from spade_eval.models.labels import SemanticLayout
from spade_eval.models.layers.norms import ClassConditionalBatchNorm, SpatialFeatureTransform
from spade_eval.models.semantics import SemanticMap


def check_conditional_batch(case: Case) -> None:
    channels, classes = case.options["channels"], case.options["classes"]
    assert case.options["style"] == "bn"
    names = {
        "gain.weight": (classes, channels),
        "bias.weight": (classes, channels),
        "stored_mean": (channels,),
        "stored_var": (channels,),
    }
    state = filled_state(names, case.fill_prefix)
    for ours, theirs in (("running_mean", "stored_mean"), ("running_var", "stored_var")):
        state[f"param_free_norm.{ours}"] = state.pop(theirs)
    state["param_free_norm.num_batches_tracked"] = torch.tensor(0)
    layer = ClassConditionalBatchNorm(channels, classes)
    layer.load_state_dict(state)
    layer.eval().to(DEVICE)
    shape = case.arrays["out"].shape
    # An image-level class is a map of one label.
    labels = case.tensor("y").long()[:, None, None].expand(-1, 2, 2)
    semantics = SemanticMap(labels, SemanticLayout(num_classes=classes))
    (rule,) = _input_rules(case)
    case.output("out", layer(_drawn(rule, shape), semantics), TOLERANCE)


def _input_rules(case: Case) -> list[str]:
    """The rules 'normal:TAG' of the inputs, from this file or from the one that its meta names."""
    text = case.meta["input_rule"]
    if other := re.fullmatch(r"as (\w+)", text):
        return _input_rules(Case(case.path.with_name(f"{other[1]}.npz")))
    return re.findall(r"'(normal:[^']*)'", text)


def _drawn(rule: str, shape: tuple[int, ...]) -> Tensor:
    return on_device(draw(rule, shape))


class _SFTResBlock(nn.Module):
    """The SFT paper's block around our layer: x + conv(SFT(relu(conv(SFT(x)))))."""

    def __init__(self, channels: int, condition: int, hidden: int) -> None:
        super().__init__()
        self.sft0 = SpatialFeatureTransform(channels, condition, hidden)
        self.conv0 = nn.Conv2d(channels, channels, 3, padding=1)
        self.sft1 = SpatialFeatureTransform(channels, condition, hidden)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor, condition: SemanticMap) -> Tensor:
        hidden = F.relu(self.conv0(self.sft0(x, condition)))
        return x + self.conv1(self.sft1(hidden, condition))


def check_sft(case: Case) -> None:
    channels, condition = case.options["features"], case.options["condition"]
    network = _SFTResBlock if "resblock" in case.path.stem else SpatialFeatureTransform
    layer = network(channels, condition, case.options["hidden"])
    case.prepare(layer)
    batch, _, height, width = case.arrays["out"].shape
    of_x, of_condition = _input_rules(case)
    features = SemanticMap.from_tensor(_drawn(of_condition, (batch, condition, height, width)))
    y = layer(_drawn(of_x, (batch, channels, height, width)), features)
    case.output("out", y, TOLERANCE)
