# SPDX-License-Identifier: Apache-2.0
"""Checkpoint files of either kind, and whether one fits the data that it shall be used on.

A file of this suite (safetensors) carries a JSON description:

    format                1
    network, config       class of the network and its complete configuration
    model                 the preset's name, or None
    layout, layout_name   the label layout of a generator, None for other networks
    origin                "trained by spade-eval", or "released: <file name>"
    train                 the `TrainConfig`, or None where the training is not ours
    train_config_sha256, weights, checkpoint_rule      None with it
    notes                 sentences to be shown with every number

A released file is a state dict in the key layout of SPADE or pix2pixHD. `ReleasedOptions` says what
its shapes cannot tell; the answers become part of the description.
"""

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from torch import Tensor, nn

from spade_eval.batches import layout_of
from spade_eval.datasets.base import Dataset
from spade_eval.errors import UserError, as_user_error, lookup
from spade_eval.json_fields import require_types
from spade_eval.models.checkpoints.description import describe, rebuild
from spade_eval.models.checkpoints.files import has_description, load_description, load_weights
from spade_eval.models.checkpoints.published import (
    load_published_generator,
    load_published_network,
)
from spade_eval.models.checkpoints.recognition import (
    families,
    is_generator,
    layout_called,
    load_released,
    network_of,
)
from spade_eval.models.checkpoints.unwrapping import unwrapped
from spade_eval.models.colours import written_palette
from spade_eval.models.fast.accelerate import accelerate
from spade_eval.models.generators.spade import NUM_UPSAMPLINGS
from spade_eval.models.labels import RELEASED_LAYOUTS, SemanticLayout, Size
from spade_eval.models.released import Published

FORMAT = 1
_WRITTEN_LAYOUT = re.compile(r"(\d{1,5})(?:\+unknown-(first|last))?(\+edges)?")
_FLAGS = "what its shapes cannot tell is said by --arch, --upsampling, --label-layout and --size"


@dataclass(frozen=True)
class Colours:
    """A dataset's label maps as pictures, for released files that read them so."""

    dataset: str
    palette: tuple[tuple[int, int, int], ...]  # of label value k
    layout: SemanticLayout  # without edges


@dataclass(frozen=True, kw_only=True)
class ReleasedOptions:
    """What the shapes in a released file cannot tell; None leaves it to the shapes."""

    arch: str | None = None
    upsampling: str | None = None
    label_layout: str | None = None
    image_size: Size | None = None  # of latent-input generators
    num_features: int = 0  # channels of pix2pixHD's instance features
    colours: Colours | None = None  # of the dataset that it is opened for

    def __post_init__(self) -> None:
        if self.arch is not None:
            lookup(dict.fromkeys(families()), self.arch, "released architecture (--arch)")
        if self.upsampling is not None:
            lookup(NUM_UPSAMPLINGS, self.upsampling, "number of upsamplings (--upsampling)")
        self.layout()

    def layout(self) -> SemanticLayout | str | None:
        """Return a known name, or a layout as it is written: `19+unknown-last+edges`."""
        text = self.label_layout
        written = None if text is None else _WRITTEN_LAYOUT.fullmatch(text)
        if written is not None:
            return SemanticLayout(
                num_classes=int(written[1]),
                unknown=written[2] or "none",  # type: ignore[arg-type]
                edges=bool(written[3]),
            )
        if text is not None and text not in RELEASED_LAYOUTS:
            raise UserError(
                f"--label-layout {text!r}: expected {', '.join(RELEASED_LAYOUTS)}, or the channels "
                "in order as CLASSES[+unknown-first or +unknown-last][+edges], such as "
                "19+unknown-last+edges"
            )
        return text


@dataclass(frozen=True, kw_only=True)
class _Described:
    """The types of a description's fields."""

    format: int
    network: str
    config: Mapping[str, Any]
    model: str | None
    layout: Mapping[str, Any] | None
    layout_name: str | None
    origin: str
    train: Mapping[str, Any] | None
    train_config_sha256: str | None
    weights: str | None
    checkpoint_rule: str | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Checkpoint:
    """A network in eval mode with what is known about it."""

    file: Path
    network: nn.Module
    description: Mapping[str, Any]

    @property
    def layout(self) -> SemanticLayout | None:
        """The label layout; None for encoders and discriminators."""
        layout = self.description["layout"]
        return None if layout is None else SemanticLayout(**layout)

    @property
    def config(self) -> Any:
        """The network's `Config`."""
        return self.network.config

    @property
    def z_dim(self) -> int | None:
        """Size of the latent; None for generators that take the label map alone."""
        z_dim: int | None = getattr(self.config, "z_dim", None)
        return z_dim


