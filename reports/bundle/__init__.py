# SPDX-License-Identifier: Apache-2.0
"""A run as one file for another machine, and its opening there."""
