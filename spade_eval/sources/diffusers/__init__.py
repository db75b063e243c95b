# SPDX-License-Identifier: Apache-2.0
"""Pipelines of Hugging Face diffusers as rows: ControlNet and others that are given an image."""
