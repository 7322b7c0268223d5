"""The throttle: when a request may leave, what its answer teaches, how long to wait after it."""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from xtremepush_dlt.delivery.pace import Concurrency, RateLimit
from xtremepush_dlt.exceptions import DeliveryInterruptedError, XtremepushUnavailableError
from xtremepush_dlt.routes.verdict import Answer, Verdict

BACKOFF_FIRST = 0.5
"""Seconds of the first step of the backoff."""

BACKOFF_MOST = 10.0
"""Seconds of a step of the backoff at the most: with several lanes, one looks every second."""

_LOOK_UP_SECONDS = 0.1
"""How often one who waits looks up whether to stop."""

_MAKE_UP_SECONDS = 0.1
"""Delay that departures may make up for: threads wake up late, and the rate is to be kept."""

_OUTAGE = 4
"""Answers of trouble in a row, and none of health, that make an outage."""

_PATIENCE = 300.0
"""Seconds that a server may make everybody wait, where the caller does not say."""

_TROUBLE = (Answer.BUSY, Answer.UNANSWERED)
_NO_SIGN = (Answer.DENIED, Answer.MISDIRECTED, Answer.UNTRUSTED)


def backoff(attempt: int, verdict: Verdict, chance: Callable[[], float] = random.random) -> float:
    """Seconds to wait before sending again: exponential with full jitter.

    Args:
        attempt: Attempts so far, from 1.
        verdict: The last answer; what its `Retry-After` asks for is the least.
        chance: A number from 0 to 1.
    """
    # a thousand attempts must not overflow
    step = min(BACKOFF_MOST, BACKOFF_FIRST * 2.0 ** min(attempt - 1, 30))
    return (verdict.retry_after or 0.0) + step * chance()


class _Departure(NamedTuple):
    """A request that left.

    Attributes:
        number: Its number among all.
        level: Requests under way, itself included.
        recoveries: Outages that were over by then.
    """

    number: int
    level: int
    recoveries: int


class _Own(threading.local):
    """What each thread knows of its own last request."""

    departure: _Departure | None = None


