# SPDX-License-Identifier: Apache-2.0
"""Scoring batch by batch until a rule of `--until` says that a number is sure enough."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from spade_eval.metrics.counts import StoredCounts
from spade_eval.metrics.segmentation import stored_counts
from spade_eval.metrics.stopping import StoppingRule, joined_counts, random_order
from spade_eval.protocol import Protocol
from spade_eval.scoring.batch import Batch


def order_of(protocol: Protocol, count: int) -> Sequence[int]:
    """Return in which order the first `count` samples of a split are scored.

    That of the split; under a rule a random one, the same for every row, so that the first images
    are no better or worse than the others and rows that stop apart have common images.
    """
    return tuple(random_order(count, 0).tolist()) if protocol.until else range(count)


@dataclass
class Stopping:
    """The counts of a row so far, and whether its protocol's rule is met."""

    protocol: Protocol
    parts: list[StoredCounts] = field(default_factory=list)

    def is_met_with(self, batch: Batch) -> bool:
        """Add a batch; return whether these images suffice, never without a rule."""
        if not self.protocol.until:
            return False
        self.parts.append(stored_counts(batch.names, *batch.class_counts))
        rule = StoppingRule.parse(self.protocol.until)
        return rule.is_met(joined_counts(self.parts), self.protocol.class_average)


def notes_of_rule(protocol: Protocol, title: str, counts: StoredCounts) -> tuple[str, ...]:
    """Say of a row by which rule it was scored, and where the split ended before the rule did."""
    if not protocol.until:
        return ()
    rule = StoppingRule.parse(protocol.until)
    notes = [
        f"Scored in a random order until {rule.metric} is known to {rule.points:g} points by a "
        "confidence sequence of 95%, which holds at every look; distances are left out, since "
        "their bias depends on N, which differs from row to row."
    ]
    if not rule.is_met(counts, protocol.class_average):
        notes.append(f"{title}: the {len(counts):,} images of the split end before {rule} is met.")
    return tuple(notes)
