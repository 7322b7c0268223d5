"""The book: outcomes of one pass, as they are entered into the journal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import orjson

from xtremepush_dlt.delivery.batches import Batch
from xtremepush_dlt.delivery.breaker import Breaker
from xtremepush_dlt.delivery.journal import Journal, PassKey
from xtremepush_dlt.delivery.lanes import Load, Record, Refused
from xtremepush_dlt.delivery.outcomes import UNDELIVERED, Outcome, Tally
from xtremepush_dlt.delivery.watch import Watch, rank
from xtremepush_dlt.mapping.wire import encode_number
from xtremepush_dlt.routes.calls import Call
from xtremepush_dlt.routes.verdict import Answer, Verdict


class Settled(NamedTuple):
    """Calls that have their outcome."""

    batch: Batch
    outcome: Outcome
    verdict: Verdict


class Book:
    """Enters the outcomes of one pass.

    Args:
        key: The pass.
        call: The kind of its calls.
        lanes: Number of lanes of the pass.
        journal: Where they are entered.
        breaker: Counts the rows that are refused before they are sent.
        watch: Notes what is delivered to users some of whose rows were not.
        keep_payloads: Whether calls that were not delivered are kept word for word.
        name_merged: Whether rows that were merged are entered one by one.
    """

    def __init__(
        self,
        key: PassKey,
        call: Call,
        lanes: int,
        journal: Journal,
        breaker: Breaker,
        watch: Watch,
        keep_payloads: bool,
        name_merged: bool,
    ) -> None:
        self._key = key
        self._call = call
        self._lanes = lanes
        self._journal = journal
        self._breaker = breaker
        self._watch = watch
        self._keep_payloads = keep_payloads
        self._name_merged = name_merged

    def enter(
        self, lane: int, load: Load, settled: Iterable[Settled], upto: int, first: int = 0
    ) -> None:
        """Writes down that a lane is settled up to a sequence number.

        Args:
            lane: The lane.
            load: Its rows.
            settled: What became of the calls.
            upto: Sequence number behind the last row that is settled.
            first: Sequence number before which rows are written down already.
        """
        tally = Tally()
        undelivered: list[dict[str, Any]] = []
        delivered: list[Batch] = []
        for each in settled:
            _count(tally, load, each)
            if each.outcome in UNDELIVERED:
                undelivered += self._undelivered(load, each)
            elif each.outcome is Outcome.DELIVERED:
                delivered.append(each.batch)
        silent = load.between(first, upto)
        for action, count in Counter(action for _, action in silent.skipped).items():
            tally.outcomes[action, Outcome.SKIPPED] += count
        for refused in silent.refused:
            tally.outcomes[refused.action, refused.outcome] += 1
            for column, reason in refused.problems:
                tally.reasons[refused.action, refused.outcome, column, reason] += 1
            if refused.outcome not in UNDELIVERED:
                continue
            undelivered.append(
                refused._asdict()
                | {
                    "payload": self._kept(refused.payload),
                    "event_id": _id_values(refused.event_id),
                    "problems": [list(problem) for problem in refused.problems],
                    "outcome": refused.outcome.value,
                }
            )
        self._watch.add(self._call, undelivered)
        named = self._named(delivered, load, silent.refused)
        rank(undelivered, named.get("superseding", ()))
        self._journal.write(
            {
                "k": "settled",
                "lanes": self._lanes,
                "lane": lane,
                "upto": upto,
                "tally": tally.to_json(),
                "undelivered": undelivered,
                **named,
            },
            self._key,
        )
        for refused in silent.refused:
            if refused.outcome not in UNDELIVERED:
                continue
            column, reason = refused.problems[0]
            self._breaker.note(refused.outcome, 1, f"{column}: {reason}")

    def enter_task(self, lane: int, load: Load, batch: Batch, task_id: str) -> None:
        """Writes down that an import became a task, and what its rows are if it ends well.

        Args:
            lane: The lane.
            load: Its rows.
            batch: The import.
            task_id: The task.
        """
        tally = Tally()
        _count(tally, load, Settled(batch, Outcome.DELIVERED, Verdict(Answer.DELIVERED)))
        self._journal.write(
            {
                "k": "task",
                "task": task_id,
                "lanes": self._lanes,
                "lane": lane,
                "sequences": [load.sequences[row] for row in batch.all_rows()],
                "tally": tally.to_json(),
                **self._named([batch], load, ()),
            },
            self._key,
        )

    def _named(
        self, delivered: Sequence[Batch], load: Load, silent: Iterable[Refused]
    ) -> dict[str, Any]:
        """What has to be known of single rows beside those that were not delivered."""
        named: dict[str, Any] = {}
        if superseding := self._watch.note(self._call, load, delivered):
            named["superseding"] = superseding
        if self._name_merged:
            named["merged"] = [
                load.sequences[merged]
                for batch in delivered
                for row in batch.rows
                for merged in batch.earlier.get(row, ())
            ] + [refused.sequence for refused in silent if refused.outcome is Outcome.MERGED]
        return named

    def _undelivered(self, load: Load, settled: Settled) -> Iterator[dict[str, Any]]:
        verdict = settled.verdict
        for row in settled.batch.rows:
            yield {
                "sequence": load.sequences[row],
                "action": load.actions[row],
                "user": load.users[row],
                "payload": self._kept(load.records[row]),
                "event_id": _id_values(load.event_ids[row]),
                "outcome": settled.outcome.value,
                "reason": verdict.described,
                "status": verdict.status,
                "code": verdict.code,
                "message": verdict.message,
            }

    def _kept(self, record: Record) -> str | None:
        """A call as the text that is sent: a number read back would lose digits."""
        if not self._keep_payloads:
            return None
        if not isinstance(record, bytes):
            record = orjson.dumps(record, default=encode_number)
        return record.decode()


def _count(tally: Tally, load: Load, settled: Settled) -> None:
    batch, outcome, verdict = settled
    actions = [load.actions[row] for row in batch.rows]
    if isinstance(batch.rows, range):
        actions = load.actions[batch.rows.start : batch.rows.stop]
    for action, count in Counter(actions).items():
        tally.outcomes[action, outcome] += count
        if outcome in UNDELIVERED:
            tally.reasons[action, outcome, "", verdict.described] += count
    if batch.earlier:
        for row in batch.rows:
            for merged in batch.earlier.get(row, ()):
                tally.outcomes[load.actions[merged], Outcome.MERGED] += 1
    if load.omitted and outcome not in UNDELIVERED:
        for row in batch.all_rows():
            for column, reason in load.omitted.get(load.sequences[row], ()):
                tally.omissions[load.actions[row], column, reason] += 1


def _id_values(event_id: object) -> list[object]:
    """An event id as it is written down: a list of values, whatever the number of columns."""
    if event_id is None:
        return []
    return [*event_id] if isinstance(event_id, tuple) else [event_id]
