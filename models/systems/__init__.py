# SPDX-License-Identifier: Apache-2.0
"""Published methods: the networks that learn together, their losses and one step of theirs."""
