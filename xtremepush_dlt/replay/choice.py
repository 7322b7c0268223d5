"""Which rows a replay takes, and what it says about the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from xtremepush_dlt.replay.undelivered import Standing, UndeliveredRow


@dataclass(frozen=True)
class Choice:
    """The rows of a replay.

    Attributes:
        rows: What is sent, in the order in which it was not delivered.
        left: Rows that are not sent, by what can be done about them.
    """

    rows: tuple[UndeliveredRow, ...] = ()
    left: Counter[Standing] = field(default_factory=Counter)

    @property
    def remarks(self) -> list[str]:
        """What a user should know about the rows that are not sent, a sentence each."""
        told = {
            Standing.DOUBTFUL: "May have arrived, and not replayed without --unknown: {}.",
            Standing.INVALID: (
                "Invalid, and cannot be replayed: {}. Mend the source: a row comes again when it "
                "changes there."
            ),
            Standing.WITHOUT_PAYLOAD: (
                "Cannot be replayed, because the ledger keeps no payload of them: {}. Set "
                '`ledger_payloads` to "undelivered" for the rows to come.'
            ),
        }
        return [
            what.format(rows_(self.left[standing]))
            for standing, what in told.items()
            if self.left[standing]
        ]


def choose(rows: Iterable[UndeliveredRow], table: str | None, unknown: bool) -> Choice:
    """Chooses the rows of a replay.

    Args:
        rows: Rows that were not delivered.
        table: The table that it is restricted to, if any.
        unknown: Whether events that may have arrived are sent again.
    """
    wanted = {Standing.OPEN, Standing.DOUBTFUL} if unknown else {Standing.OPEN}
    of_table = [row for row in rows if table in (None, row.table_name)]
    chosen = tuple(row for row in of_table if row.standing in wanted)
    left = Counter(row.standing for row in of_table if row.standing not in wanted)
    return Choice(chosen, left)


def rows_(count: int) -> str:
    """A number of rows in words."""
    return "1 row" if count == 1 else f"{count:,} rows"
