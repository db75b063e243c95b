# SPDX-License-Identifier: Apache-2.0
"""`python run_benchmark.py ...` is `spade-eval benchmark ...`."""

import sys

from spade_eval.cli import main

if __name__ == "__main__":
    main(["benchmark", *sys.argv[1:]])
