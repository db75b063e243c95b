# SPDX-License-Identifier: Apache-2.0
"""From images to numbers: segmenters, features, distances, diversity and their notes."""
