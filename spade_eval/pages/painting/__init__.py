# SPDX-License-Identifier: Apache-2.0
"""Painting label maps in the browser: what the page asks of this machine, and the answers."""
