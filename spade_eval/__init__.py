# SPDX-License-Identifier: Apache-2.0
"""Benchmark suite for semantic image synthesis: label maps -> photos -> scores -> tables."""
