# SPDX-License-Identifier: Apache-2.0
"""What a published method is: networks that learn together, one step of theirs, how they paint.

A method is one `System` in one file of this package, with its `Settings`, and one or more rows of
`spade_eval.models.systems.presets`. Nothing else of the suite knows its losses, the order of its
updates or what noise it takes: the trainer, the bench, the memory estimate, checkpoints and
previews ask the system.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from spade_eval.models.choices import NoisePer, PerceptualNetwork, SettingSet, StyleInput
from spade_eval.models.initialisation import Scheme
from spade_eval.models.inputs import Batch, Inputs
from spade_eval.models.labels import SemanticLayout, Size, layouts_of
from spade_eval.models.losses.perceptual import vgg19_loss


@dataclass(frozen=True, kw_only=True)
class Optimizer:
    """The optimizer of one update, and its learning rate over a run."""

    rate: float
    betas: tuple[float, float] = (0.0, 0.9)
    weight_decay: float = 0.0
    kind: Literal["adam", "adamw"] = "adam"
    # Constant and then linear to zero as the run's schedule says, halved every so many steps, or
    # constant to the end.
    # "fine-tuning": constant, and a fifth of it in the schedule's second part.
    # "cosine": to zero along half a wave; no method's own, see `RateDecay`.
    decay: Literal["linear", "halving", "constant", "fine-tuning", "cosine"] = "linear"
    halve_every: int | None = None


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the training of every method states; a method's own settings add its weights.

    Resolved (paper or release, then dataset, then preset) they are part of a training's
    configuration: printed, saved, hashed, and written into each record.
    """

    optimizers: dict[str, Optimizer]  # by the name of the update
    batch_size: int
    constant_epochs: int
    decay_epochs: int
    initialisation: Scheme = "as_trained"
    ema_decay: float | None = None  # of the scored network's weights; None keeps no average
    ema_buffers: bool = False  # average buffers as well, instead of copying them


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One setting on which a paper and its release differ."""

    setting: str
    paper: str
    release: str
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Original:
    """What no class can know of a published method: docs/systems.md shows it, nothing reads it."""

    paper: str
    objective: str  # what its losses are, in a few words
    protocol: str  # by what the paper scored it
    licence: str  # of the authors' code and weights
    released: tuple[str, ...] = ()  # the authors' files that load, by their names


@dataclass(frozen=True)
class Update:
    """The move of one optimizer. While it is computed all other networks are frozen."""

    name: str  # prefix of its terms in losses.jsonl, key of `Settings.optimizers`
    learns: tuple[str, ...]  # the networks whose parameters it moves
    terms: Callable[[Batch], dict[str, Tensor]]  # weighted; the loss is their sum


@dataclass(frozen=True, kw_only=True)
class Data:
    """What networks are built for."""

    num_labels: int  # channels of the semantic map
    size: Size
    palette: tuple[tuple[int, int, int], ...] = ()  # for systems that read colour-coded label maps
    unlabelled_first: bool = False  # channel 0 of the semantic map holds pixels of no class
    edges: bool = False  # whether the last channel of the semantic map holds instance edges


class System(nn.Module):
    """One method. Its children are its networks (and pools), saved under their names.

    `scored` names the network that is averaged, exported and synthesizes; what it exports must
    suffice to synthesize, so `synthesized_by` sees that network alone.
    """

    name: ClassVar[str]
    original: ClassVar[Original]
    labels: ClassVar[str] = "spade"  # the column of LAYOUTS that `layout` reads
    paired: ClassVar[bool] = True  # whether photos are those of the label maps
    multiple: ClassVar[int] = 1  # of which height and width of training images are multiples
    smallest: ClassVar[int] = 1  # of height and width of training images
    whole_steps: ClassVar[int | None] = None  # of a training by a method that counts no epochs
    scored: ClassVar[str] = "generator"
    # Where `ema_decay` is set: whether the average begins with the first weights, or after a step.
    averages_first_weights: ClassVar[bool] = False
    compares: ClassVar[PerceptualNetwork] = "vgg19"  # whose features, if it has a perceptual loss
    styles_regions: ClassVar[bool] = False  # whether a style is a code for each region of a photo
    # Whether a step makes its images twice: for G's update and, with the new G, for D's. With
    # `one_synthesis` D's update takes those of G's.
    synthesizes_twice: ClassVar[bool] = False
    one_synthesis: bool = False
    # Whether the schedule's second part has begun; the trainer says so before every step.
    fine_tuning: bool = False
    takes_stand_in: ClassVar[bool] = True  # whether its perceptual loss may be of another network
    # What is random where `style_input` is "random", as a note says it.
    drawn: ClassVar[str] = "latent z drawn from N(0, 1)"
    # The exported network that translates photos into label maps, where there is one.
    goes_back: ClassVar[str | None] = None
    # Classes of the other networks that files hold: discriminators, encoders.
    networks: ClassVar[tuple[type[nn.Module], ...]] = ()
    # By set of settings and dataset; "" stands for the datasets that are not named.
    settings: ClassVar[Mapping[tuple[SettingSet, str], Settings]]
    # Why paper and release differ, by the last part of a setting's name; and where the
    # architecture does, which is the release's in both sets.
    setting_notes: ClassVar[Mapping[str, str]] = {}
    printed_architecture: ClassVar[tuple[Difference, ...]] = ()

    @classmethod
    def layout(
        cls,
        published: Mapping[str, SemanticLayout],
        num_classes: int,
        *,
        has_unlabelled: bool,
        has_instances: bool,
    ) -> SemanticLayout:
        """Return the order of channels in which the method sees label maps.

        `published` are the dataset's own layouts by program, where there are any.
        """
        known = layouts_of(
            published, num_classes, has_unlabelled=has_unlabelled, has_instances=has_instances
        )
        return known[cls.labels]

    @classmethod
    def build(
        cls,
        preset: "Preset",
        data: Data,
        settings: Any,
        *,
        width: float = 1.0,
        seed: int = 0,
        measure: nn.Module | None = None,
    ) -> "System":
        """Return the method with its first weights, drawn from `seed`; no global state changes.

        `width` scales every number of channels, 1.0 is the paper's. Without `measure`, the frozen
        network of its perceptual loss, a method leaves that term out; one that cannot train
        without raises `ValueError`.
        """
        raise NotImplementedError

    @classmethod
    def has_perceptual_loss(cls, settings: Any) -> bool:
        """Return whether the method compares features of a network, with or without weights."""
        return False

    @classmethod
    def measure(cls, weights: Mapping[str, Tensor]) -> nn.Module:
        """Return what the method's loss looks through, from the weights that `compares` names."""
        return vgg19_loss(weights)

    @classmethod
    def style_input(cls, network: nn.Module) -> StyleInput:
        """Return what the scored network is given besides the label map."""
        return "none"

    @classmethod
    def style_inputs(cls, network: nn.Module) -> tuple[StyleInput, ...]:
        """Return what it may be given, the first of them unless another is asked for."""
        return (cls.style_input(network),)

    @classmethod
    def is_stochastic(cls, network: nn.Module, style: StyleInput) -> bool:
        """Return whether one label map and style give other images with other noise."""
        return style == "random"

    @classmethod
    def absent_styles(cls, network: nn.Module) -> tuple[int, ...]:
        """Return the labels (channels) whose mean style the network should keep and does not."""
        return ()

    @classmethod
    def noise_levels(cls, network: nn.Module) -> tuple[NoisePer, ...]:
        """Return what may have a latent of its own when the scored network synthesizes."""
        return ("image",)

    @classmethod
    def notes(cls, network: nn.Module) -> tuple[str, ...]:
        """Return what has to be said with every number of the scored network, in sentences."""
        return ()

    @classmethod
    def fewest_passes(cls, config: Any) -> tuple[Any, float]:
        """Return a configuration whose images take few passes, and how many times as many these do.

        By it the work of an image is counted.
        """
        return config, 1.0

    @classmethod
    def synthesized_by(cls, network: nn.Module, inputs: Inputs, *, quick: bool = False) -> Tensor:
        """Return (N, 3, H, W) in [-1, 1] of the scored network; `quick` is for previews."""
        raise NotImplementedError

    @property
    def exported(self) -> tuple[str, ...]:
        """The networks whose weights are written at the end, the scored one among them."""
        return (self.scored,)

    @property
    def measures(self) -> tuple[nn.Module, ...]:
        """Networks that judge and never learn, as VGG-19: they move along, but are in no state."""
        return ()

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "System":
        for network in self.measures:
            network._apply(fn)
        return super()._apply(fn, recurse)

    def updates(self) -> tuple[Update, ...]:
        """Return the updates of one training step, in order."""
        raise NotImplementedError

    def finished(self, network: nn.Module, batches: Iterable[Batch]) -> nn.Module:
        """Return the scored network as it is to be scored or saved.

        Methods that refresh its statistics do so on a copy, with as many of the endless training
        `batches` as they need: the training goes on with the network itself.
        """
        return network


@dataclass(frozen=True, kw_only=True)
class Preset:
    """One row of GENERATORS: a method, its scored network, and what the row changes of both."""

    system: type[System]
    network: type[nn.Module]
    config: Mapping[str, Any] = field(default_factory=dict)  # of the network, at full width
    changes: Mapping[str, Any] = field(default_factory=dict)  # of the settings, by dotted name
    source: str = ""  # table and row of the paper
    millions: int | None = None  # parameters as printed there
    description: str = ""
