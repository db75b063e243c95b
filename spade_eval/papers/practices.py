# SPDX-License-Identifier: Apache-2.0
"""How papers of 2022 to 2026 made the images of their tables, and where a profile cannot follow.

None of it decides a number: it is printed with the profile of the paper's name and said with the
numbers made by it. What decides numbers is in `spade_eval/protocol/`. Read from the repositories
and threads that `source` names; what was not found there is said to be unknown.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Relation = Literal["none", "related", "scoring"]
"""Which segmenter had a part in a training: none, one of the same data or family, the scoring."""
_TRAINING: dict[Relation | None, str] = {
    None: "not known whether with a segmenter",
    "none": "without a segmenter",
    "related": "with a segmenter of the same data or family",
    "scoring": "with the very segmenter that scores it",
}


@dataclass(frozen=True, kw_only=True)
class Practice:
    """What a paper did on one dataset."""

    source: str
    samples: int = 1  # images a map
    pooling: str = ""  # how several images a map became one number
    guidance: float | None = None  # None: not known
    sampling_steps: int | None = None  # None: not known
    sampler: str = ""
    seeds: str = ""
    text: str  # what the generator is given besides the map, or "none"
    file_format: str = "PNG"
    trained_with: Relation | None = None  # the segmenter; None: not known
    partial: tuple[str, ...] = ()  # what the profile leaves out or does otherwise

    def rows(self) -> dict[str, str]:
        """Return the lines of a printed profile, by title."""
        return {
            "source": self.source,
            "paper's images": self.images,
            "paper's training": _TRAINING[self.trained_with],
            **({"partial": "; ".join(self.partial)} if self.partial else {}),
        }

    @property
    def images(self) -> str:
        """Say in a line how the images of the paper's table were made."""
        guidance = "not known" if self.guidance is None else f"{self.guidance:g}"
        steps = "not known" if self.sampling_steps is None else f"{self.sampling_steps:,}"
        words = [
            f"{self.samples} a map{self.pooling and f', {self.pooling}'}",
            f"guidance {guidance}",
            f"steps {steps}",
            *filter(None, [self.sampler, self.seeds]),
            f"text: {self.text}",
            f"{self.file_format} files",
        ]
        return "; ".join(words)


def _on(practice: Practice, **changes: Mapping[str, Any]) -> dict[str, Practice]:
    """Return the practice on each dataset, with what differs there; `partial` is added."""
    return {
        dataset: dataclasses.replace(
            practice, **{**own, "partial": (*practice.partial, *own.get("partial", ()))}
        )
        for dataset, own in changes.items()
    }


_ONE_IS_SCORED = "the paper's mIoU pools the counts of 4 images a map and its FID is a mean of 4"
_HUB = (
    "its real photos are those of its Hugging Face set, whose size its code does not state: "
    "squares of 512x512 here"
)
_NEGATIVE = 'negative prompt "worst quality, low quality" in its code, none in the paper'
_CONTROLNET_PLUS_PLUS = Practice(
    source="liming-ai/ControlNet_Plus_Plus 9ffe264: eval/*.sh, eval/*.py, mmlab/mmseg/*.py",
    samples=4,
    pooling="counts pooled (the paper says averaged), FID the mean of 4",
    guidance=7.5,
    sampling_steps=20,
    sampler="UniPC",
    seeds="seed 42",
    text=f"captions by MiniGPT-4; {_NEGATIVE}",
    partial=(_ONE_IS_SCORED, _HUB, "its CLIP score is left out"),
)

PRACTICES: dict[str, dict[str, Practice]] = {
    "freestylenet": _on(
        Practice(
            source="essunny310/FreestyleNet#3, scripts/LIS.py; followed by PLACE, section 4.1",
            guidance=2.0,
            sampling_steps=50,
            sampler="PLMS",
            seeds="seed 42, batch 8",
            text="names of the classes",
            partial=(
                "whether its real photos become 256x256 at once is not said: through 512x512 here",
            ),
        ),
        ade20k={},
        cocostuff={
            "partial": ("how images enter DeepLabV2 is not in its code: as generated here",)
        },
    ),
    "aldm": _on(
        Practice(
            source="boschresearch/ALDM#1, bash_script/*.sh, utils/generate_*.py",
            guidance=7.5,
            sampler="DDIM, eta 0",
            seeds="seeds 1234 + 177 i",
            text="captions by BLIP",
            partial=(
                "its evaluation code is not released: how images enter the segmenter is not said, "
                "as generated here",
                "its TIFA score is left out",
            ),
        ),
        ade20k={"trained_with": "scoring"},
        cityscapes={
            "samples": 4,
            "pooling": "how is not said",
            "partial": ("the paper has 4 images a map",),
        },
    ),
    "controlnet-plus-plus": _on(
        _CONTROLNET_PLUS_PLUS, ade20k={"trained_with": "related"}, cocostuff={}
    ),
    "ctrl-u": _on(
        dataclasses.replace(
            _CONTROLNET_PLUS_PLUS,
            source="grenoble-zhang/Ctrl-U 704d51d: eval/eval_ade20k.sh, eval/eval_cocostuff.sh",
            pooling="counts pooled, FID the mean of 4",
            guidance=2.0,
            sampler="",
            seeds="",
        ),
        ade20k={},
        cocostuff={},
    ),
    "controlar": _on(
        Practice(
            source="hustvl/ControlAR 87e32e9: evaluations/*.py",
            text="captions, whose is not said",
            partial=(
                "its real photos are of a folder that the caller names: squares of 512x512 here",
            ),
        ),
        ade20k={},
        cocostuff={
            "partial": (
                "its script leaves out each image that raises an error, which ends a run here",
            )
        },
    ),
    "seg2any": _on(
        Practice(
            source="0xLDF/Seg2Any 37c679e: eval.sh, eval/*.py, config/*.yaml",
            samples=4,
            pooling="counts pooled, FID the mean of 4",
            guidance=3.5,
            sampling_steps=32,
            seeds="seed 42",
            text="captions of the image and of its masks",
            file_format="JPEG",
            partial=(
                _ONE_IS_SCORED,
                "its files are JPEG of Pillow's default quality, images made here never are",
                "its SACap-Eval is left out: SAM 2.1 is prompted with the true boxes and masks",
            ),
        ),
        ade20k={},
        cocostuff={},
    ),
    "scdm": _on(
        Practice(source="mlvlab/SCDM dd176a1: README, evaluations/", text="none"),
        cocostuff={},
        ade20k={
            "partial": (
                "its segmenter, ViT-Adapter-S with UperNet at 512, is not among the suite's: "
                "upernet101 stands in, and its mIoU is not comparable with the paper's",
            )
        },
    ),
}
