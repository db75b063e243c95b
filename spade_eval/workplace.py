# SPDX-License-Identifier: Apache-2.0
"""The folder of a run: one configuration, stated in config.json."""

import json
from pathlib import Path

from spade_eval.config import RunConfig
from spade_eval.errors import UserError
from spade_eval.files import replaced


def claim_folder(folder: Path, config: RunConfig) -> None:
    """Write the configuration into a new run folder; refuse one of another configuration."""
    path = folder / "config.json"
    if path.is_file():
        if json.loads(path.read_text(encoding="utf-8")).get("sha256") != config.sha256:
            raise UserError(
                f"{folder} holds a run with another configuration (see {path.name} there); "
                "choose another folder with --out"
            )
        return
    with replaced(path) as temporary:
        temporary.write_text(json.dumps(config.as_json(), indent=2), encoding="utf-8")