class Throttle:
    """Lets requests leave, as many and as fast as the server takes; shared by threads.

    Who waits leaves in the order of arrival. What holds one holds all: requests under way, the
    rate, and the pause that a `Retry-After` asks for.

    Args:
        most: Requests under way at the most.
        requests_per_second: Requests that may leave in a second, on average.
        clock: Seconds of a clock that never goes back.
        condition: Makes what threads wait for; a test may bring its own time.
    """

    def __init__(
        self,
        most: int,
        requests_per_second: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        condition: Callable[[], threading.Condition] = threading.Condition,
    ) -> None:
        self._clock, self._changed = clock, condition()
        self._requests_per_second = requests_per_second or float("inf")
        self._concurrency = Concurrency(most)
        self._rate_limit = RateLimit()
        self._waiting: deque[object] = deque()
        self._own = _Own()
        self._under_way = 0
        self._left = 0
        self._next_at = float("-inf")
        self._paused_until = float("-inf")
        self._round = 0
        self._troubles = 0
        self._recoveries = 0

    @contextmanager
    def slot(
        self, stopped: Callable[[], bool] | None = None, patience: float = _PATIENCE
    ) -> Iterator[None]:
        """Waits until one more request may leave; it is under way for as long as the context.

        Args:
            stopped: Tells whether to give up waiting. Asked while others are locked out: it must
                be quick.
            patience: Seconds that a pause the server asks for may last from now on. Waiting for
                other requests, or for the configured rate, takes as long as it takes.

        Raises:
            DeliveryInterruptedError: If it is to stop.
            XtremepushUnavailableError: If the server asks for a pause beyond the patience.
        """
        self._enter(stopped, patience)
        try:
            yield
        finally:
            with self._changed:
                self._under_way -= 1
                self._changed.notify_all()

    def learn(self, verdict: Verdict) -> None:
        """Adapts to the answer to the last request of the calling thread."""
        if verdict.answer in _NO_SIGN:
            return
        with self._changed:
            # an answer without a request is judged as if it had just left
            departure = self._own.departure or _Departure(
                self._left + 1, self._concurrency.limit, self._recoveries
            )
            if verdict.answer in _TROUBLE:
                self._learn_trouble(verdict, departure)
            else:
                self._learn_health(departure)
            self._changed.notify_all()

    def rest(self, seconds: float, stopped: Callable[[], bool] | None = None) -> None:
        """Sleeps after trouble; wakes early when an outage is over.

        Without that, lanes would sleep on for the rest of their backoff after another has found
        the server well.

        Args:
            seconds: How long.
            stopped: Tells whether to give up waiting.

        Raises:
            DeliveryInterruptedError: If it is to stop.
        """
        with self._changed:
            departure = self._own.departure
            recoveries = departure.recoveries if departure else self._recoveries
            end = self._clock() + seconds
            while recoveries == self._recoveries and (left := end - self._clock()) > 0:
                self._wait(left, stopped)
            leave_if_stopped(stopped)

    def _enter(self, stopped: Callable[[], bool] | None, patience: float) -> None:
        ticket = object()
        with self._changed:
            entered = self._clock()
            self._waiting.append(ticket)
            try:
                while (seconds := self._seconds_until_leave(ticket)) is None or seconds > 0:
                    if self._paused_until > entered + patience:
                        raise XtremepushUnavailableError(
                            "Xtremepush asks to send nothing for another "
                            f"{self._paused_until - self._clock():.0f} s, which is beyond the "
                            "patience for retries. Nothing is lost: dlt tries again, and the next "
                            "run goes on from the last confirmed request. Raise `retry_patience` "
                            "to wait within a run."
                        )
                    self._wait(seconds, stopped)
                leave_if_stopped(stopped)
                self._leave(entered)
            finally:
                self._waiting.remove(ticket)
                # the next in line may leave as well, or is the first now
                self._changed.notify_all()

    def _leave(self, entered: float) -> None:
        now = self._clock()
        self._rate_limit.leave(now)
        learned = self._rate_limit.rate(now)
        rate = min(self._requests_per_second, learned)
        # a server that refused for the rate may have no room for two at once
        make_up = _MAKE_UP_SECONDS if learned > rate else min(_MAKE_UP_SECONDS, 0.5 / rate)
        # time in which nobody wanted to leave is not saved up
        due = max(self._next_at, self._paused_until, entered, now - make_up)
        self._next_at = due + 1 / rate
        self._left += 1
        self._under_way += 1
        self._concurrency.leave(self._under_way)
        self._own.departure = _Departure(self._left, self._under_way, self._recoveries)

    def _seconds_until_leave(self, ticket: object) -> float | None:
        """Seconds until the holder of a ticket may leave; None if that depends on others."""
        if self._waiting[0] is not ticket or self._under_way >= self._concurrency.limit:
            return None
        return max(self._next_at, self._paused_until) - self._clock()

    def _wait(self, seconds: float | None, stopped: Callable[[], bool] | None) -> None:
        leave_if_stopped(stopped)
        if stopped is not None:
            seconds = _LOOK_UP_SECONDS if seconds is None else min(seconds, _LOOK_UP_SECONDS)
        # a lock cannot wait for months
        self._changed.wait(None if seconds is None else min(seconds, threading.TIMEOUT_MAX))

    def _learn_health(self, departure: _Departure) -> None:
        if self._troubles >= _OUTAGE:
            self._recoveries += 1
        self._troubles = 0
        self._concurrency.rise(departure.level)
        self._rate_limit.rise()

    def _learn_trouble(self, verdict: Verdict, departure: _Departure) -> None:
        now = self._clock()
        self._troubles += 1
        if verdict.retry_after is not None:
            self._paused_until = max(self._paused_until, now + verdict.retry_after)
        # at level one it cannot be the concurrency that is too much
        too_fast = verdict.status == 429 and (
            verdict.retry_after is not None or departure.level == 1
        )
        if self._troubles == _OUTAGE:
            self._concurrency.forget_refusals()
        elif self._troubles < _OUTAGE and not too_fast:
            self._concurrency.refuse(departure.level)
        # what left before the last decrease has been answered by it
        if departure.number > self._round:
            self._round = self._left
            self._concurrency.fall()
            if too_fast:
                self._rate_limit.fall(now, verdict.retry_after or 0.0)


def leave_if_stopped(stopped: Callable[[], bool] | None) -> None:
    """Raises `DeliveryInterruptedError` if the delivery is to stop."""
    if stopped is not None and stopped():
        raise DeliveryInterruptedError(
            "The delivery was asked to stop while a request waited to be sent. It was not sent, "
            "and what was in flight is written down; the next run goes on from there."
        )
