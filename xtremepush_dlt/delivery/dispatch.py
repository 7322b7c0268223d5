"""Dispatch: one consignment is sent until each of its rows has an outcome that is written down."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from xtremepush_dlt.delivery.batches import Batch, call_batches, profile_batches, unmerged
from xtremepush_dlt.delivery.book import Book, Settled
from xtremepush_dlt.delivery.breaker import Breaker
from xtremepush_dlt.delivery.crew import Consignment
from xtremepush_dlt.delivery.journal import Journal, PassKey
from xtremepush_dlt.delivery.outcomes import Outcome
from xtremepush_dlt.delivery.route import Outgoing, Route
from xtremepush_dlt.delivery.sender import Sender
from xtremepush_dlt.delivery.settings import DeliverySettings
from xtremepush_dlt.routes.calls import Call
from xtremepush_dlt.routes.verdict import Answer, Verdict


class Dispatcher:
    """Sends the consignments of one pass.

    Args:
        key: The pass.
        call: The kind of its calls.
        lanes: Number of lanes of the pass.
        most: Calls in one request at the most.
        route: Encodes and sends.
        sender: Sends until there is an answer.
        journal: Where imports under way are written down.
        breaker: Stops a run that is going wrong.
        settings: What the user set.
        book: Where outcomes are entered.
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
        book: Book,
    ) -> None:
        self._key = key
        self._call = call
        self._lanes = lanes
        self._most = most
        self._route = route
        self._sender = sender
        self._journal = journal
        self._breaker = breaker
        self._book = book
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
        self._book.enter(consignment.lane, load, settled, consignment.upto)

    def deliver_calls(self, consignment: Consignment) -> None:
        """Sends the calls of a consignment as they are; written down request by request."""
        load, reached = consignment.load, 0
        for batch in call_batches(load, self._most, self._most_bytes):
            for settled in self._settle(batch, consignment):
                upto = load.sequences[settled.batch.rows[-1]] + 1
                self._book.enter(consignment.lane, load, [settled], upto, reached)
                reached = upto
                self._breaker.note(settled.outcome, len(settled.batch), settled.verdict.described)
        if reached < consignment.upto:
            self._book.enter(consignment.lane, load, [], consignment.upto, reached)

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
                return self._follow(verdict.task_id)
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
        self._book.enter_task(consignment.lane, consignment.load, batch, task_id)
        self._journal.write({"k": "imported"})
        return self._follow(task_id)

    def _follow(self, task_id: str) -> Verdict:
        verdict = self._sender.follow(task_id)
        if verdict.answer is Answer.DELIVERED:
            self._journal.write({"k": "task_done", "task": task_id}, self._key, lazy=True)
        else:
            self._journal.write({"k": "task_failed", "task": task_id}, self._key)
        return verdict


def _by_place(batch: Batch, verdict: Verdict) -> Iterator[Settled]:
    """Outcomes of a batch of events of which some were refused, in the order of the rows.

    A place that is not in the batch shows that the places mean something else, ids perhaps; then
    none of them can be believed.
    """
    if not verdict.failed_at or max(verdict.failed_at) >= len(batch):
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
