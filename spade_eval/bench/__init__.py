# SPDX-License-Identifier: Apache-2.0
"""How fast the suite is on this machine: generators, training, scoring, distances, loading."""
