"""The throttle: how many requests are under way, when the next may leave, how long to wait."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from xtremepush_dlt.routes.verdict import Answer, Verdict

BACKOFF_FIRST = 0.5
"""Seconds of the first step of the backoff."""

BACKOFF_MOST = 30.0
"""Seconds of a step of the backoff at the most."""


def backoff(attempt: int, verdict: Verdict, chance: Callable[[], float] = random.random) -> float:
    """Seconds to wait before sending again: exponential with full jitter.

    Args:
        attempt: Attempts so far, from 1.
        verdict: The last answer; what its `Retry-After` asks for is the least.
        chance: A number from 0 to 1.
    """
    step = min(BACKOFF_MOST, BACKOFF_FIRST * 2.0 ** (attempt - 1))
    return (verdict.retry_after or 0.0) + step * chance()


class Throttle:
    """Bounds the requests under way; adapts the bound to what the server takes.

    Args:
        most: Requests under way at the most.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._limit = 1.0
        self._under_way = 0
        self._freed = threading.Condition()

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Waits until one more request may be under way."""
        with self._freed:
            while self._under_way >= int(self._limit):
                self._freed.wait()
            self._under_way += 1
        try:
            yield
        finally:
            with self._freed:
                self._under_way -= 1
                self._freed.notify()

    def learn(self, verdict: Verdict) -> None:
        """Adapts to an answer: one more under way after health, a tenth less after trouble."""
        with self._freed:
            if verdict.answer in (Answer.BUSY, Answer.UNANSWERED):
                self._limit = max(1.0, self._limit * 0.9)
            else:
                self._limit = min(float(self._most), self._limit + 1.0)
            self._freed.notify()