_FIELDS = {field.name for field in dataclasses.fields(_Described)}


def description(
    network: nn.Module,
    layout: SemanticLayout | None,
    layout_name: str | None,
    origin: str,
    **known: Any,
) -> dict[str, Any]:
    """Describe a network; fields that are not known are None."""
    return {
        **dict.fromkeys(_FIELDS),
        **describe(network),
        "format": FORMAT,
        "layout": None if layout is None else dataclasses.asdict(layout),
        "layout_name": layout_name,
        "origin": origin,
        "notes": [],
        **known,
    }


def open_checkpoint(file: Path, released: ReleasedOptions | None = None) -> Checkpoint:
    """Open a file of this suite or a released one; `UserError` of one line for any other."""
    if not file.is_file():
        raise UserError(
            f"checkpoint {file} does not exist; expected a .safetensors file as `spade-eval train` "
            "writes it, or a released *_net_G.pth"
        )
    own = has_description(file)
    opened = _open_own(file) if own else _open_released(file, released or ReleasedOptions())
    accelerate(opened.network)
    return opened


def open_generator(
    file: Path, dataset: Dataset, released: ReleasedOptions | None = None
) -> Checkpoint:
    """Open a checkpoint that can make images of this dataset; `UserError` says why not."""
    colours = Colours(dataset.name, dataset.label_space.palette, layout_of(dataset, "oasis"))
    options = dataclasses.replace(
        released or ReleasedOptions(), image_size=dataset.size, colours=colours
    )
    checkpoint = open_checkpoint(file, options)
    layout = checkpoint.layout
    if layout is None:
        raise UserError(
            f"checkpoint {file} holds a {type(checkpoint.network).__name__}, expected a generator; "
            "give the file of the generator (*_net_G.pth)"
        )
    _require_dataset(checkpoint, layout, dataset)
    _require_size(checkpoint, dataset)
    return checkpoint


def encoder_beside(file: Path) -> Path | None:
    """Return the image encoder that was trained with a generator, where it lies beside it.

    As a training writes it (encoder.safetensors), as SPADE's releases name it (*_net_E.pth), or
    `NAME-encoder` beside NAME.
    """
    names = [encoder_name(file.name)]
    if file.name == "generator.safetensors":
        names.append("encoder.safetensors")
    if "_net_G" in file.name:
        names.append(file.name.replace("_net_G", "_net_E"))
    return next((path for path in map(file.with_name, names) if path.is_file()), None)


def encoder_name(file: str) -> str:
    """Return NAME-encoder of the file NAME, with its suffix."""
    return f"{Path(file).stem}-encoder{Path(file).suffix}"


def _open_own(file: Path) -> Checkpoint:
    with as_user_error(f"checkpoint {file}"):
        described = load_description(file)
        if described.get("format") != FORMAT or set(described) != _FIELDS:
            raise ValueError(
                f"its description has the format {described.get('format')!r} and the fields "
                f"{', '.join(sorted(described))}; expected format {FORMAT} with "
                f"{', '.join(sorted(_FIELDS))}: train again, or convert the released file again"
            )
        require_types(_Described, described)
        require_types(SemanticLayout, described["layout"] or {})
        try:
            checkpoint = Checkpoint(file, rebuild(described, load_weights(file)), described)
            layout = checkpoint.layout
            if layout is not None and layout.num_labels != checkpoint.config.num_labels:
                raise ValueError(
                    f"its label layout has {layout.num_labels} channels, its network "
                    f"{checkpoint.config.num_labels}; the file is damaged, get it again"
                )
        except (TypeError, SafetensorError) as error:
            raise ValueError(f"its description or its weights are damaged ({error})") from error
    return checkpoint


