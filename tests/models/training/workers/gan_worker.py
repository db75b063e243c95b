# SPDX-License-Identifier: Apache-2.0
"""One process of a tiny training: `python gan_worker.py MODEL FOLDER [options]`, or by torchrun.

Writes FOLDER/state.pt as any training does, and FOLDER/losses.json at the end.
"""

import argparse
import json
import os
import signal
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from spade_eval.jobs.processes import joined
from spade_eval.models.checkpoints.files import load_state, save_state
from spade_eval.models.initialisation import initialise
from spade_eval.models.inputs import Batch, Noise
from spade_eval.models.labels import SemanticLayout
from spade_eval.models.semantics import SemanticMap
from spade_eval.models.systems.base import Data
from spade_eval.models.systems.presets import GENERATORS
from spade_eval.models.systems.settings import changed, resolved
from spade_eval.models.training.distributed import World
from spade_eval.models.training.loop import Loop, LoopSettings
from spade_eval.models.training.schedule import RateSchedule
from spade_eval.models.training.trainer import Trainer

LAYOUT = SemanticLayout(num_classes=4, unknown="last", edges=True)
SIDE = 32
SIDE_OF = {"oasis": 64, "pix2pix": 64, "munit": 64, "unit": 64}  # which halve images six times
COLOURS = ((250, 20, 20), (20, 250, 20), (20, 20, 250), (200, 200, 100))
BATCH_SIZE = 8
# Adam divides a gradient by its own size. Where it is zero but for rounding (a bias in front of
# batch norm, the last bias of D under the hinge loss), torch's 1e-8 makes full steps of that noise,
# which hangs on the order of sums; this makes them as small as they should be.
EPSILON = 1e-4
# A tenth of the papers' rates: leaky ReLUs and L1 losses have kinks, and where one sum lies to the
# left and the other to the right of one, rates decide how fast that difference grows.
RATE = 1e-5


def micro_batches_at(step: int, world: World, count: int, side: int = SIDE) -> list[Batch]:
    """This process's share of each micro batch of a random batch of eight."""
    random = torch.Generator().manual_seed(step)
    # The generator begins with every 32nd pixel. Were these equal in all images, batch norm would
    # amplify the rounding of a constant to order one.
    labels = torch.randint(0, 5, (BATCH_SIZE, 8, 8), generator=random)
    labels[labels == 4] = 255
    labels = labels.repeat_interleave(side // 8, 1).repeat_interleave(side // 8, 2)
    photos = torch.rand(BATCH_SIZE, 3, side, side, generator=random) * 2 - 1
    found = []
    for number, micro in enumerate(torch.arange(BATCH_SIZE).chunk(count)):
        share = world.share(len(micro))
        mine = micro[share]
        semantics = SemanticMap(labels[mine], LAYOUT, labels[mine])
        noise = Noise.of_step(0, step, number, len(micro), share)
        found.append(
            Batch(semantics, photos[mine], noise, summed=world.summed, together=world.together)
        )
    return found


def spread(network: nn.Module, seed: int) -> None:
    """Weights that keep the size of activations.

    From the papers' small ones a step changes weights by a tenth of their size, and the difference
    between two orders of summation grows a hundredfold a step, whatever the number of processes.
    """
    random = torch.Generator().manual_seed(seed)
    initialise(network, "as_trained", seed)
    with torch.no_grad():
        for weight in network.parameters():
            if weight.ndim > 1:
                weight.normal_(0, weight[0].numel() ** -0.5, generator=random)


def training_of(model: str, world: World) -> Trainer:
    """Networks as narrow as they get."""
    preset = GENERATORS[model]
    settings = resolved(preset, "release")
    changes = {"ema_decay": 0.9, "batch_size": BATCH_SIZE}
    for name in settings.optimizers:
        changes[f"optimizers.{name}.rate"] = 4 * RATE if name == "D" else RATE
        changes[f"optimizers.{name}.betas"] = (0.0, 0.9)
    if hasattr(settings, "objective"):
        changes["objective.kld_images"] = 4
    settings = changed(settings, changes)
    side = SIDE_OF.get(model, SIDE)
    data = Data(
        num_labels=LAYOUT.num_labels, size=(side, side), palette=COLOURS, edges=LAYOUT.edges
    )
    system = preset.system.build(preset, data, settings, width=4 / 64)
    for seed, network in enumerate(system.children()):
        if list(network.parameters()):  # pools have none
            spread(network, seed)
    training = Trainer(system, settings, RateSchedule(constant=10, decay=10), world=world)
    for optimizer in training.optimizers.values():
        optimizer.optimizer.param_groups[0]["eps"] = EPSILON
    return training


def networks_of(training: Trainer) -> dict[str, Tensor]:
    networks = [*dict(training.system.named_children()), "average"]
    return {
        f"{network}.{name}": tensor
        for network, state in training.state_dict().items()
        if network in networks
        for name, tensor in state.items()
    }


def follow(training: Trainer, step: int, folder: Path) -> float:
    """Take the state that another run had before this step; how far from it this run was."""
    here = networks_of(training)
    training.load_state_dict(load_state(folder / f"before-{step}.pt"))
    return max(
        float((tensor.double() - here[name].double()).abs().max())
        for name, tensor in networks_of(training).items()
    )


def die_once(folder: Path, at: int, world: World) -> None:
    """SIGKILL for the last process, in the first of its lives."""
    mark = folder / "killed"
    if world.rank == world.size - 1 and not mark.exists():
        mark.write_text(str(at))
        os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--micro-batches", type=int, default=1)
    parser.add_argument("--kill-at", type=int)
    parser.add_argument("--keep", action="store_true", help="the state before every step")
    parser.add_argument("--follow", type=Path, help="start every step from a kept state of there")
    given = parser.parse_args()
    torch.set_num_threads(1)
    losses: list[dict[str, float]] = []

    def observe(step: int, found: Mapping[str, float]) -> None:
        losses.append({"step": step, **found})

    with joined() as world:
        training = training_of(given.model, world)
        distances: list[float] = []

        def batch_at(step: int) -> list[Batch]:
            if step == given.kill_at:
                die_once(given.folder, step, world)
            if given.keep:
                save_state(given.folder / f"before-{step}.pt", training.state_dict())
            if given.follow is not None:
                distances.append(follow(training, step, given.follow))
            side = SIDE_OF.get(given.model, SIDE)
            return micro_batches_at(step, world, given.micro_batches, side)

        Loop(
            training,
            batch_at,
            LoopSettings(
                steps=given.steps, batch_size=BATCH_SIZE, save_every=3, observe_every=1, prefetch=0
            ),
            given.folder / "state.pt",
            "sha",
            (observe,),
            world=world,
        ).run()
        if world.is_first:
            (given.folder / "losses.json").write_text(json.dumps(losses))
            (given.folder / "distances.json").write_text(json.dumps(distances))


if __name__ == "__main__":
    main()
