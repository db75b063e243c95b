# SPDX-License-Identifier: Apache-2.0
"""Scoring networks: a photo goes in, the class of every pixel comes out."""
