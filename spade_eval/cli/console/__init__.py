# SPDX-License-Identifier: Apache-2.0
"""What all commands have in common at a terminal: help, refusals, and the forms of their output."""
