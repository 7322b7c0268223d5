"""The summary of a journal: outcomes by action, and figures of its requests."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from xtremepush_dlt.delivery.journal import PassKey, Record
from xtremepush_dlt.delivery.outcomes import Outcome, Tally


@dataclass(frozen=True)
class ActionReport:
    """What became of the rows that one table offered to one action.

    Attributes:
        table: Name of the table.
        action: Label of the action.
        counts: Rows by outcome, all six of them.
        reasons: Undelivered rows by outcome, column and reason.
        omissions: Values left out of rows that were sent, by column and reason; a reason that
            begins with `sent, but` is about a value that was not left out.
    """

    table: str
    action: str
    counts: dict[Outcome, int]
    reasons: Counter[tuple[Outcome, str, str]]
    omissions: Counter[tuple[str, str]]

    @property
    def offered(self) -> int:
        """Rows offered so far: the six outcomes add up to it."""
        return sum(self.counts.values())


class Summary:
    """What one journal tells, taken in record by record.

    Args:
        reports: Takes the outcomes, by table and action.
        latencies: Takes the seconds of each request.

    Attributes:
        records: How many there were.
        retries: Requests that repeated one without a usable answer.
        passes: Table and labels of the passes that began.
        ended: Those that ended.
    """

    def __init__(
        self, reports: dict[tuple[str, str], ActionReport], latencies: list[float]
    ) -> None:
        self._reports = reports
        self._latencies = latencies
        self._before, self._first, self._last = 0.0, 0.0, 0.0
        self.records = 0
        self.retries = 0
        self.passes: dict[PassKey, tuple[str, dict[int, str]]] = {}
        self.ended: set[PassKey] = set()

    @property
    def seconds(self) -> float:
        """Seconds between the first and the last record of each run, without the pauses between."""
        return self._before + self._last - self._first

    def add(self, record: Record) -> None:
        """Takes a record into account."""
        self.records += 1
        kind = record["k"]
        if kind == "run":
            self._before, self._first = self.seconds, record["at"]
        self._last = record["at"]
        if kind == "request" and record["rows"]:
            self._latencies.append(record["seconds"])
            self.retries += record["attempt"] > 1
        elif kind == "began":
            table, labels = record["table"], dict(record["actions"])
            self.passes[_key_of(record)] = (table, labels)
            for label in labels.values():
                self._entry(table, label)
        elif kind == "ended":
            self.ended.add(_key_of(record))
        elif kind == "settled":
            self._add_outcomes(record)

    def _add_outcomes(self, record: Record) -> None:
        table, labels = self.passes[_key_of(record)]
        tally = Tally.from_json(record["tally"])
        for (action, outcome), count in tally.outcomes.items():
            self._entry(table, labels[action]).counts[outcome] += count
        for (action, outcome, *why), count in tally.reasons.items():
            self._entry(table, labels[action]).reasons[outcome, why[0], why[1]] += count
        for (action, *why), count in tally.omissions.items():
            self._entry(table, labels[action]).omissions[why[0], why[1]] += count

    def _entry(self, table: str, label: str) -> ActionReport:
        return self._reports.setdefault(
            (table, label),
            ActionReport(table, label, dict.fromkeys(Outcome, 0), Counter(), Counter()),
        )


def _key_of(record: Record) -> PassKey:
    return PassKey(record["file"], record["phase"])
