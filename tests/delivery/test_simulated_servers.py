"""Simulated servers: the throttle finds out what each of them takes, within ranges.

The lanes are threads that run the real sender, journal and throttle. In most tests their time
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
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType

import pytest

from xtremepush_dlt.delivery.crew import Consignment, Crew
from xtremepush_dlt.delivery.journal import Journal, PassKey
from xtremepush_dlt.delivery.lanes import Load
from xtremepush_dlt.delivery.route import Outgoing
from xtremepush_dlt.delivery.sender import Sender
from xtremepush_dlt.delivery.settings import DeliverySettings
from xtremepush_dlt.delivery.throttle import Throttle
from xtremepush_dlt.mapping.payloads import Payload
from xtremepush_dlt.routes.calls import Call, CallSource
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


# --- servers -------------------------------------------------------------------------------------


@dataclass
class Arrival:
    """One request as the server saw it."""

    events: tuple[bytes, ...]
    began: float
    ended: float
    verdict: Verdict


class Server:
    """A route to a server that takes everything after a while; keeps what arrived.

    Args:
        clock: The time.
        sleep: Waits.
        latency: Least and most seconds of an answer.
        seed: What latencies and faults are drawn from.
    """

    frame_bytes = 0
    imports = True

    def __init__(
        self,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
        latency: tuple[float, float] = (0.02, 0.05),
        seed: int = 0,
    ) -> None:
        self.clock = clock
        self.sleep = sleep
        self.latency = latency
        self.chance = random.Random(seed)
        self.arrivals: list[Arrival] = []
        self.in_flight = 0
        self.lock = threading.Lock()

    def send(self, call: Call, body: bytes) -> Verdict:
        began = self.clock()
        with self.lock:
            refusal = self.refusal()
            self.in_flight += refusal is None
            seconds = self.chance.uniform(*self.latency) if refusal is None else 0.002
        self.sleep(seconds)
        verdict = refusal or GOOD
        with self.lock:
            self.in_flight -= refusal is None
            self.arrivals.append(Arrival((body,), began, self.clock(), verdict))
        return verdict

    def refusal(self) -> Verdict | None:
        """What the server has against a request that arrives; None if nothing."""
        return None

    def encode_profile(self, payload: Payload) -> bytes:
        raise NotImplementedError

    def encode_calls(
        self, source: CallSource, payloads: Iterable[Payload], ids: Sequence[object]
    ) -> list[bytes]:
        raise NotImplementedError

    def endpoint(self, call: Call) -> str:
        raise NotImplementedError

    def body(self, call: Call, columns: Sequence[str], records: Sequence[bytes]) -> bytes:
        raise NotImplementedError

    def other_imports_run(self, known: Collection[str]) -> Verdict:
        raise AssertionError("nothing was imported")

    def look_up_task(self, task_id: str) -> Verdict:
        raise NotImplementedError

    @property
    def refused(self) -> float:
        """Share of the requests that were refused."""
        return sum(one.verdict is not GOOD for one in self.arrivals) / len(self.arrivals)

    def mean_in_flight(self) -> float:
        """Requests in work at a time, on average from the first arrival to the last."""
        began = min(one.began for one in self.arrivals)
        ended = max(one.ended for one in self.arrivals)
        busy = sum(one.ended - one.began for one in self.arrivals)
        return busy / (ended - began)

    def confirmed(self) -> Counter[bytes]:
        """How often each event was taken."""
        return Counter(
            event for one in self.arrivals if one.verdict is GOOD for event in one.events
        )


class NarrowServer(Server):
    """Takes so many requests at once."""

    capacity = 4

    def refusal(self) -> Verdict | None:
        return FULL if self.in_flight >= self.capacity else None


class MeteredServer(Server):
    """Takes so many requests a second, by a token bucket."""

    per_second = 20.0
    burst = 5.0
    tokens = 5.0
    filled_at = 0.0
    whole_seconds = True

    def refusal(self) -> Verdict | None:
        now = self.clock()
        earned = (now - self.filled_at) * self.per_second
        self.tokens, self.filled_at = min(self.burst, self.tokens + earned), now
        if self.tokens >= 1:
            self.tokens -= 1
            return None
        wait = (1 - self.tokens) / self.per_second
        wait = float(math.ceil(wait)) if self.whole_seconds else wait
        return Verdict(Answer.BUSY, status=429, retry_after=wait)


class AilingServer(Server):
    """Answers 503 for a while."""

    ill_from = 2.0
    ill_until = 32.0

    def refusal(self) -> Verdict | None:
        return DOWN if self.ill_from <= self.clock() < self.ill_until else None


class FaultyServer(Server):
    """Fails at random."""

    share = 0.02

    def refusal(self) -> Verdict | None:
        return DOWN if self.chance.random() < self.share else None


# --- the lanes -----------------------------------------------------------------------------------

SETTINGS = DeliverySettings(
    event_batch_size=1,
    profile_batch_size=1,
    max_request_bytes=1000,
    lanes=LANES,
    reject_invalid=False,
    retry_seconds=300.0,
    hold_unknown=False,
    undelivered_most=0.1,
    keep_payloads="undelivered",
    task_poll_seconds=1.0,
    task_poll_seconds_most=1.0,
    task_patience_seconds=1.0,
)


def consignment(lane: int, first: int, events: int) -> Consignment:
    """Events of one lane; no two have the same name."""
    sequences = [*range(first, first + events)]
    load = Load(
        sequences,
        [0] * events,
        [f"u{lane}"] * events,
        [f"{lane}.{sequence}".encode() for sequence in sequences],
        [()] * events,
    )
    return Consignment(lane, load, first + events)


@pytest.fixture(autouse=True)
def same_backoffs() -> None:
    """The sender draws its backoffs from the shared generator."""
    random.seed(1)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(tmp_path)
    yield journal
    journal.close()


def deliverer(
    server: Server,
    journal: Journal,
    throttle: Throttle,
    clock: Callable[[], float] = time.monotonic,
) -> Callable[[Consignment], None]:
    """Sends the events of a consignment, each in a request of its own."""
    sender = Sender(
        PassKey("orders.1", "track"),
        server,
        journal,
        throttle,
        SETTINGS,
        stopped=lambda: False,
        clock=clock,
    )

    def deliver(consignment: Consignment) -> None:
        for record in consignment.load.records:
            assert isinstance(record, bytes)
            assert sender.request(Outgoing(partial(server.send, "track", record), 1)) is GOOD

    return deliver


class Simulation:
    """Eight lanes that deliver to a server in virtual time.

    Args:
        kind: The server.
        journal: Where the sender writes.
        seed: What latencies are drawn from.
        latency: Least and most seconds of an answer.
        requests_per_second: The configured rate.
    """

    def __init__(
        self,
        kind: type[Server],
        journal: Journal,
        seed: int = 0,
        latency: tuple[float, float] = (0.02, 0.05),
        requests_per_second: float | None = None,
    ) -> None:
        self.time = VirtualTime()
        self.server = kind(self.time.clock, self.time.sleep, latency, seed)
        self.throttle = Throttle(
            LANES, requests_per_second, clock=self.time.clock, condition=self.time.condition
        )
        self.deliver = deliverer(self.server, journal, self.throttle, self.time.clock)
        self.sent: Counter[bytes] = Counter()

    def run(self, seconds: float) -> Server:
        """Delivers event after event until the time is over."""

        def work(lane: int) -> None:
            first = 0
            while self.time.now < seconds:
                events = consignment(lane, first, 5)
                self.deliver(events)
                self.sent.update(one for one in events.load.records if isinstance(one, bytes))
                first += 5

        self.time.run([lambda lane=lane: work(lane) for lane in range(LANES)])  # type: ignore[misc]  # mypy cannot infer lambdas with defaults
        return self.server


def run_crew(server: Server, journal: Journal, events: int) -> None:
    """Delivers events on eight lanes in real time, as a courier does."""
    deliver = deliverer(server, journal, Throttle(LANES))
    with Crew(LANES, LANES, 5, deliver) as crew:
        for first in range(0, events // LANES, 5):
            for lane in range(LANES):
                assert crew.hand_over(consignment(lane, first, 5))


# --- promises ------------------------------------------------------------------------------------

seeds = pytest.mark.parametrize("seed", [1, 2, 3])


@seeds
def test_a_server_that_takes_four_at_once_has_about_four_in_work_and_refuses_few(
    journal: Journal, seed: int
) -> None:
    server = Simulation(NarrowServer, journal, seed).run(15)
    assert 3 <= server.mean_in_flight() <= 5
    assert server.refused < 0.03
    assert len(server.arrivals) > 1000


def test_a_limit_of_four_at_once_is_found_in_real_time_as_well(journal: Journal) -> None:
    server = NarrowServer(time.monotonic, time.sleep)
    run_crew(server, journal, 280)
    assert 3 <= server.mean_in_flight() <= 5
    assert server.refused < 0.03
    assert set(server.confirmed().values()) == {1}


def test_a_limit_at_which_it_stands_is_tried_ever_more_rarely(journal: Journal) -> None:
    server = Simulation(NarrowServer, journal).run(30)
    refusals = [one.began for one in server.arrivals if one.verdict is not GOOD]
    assert len([moment for moment in refusals if moment < 15]) > 2
    assert len([moment for moment in refusals if moment >= 15]) <= 3


def test_a_limit_that_is_lifted_is_made_use_of(journal: Journal) -> None:
    simulation = Simulation(NarrowServer, journal)
    simulation.run(3)
    simulation.server.capacity = LANES  # type: ignore[attr-defined]  # of the narrow server
    lifted = len(simulation.server.arrivals)
    simulation.time.now = 0
    simulation.run(20)
    del simulation.server.arrivals[: lifted + 1500]
    assert simulation.server.mean_in_flight() > 7


@pytest.mark.parametrize(("burst", "seed"), [(5, 1), (5, 2), (10, 1)])
def test_a_server_that_takes_twenty_a_second_is_made_use_of_and_refuses_few(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, burst: float, seed: int
) -> None:
    monkeypatch.setattr(MeteredServer, "burst", burst)
    server = Simulation(MeteredServer, journal, seed).run(200)
    taken = sum(one.verdict is GOOD for one in server.arrivals)
    assert taken >= 0.95 * 20 * 200
    assert server.refused < 0.05


def test_a_retry_after_in_fractions_of_a_second_is_as_good(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MeteredServer, "whole_seconds", False)
    server = Simulation(MeteredServer, journal).run(60)
    taken = sum(one.verdict is GOOD for one in server.arrivals)
    assert taken >= 0.95 * 20 * 60
    assert server.refused < 0.05


def test_nothing_arrives_while_a_retry_after_runs(journal: Journal) -> None:
    server = Simulation(MeteredServer, journal).run(60)
    pauses = [
        (one.ended, one.ended + (one.verdict.retry_after or 0.0))
        for one in server.arrivals
        if one.verdict is not GOOD
    ]
    assert pauses
    for began, ended in pauses:
        early = [one for one in server.arrivals if began + 1e-6 < one.began < ended - 1e-6]
        assert not early


def test_all_lanes_are_busy_within_fifty_requests(journal: Journal) -> None:
    server = Simulation(Server, journal, latency=(0.1, 0.1)).run(3)
    began = sorted(one.began for one in server.arrivals)
    full = [
        number
        for number, moment in enumerate(began, start=1)
        if sum(one.began <= moment < one.ended for one in server.arrivals) == LANES
    ]
    assert full[0] <= 50
    assert len(full) > len(began) - 50


def test_all_lanes_are_busy_within_fifty_requests_in_real_time_as_well(journal: Journal) -> None:
    server = Server(time.monotonic, time.sleep, latency=(0.1, 0.1))
    run_crew(server, journal, 120)
    first_fifty = sorted(server.arrivals, key=lambda one: one.began)[:50]
    assert any(
        sum(one.began <= moment.began < one.ended for one in server.arrivals) == LANES
        for moment in first_fifty
    )


@seeds
def test_an_outage_of_thirty_seconds_costs_no_failure_and_sends_nothing_twice(
    journal: Journal, seed: int
) -> None:
    simulation = Simulation(AilingServer, journal, seed)
    server = simulation.run(40)
    assert server.refused > 0
    assert set(server.confirmed().values()) == {1}
    assert server.confirmed() == simulation.sent


@seeds
def test_after_an_outage_all_lanes_are_busy_again_within_a_second_of_the_first_good_answer(
    journal: Journal, seed: int
) -> None:
    server = Simulation(AilingServer, journal, seed).run(45)
    well = min(
        one.ended
        for one in server.arrivals
        if one.verdict is GOOD and one.began >= AilingServer.ill_until
    )
    assert well - AilingServer.ill_until < 5
    full = [
        one.began
        for one in server.arrivals
        if one.began > well
        and sum(other.began <= one.began < other.ended for other in server.arrivals) == LANES
    ]
    assert min(full) - well < 1


def test_a_server_that_is_down_is_asked_ever_more_rarely(journal: Journal) -> None:
    server = Simulation(AilingServer, journal).run(40)
    down = [one.began for one in server.arrivals if one.verdict is DOWN]
    assert len([moment for moment in down if moment >= 22]) < 40
    assert len(down) < 150


@pytest.mark.parametrize(("share", "busy"), [(0.02, 5), (0.05, 4)])
def test_faults_at_random_are_not_taken_for_a_limit(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, share: float, busy: float
) -> None:
    monkeypatch.setattr(FaultyServer, "share", share)
    server = Simulation(FaultyServer, journal, latency=(0.05, 0.1)).run(40)
    assert server.mean_in_flight() > busy


def test_the_configured_rate_is_kept_within_five_percent(journal: Journal) -> None:
    server = Simulation(Server, journal, requests_per_second=25).run(40)
    assert 0.95 * 25 * 40 <= len(server.arrivals) <= 1.05 * 25 * 40
