# SPDX-License-Identifier: Apache-2.0
"""The headings of flags in `--help`, in their order there."""

ARGUMENTS = "Arguments"
OTHERS = "Options"
ROWS = "Rows"
DATA = "Data"
TRAINING = "Training"
SCORING = "Scoring"
RELEASED = "Released files"
SEVERAL = "Tables of papers, and several seeds"
PLACE = "Folders and device"
PROCESSES = "Processes"
OUTPUT = "Output and help"

TOPICS = (ARGUMENTS, OTHERS, ROWS, DATA, TRAINING, SCORING, RELEASED, SEVERAL, PLACE, PROCESSES,
          OUTPUT)  # fmt: skip
