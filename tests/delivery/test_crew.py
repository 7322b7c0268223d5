"""The crew: lanes side by side, each in order, few waiting, and the first error ends it all."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xtremepush_dlt.delivery import crew as crew_module
from xtremepush_dlt.delivery.crew import Consignment, Crew
from xtremepush_dlt.delivery.lanes import Load
from xtremepush_dlt.exceptions import CredentialsRefusedError, XtremepushUnavailableError

PATIENCE = 10.0
"""Seconds after which something hangs."""


def parcel(lane: int, number: int = 0) -> Consignment:
    return Consignment(lane, Load(), number)


def in_time(work: Callable[[], None]) -> None:
    """Does some work that must come to an end."""
    ended = threading.Event()
    errors: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001  # raised again below
            errors.append(error)
        ended.set()

    threading.Thread(target=run, daemon=True).start()
    assert ended.wait(PATIENCE), "it hangs"
    if errors:
        raise errors[0]


class Seen:
    """Notes what is delivered, and whether a lane was ever delivered twice at once."""

    def __init__(self, seconds: float = 0.0) -> None:
        self._lock = threading.Lock()
        self._seconds = seconds
        self._under_way: set[int] = set()
        self.by_lane: dict[int, list[int]] = defaultdict(list)
        self.most_at_once = 0

    def __call__(self, consignment: Consignment) -> None:
        with self._lock:
            assert consignment.lane not in self._under_way, "a lane is delivered twice at once"
            self._under_way.add(consignment.lane)
            self.most_at_once = max(self.most_at_once, len(self._under_way))
            self.by_lane[consignment.lane].append(consignment.upto)
        time.sleep(self._seconds)
        with self._lock:
            self._under_way.discard(consignment.lane)


@given(
    lanes=st.integers(1, 12),
    threads=st.integers(1, 5),
    size=st.sampled_from([1, 20, 100_000]),
    of=st.lists(st.integers(0, 11), max_size=60),
)
@settings(max_examples=60, deadline=None)
def test_every_consignment_is_delivered_once_and_each_lane_in_its_order(
    lanes: int, threads: int, size: int, of: list[int]
) -> None:
    seen = Seen()
    given_: dict[int, list[int]] = defaultdict(list)

    def work() -> None:
        with Crew(lanes, threads, size, seen) as crew:
            for number, lane in enumerate(of):
                assert crew.hand_over(parcel(lane % lanes, number))
                given_[lane % lanes].append(number)

    in_time(work)
    assert seen.by_lane == given_


def test_as_many_lanes_run_side_by_side_as_there_are_threads() -> None:
    meeting = threading.Barrier(4, timeout=PATIENCE)

    def deliver(_: Consignment) -> None:
        meeting.wait()

    def work() -> None:
        with Crew(4, 4, 1, deliver) as crew:
            for lane in range(4):
                crew.hand_over(parcel(lane))

    in_time(work)


def test_no_more_lanes_run_at_once_than_there_are_threads() -> None:
    seen = Seen(0.002)

    def work() -> None:
        with Crew(32, 3, 1, seen) as crew:
            for number in range(96):
                crew.hand_over(parcel(number % 32, number))

    in_time(work)
    assert seen.most_at_once == 3


def test_a_long_lane_does_not_keep_the_others_waiting() -> None:
    """One lane has most of the work; what is on the others is done long before its end."""
    order: list[int] = []

    def deliver(consignment: Consignment) -> None:
        time.sleep(0.002)
        order.append(consignment.lane)

    def work() -> None:
        with Crew(8, 2, 1, deliver) as crew:
            for number in range(40):
                crew.hand_over(parcel(0, number))
            for lane in range(1, 8):
                crew.hand_over(parcel(lane))

    in_time(work)
    assert max(order.index(lane) for lane in range(1, 8)) < 30
    assert order.count(0) == 40


def test_a_lane_waits_its_turn_behind_lanes_that_have_waited_longer() -> None:
    order: list[int] = []
    begin = threading.Event()

    def deliver(consignment: Consignment) -> None:
        begin.wait(PATIENCE)
        order.append(consignment.lane)

    def work() -> None:
        with Crew(3, 1, 1, deliver) as crew:
            for lane in (0, 0, 0, 1, 2):
                crew.hand_over(parcel(lane))
            begin.set()

    in_time(work)
    # after each consignment the lane goes to the end of the queue
    assert order == [0, 1, 2, 0, 0]


@pytest.mark.parametrize(("lanes", "threads", "size"), [(1, 1, 5000), (4, 2, 20), (512, 16, 20)])
def test_who_hands_over_waits_as_long_as_enough_rows_wait(
    lanes: int, threads: int, size: int
) -> None:
    going = threading.Event()
    handed = 0

    def deliver(_: Consignment) -> None:
        going.wait(PATIENCE)

    def feed() -> None:
        nonlocal handed
        with Crew(lanes, threads, size, deliver) as crew:
            for number in range(5_000):
                crew.hand_over(parcel(number % lanes, number))
                handed += 1

    feeding = threading.Thread(target=feed, daemon=True)
    feeding.start()
    before = -1
    while handed != before:
        before = handed
        time.sleep(0.1)
    # what is under way, and no more than the rows that may wait for each thread
    waiting = (handed - threads) * size
    going.set()
    feeding.join(PATIENCE)
    assert not feeding.is_alive()
    assert 0 < waiting <= max(crew_module._WAITING_ROWS * threads, lanes * size)


@pytest.mark.parametrize("threads", [1, 4])
def test_the_first_error_stops_all_lanes_and_is_raised(threads: int) -> None:
    seen: list[int] = []

    def deliver(consignment: Consignment) -> None:
        seen.append(consignment.upto)
        if consignment.upto == 10:
            raise ValueError("the tenth")
        time.sleep(0.001)

    refused = threading.Event()

    def work() -> None:
        with Crew(8, threads, 100_000, deliver) as crew:
            for number in range(10_000):
                if not crew.hand_over(parcel(number % 8, number)):
                    refused.set()
                    break

    with pytest.raises(ValueError, match="the tenth"):
        in_time(work)
    assert refused.is_set(), "whoever hands over was not told"
    assert len(seen) < 10 + 8 + threads


def test_an_error_that_a_person_must_mend_goes_before_one_that_may_pass() -> None:
    meeting = threading.Barrier(3, timeout=PATIENCE)

    def deliver(consignment: Consignment) -> None:
        meeting.wait()
        if consignment.lane == 2:
            time.sleep(0.05)
            raise CredentialsRefusedError("401")
        raise XtremepushUnavailableError("503")

    def work() -> None:
        with Crew(3, 3, 1, deliver) as crew:
            for lane in range(3):
                crew.hand_over(parcel(lane))

    with pytest.raises(CredentialsRefusedError):
        in_time(work)


def test_an_error_of_the_last_consignment_is_raised_too() -> None:
    def deliver(_: Consignment) -> None:
        time.sleep(0.02)
        raise ValueError("late")

    def work() -> None:
        with Crew(1, 1, 1, deliver) as crew:
            crew.hand_over(parcel(0))

    with pytest.raises(ValueError, match="late"):
        in_time(work)


@pytest.mark.parametrize("stop", [KeyboardInterrupt, ValueError])
def test_an_error_of_who_hands_over_ends_the_lanes_and_is_the_one_that_is_raised(
    stop: type[BaseException],
) -> None:
    seen: list[int] = []

    def deliver(consignment: Consignment) -> None:
        seen.append(consignment.upto)
        time.sleep(0.01)
        raise XtremepushUnavailableError("503")

    def work() -> None:
        with Crew(4, 2, 1, deliver) as crew:
            for number in range(100):
                crew.hand_over(parcel(number % 4, number))
                if number == 3:
                    raise stop

    with pytest.raises(stop):
        in_time(work)
    assert len(seen) <= 2


def test_a_crew_without_work_ends_at_once() -> None:
    def work() -> None:
        for threads in (1, 16):
            with Crew(512, threads, 20, Seen()):
                pass

    in_time(work)


def test_no_thread_is_left_behind() -> None:
    before = threading.active_count()

    def work(lanes: Iterable[int]) -> None:
        with Crew(16, 8, 1, Seen()) as crew:
            for lane in lanes:
                crew.hand_over(parcel(lane))

    in_time(lambda: work(range(16)))
    end = time.monotonic() + PATIENCE
    while threading.active_count() > before and time.monotonic() < end:
        time.sleep(0.01)
    assert threading.active_count() <= before
