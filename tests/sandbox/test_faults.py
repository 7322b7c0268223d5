"""Faults on demand."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
import requests

from tests.sandbox.client import Caller
from xtremepush_dlt.sandbox import Faults, Sandbox
from xtremepush_dlt.sandbox.faults import FaultEngine
from xtremepush_dlt.sandbox.pytest_plugin import MakeSandbox


def kinds(faults: Faults, count: int) -> list[str]:
    engine = FaultEngine(faults)
    fates = [engine.fate("/api/external/hit/event", 1) for _ in range(count)]
    return [str(fate.status) if fate.kind == "status" else fate.kind for fate in fates]


def test_the_same_seed_gives_the_same_faults() -> None:
    faults = Faults(seed=7, statuses={429: 0.2, 503: 0.2}, reset_before=0.2)

    assert kinds(faults, 200) == kinds(faults, 200)
    assert kinds(faults, 200) != kinds(Faults(seed=8, statuses={429: 0.2, 503: 0.2}), 200)


def test_each_fault_comes_at_its_rate() -> None:
    seen = kinds(Faults(statuses={429: 0.1, 503: 0.3}, reset_after=0.2, truncated=0.1), 5000)

    shares = {kind: seen.count(kind) / len(seen) for kind in set(seen)}
    wanted = {"429": 0.1, "503": 0.3, "reset_after": 0.2, "truncated": 0.1, "ok": 0.3}
    assert shares == pytest.approx(wanted, abs=0.03)


def test_rates_above_one_and_unknown_steps_are_refused() -> None:
    with pytest.raises(ValueError, match="add up to"):
        Faults(statuses={503: 0.7}, html=0.4)
    with pytest.raises(ValueError, match="plan cannot hold"):
        Faults(plan=("explode",))


def test_a_reset_before_the_commit_is_a_connection_error_and_stores_nothing(
    make_xtremepush_sandbox: MakeSandbox,
) -> None:
    sandbox = make_xtremepush_sandbox(None, Faults(reset_before=1.0))

    with pytest.raises(requests.ConnectionError, match="reset by peer"):
        Caller(sandbox).hit()
    assert sandbox.events == []
    assert sandbox.requests[0].status is None
    assert sandbox.requests[0].fault == "reset_before"


def test_a_reset_after_the_commit_is_a_connection_error_although_all_is_stored(
    make_xtremepush_sandbox: MakeSandbox,
) -> None:
    sandbox = make_xtremepush_sandbox(None, Faults(reset_after=1.0))

    with pytest.raises(requests.ConnectionError, match="reset by peer"):
        Caller(sandbox).hit()
    assert len(sandbox.events) == 1


@pytest.mark.parametrize(("commits", "stored"), [(False, 0), (True, 1)])
def test_a_hanging_request_times_out_and_does_not_hold_up_the_end(
    commits: bool, stored: int
) -> None:
    with Sandbox(faults=Faults(hang=1.0, hang_seconds=60, hang_commits=commits)) as sandbox:
        with pytest.raises(requests.ReadTimeout):
            Caller(sandbox).hit(timeout=0.2)
        assert len(sandbox.events) == stored
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(Caller(sandbox).hit)
            while len(sandbox.requests) < 2:
                time.sleep(0.01)
            began = time.monotonic()
            sandbox.stop()
            assert time.monotonic() - began < 1.0
            with pytest.raises(requests.ConnectionError):
                waiting.result(timeout=5)


@pytest.mark.parametrize(("commits", "status"), [(False, 504), (True, 200)])
def test_a_hang_ends_with_504_or_with_the_late_answer(
    make_xtremepush_sandbox: MakeSandbox, commits: bool, status: int
) -> None:
    sandbox = make_xtremepush_sandbox(
        None, Faults(hang=1.0, hang_seconds=0.1, hang_commits=commits)
    )

    assert Caller(sandbox).hit().status_code == status
    assert len(sandbox.events) == int(commits)


def test_retry_after_is_seconds_or_a_date(make_xtremepush_sandbox: MakeSandbox) -> None:
    sandbox = make_xtremepush_sandbox(None, Faults(statuses={429: 1.0}, retry_after=2))
    caller = Caller(sandbox)

    assert caller.hit().headers["Retry-After"] == "2"
    sandbox.set_faults(statuses={503: 1.0}, retry_after=60, retry_after_as="date")
    moment = parsedate_to_datetime(caller.hit().headers["Retry-After"])
    assert moment.timestamp() - time.time() == pytest.approx(60, abs=5)
    sandbox.set_faults(statuses={429: 1.0})
    assert "Retry-After" not in caller.hit().headers


@pytest.mark.parametrize(
    ("kind", "status", "stored"),
    [("html", 502, 0), ("truncated", 200, 1), ("empty", 200, 1)],
)
def test_a_garbled_answer_is_no_json(
    make_xtremepush_sandbox: MakeSandbox, kind: str, status: int, stored: int
) -> None:
    sandbox = make_xtremepush_sandbox(None, Faults(plan=(kind,)))
    reply = Caller(sandbox).hit()

    assert reply.status_code == status
    with pytest.raises(requests.JSONDecodeError):
        reply.json()
    assert len(sandbox.events) == stored


def test_a_logical_failure_has_status_200(make_xtremepush_sandbox: MakeSandbox) -> None:
    sandbox = make_xtremepush_sandbox(None, Faults(success_false=1.0))
    reply = Caller(sandbox).hit()

    assert (reply.status_code, reply.json()["success"]) == (200, False)
    assert sandbox.events == []


def test_the_plan_comes_first_and_in_order(make_xtremepush_sandbox: MakeSandbox) -> None:
    sandbox = make_xtremepush_sandbox(None, Faults(plan=(503, "ok", 429), statuses={500: 1.0}))
    caller = Caller(sandbox)

    assert [caller.hit().status_code for _ in range(4)] == [503, 200, 429, 500]


def test_latency_delays_every_answer(make_xtremepush_sandbox: MakeSandbox) -> None:
    sandbox = make_xtremepush_sandbox(None, Faults(latency=0.1, jitter=0.05))
    caller = Caller(sandbox)
    for _ in range(3):
        caller.hit()

    for record in sandbox.requests:
        assert record.seconds is not None
        assert record.seconds >= 0.1


def test_requests_over_the_concurrency_limit_get_429(
    make_xtremepush_sandbox: MakeSandbox,
) -> None:
    sandbox = make_xtremepush_sandbox(None, Faults(max_in_flight=2, latency=0.3))
    with ThreadPoolExecutor(4) as pool:
        replies = list(pool.map(lambda _: Caller(sandbox).hit().status_code, range(4)))

    assert sorted(replies) == [200, 200, 429, 429]
    assert sandbox.max_in_flight == 4


def test_the_rate_limit_lets_through_what_its_bucket_holds() -> None:
    now = 100.0
    engine = FaultEngine(Faults(requests_per_second=2, burst=3), clock=lambda: now)

    def status() -> Any:
        return engine.fate("/", 1).status

    assert [status() for _ in range(4)] == [0, 0, 0, 429]
    assert engine.fate("/", 1).retry_after == "1"
    now = 100.5
    assert [status(), status()] == [0, 429]


def test_an_outage_lasts_its_time_or_its_requests() -> None:
    now = 0.0
    engine = FaultEngine(Faults(outage_seconds=5), clock=lambda: now)
    assert engine.fate("/", 1).status == 503
    now = 5.1
    assert engine.fate("/", 1).kind == "ok"

    assert kinds(Faults(outage_requests=2, outage_status=500), 3) == ["500", "500", "ok"]


def test_faults_hold_only_for_the_paths_they_name(make_xtremepush_sandbox: MakeSandbox) -> None:
    sandbox = make_xtremepush_sandbox(None, Faults(paths=("hit/",), statuses={503: 1.0}))
    caller = Caller(sandbox)

    assert caller.load(1).status_code == 200
    assert caller.hit().status_code == 503
