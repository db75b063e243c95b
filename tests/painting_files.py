# SPDX-License-Identifier: Apache-2.0
"""Small generators as files of this suite, whose images say something, and sessions with them."""

from pathlib import Path

import torch

from spade_eval.datasets.base import Dataset
from spade_eval.figures.networks import preserve_variance
from spade_eval.models.checkpoints.files import save_network
from spade_eval.models.encoders.variational import ImageEncoder
from spade_eval.models.labels import SemanticLayout
from spade_eval.models.systems.presets import build_generator
from spade_eval.pages.painting.models import open_models, titles_of
from spade_eval.pages.painting.session import Session
from spade_eval.sources.checkpoints import description

SIZE = (32, 32)
CPU = torch.device("cpu")


SCENES = SemanticLayout(num_classes=16, edges=True)


def write_generator(
    path: Path, model: str = "spade", *, layout: SemanticLayout = SCENES, called: str = ""
) -> Path:
    """Write a generator of that preset, as narrow as possible; `called` what its file says."""
    edges = layout.edges
    network = build_generator(model, layout.num_labels, SIZE, width=1 / 32, seed=1, edges=edges)
    preserve_variance(network, seed=1)
    path.parent.mkdir(parents=True, exist_ok=True)
    described = description(network, layout, "scenes", "a test", model=called or model)
    save_network(path, network.state_dict(), described)
    return path


def write_encoder(path: Path, z_dim: int = 256) -> Path:
    """Write an image encoder."""
    config = ImageEncoder.Config(base_channels=4, z_dim=z_dim, input_size=32)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = ImageEncoder(config)
    save_network(path, network.state_dict(), description(network, None, None, "a test"))
    return path


def session_of(dataset: Dataset, *files: Path) -> Session:
    """Open a session of these files on the CPU."""
    return Session(dataset, open_models(titles_of(files), dataset, CPU), CPU)
