# SPDX-License-Identifier: Apache-2.0
"""One of several processes, of which the second has an error of the user's to tell."""

import sys

import torch

from spade_eval.errors import UserError
from spade_eval.jobs.processes import end_worker, joined, leave_word


def main() -> None:
    try:
        with joined() as world:
            world.any(False)
            if world.rank == 1:
                raise UserError("the photo of sample 7 is damaged")
            world.summed(torch.zeros(1, dtype=torch.int64))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)  # and then as the command line ends
        leave_word(refused=True)
        end_worker(2)


if __name__ == "__main__":
    main()
