# SPDX-License-Identifier: Apache-2.0
"""Publications, their tables as data, and which of their rows are models of the suite."""
