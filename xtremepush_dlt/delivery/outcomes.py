"""The six outcomes of a row, and tallies of them that add up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class Outcome(str, Enum):
    """How a row that was offered to an action ends: exactly one of these."""

    DELIVERED = "delivered"
    """Xtremepush confirmed it."""

    MERGED = "merged"
    """A later row of the same user in the same request carried it."""

    SKIPPED = "skipped"
    """`when` did not select it."""

    INVALID = "invalid"
    """Refused here, before sending."""

    REJECTED = "rejected"
    """Refused by Xtremepush."""

    UNKNOWN = "unknown"
    """Sent without an answer, and held rather than sent twice."""


UNDELIVERED = (Outcome.INVALID, Outcome.REJECTED, Outcome.UNKNOWN)
"""Outcomes of rows that someone has to look at."""


@dataclass
class Tally:
    """Counts of rows, kept by action.

    Attributes:
        outcomes: Rows by action and outcome.
        reasons: Undelivered rows by action, outcome, column and reason.
        omissions: Values left out of rows that were sent, by action, column and reason.
    """

    outcomes: Counter[tuple[int, Outcome]] = field(default_factory=Counter)
    reasons: Counter[tuple[int, Outcome, str, str]] = field(default_factory=Counter)
    omissions: Counter[tuple[int, str, str]] = field(default_factory=Counter)

    def add(self, other: Tally) -> None:
        """Adds the counts of another tally."""
        self.outcomes.update(other.outcomes)
        self.reasons.update(other.reasons)
        self.omissions.update(other.omissions)

    def rows(self, outcomes: Iterable[Outcome] = Outcome, action: int | None = None) -> int:
        """Rows with one of some outcomes, of one action or of all."""
        wanted = set(outcomes)
        return sum(
            count
            for (of, outcome), count in self.outcomes.items()
            if outcome in wanted and action in (None, of)
        )

    def to_json(self) -> dict[str, Any]:
        """The tally as JSON data."""
        return {
            "outcomes": [[*key, count] for key, count in self.outcomes.items()],
            "reasons": [[*key, count] for key, count in self.reasons.items()],
            "omissions": [[*key, count] for key, count in self.omissions.items()],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Tally:
        """Reads what `to_json` wrote."""
        return cls(
            Counter({(of, Outcome(outcome)): n for of, outcome, n in data["outcomes"]}),
            Counter(
                {
                    (of, Outcome(outcome), col, why): n
                    for of, outcome, col, why, n in data["reasons"]
                }
            ),
            Counter({(of, column, why): n for of, column, why, n in data["omissions"]}),
        )