def _open_released(file: Path, options: ReleasedOptions) -> Checkpoint:
    origin = f"released: {file.name}"
    with as_user_error("checkpoint"):
        tensors = load_released(file)
    try:
        found = unwrapped(tensors)
        tensors = found.tensors
        if not is_generator(network_of(tensors)):
            network = load_published_network(tensors)
            known = description(network, None, None, origin, notes=list(found.notes))
            return Checkpoint(file, network, known)
        layout, palette, where = _reading(tensors, options)
        loaded = load_published_generator(
            tensors,
            layout,
            arch=options.arch,
            upsampling=options.upsampling,
            image_size=options.image_size,
            num_features=options.num_features,
            palette=palette,
        )
    except (ValueError, IndexError, KeyError, ZeroDivisionError) as error:
        raise UserError(f"checkpoint {file}: {error}; {_FLAGS}") from error
    name = where or options.label_layout or loaded.layout_name
    how = "the only known one of so many channels"
    if where:
        how = "since it reads pictures"
    elif options.label_layout:
        how = "as --label-layout says"
    note = f"Released file {file.name} ({loaded.arch}), label layout {name}, {how}."
    described = description(
        loaded.generator, loaded.layout, name, origin, notes=[note, *found.notes]
    )
    return Checkpoint(file, loaded.generator, described)


def _reading(
    tensors: Mapping[str, Tensor], options: ReleasedOptions
) -> tuple[SemanticLayout | str | None, str, str]:
    """Return label layout, palette and what the layout is called of a generator's file.

    Without palette and name where its input is one channel a label. `ValueError` for one that reads
    pictures where no dataset is known that has their colours.
    """
    published: Published = network_of(tensors).published  # type: ignore[attr-defined]
    said, colours = options.layout(), options.colours
    layout = layout_called(said) if isinstance(said, str) else said
    if not published.reads_colours(tensors, layout.num_labels if layout else None):
        return said, "", ""
    if colours is None:
        raise ValueError(
            "it reads label maps in the colours of a dataset, which it does not hold; score it "
            "where they are known: --checkpoint NAME=FILE with its --dataset"
        )
    layout = layout or colours.layout
    first = layout.unknown == "first"
    palette = written_palette(colours.palette, layout.num_labels, unlabelled_first=first)
    return layout, palette, f"colours of {colours.dataset}"


def _require_dataset(checkpoint: Checkpoint, layout: SemanticLayout, dataset: Dataset) -> None:
    """Same classes, an "unknown" channel where pixels are unlabelled, instance maps for edges."""
    wanted = layout_of(dataset)
    name, file = checkpoint.description["layout_name"], checkpoint.file
    train = checkpoint.description["train"]
    if train is not None and train.get("dataset") != dataset.name:
        raise UserError(
            f"checkpoint {file} was trained on {train.get('dataset')}, this run is {dataset.name}: "
            "choose the matching --dataset"
        )
    # SPADE's Cityscapes networks have a 35th class that no pixel has; others' have 34.
    classes = {wanted.num_classes, dataset.label_space.num_classes}
    if layout.num_classes not in classes:
        raise UserError(
            f"checkpoint {file} takes {layout.num_labels} label channels of {layout.num_classes} "
            f"classes ({name}), expected {wanted.num_classes} classes of {dataset.name}: choose "
            "the matching --dataset, or say the order of its channels with --label-layout"
        )
    if layout.edges and not dataset.has_instances:
        raise UserError(
            f"checkpoint {file} takes {layout.num_labels} channels ({name}), the last for instance "
            f"edges, but {dataset.name} has no instance maps here: put them into --data-root "
            f"({dataset.split}_inst), or use a checkpoint without edges"
        )
    if layout.unknown == "none" and wanted.unknown != "none":
        raise UserError(
            f"checkpoint {file} takes {layout.num_labels} channels ({name}), none for unlabelled "
            f"pixels, expected one: {dataset.name} has such pixels; choose the matching --dataset "
            "or --label-layout"
        )


def _require_size(checkpoint: Checkpoint, dataset: Dataset) -> None:
    config, file = checkpoint.config, checkpoint.file
    height, width = dataset.size
    image_size = getattr(config, "image_size", None)
    if checkpoint.z_dim is not None and image_size not in (None, dataset.size):
        fixed = "x".join(map(str, image_size))
        raise UserError(
            f"checkpoint {file} makes {fixed} images from its latent, this run is "
            f"{height}x{width}: set --size {fixed}"
        )
    multiple = int(getattr(checkpoint.network, "multiple", 1))
    if height % multiple or width % multiple:
        raise UserError(
            f"checkpoint {file} makes images of multiples of {multiple} pixels, this run is "
            f"{height}x{width}: set --size"
        )
    if getattr(config, "num_features", 0):
        raise UserError(
            f"checkpoint {file} takes {config.num_features} channels of instance features "
            "besides the label map, which need their encoder; expected a generator without them"
        )
