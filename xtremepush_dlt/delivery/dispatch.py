"""Dispatch: one consignment is sent until each of its rows has an outcome that is written down."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from xtremepush_dlt.delivery.batches import (
    Batch,
    Item,
    event_batches,
    profile_batches,
    unmerged,
)
from xtremepush_dlt.delivery.crew import Consignment
from xtremepush_dlt.delivery.journal import Journal, PassKey
from xtremepush_dlt.delivery.lanes import Entry, Kind
from xtremepush_dlt.delivery.outcomes import UNDELIVERED, Outcome, Tally
from xtremepush_dlt.delivery.throttle import Throttle, backoff
from xtremepush_dlt.exceptions import (
    CredentialsRefusedError,
    EndpointRefusedError,
    XtremepushUnavailableError,
)
from xtremepush_dlt.mapping.calls import Payload, Problem
from xtremepush_dlt.routes.verdict import Answer, Verdict


class Route(Protocol):
    """A way into Xtremepush: encodes calls, sends them once, says what the answer means."""

    frame_bytes: int

    def encode_profile(self, payload: Payload) -> bytes: ...

    def encode_event(self, payload: Payload) -> bytes: ...

    def send_profiles(self, columns: Sequence[str], rows: Sequence[bytes]) -> Verdict: ...

    def send_events(self, items: Sequence[bytes]) -> Verdict: ...

    def look_up_task(self, task_id: str) -> Verdict: ...


@dataclass(frozen=True)
class DeliverySettings:
    """What the user may set about the delivery.

    Attributes:
        event_batch_size: Events in one request.
        profile_batch_size: Profiles in one request.
        max_request_bytes: Bytes of one request's body.
        lanes: Lanes that run side by side.
        reject_invalid: Whether a broken value makes its row invalid.
        retry_seconds: Seconds for which a request is tried again before dlt takes over.
        task_poll_seconds: Seconds until a task is asked for the first time.
        task_poll_seconds_most: Seconds between two asks at the most.
        task_patience_seconds: Seconds after which a running task is left to dlt's retry.
    """

    event_batch_size: int
    profile_batch_size: int
    max_request_bytes: int
    lanes: int
    reject_invalid: bool
    retry_seconds: float
    task_poll_seconds: float
    task_poll_seconds_most: float
    task_patience_seconds: float


class Settled(NamedTuple):
    """Calls that have their outcome."""

    items: Sequence[Item]
    outcome: Outcome
    verdict: Verdict


class Dispatcher:
    """Sends the consignments of one pass.

    Args:
        key: The pass.
        lanes: Number of lanes of the pass.
        route: The way into Xtremepush.
        journal: Where outcomes are written down.
        throttle: Bounds the requests under way.
        settings: What the user set.
        sleep: Waits some seconds.
        clock: Seconds of a clock that never goes back.
    """

    def __init__(
        self,
        key: PassKey,
        lanes: int,
        route: Route,
        journal: Journal,
        throttle: Throttle,
        settings: DeliverySettings,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._key = key
        self._lanes = lanes
        self._route = route
        self._journal = journal
        self._throttle = throttle
        self._settings = settings
        self._sleep = sleep
        self._clock = clock
        self._most_bytes = settings.max_request_bytes - route.frame_bytes

    def deliver_profiles(self, consignment: Consignment) -> None:
        """Imports the profiles of a consignment; their outcomes are written down together.

        A crash in between repeats it, but for its tasks: identify is idempotent.
        """
        settled: list[Settled] = []
        for batch in profile_batches(
            _calls(consignment.entries),
            self._route.encode_profile,
            self._settings.profile_batch_size,
            self._most_bytes,
        ):
            settled += self._settle(batch, consignment.lane)
        self._write(consignment.lane, consignment.entries, settled, consignment.upto)

    def deliver_events(self, consignment: Consignment) -> None:
        """Hits the events of a consignment; outcomes are written down request by request."""
        waiting = list(consignment.entries)
        for batch in event_batches(
            _calls(consignment.entries),
            self._route.encode_event,
            self._settings.event_batch_size,
            self._most_bytes,
        ):
            for settled in self._settle(batch, consignment.lane):
                upto = settled.items[-1].entries[-1].sequence + 1
                reached = sum(1 for entry in waiting if entry.sequence < upto)
                self._write(consignment.lane, waiting[:reached], [settled], upto)
                del waiting[:reached]
        self._write(consignment.lane, waiting, [], consignment.upto)

    def follow(self, task_id: str) -> Verdict:
        """Asks for an import task until it ends.

        Raises:
            XtremepushUnavailableError: If it runs longer than the patience lasts.
        """
        pause = self._settings.task_poll_seconds
        end = self._clock() + self._settings.task_patience_seconds
        while True:
            verdict = self._request(0, lambda: self._route.look_up_task(task_id), None)
            if verdict.answer is not Answer.ACCEPTED:
                return verdict
            if self._clock() > end:
                raise XtremepushUnavailableError(
                    f"An import task of `{self._key.file}` has not ended after "
                    f"{self._settings.task_patience_seconds:.0f} s. Xtremepush goes on with it; "
                    "the next run asks for it again and sends nothing twice. See Settings > Task "
                    "history in Xtremepush."
                )
            self._sleep(pause)
            pause = min(pause * 2, self._settings.task_poll_seconds_most)

    def _settle(self, batch: Batch, lane: int, surely_bad: bool = False) -> Iterator[Settled]:
        """Sends a batch, in halves where it is refused, until each call has an outcome.

        Args:
            batch: The calls.
            lane: Their lane.
            surely_bad: Whether it is known that the batch as a whole would be refused.
        """
        by_bytes = False
        if not surely_bad or len(batch.items) == 1:
            verdict = self._send(batch, lane)
            if verdict.answer is Answer.DELIVERED:
                yield Settled(batch.items, Outcome.DELIVERED, verdict)
                return
            if len(batch.items) == 1:
                item = batch.items[0]
                if len(item.entries) == 1:
                    yield Settled(batch.items, Outcome.REJECTED, verdict)
                    return
                # one of the merged rows may be good: each is tried for itself
                for single in unmerged(item, self._route.encode_profile):
                    yield from self._settle(single, lane)
                return
            by_bytes = verdict.answer is Answer.TOO_LARGE
        first, second = batch.halves(by_bytes)
        good = True
        for settled in self._settle(first, lane):
            good = good and settled.outcome is Outcome.DELIVERED
            yield settled
        # when nothing in the first half was bad, the second need not be asked as a whole
        yield from self._settle(second, lane, surely_bad=good and not by_bytes)

    def _send(self, batch: Batch, lane: int) -> Verdict:
        records = [item.record for item in batch.items]
        if batch.columns:
            verdict = self._request(
                len(records), lambda: self._route.send_profiles(batch.columns, records), None
            )
            if verdict.answer is Answer.ACCEPTED and verdict.task_id is not None:
                return self._follow_import(batch, lane, verdict.task_id)
            return verdict
        sequences = [entry.sequence for entry in batch.entries]
        span = {
            "lanes": self._lanes,
            "lane": lane,
            "first": sequences[0],
            "end": sequences[-1] + 1,
        }
        return self._request(len(records), lambda: self._route.send_events(records), span)

    def _follow_import(self, batch: Batch, lane: int, task_id: str) -> Verdict:
        tally = Tally()
        _count(tally, [Settled(batch.items, Outcome.DELIVERED, Verdict(Answer.DELIVERED))])
        self._journal.write(
            {
                "k": "task",
                "task": task_id,
                "lanes": self._lanes,
                "lane": lane,
                "sequences": [entry.sequence for entry in batch.entries],
                "tally": tally.to_json(),
            },
            self._key,
        )
        verdict = self.follow(task_id)
        if verdict.answer is not Answer.DELIVERED:
            self._journal.write({"k": "task_failed", "task": task_id}, self._key)
        return verdict

    def _request(
        self, rows: int, send: Callable[[], Verdict], span: dict[str, int] | None
    ) -> Verdict:
        """Sends until there is an answer to go by.

        Args:
            rows: Calls in the request; 0 for a question about a task.
            send: Sends once.
            span: For events, the lane and range that are in doubt while it is under way.

        Raises:
            XtremepushUnavailableError: If the patience ends before.
            CredentialsRefusedError: On 401 and 403.
            EndpointRefusedError: On 404, 405, 410 and redirects.
        """
        patience_ends = self._clock() + self._settings.retry_seconds
        attempt = 0
        while True:
            attempt += 1
            with self._throttle.slot():
                if span is not None:
                    self._journal.write({"k": "intent", **span}, self._key, durable=True)
                left = self._clock()
                verdict = send()
                seconds = self._clock() - left
            self._throttle.learn(verdict)
            self._journal.write(
                {
                    "k": "request",
                    "rows": rows,
                    "answer": verdict.answer.value,
                    "status": verdict.status,
                    "code": verdict.code,
                    "attempt": attempt,
                    "seconds": round(seconds, 6),
                    "task": verdict.task_id,
                },
                self._key,
            )
            answer = verdict.answer
            if span is not None and answer not in (Answer.DELIVERED, Answer.UNANSWERED):
                self._journal.write({"k": "answered", **span}, self._key)
            if answer is Answer.DENIED:
                raise CredentialsRefusedError(_denied(verdict))
            if answer is Answer.MISDIRECTED:
                raise EndpointRefusedError(
                    f"Xtremepush answered {verdict.described}: nobody serves that path at that "
                    "address. Check `api_endpoint` in [destination.xtremepush]: it is the region "
                    "of the project (`eu` or `us`) or the scheme and host, without a path."
                )
            if answer not in (Answer.BUSY, Answer.UNANSWERED):
                return verdict
            pause = backoff(attempt, verdict)
            if self._clock() + pause > patience_ends:
                raise XtremepushUnavailableError(
                    f"Xtremepush gave no usable answer ({verdict.described}) after {attempt} "
                    f"attempts in {self._settings.retry_seconds:.0f} s, for `{self._key.file}`. "
                    "Nothing is lost: dlt tries again, and the next run goes on from the last "
                    "confirmed request. Check the connection and Xtremepush's status page if it "
                    "lasts."
                )
            self._sleep(pause)

    def _write(
        self, lane: int, entries: Sequence[Entry], settled: Iterable[Settled], upto: int
    ) -> None:
        """Writes down that a lane is settled up to a sequence number."""
        tally = Tally()
        settled = list(settled)
        _count(tally, settled)
        undelivered = [
            _undelivered_call(item, each)
            for each in settled
            if each.outcome in UNDELIVERED
            for item in each.items
        ]
        for entry in entries:
            if entry.kind is Kind.SKIPPED:
                tally.outcomes[entry.action, Outcome.SKIPPED] += 1
            elif entry.kind is Kind.INVALID:
                tally.outcomes[entry.action, Outcome.INVALID] += 1
                for column, reason in entry.problems:
                    tally.reasons[entry.action, Outcome.INVALID, column, reason] += 1
                undelivered.append(_undelivered(entry, Outcome.INVALID, ""))
        self._journal.write(
            {
                "k": "settled",
                "lanes": self._lanes,
                "lane": lane,
                "upto": upto,
                "tally": tally.to_json(),
                "undelivered": undelivered,
            },
            self._key,
        )


def _calls(entries: Iterable[Entry]) -> Iterator[Entry]:
    return (entry for entry in entries if entry.kind is Kind.CALL)


def _count(tally: Tally, settled: Iterable[Settled]) -> None:
    for items, outcome, verdict in settled:
        for item in items:
            last = item.entries[-1]
            tally.outcomes[last.action, outcome] += 1
            for entry in item.entries[:-1]:
                tally.outcomes[entry.action, Outcome.MERGED] += 1
            if outcome in UNDELIVERED:
                tally.reasons[last.action, outcome, "", verdict.described] += 1
            else:
                for entry in item.entries:
                    for column, reason in entry.problems:
                        tally.omissions[entry.action, column, reason] += 1


def _undelivered_call(item: Item, settled: Settled) -> dict[str, Any]:
    return _undelivered(item.entries[-1], settled.outcome, settled.verdict.message) | {
        "status": settled.verdict.status,
        "code": settled.verdict.code,
    }


def _undelivered(entry: Entry, outcome: Outcome, message: str) -> dict[str, Any]:
    problems: Sequence[Problem] = entry.problems
    return {
        "sequence": entry.sequence,
        "action": entry.action,
        "user_id": entry.user,
        "event_id": list(entry.event_id),
        "outcome": outcome.value,
        "problems": [list(problem) for problem in problems],
        "message": message,
        "payload": entry.payload,
    }


def _denied(verdict: Verdict) -> str:
    if verdict.status == 401:
        return (
            "Xtremepush answered 401: it does not accept the credential. Check `app_token` in "
            "[destination.xtremepush.credentials] and that `api_endpoint` is the region of the "
            "same project. Nothing is lost: the load package stays pending."
        )
    return (
        f"Xtremepush answered {verdict.described}: the credential is known but may not do this. "
        "Ask Xtremepush whether API access is enabled for the project. Nothing is lost: the load "
        "package stays pending."
    )
