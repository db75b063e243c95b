# SPDX-License-Identifier: Apache-2.0
"""The class tables by name of the dataset."""

from spade_eval.datasets import ade20k_classes, cityscapes_classes, cocostuff_classes
from spade_eval.datasets.class_table import ClassTable

CLASS_TABLES: dict[str, ClassTable] = {
    "cocostuff": cocostuff_classes.TABLE,
    "ade20k": ade20k_classes.TABLE,
    "cityscapes": cityscapes_classes.TABLE,
}
