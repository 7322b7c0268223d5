"""The throttle: when a request may leave, what its answer teaches, how long to wait after it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from xtremepush_dlt.delivery.pace import Concurrency, RateLimit
from xtremepush_dlt.delivery.throttle import BACKOFF_FIRST, BACKOFF_MOST, Throttle, backoff
from xtremepush_dlt.exceptions import DeliveryInterruptedError, XtremepushUnavailableError
from xtremepush_dlt.routes.verdict import Answer, Verdict, judge

GOOD = Verdict(Answer.DELIVERED, status=200)
FULL = Verdict(Answer.BUSY, status=429)
DOWN = Verdict(Answer.BUSY, status=503)


def send(throttle: Throttle, verdict: Verdict = GOOD) -> None:
    with throttle.slot():
        pass
    throttle.learn(verdict)


def opened(most: int) -> Throttle:
    """A throttle that has found out that everything is taken."""
    throttle = Throttle(most)
    for _ in range(most * most):
        throttle._concurrency.leave(most)
        throttle._concurrency.rise(1)
    assert throttle._concurrency.limit == most
    return throttle


def refused(retry_after: float) -> Verdict:
    return Verdict(Answer.BUSY, status=429, retry_after=retry_after)


def seconds_of(action: Callable[[], object]) -> float:
    began = time.monotonic()
    action()
    return time.monotonic() - began


def wait_for(truth: Callable[[], bool]) -> None:
    end = time.monotonic() + 5
    while not truth():
        assert time.monotonic() < end
        time.sleep(0.005)


# --- slots ---------------------------------------------------------------------------------------


# looking for a smaller example would wait for lost wake-ups over and over
@settings(max_examples=8, deadline=None, phases=[Phase.generate])
@given(
    most=st.integers(min_value=1, max_value=6),
    threads=st.integers(min_value=1, max_value=12),
    verdicts=st.lists(st.sampled_from([GOOD, GOOD, GOOD, DOWN, FULL]), min_size=1),
)
def test_no_more_requests_are_under_way_than_allowed_and_none_waits_for_ever(
    most: int, threads: int, verdicts: list[Verdict]
) -> None:
    # refusals at level one teach a rate, which is tried elsewhere and would take its time here
    throttle = Throttle(most, clock=lambda: 0.0)
    throttle._rate_limit.fall = lambda now, pause: None  # type: ignore[method-assign]
    lock, under_way, peak = threading.Lock(), [0], [0]

    def work(number: int) -> None:
        for turn in range(10):
            with throttle.slot():
                with lock:
                    under_way[0] += 1
                    peak[0] = max(peak[0], under_way[0])
                time.sleep(0.0002)
                with lock:
                    under_way[0] -= 1
            throttle.learn(verdicts[(number + turn) % len(verdicts)])

    # threads that wait for ever are to fail the test, not to hang it
    workers = [
        threading.Thread(target=work, args=(number,), daemon=True) for number in range(threads)
    ]
    for worker in workers:
        worker.start()
    end = time.monotonic() + 5
    for worker in workers:
        worker.join(max(0.0, end - time.monotonic()))
    assert not any(worker.is_alive() for worker in workers)
    assert 1 <= peak[0] <= most
    assert throttle._under_way == 0
    assert not throttle._waiting


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_an_exception_under_way_gives_the_slot_back(error: type[BaseException]) -> None:
    throttle = Throttle(1)
    for _ in range(3):
        with pytest.raises(error), throttle.slot():
            raise error
    send(throttle)


def test_an_exception_while_waiting_gives_the_place_in_the_line_back() -> None:
    throttle = Throttle(1)

    def stopped() -> bool:
        raise KeyboardInterrupt

    with throttle.slot(), pytest.raises(KeyboardInterrupt), throttle.slot(stopped):
        pass
    send(throttle)


def test_who_waits_longest_leaves_first() -> None:
    throttle, order = Throttle(1), []

    def work(number: int) -> None:
        with throttle.slot():
            order.append(number)

    workers = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(8)]
    with throttle.slot():
        for number, worker in enumerate(workers, start=1):
            worker.start()
            wait_for(lambda number=number: len(throttle._waiting) == number)  # type: ignore[misc]
    for worker in workers:
        worker.join(5)
    assert order == [*range(8)]


def test_one_who_gives_up_lets_the_next_one_leave() -> None:
    throttle, gives_up = Throttle(1), threading.Event()

    def first() -> None:
        with throttle.slot(gives_up.is_set):
            pass

    with ThreadPoolExecutor(2) as pool:
        with throttle.slot():
            one = pool.submit(first)
            wait_for(lambda: len(throttle._waiting) == 1)
            two = pool.submit(send, throttle)
            wait_for(lambda: len(throttle._waiting) == 2)
            gives_up.set()
            assert isinstance(one.exception(1), DeliveryInterruptedError)
        two.result(1)


# --- stopping ------------------------------------------------------------------------------------


@pytest.mark.parametrize("why", ["full", "paused", "paced", "resting"])
def test_whoever_waits_stops_within_half_a_second(why: str) -> None:
    throttle = Throttle(1, requests_per_second=0.01 if why == "paced" else None)
    stop = threading.Event()

    def wait_here() -> None:
        if why == "resting":
            throttle.rest(60, stop.is_set)
        with throttle.slot(stop.is_set):
            pass

    with ThreadPoolExecutor(1) as pool:
        if why == "paced":
            send(throttle)
        if why == "paused":
            throttle.learn(refused(60))
        if why == "full":
            with throttle.slot():
                waiting = pool.submit(wait_here)
                error, seconds = _stop(waiting, stop)
        else:
            waiting = pool.submit(wait_here)
            error, seconds = _stop(waiting, stop)
    assert isinstance(error, DeliveryInterruptedError)
    assert "next run" in str(error)
    assert seconds < 0.5


def _stop(waiting: Future[None], stop: threading.Event) -> tuple[BaseException | None, float]:
    time.sleep(0.15)
    assert not waiting.done()
    began = time.monotonic()
    stop.set()
    error = waiting.exception(5)
    return error, time.monotonic() - began


def test_nothing_leaves_after_the_stop_even_if_it_need_not_wait() -> None:
    throttle = Throttle(1)
    with pytest.raises(DeliveryInterruptedError), throttle.slot(lambda: True):
        pytest.fail("it left")


# --- Retry-After ---------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["0.5", "Thu, 01 Jan 1970 00:16:41 GMT"], ids=["number", "date"])
@pytest.mark.parametrize("status", [429, 503])
def test_all_lanes_pause_for_a_retry_after_in_either_form(value: str, status: int) -> None:
    throttle = opened(4)
    verdict, _ = judge(status, {"Retry-After": value}, b"", now=1000.5)
    with throttle.slot():
        pass
    began = time.monotonic()
    throttle.learn(verdict)

    def leave() -> float:
        with throttle.slot():
            return time.monotonic() - began

    with ThreadPoolExecutor(4) as pool:
        left = [pool.submit(leave) for _ in range(4)]
        assert all(0.5 <= one.result(5) < 3 for one in left)


def test_a_shorter_retry_after_does_not_end_a_longer_one() -> None:
    throttle = Throttle(2)
    began = time.monotonic()
    throttle.learn(Verdict(Answer.BUSY, status=503, retry_after=0.4))
    throttle.learn(Verdict(Answer.BUSY, status=503, retry_after=0.0))
    send(throttle)
    assert time.monotonic() - began >= 0.4


def test_a_pause_beyond_the_patience_is_not_waited_for() -> None:
    throttle = Throttle(2)
    throttle.learn(refused(3600))
    with pytest.raises(XtremepushUnavailableError, match="retry_patience"), throttle.slot():
        pytest.fail("it left")


def test_waiting_for_others_does_not_try_the_patience() -> None:
    throttle = Throttle(1)

    def leave() -> None:
        with throttle.slot(patience=0.0):
            pass

    with ThreadPoolExecutor(1) as pool:
        with throttle.slot():
            waiting = pool.submit(leave)
            time.sleep(0.1)
        waiting.result(1)


# --- the configured rate -------------------------------------------------------------------------


def test_the_configured_rate_is_kept_within_five_percent_in_real_time() -> None:
    throttle = Throttle(4, requests_per_second=100)
    departures: list[float] = []

    def work() -> None:
        for _ in range(25):
            with throttle.slot():
                departures.append(time.monotonic())
            throttle.learn(GOOD)

    with ThreadPoolExecutor(4) as pool:
        for _ in range(4):
            pool.submit(work)
    departures.sort()
    assert 95 < (len(departures) - 1) / (departures[-1] - departures[0]) < 105


def test_idle_time_is_not_saved_up_for_a_burst() -> None:
    throttle = Throttle(4, requests_per_second=40)
    send(throttle)
    time.sleep(0.3)
    began = time.monotonic()
    for _ in range(12):
        send(throttle)
    assert time.monotonic() - began > 0.25


# --- concurrency ---------------------------------------------------------------------------------


def test_it_starts_with_one_and_rises_by_one_a_round() -> None:
    concurrency = Concurrency(8)
    limits = [concurrency.limit]
    for _ in range(7):
        for level in range(1, concurrency.limit + 1):
            concurrency.leave(level)
        for level in range(1, concurrency.limit + 1):
            concurrency.rise(level)
        limits.append(concurrency.limit)
    assert limits == [1, 2, 3, 4, 5, 6, 7, 8]


def test_a_limit_that_is_not_made_use_of_does_not_rise() -> None:
    concurrency = Concurrency(8)
    for _ in range(100):
        concurrency.leave(1)
        concurrency.rise(1)
    assert concurrency.limit == 2


def test_levels_that_are_known_to_be_good_are_returned_to_by_one_an_answer() -> None:
    concurrency = Concurrency(20)
    while concurrency.limit < 20:
        concurrency.leave(concurrency.limit)
        concurrency.rise(concurrency.limit)
    for _ in range(8):
        concurrency.fall()
    low = concurrency.limit
    assert low < 10
    for _ in range(5):
        concurrency.leave(concurrency.limit)
        concurrency.rise(concurrency.limit)
    assert concurrency.limit == low + 5


@pytest.mark.parametrize(("refused_below", "limit"), [(0, 4), (4, 5)])
def test_a_level_is_kept_below_only_if_lower_ones_are_refused_far_more_rarely(
    refused_below: int, limit: int
) -> None:
    concurrency = Concurrency(5)
    for level in [1] * 10 + [2] * 10 + [3] * 10 + [4] * 10:
        concurrency.leave(level)
        concurrency.rise(level)
    for _ in range(refused_below):
        concurrency.refuse(1)
        concurrency.rise(1)
    for _ in range(3):
        concurrency.refuse(5)
        for _ in range(5):
            concurrency.rise(5)
    concurrency.fall()
    for _ in range(60):
        concurrency.leave(concurrency.limit)
        concurrency.rise(concurrency.limit)
    assert concurrency.limit == limit


@given(
    st.lists(st.sampled_from(["leave", "rise", "refuse", "fall", "forget_refusals"])),
    st.integers(1, 9),
)
def test_the_limit_stays_between_one_and_the_most(steps: list[str], most: int) -> None:
    concurrency = Concurrency(most)
    for step in steps:
        arguments = [concurrency.limit] if step in ("leave", "rise", "refuse") else []
        getattr(concurrency, step)(*arguments)
        assert 1 <= concurrency.limit <= most


def test_refusals_of_one_round_lower_the_limit_once() -> None:
    throttle = opened(20)
    with ThreadPoolExecutor(20) as pool:
        together = threading.Barrier(20)

        def work() -> None:
            with throttle.slot():
                together.wait(5)
            throttle.learn(DOWN)

        for each in [pool.submit(work) for _ in range(20)]:
            each.result(5)
    assert throttle._concurrency.limit == 18
    send(throttle, DOWN)
    assert throttle._concurrency.limit == 16


@pytest.mark.parametrize("answer", [Answer.BUSY, Answer.UNANSWERED])
def test_trouble_lowers_the_limit_by_a_tenth(answer: Answer) -> None:
    throttle = opened(10)
    send(throttle, Verdict(answer, status=None))
    assert throttle._concurrency.limit == 9


@pytest.mark.parametrize("answer", [Answer.DENIED, Answer.MISDIRECTED])
def test_a_closed_door_says_nothing_about_the_limit(answer: Answer) -> None:
    throttle = opened(10)
    send(throttle, Verdict(answer))
    assert throttle._concurrency.limit == 10


@pytest.mark.parametrize("answer", [Answer.REFUSED, Answer.TOO_LARGE, Answer.PARTLY])
def test_a_refusal_of_what_is_in_a_request_is_a_sign_of_health(answer: Answer) -> None:
    throttle = Throttle(10)
    send(throttle, Verdict(answer))
    assert throttle._concurrency.limit == 2


# --- the learned rate ----------------------------------------------------------------------------


def test_nothing_is_held_back_as_long_as_no_rate_was_refused() -> None:
    rate = RateLimit()
    rate.leave(0.0)
    assert rate.rate(1e9) == float("inf")


def test_a_rate_that_was_refused_is_fallen_below_and_exceeded_only_after_a_hold() -> None:
    rate = RateLimit()
    for number in range(400):
        rate.leave(number / 20)
        rate.rise()
    rate.fall(20.0, pause=1.0)
    rate.leave(21.0)
    assert 18 < rate.rate(21.0) < 20
    assert rate.rate(40.0) == rate.rate(21.0)
    assert rate.rate(200.0) > 20


def test_a_rate_that_was_tried_in_vain_is_held_twice_as_long() -> None:
    rate = RateLimit()
    for number in range(400):
        rate.leave(number / 20)
        rate.rise()
    rate.fall(20.0, pause=1.0)
    for number in range(400):
        rate.leave(21 + number / 10)
        rate.rise()
    rate.fall(62.0, pause=1.0)
    rate.leave(63.0)
    assert rate.rate(63.0 + 80) == rate.rate(63.0)
    assert rate.rate(63.0 + 130) > rate.rate(63.0)


def test_idle_time_does_not_raise_the_learned_rate() -> None:
    rate = RateLimit()
    rate.leave(0.0)
    rate.fall(1.0, pause=0.0)
    rate.leave(2.0)
    rate.leave(10_000.0)
    assert rate.rate(10_000.0) < 2 * rate.rate(2.0)


def test_busy_without_a_429_teaches_no_rate() -> None:
    throttle = Throttle(1)
    for _ in range(3):
        send(throttle, DOWN)
    assert throttle._rate_limit.rate(0.0) == float("inf")


# --- backoff and rest ----------------------------------------------------------------------------


@given(
    attempt=st.integers(min_value=1, max_value=10_000),
    retry_after=st.none() | st.floats(min_value=0, max_value=1e6),
    chance=st.floats(min_value=0, max_value=1),
)
def test_a_backoff_is_exponential_bounded_and_never_below_retry_after(
    attempt: int, retry_after: float | None, chance: float
) -> None:
    least = retry_after or 0.0
    seconds = backoff(attempt, Verdict(Answer.BUSY, retry_after=retry_after), lambda: chance)
    assert least <= seconds <= least + min(BACKOFF_MOST, BACKOFF_FIRST * 2.0 ** min(attempt, 50))


def test_a_backoff_has_full_jitter() -> None:
    assert backoff(3, DOWN, lambda: 0.0) == 0.0
    assert backoff(3, DOWN, lambda: 1.0) == 4 * BACKOFF_FIRST
    assert backoff(99, DOWN, lambda: 1.0) == BACKOFF_MOST


def test_a_rest_lasts_as_long_as_it_was_asked_for_while_there_is_no_outage() -> None:
    throttle = opened(2)
    send(throttle, DOWN)
    threading.Thread(target=send, args=(throttle,)).start()
    assert seconds_of(lambda: throttle.rest(0.3)) >= 0.3


def test_a_rest_ends_when_another_lane_finds_an_outage_over() -> None:
    throttle = opened(2)
    for _ in range(4):
        send(throttle, DOWN)
    timer = threading.Timer(0.1, send, [throttle])
    timer.start()
    assert seconds_of(lambda: throttle.rest(30)) < 2
    timer.join()


def test_a_rest_is_not_begun_when_the_outage_was_over_before() -> None:
    throttle = opened(2)
    for _ in range(4):
        send(throttle, DOWN)
    other = threading.Thread(target=send, args=(throttle,))
    other.start()
    other.join()
    assert seconds_of(lambda: throttle.rest(30)) < 1
