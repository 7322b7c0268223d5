"""Promises about the delivery report: it tells what became of every row, whenever it is asked."""

from __future__ import annotations

import logging
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import dlt
import pytest
from dlt.pipeline.exceptions import PipelineStepFailed

from xtremepush_dlt import delivery_report, identify, track, xtremepush_adapter
from xtremepush_dlt.delivery.outcomes import Outcome
from xtremepush_dlt.sandbox import Faults

if TYPE_CHECKING:
    from tests.conftest import Desk, MakeDesk

pytestmark = pytest.mark.usefixtures("dlt_home")


def customers(count: int = 3) -> Any:
    """Some profiles."""
    rows = [{"user_id": f"u{n}", "n": n} for n in range(count)]
    return xtremepush_adapter(dlt.resource(rows, name="customers"), identify())


def orders(count: int = 4) -> Any:
    """Some events, every other of them to be skipped."""
    rows = [{"user_id": f"u{n}", "at": "2026-01-01", "n": n, "odd": n % 2} for n in range(count)]
    action = track("order", timestamp="at", when={"odd": 1})
    return xtremepush_adapter(dlt.resource(rows, name="orders"), action)


def test_a_report_counts_by_table_action_and_outcome(desk: Desk) -> None:
    pipeline = desk.pipeline()
    info = pipeline.run([customers(), orders()])
    report = delivery_report(pipeline)
    assert report.load_ids == tuple(info.loads_ids)
    assert {(a.table, a.action, a.offered) for a in report.actions} == {
        ("customers", "identify", 3),
        ("orders", "track order", 4),
    }
    assert all(set(action.counts) == set(Outcome) for action in report.actions)
    assert report.count("delivered") == 5
    assert report.count("delivered", table="customers") == 3
    assert report.count(Outcome.SKIPPED, table="orders") == 2
    assert report.outcomes("orders") == {
        **dict.fromkeys(["merged", "invalid", "rejected", "unknown"], 0),
        "delivered": 2,
        "skipped": 2,
    }
    assert report.outcomes()["delivered"] == 5
    assert (report.offered, report.complete, report.requests, report.retries) == (7, True, 2, 0)
    assert report.seconds > 0
    assert 0 < report.latency(0.5) <= report.latency(0.95)


def test_a_report_prints_as_a_table(desk: Desk) -> None:
    text = str(desk.deliver(customers(), orders()))
    lines = text.splitlines()
    assert lines[0].split() == ["table", "action", "offered", *(each.value for each in Outcome)]
    assert any(
        line.split() == ["customers", "identify", "3", "3", "0", "0", "0", "0", "0"]
        for line in lines
    )
    assert any(
        line.split() == ["orders", "track", "order", "4", "2", "0", "2", "0", "0", "0"]
        for line in lines
    )
    for word in ("2 requests", "0 retries", "rows/s", "p50", "p95"):
        assert word in text


@pytest.fixture
def logged(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[int], str]]:
    """What dlt has logged, at a level or above; dlt's own level is INFO meanwhile."""
    monkeypatch.setenv("RUNTIME__LOG_LEVEL", "INFO")
    of_dlt = logging.getLogger("dlt")
    of_dlt.addHandler(caplog.handler)
    caplog.set_level(logging.INFO, logger="dlt")
    yield lambda level: "\n".join(
        record.getMessage() for record in caplog.records if record.levelno >= level
    )
    of_dlt.removeHandler(caplog.handler)


def test_the_report_is_in_the_log_too(desk: Desk, logged: Callable[[int], str]) -> None:
    report = desk.deliver(customers())
    table = str(report).splitlines()[:3]
    assert all(line in logged(logging.INFO) for line in table)
    assert "Not complete" not in logged(logging.INFO)
    assert table[0] not in logged(logging.WARNING), "a run without trouble is no warning"


@pytest.mark.parametrize("outcome", ["invalid", "rejected"])
def test_a_row_that_was_not_delivered_is_a_warning_which_dlt_logs_by_default(
    make_desk: MakeDesk, logged: Callable[[int], str], outcome: str
) -> None:
    desk = make_desk(faults=Faults(poison_users=frozenset({"poison"})))
    bad = {"user_id": "poison" if outcome == "rejected" else None, "n": 2}
    rows = dlt.resource([{"user_id": "u1", "n": 1}, bad], name="customers")
    report = desk.deliver(xtremepush_adapter(rows, identify()))
    assert report.count(outcome) == 1
    warned = logged(logging.WARNING)
    assert all(line in warned for line in str(report).splitlines()[:3])
    assert f"1 {outcome} customers" in warned
    assert "poison" not in warned


