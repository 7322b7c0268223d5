"""Faults on demand: what goes wrong with a request, drawn from a seed."""

from __future__ import annotations

import math
import random
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Literal

from xtremepush_dlt.sandbox.settings import build

KINDS = ("reset_before", "reset_after", "hang", "html", "truncated", "empty", "success_false")
"""What can happen to a request besides a status; the names are fields of `Faults` too."""


@dataclass(frozen=True)
class Faults:
    """What goes wrong. Rates are shares of requests (0 to 1), and together at most 1.

    All faults combine: latency and limits hold for every request, and one draw decides which of
    the rates hits it. The same seed and order of requests gives the same faults.
    """

    seed: int = 0
    paths: tuple[str, ...] = ()  # only paths that contain one of these; empty: the whole API
    plan: tuple[int | str, ...] = ()  # the next requests in order: a status, a kind, or "ok"

    statuses: Mapping[int, float] = field(default_factory=dict)  # e.g. {429: 0.01, 503: 0.01}
    retry_after: float | None = None  # seconds, sent with injected 429 and 503
    retry_after_as: Literal["seconds", "date"] = "seconds"

    latency: float = 0.0  # seconds before a request is handled
    jitter: float = 0.0  # up to this much more

    reset_before: float = 0.0  # connection reset, the request was not processed
    reset_after: float = 0.0  # connection reset, the request was processed
    hang: float = 0.0  # the answer is held back for `hang_seconds`
    hang_seconds: float = 30.0
    hang_commits: bool = False  # True: processed at once; False: not processed, 504 at the end
    html: float = 0.0  # a proxy's error page; not processed
    html_status: int = 502
    truncated: float = 0.0  # the JSON of the answer is cut; processed
    empty: float = 0.0  # the answer has no body; processed
    success_false: float = 0.0  # 200 with "success": false; not processed

    poison_users: frozenset[str] = frozenset()  # a row or event of these users is refused
    poison_marker: str | None = None  # and so is one that holds this text
    poison_named: bool = False  # the 400 names the poison items in `errors`
    poison_tasks: bool = False  # asynchronous imports are accepted and their task ends Fatal

    task_failures: float = 0.0  # tasks that end Fatal
    slow_tasks: float = 0.0  # tasks that take `slow_task_seconds`
    slow_task_seconds: float = 1.0

    max_in_flight: int | None = None  # over it: 429
    requests_per_second: float | None = None  # over it: 429 with Retry-After
    burst: int = 1  # requests that may come at once under `requests_per_second`

    outage_seconds: float = 0.0  # from the moment these faults are set
    outage_requests: int = 0  # the next so many requests
    outage_status: int = 503

    def __post_init__(self) -> None:
        if self.total_rate > 1.0 + 1e-9:
            raise ValueError(f"The rates add up to {self.total_rate:g}; they must not exceed 1.")
        for step in self.plan:
            if not isinstance(step, int) and step != "ok" and step not in KINDS:
                raise ValueError(
                    f"plan cannot hold {step!r}; use a status, 'ok' or one of {', '.join(KINDS)}."
                )

    @property
    def total_rate(self) -> float:
        """The share of requests that a drawn fault hits."""
        return sum(self.statuses.values()) + sum(self.rate(kind) for kind in KINDS)

    def rate(self, kind: str) -> float:
        """The rate of one of `KINDS`."""
        return float(getattr(self, kind))

    @classmethod
    def from_mapping(cls, values: Mapping[str, object]) -> Faults:
        """Build faults from plain JSON values, as the control endpoint gets them."""
        return build(cls, values)


@dataclass(frozen=True)
class Fate:
    """What happens to one request."""

    kind: str = "ok"  # "ok", "status" or one of KINDS
    delay: float = 0.0
    status: int = 0
    retry_after: str | None = None


@dataclass(frozen=True)
class TaskFate:
    """What happens to one import task; `seconds` is None when it takes the usual time."""

    fatal: bool = False
    seconds: float | None = None


class FaultEngine:
    """Decides the fate of each request; its memory starts anew with every `set`."""

    def __init__(
        self,
        faults: Faults,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._clock = clock
        self._wall_clock = wall_clock
        self.injected: Counter[str] = Counter()
        self.set(faults)

    def set(self, faults: Faults) -> None:
        """Replace the faults; the seed, the plan, the outage and the limits start anew."""
        self.faults = faults
        self._random = random.Random(faults.seed)
        self._plan = deque(faults.plan)
        self._outage_left = faults.outage_requests
        self._outage_until = self._clock() + faults.outage_seconds
        self._tokens = float(faults.burst)
        self._refilled = self._clock()

    def fate(self, path: str, in_flight: int) -> Fate:
        """Decide what happens to a request that arrived as one of `in_flight`."""
        faults = self.faults
        if faults.paths and not any(part in path for part in faults.paths):
            return Fate()
        # Both numbers are drawn for every request, so that one fault does not shift the others.
        delay = faults.latency + faults.jitter * self._random.random()
        fate = self._decide(delay, self._random.random(), in_flight)
        if fate.kind != "ok":
            self.injected[str(fate.status) if fate.kind == "status" else fate.kind] += 1
        return fate

    def task_fate(self) -> TaskFate:
        """Decide what happens to an import task."""
        faults = self.faults
        fatal = self._random.random() < faults.task_failures
        slow = self._random.random() < faults.slow_tasks
        if fatal:
            self.injected["task_failure"] += 1
        if slow:
            self.injected["slow_task"] += 1
        return TaskFate(fatal, faults.slow_task_seconds if slow else None)

    def _decide(self, delay: float, draw: float, in_flight: int) -> Fate:
        faults = self.faults
        if self._plan:
            step = self._plan.popleft()
            return self._status(delay, step) if isinstance(step, int) else Fate(step, delay)
        if self._outage_left > 0:
            self._outage_left -= 1
            return self._status(delay, faults.outage_status)
        if faults.outage_seconds and self._clock() < self._outage_until:
            return self._status(delay, faults.outage_status)
        if faults.max_in_flight is not None and in_flight > faults.max_in_flight:
            return self._status(delay, 429)
        wait = self._wait_for_token()
        if wait > 0:
            return self._status(delay, 429, math.ceil(wait))
        for status, rate in faults.statuses.items():
            if draw < rate:
                return self._status(delay, status)
            draw -= rate
        for kind in KINDS:
            rate = faults.rate(kind)
            if draw < rate:
                return Fate(kind, delay)
            draw -= rate
        return Fate("ok", delay)

    def _status(self, delay: float, status: int, wait: float | None = None) -> Fate:
        seconds = self.faults.retry_after if wait is None else wait
        if seconds is None or status not in (429, 503):
            return Fate("status", delay, status)
        if self.faults.retry_after_as == "date":
            value = formatdate(math.ceil(self._wall_clock() + seconds), usegmt=True)
        else:
            value = f"{seconds:g}"
        return Fate("status", delay, status, value)

    def _wait_for_token(self) -> float:
        """Take a token of the bucket; answers the seconds to wait when it has none."""
        rate = self.faults.requests_per_second
        if rate is None:
            return 0.0
        now = self._clock()
        self._tokens = min(self.faults.burst, self._tokens + (now - self._refilled) * rate)
        self._refilled = now
        if self._tokens >= 1:
            self._tokens -= 1
            return 0.0
        return (1 - self._tokens) / rate
