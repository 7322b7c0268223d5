"""The breaker: stops a run in which too many rows fail."""

from __future__ import annotations

import threading
from collections import Counter

from xtremepush_dlt.delivery.outcomes import UNDELIVERED, Outcome
from xtremepush_dlt.exceptions import TooManyUndeliveredError

_JUDGED_FROM = 100
"""Rows from which a share means something."""

_REASONS_SHOWN = 3


class Breaker:
    """Counts the rows of a run as they are settled; rows that `when` left out do not count.

    Args:
        most: Share of the rows that may fail; 1 lets all of them fail.
    """

    def __init__(self, most: float) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._rows = 0
        self._failed: Counter[str] = Counter()

    def note(self, outcome: Outcome, rows: int, reason: str) -> None:
        """Counts some rows.

        Args:
            outcome: What became of them.
            rows: How many.
            reason: Why, in words without a customer's value; used where they failed.

        Raises:
            TooManyUndeliveredError: If the share of failed rows is too large.
        """
        with self._lock:
            self._rows += rows
            if outcome in UNDELIVERED:
                self._failed[f"{outcome.value}, {reason}"] += rows
            failed = self._failed.total()
            if self._rows >= _JUDGED_FROM and failed > self._most * self._rows:
                reasons = "; ".join(
                    f"{count} {why}" for why, count in self._failed.most_common(_REASONS_SHOWN)
                )
                raise TooManyUndeliveredError(
                    f"{failed} of the {self._rows} rows settled in this run were not delivered, "
                    f"more than `max_undelivered` = {self._most:g} allows. Commonest reasons: "
                    f"{reasons}. Nothing is lost: the load package stays pending. Mend the cause "
                    "and run again, or raise `max_undelivered` in [destination.xtremepush] (1 "
                    "switches the check off)."
                )