def test_a_run_without_rows_has_an_empty_report(desk: Desk) -> None:
    nothing = xtremepush_adapter(dlt.resource([], name="customers"), identify())
    report = desk.deliver(nothing)
    assert (report.offered, report.load_ids, report.complete) == (0, (), True)
    assert "no rows" in str(report)
    assert desk.sandbox.requests == []


def test_a_report_covers_the_last_run_and_no_earlier_one(desk: Desk) -> None:
    desk.deliver(customers(3))
    assert desk.deliver(customers(2)).count("delivered") == 2
    nothing = xtremepush_adapter(dlt.resource([], name="customers"), identify())
    assert desk.deliver(nothing).offered == 0


def test_a_pipeline_that_never_ran_has_an_empty_report(desk: Desk) -> None:
    report = delivery_report(desk.pipeline())
    assert (report.offered, report.load_ids) == (0, ())


def test_the_report_of_a_run_that_failed_tells_how_far_it_came(make_desk: MakeDesk) -> None:
    desk = make_desk(faults=Faults(plan=("ok", "ok", 401)))
    pipeline = desk.pipeline(event_batch_size=2, max_connections=1)
    with pytest.raises(PipelineStepFailed):
        pipeline.run(orders(20))
    report = delivery_report(pipeline)
    assert not report.complete
    assert "pending" in str(report)
    assert report.count("delivered") == 4
    assert len(desk.events) == 4
    # and after the resume it covers the package from its beginning
    pipeline.run()
    report = delivery_report(pipeline)
    assert report.complete
    assert (report.offered, report.count("delivered"), report.count("skipped")) == (20, 10, 10)


def test_a_run_refused_before_its_first_request_has_a_report_that_is_not_complete(
    desk: Desk,
) -> None:
    pipeline = desk.pipeline()
    with pytest.raises(PipelineStepFailed):
        pipeline.run(dlt.resource([{"user_id": 1}], name="customers"))
    report = delivery_report(pipeline)
    assert report.offered == 0
    assert not report.complete
    assert "pending" in str(report)


def test_the_reasons_of_a_report_name_column_and_reason_but_no_value(desk: Desk) -> None:
    rows = [
        {"user_id": None, "mail": "secret-marker", "n": 1},
        {"user_id": "sam", "mail": "secret-marker", "n": 2},
    ]
    action = identify(email="mail", email_subscription=1)
    report = desk.deliver(xtremepush_adapter(dlt.resource(rows, name="customers"), action))
    (found,) = report.actions
    assert dict(found.reasons) == {(Outcome.INVALID, "user_id", "missing"): 1}
    assert [key[0] for key in found.omissions] == ["mail"]
    assert "customers.user_id" in str(report)
    assert "customers.mail" in str(report)
    assert "secret-marker" not in f"{report}{report!r}"


def test_a_fresh_process_finds_the_report_by_attaching(desk: Desk) -> None:
    report = desk.deliver(customers(), orders())
    script = """
        import sys
        import dlt
        from xtremepush_dlt import delivery_report

        pipeline = dlt.attach("crm_sync", pipelines_dir=sys.argv[1])
        print(delivery_report(pipeline))
    """
    printed = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(desk.pipelines_dir)],
        cwd=desk.home,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert printed.strip() == str(report).strip()


def test_an_attached_pipeline_tells_the_same_report(desk: Desk) -> None:
    report = desk.deliver(customers(), orders())
    attached = dlt.attach("crm_sync", pipelines_dir=str(desk.pipelines_dir))
    assert delivery_report(attached) == report


def test_pipelines_of_one_process_have_reports_of_their_own(desk: Desk) -> None:
    first = desk.pipeline("first")
    second = desk.pipeline("second")
    first.run(customers(3))
    second.run(customers(5))
    assert delivery_report(first).count("delivered") == 3
    assert delivery_report(second).count("delivered") == 5


@pytest.mark.filterwarnings("ignore:The 'warn' method:DeprecationWarning")  # of dlt
def test_a_run_that_first_delivers_a_pending_package_reports_it(make_desk: MakeDesk) -> None:
    desk = make_desk(faults=Faults(plan=(403,)))
    pipeline = desk.pipeline()
    with pytest.raises(PipelineStepFailed):
        pipeline.run(customers(3))
    pipeline.run(orders(4))
    assert delivery_report(pipeline).count("delivered", table="customers") == 3
    pipeline.run(orders(4))
    assert delivery_report(pipeline).count("delivered", table="orders") == 2
