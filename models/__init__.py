# SPDX-License-Identifier: Apache-2.0
"""Generators, discriminators, encoders and losses of semantic image synthesis, in plain PyTorch."""
