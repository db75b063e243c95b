# SPDX-License-Identifier: Apache-2.0
"""Figures as matplotlib draws them, one kind a file."""
