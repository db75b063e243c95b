# SPDX-License-Identifier: Apache-2.0
"""`python -m spade_eval ...` is `spade-eval ...`, also where no script is on the PATH."""

from spade_eval.cli import main

if __name__ == "__main__":
    main()
