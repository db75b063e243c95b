# SPDX-License-Identifier: Apache-2.0
"""One of several processes, of which the second has an error of the user's to tell."""

import torch

from spade_eval.cli import _refuse
from spade_eval.errors import UserError
from spade_eval.jobs.processes import joined


def main() -> None:
    try:
        with joined() as world:
            world.any(False)
            if world.rank == 1:
                raise UserError("the photo of sample 7 is damaged")
            world.summed(torch.zeros(1, dtype=torch.int64))
    except UserError as error:
        _refuse(error, str(error))


if __name__ == "__main__":
    main()
