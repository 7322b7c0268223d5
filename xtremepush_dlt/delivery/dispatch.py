"""Dispatch: one consignment is sent until each of its rows has an outcome that is written down."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import orjson

from xtremepush_dlt.delivery.batches import Batch, call_batches, profile_batches, unmerged
from xtremepush_dlt.delivery.breaker import Breaker
from xtremepush_dlt.delivery.crew import Consignment
from xtremepush_dlt.delivery.journal import Journal, PassKey
from xtremepush_dlt.delivery.lanes import Load, Record, Refused
from xtremepush_dlt.delivery.outcomes import UNDELIVERED, Outcome, Tally
from xtremepush_dlt.delivery.route import Outgoing, Route
from xtremepush_dlt.delivery.sender import Sender
from xtremepush_dlt.delivery.settings import DeliverySettings
from xtremepush_dlt.delivery.watch import Watch, rank
from xtremepush_dlt.mapping.wire import encode_number
from xtremepush_dlt.routes.calls import Call
from xtremepush_dlt.routes.verdict import Answer, Verdict


class Settled(NamedTuple):
    """Calls that have their outcome."""

    batch: Batch
    outcome: Outcome
    verdict: Verdict


class Dispatcher:
    """Sends the consignments of one pass.

    Args:
        key: The pass.
        call: The kind of its calls.
        lanes: Number of lanes of the pass.
        most: Calls in one request at the most.
        route: Encodes and sends.
        sender: Sends until there is an answer.
        journal: Where outcomes are written down.
        breaker: Stops a run that is going wrong.
        settings: What the user set.
        watch: Notes what is delivered to users some of whose rows were not.
        name_merged: Whether rows that were merged are written down one by one.
    """

    def __init__(
        self,
        key: PassKey,
        call: Call,
        lanes: int,
        most: int,
        route: Route,
        sender: Sender,
        journal: Journal,
        breaker: Breaker,
        settings: DeliverySettings,
        watch: Watch,
        name_merged: bool = False,
    ) -> None:
        self._key = key
        self._call = call
        self._lanes = lanes
        self._most = most
        self._route = route
        self._sender = sender
        self._journal = journal
        self._breaker = breaker
        self._settings = settings
        self._watch = watch
        self._name_merged = name_merged
        self._most_bytes = settings.max_request_bytes - route.frame_bytes

    def deliver_profiles(self, consignment: Consignment) -> None:
        """Imports the profiles of a consignment; their outcomes are written down together.

        A crash in between repeats it, but for its tasks: identify is idempotent.
        """
        load = consignment.load
        settled: list[Settled] = []
        for batch in profile_batches(
            load, self._route.encode_profile, self._most, self._most_bytes
        ):
            for each in self._settle(batch, consignment):
                self._breaker.note(each.outcome, len(each.batch), each.verdict.described)
                settled.append(each)
        self._write(consignment.lane, load, settled, consignment.upto)

    def deliver_calls(self, consignment: Consignment) -> None:
        """Sends the calls of a consignment as they are; written down request by request."""
        load, reached = consignment.load, 0
        for batch in call_batches(load, self._most, self._most_bytes):
            for settled in self._settle(batch, consignment):
                upto = load.sequences[settled.batch.rows[-1]] + 1
                self._write(consignment.lane, load, [settled], upto, reached)
                reached = upto
                self._breaker.note(settled.outcome, len(settled.batch), settled.verdict.described)
        if reached < consignment.upto:
            self._write(consignment.lane, load, [], consignment.upto, reached)

    def _settle(
        self, batch: Batch, consignment: Consignment, surely_bad: bool = False
    ) -> Iterator[Settled]:
        """Sends a batch, in halves where it is refused, until each call has an outcome.

        Args:
            batch: Calls of the consignment.
            consignment: Where they come from.
            surely_bad: Whether it is known that the batch as a whole would be refused.
        """
        refused = True
        if not surely_bad or len(batch) == 1:
            verdict = self._send(batch, consignment)
            if verdict.answer is Answer.DELIVERED:
                yield Settled(batch, Outcome.DELIVERED, verdict)
                return
            if verdict.answer is Answer.UNANSWERED:
                yield Settled(batch, Outcome.UNKNOWN, verdict)
                return
            if verdict.answer is Answer.PARTLY and not batch.columns:
                # sent again, the events that were taken would be there twice
                yield from _by_place(batch, verdict)
                return
            if len(batch) == 1 and batch.rows[0] in batch.earlier:
                # one of the merged rows may be good: each is tried for itself
                for single in unmerged(batch, consignment.load, self._route.encode_profile):
                    yield from self._settle(single, consignment)
                return
            if len(batch) == 1:
                yield Settled(batch, Outcome.REJECTED, verdict)
                return
            refused = verdict.answer is not Answer.TOO_LARGE
        first, second = batch.halves(by_bytes=not refused)
        good = True
        for settled in self._settle(first, consignment):
            good = good and settled.outcome is Outcome.DELIVERED
            yield settled
        # when nothing in the first half is bad, the second need not be asked as a whole
        yield from self._settle(second, consignment, surely_bad=refused and good)

    def _send(self, batch: Batch, consignment: Consignment) -> Verdict:
        load = consignment.load
        body = self._route.body(self._call, batch.columns, batch.records)
        outgoing = Outgoing(
            lambda: self._route.send(self._call, body),
            len(batch),
            self._route.endpoint(self._call),
            {load.actions[row] for row in batch.all_rows()},
            body,
            self._span(batch, consignment) if self._call == "track" else None,
            is_import=bool(batch.columns),
        )
        if not outgoing.is_import:
            verdict = self._sender.request(outgoing)
            if verdict.answer is Answer.ACCEPTED and verdict.task_id is not None:
                # sent again after a crash, it does no harm
                return self._sender.follow(verdict.task_id)
            return verdict
        self._journal.write({"k": "importing"})
        verdict = self._sender.request(outgoing)
        if verdict.answer is Answer.ACCEPTED and verdict.task_id is not None:
            return self._follow_import(batch, consignment, verdict.task_id)
        self._journal.write({"k": "imported"})
        return verdict

    def _span(self, batch: Batch, consignment: Consignment) -> dict[str, int]:
        """The lane and range of sequence numbers that a request is about."""
        sequences = consignment.load.sequences
        return {
            "lanes": self._lanes,
            "lane": consignment.lane,
            "first": sequences[batch.rows[0]],
            "end": sequences[batch.rows[-1]] + 1,
        }

    def _follow_import(self, batch: Batch, consignment: Consignment, task_id: str) -> Verdict:
        load = consignment.load
        tally = Tally()
        _count(tally, load, Settled(batch, Outcome.DELIVERED, Verdict(Answer.DELIVERED)))
        self._journal.write(
            {
                "k": "task",
                "task": task_id,
                "lanes": self._lanes,
                "lane": consignment.lane,
                "sequences": [load.sequences[row] for row in batch.all_rows()],
                "tally": tally.to_json(),
                **self._named([batch], load, ()),
            },
            self._key,
        )
        self._journal.write({"k": "imported"})
        verdict = self._sender.follow(task_id)
        if verdict.answer is Answer.DELIVERED:
            self._journal.write({"k": "task_done", "task": task_id}, self._key, lazy=True)
        else:
            self._journal.write({"k": "task_failed", "task": task_id}, self._key)
        return verdict

    def _write(
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
        if self._settings.keep_payloads == "none":
            return None
        if not isinstance(record, bytes):
            record = orjson.dumps(record, default=encode_number)
        return record.decode()


def _by_place(batch: Batch, verdict: Verdict) -> Iterator[Settled]:
    """Outcomes of a batch of events of which some were refused, in the order of the rows."""
    if not verdict.failed_at:
        yield Settled(batch, Outcome.UNKNOWN, verdict)
        return
    outcomes = [
        Outcome.REJECTED if place in verdict.failed_at else Outcome.DELIVERED
        for place in range(len(batch))
    ]
    first = 0
    for outcome, run in groupby(outcomes):
        end = first + len([*run])
        yield Settled(batch.part(first, end), outcome, verdict)
        first = end


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
