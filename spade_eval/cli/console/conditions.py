# SPDX-License-Identifier: Apache-2.0
"""The conditions under which flags have an effect; each stands in the annotation of its flags.

Flags that are part of a run's configuration have none: they decide which run it is.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from spade_eval.cli.console.effects import Effect, Values


def _plain(values: Values, name: str) -> Any:
    """Return a flag's value, that of a choice as its word; None where the command has none."""
    value = values.get(name)
    return getattr(value, "value", value)


def _is_study(values: Values) -> bool:
    return values.get("table") is not None or values.get("seeds", "1") != "1"


def _is_generator(values: Values) -> bool:
    return _plain(values, "what") != "segmenter"


def _datasets(values: Values) -> set[str]:
    """Return the datasets whose samples are read."""
    if isinstance(values.get("maps"), Path):  # in their place; a number of maps is of a dataset
        return set()
    return set((values.get("dataset") or "").split(","))


def _files(values: Values) -> Iterator[Path]:
    """Yield the checkpoints that a command names: plain paths and NAME=FILE."""
    for name in ("checkpoint", "images", "source"):
        given = values.get(name) or ()
        for item in given if isinstance(given, (list, tuple)) else (given,):
            path = Path(str(item).partition("=")[2] or str(item))
            if not path.is_dir():
                yield path


def is_checkpoint(path: Path) -> bool:
    """Return whether it is a checkpoint and no folder of images: of what is absent, by its name."""
    named = not path.exists() and path.suffix in (".safetensors", ".pth", ".pt")
    return named or path.is_file()


def _has_released(values: Values) -> bool:
    from spade_eval.models.checkpoints.files import has_description

    # A file that is absent is refused by name, which says more.
    return any(not path.is_file() or not has_description(path) for path in _files(values))


def _has_pipeline(values: Values) -> bool:
    """Return whether a generator is a pipeline of diffusers."""
    return any("=diffusers:" in str(item) for item in values.get("generator") or ())


def _has_diffusion(values: Values) -> bool:
    from spade_eval.models.systems.presets import GENERATORS
    from spade_eval.sources.sampling import is_diffusion

    named = (GENERATORS.get(name) for name in values.get("model") or ())
    return any(preset is not None and is_diffusion(preset.network) for preset in named)


WITH_CHECKPOINT = Effect("with a checkpoint", lambda values: any(_files(values)))
WITH_SAMPLING = Effect(
    "with a checkpoint or a diffusion model",
    lambda values: any(_files(values)) or _has_pipeline(values) or _has_diffusion(values),
)
WITH_GENERATOR = Effect("with --generator", lambda values: bool(values.get("generator")))
WITH_DIFFUSERS = Effect("with --generator NAME=diffusers:DIR", _has_pipeline)
WITH_OTHERS = Effect(
    "with folders of images, checkpoints or generators",
    lambda values: any(values.get(name) for name in ("images", "checkpoint", "generator")),
    among="model",
)
WITH_RELEASED = Effect("with a released file", _has_released)
WITH_FILES = Effect(
    "with a dataset of files",
    lambda values: bool(_datasets(values) - {"scenes", ""}),
)
WITH_SCENES = Effect("with --dataset scenes", lambda values: values.get("dataset") == "scenes")
WITH_DATASET = Effect("with a dataset", lambda values: values.get("dataset") is not None)
WITH_TABLE = Effect("with --table", lambda values: values.get("table") is not None)
WITH_COMPARED = Effect("with --compare", lambda values: values.get("compare") is not None)
WITHOUT_TABLE = Effect("without --table", lambda values: values.get("table") is None)
WITH_TRAINING = Effect(
    "with --model, --train, --compare, --table or several --seeds",
    lambda values: (
        _is_study(values) or any(values.get(name) for name in ("model", "train", "compare"))
    ),
)
IN_STUDIES = Effect("with --table or several --seeds", _is_study)
OUTSIDE_STUDIES = Effect(
    "without --table and several --seeds",
    lambda values: not _is_study(values),
    among="seeds",
)
BESIDE_SHIPPED = Effect(
    "without --model, --table and several --seeds",
    lambda values: not _is_study(values) and not values.get("model"),
)
ON_SLURM = Effect("with --launcher slurm", lambda values: _plain(values, "launcher") == "slurm")
WITH_ROWS = Effect(
    "with folders of images, checkpoints or named models",
    lambda values: any(
        values.get(name) for name in ("images", "checkpoint", "generator", "model", "train")
    ),
    among="model",  # of other commands all rows are given
)
ON_GENERATORS = Effect("for generators", _is_generator, among="what")
ON_SEGMENTERS = Effect("for segmenters", lambda values: not _is_generator(values), among="what")
WITH_ESTIMATE = Effect("with --estimate", lambda values: bool(values.get("estimate")))
WITH_GPUS = Effect("with --gpus", lambda values: values.get("gpus") is not None)
WITH_NODES = Effect("with several --nodes", lambda values: values.get("nodes", 1) > 1)
WITH_SCORE_EVERY = Effect(
    "with --score-every", lambda values: values.get("score_every") is not None
)
OF_LEADERBOARD = Effect(
    "with --into and without --table",
    lambda values: values.get("into") is not None and values.get("table") is None,
)
OF_ONE_RUN = Effect(
    "for one run folder, without --table and --out",
    lambda values: (
        values.get("table") is None
        and values.get("out") is None
        and len(values["runs"]) == 1
        and values["runs"][0].is_dir()
    ),
)
WITH_VERIFY = Effect("with --verify", lambda values: values.get("verify") is not None)
WITHOUT_VERIFY = Effect("without --verify", lambda values: values.get("verify") is None)
WITH_BENCHMARK = Effect("with --benchmark", lambda values: values.get("benchmark") is not None)
WITH_INTO = Effect("with --into", lambda values: values.get("into") is not None)
WITHOUT_BACK = Effect("without --back", lambda values: values.get("back") is None)
WITHOUT_DIFF = Effect("without --diff", lambda values: not values.get("diff"))
WITHOUT_STYLE_IMAGES = Effect("without --style-image", lambda values: not values.get("style_image"))
WITH_MAPS = Effect("with --maps", lambda values: values.get("maps") is not None)
WITHOUT_MAPS = Effect("without --maps", lambda values: values.get("maps") is None)
WITHOUT_TRAINING = Effect("without --training", lambda values: not values.get("training"))
WITH_WEIGHTS = Effect("without --filled-weights", lambda values: not values.get("filled_weights"))
IN_TRAINING_PLACE = Effect(
    "without --out for segmenters",
    lambda values: _is_generator(values) or values.get("out") is None,
    among="what",
)
