# SPDX-License-Identifier: Apache-2.0
"""How sure a number is: intervals, paired comparisons, orderings."""
