"""Dispatch: one consignment is sent until each of its rows has an outcome that is written down."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, NamedTuple, Protocol

import orjson

from xtremepush_dlt.delivery.batches import (
    Batch,
    event_batches,
    profile_batches,
    unmerged,
)
from xtremepush_dlt.delivery.crew import Consignment
from xtremepush_dlt.delivery.journal import Journal, PassKey
from xtremepush_dlt.delivery.lanes import Load
from xtremepush_dlt.delivery.outcomes import UNDELIVERED, Outcome, Tally
from xtremepush_dlt.delivery.throttle import Throttle, backoff
from xtremepush_dlt.exceptions import (
    CredentialsRefusedError,
    EndpointRefusedError,
    XtremepushUnavailableError,
)
from xtremepush_dlt.mapping.calls import Payload
from xtremepush_dlt.routes.verdict import Answer, Verdict


class Route(Protocol):
    """A way into Xtremepush: encodes calls, sends them once, says what the answer means."""

    frame_bytes: int
    """Bytes of a request's body around its records."""

    def encode_profile(self, payload: Payload) -> bytes:
        """Encodes a profile, its values in the order of its columns."""

    def encode_events(self, payloads: Iterable[Payload]) -> list[bytes]:
        """Encodes events."""

    def send_profiles(self, columns: Sequence[str], records: Sequence[bytes]) -> Verdict:
        """Sends encoded profiles that carry the same columns."""

    def send_events(self, records: Sequence[bytes]) -> Verdict:
        """Sends encoded events."""

    def look_up_task(self, task_id: str) -> Verdict:
        """Asks how an import task is doing; `ACCEPTED` while it runs."""


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

    batch: Batch
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
        load = consignment.load
        settled: list[Settled] = []
        for batch in profile_batches(
            load,
            self._route.encode_profile,
            self._settings.profile_batch_size,
            self._most_bytes,
        ):
            settled += self._settle(batch, consignment)
        self._write(consignment.lane, load, settled, consignment.upto)

    def deliver_events(self, consignment: Consignment) -> None:
        """Hits the events of a consignment; outcomes are written down request by request."""
        load, reached = consignment.load, 0
        for batch in event_batches(load, self._settings.event_batch_size, self._most_bytes):
            for settled in self._settle(batch, consignment):
                upto = load.sequences[settled.batch.rows[-1]] + 1
                self._write(consignment.lane, load, [settled], upto, reached)
                reached = upto
        if reached < consignment.upto:
            self._write(consignment.lane, load, [], consignment.upto, reached)

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
        first, second = batch.halves()
        good = True
        for settled in self._settle(first, consignment):
            good = good and settled.outcome is Outcome.DELIVERED
            yield settled
        # when nothing in the first half is bad, the second need not be asked as a whole
        yield from self._settle(second, consignment, surely_bad=refused and good)

    def _send(self, batch: Batch, consignment: Consignment) -> Verdict:
        if batch.columns:
            verdict = self._request(
                len(batch), lambda: self._route.send_profiles(batch.columns, batch.records), None
            )
            if verdict.answer is Answer.ACCEPTED and verdict.task_id is not None:
                return self._follow_import(batch, consignment, verdict.task_id)
            return verdict
        sequences = consignment.load.sequences
        span = {
            "lanes": self._lanes,
            "lane": consignment.lane,
            "first": sequences[batch.rows[0]],
            "end": sequences[batch.rows[-1]] + 1,
        }
        return self._request(len(batch), lambda: self._route.send_events(batch.records), span)

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
                    self._journal.write({"k": "intent", **span}, self._key)
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
                lazy=True,
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
        for each in settled:
            _count(tally, load, each)
            if each.outcome in UNDELIVERED:
                undelivered += _undelivered(load, each)
        silent = load.between(first, upto)
        for action, count in Counter(action for _, action in silent.skipped).items():
            tally.outcomes[action, Outcome.SKIPPED] += count
        for refused in silent.refused:
            tally.outcomes[refused.action, Outcome.INVALID] += 1
            for column, reason in refused.problems:
                tally.reasons[refused.action, Outcome.INVALID, column, reason] += 1
            undelivered.append(
                refused._asdict()
                | {
                    "problems": [list(problem) for problem in refused.problems],
                    "outcome": Outcome.INVALID.value,
                }
            )
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
    for action, count in Counter(load.actions[row] for row in batch.rows).items():
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


def _undelivered(load: Load, settled: Settled) -> Iterator[dict[str, Any]]:
    verdict = settled.verdict
    for row in settled.batch.rows:
        record = load.records[row]
        yield {
            "sequence": load.sequences[row],
            "action": load.actions[row],
            "user": load.users[row],
            "payload": orjson.Fragment(record) if isinstance(record, bytes) else record,
            "event_id": load.event_ids[row],
            "outcome": settled.outcome.value,
            "status": verdict.status,
            "code": verdict.code,
            "message": verdict.message,
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
