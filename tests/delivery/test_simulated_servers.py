"""Simulated servers: the throttle finds out what each of them takes, within ranges.

The lanes are threads that run the real dispatcher, journal and throttle. In most tests their time
is virtual: one thread runs at a time, and when all of them wait, the clock jumps to the moment at
which the first goes on. So minutes take a second, and a busy machine changes nothing.
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import pytest

from xtremepush_dlt.delivery.crew import Consignment, Crew
from xtremepush_dlt.delivery.dispatch import DeliverySettings, Dispatcher
from xtremepush_dlt.delivery.journal import Journal, PassKey
from xtremepush_dlt.delivery.lanes import Load
from xtremepush_dlt.delivery.throttle import Throttle
from xtremepush_dlt.mapping.calls import Payload
from xtremepush_dlt.routes.verdict import Answer, Verdict

LANES = 8
GOOD = Verdict(Answer.DELIVERED, status=200)
FULL = Verdict(Answer.BUSY, status=429)
DOWN = Verdict(Answer.BUSY, status=503)


@dataclass(order=True)
class _Sleeper:
    until: float
    number: int
    baton: threading.Semaphore = field(compare=False)
    awake: bool = field(default=False, compare=False)


class VirtualTime:
    """A clock that moves only when every thread waits; one thread runs at a time."""

    def __init__(self) -> None:
        self.now = 0.0
        self._numbers = itertools.count()
        self._sleepers: list[_Sleeper] = []
        self._done = threading.Semaphore(0)
        self._stuck = False

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.block(self.sleeper(self.now + seconds))

    def sleeper(self, until: float) -> _Sleeper:
        sleeper = _Sleeper(until, next(self._numbers), threading.Semaphore(0))
        heapq.heappush(self._sleepers, sleeper)
        return sleeper

    def wake(self, sleeper: _Sleeper) -> None:
        if not sleeper.awake:
            self._sleepers.remove(sleeper)
            sleeper.until = self.now
            self._sleepers.append(sleeper)
            heapq.heapify(self._sleepers)

    def block(self, sleeper: _Sleeper) -> None:
        self._pass_on()
        sleeper.baton.acquire()
        if self._stuck:
            raise RuntimeError("every thread waits for another: a wake-up was lost")

    def run(self, jobs: Iterable[Callable[[], None]]) -> None:
        """Runs jobs side by side, and raises what one of them raised."""
        errors: list[BaseException] = []

        def work(job: Callable[[], None], sleeper: _Sleeper) -> None:
            sleeper.baton.acquire()
            try:
                job()
            except BaseException as error:  # noqa: BLE001  # raised again below
                errors.append(error)
            finally:
                self._pass_on()

        threads = [
            threading.Thread(target=work, args=(job, self.sleeper(self.now)), daemon=True)
            for job in jobs
        ]
        for thread in threads:
            thread.start()
        self._pass_on()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]

    def _pass_on(self) -> None:
        if not self._sleepers:
            return
        sleeper = heapq.heappop(self._sleepers)
        if sleeper.until == math.inf:
            self._stuck = True
        else:
            self.now = max(self.now, sleeper.until)
        sleeper.awake = True
        sleeper.baton.release()

    def condition(self) -> threading.Condition:
        return VirtualCondition(self)


class VirtualCondition(threading.Condition):
    """A condition in virtual time; it needs no lock, as one thread runs at a time."""

    def __init__(self, time: VirtualTime) -> None:
        super().__init__()
        self._time = time
        self._parked: deque[_Sleeper] = deque()

    def __enter__(self) -> bool:
        return True

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass

    def wait(self, timeout: float | None = None) -> bool:
        sleeper = self._time.sleeper(math.inf if timeout is None else self._time.now + timeout)
        self._parked.append(sleeper)
        self._time.block(sleeper)
        if sleeper in self._parked:
            self._parked.remove(sleeper)
            return False
        return True

    def notify_all(self) -> None:
        while self._parked:
            self._time.wake(self._parked.popleft())
