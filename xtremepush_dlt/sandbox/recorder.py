"""Every request that reached the API, with its times and what became of it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

_CREDENTIALS = frozenset({"authorization", "proxy-authorization", "cookie"})


@dataclass
class RequestRecord:
    """One request. Times are seconds: `arrived_at` is wall time, the others are monotonic."""

    number: int
    method: str
    path: str
    headers: dict[str, str]
    arrived_at: float
    arrived: float
    in_flight: int  # requests that were open when this one arrived, itself included
    size: int = 0
    body: dict[str, object] | None = None  # without the app token
    credentials: tuple[str, ...] = ()  # the kinds that came: `apptoken`, `bearer`, `basic`
    finished: float | None = None
    status: int | None = None  # None: open, or never answered
    fault: str | None = None  # what was injected, if anything

    @property
    def seconds(self) -> float | None:
        """How long the request took, None while it is open."""
        return None if self.finished is None else self.finished - self.arrived


class Recorder:
    """Numbers requests from 1 and counts how many are open at once."""

    def __init__(self) -> None:
        self.requests: list[RequestRecord] = []
        self.in_flight = 0
        self.max_in_flight = 0
        self._numbered = 0

    def arrive(self, method: str, path: str, headers: Mapping[str, str]) -> RequestRecord:
        """Keep a request that has just arrived."""
        self._numbered += 1
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        record = RequestRecord(
            number=self._numbered,
            method=method,
            path=path,
            headers={name: value for name, value in headers.items() if name not in _CREDENTIALS},
            arrived_at=time.time(),
            arrived=time.monotonic(),
            in_flight=self.in_flight,
        )
        self.requests.append(record)
        return record

    def finish(self, record: RequestRecord, status: int | None) -> None:
        """Close a request, once; `status` is None when it gets no answer."""
        if record.finished is None:
            record.finished = time.monotonic()
            record.status = status
            self.in_flight -= 1

    def reset(self) -> None:
        """Forget all requests; those still open stay counted until they end."""
        self.requests = []
        self.max_in_flight = self.in_flight
        self._numbered = 0
