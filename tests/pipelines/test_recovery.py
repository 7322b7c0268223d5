"""Promises about crashes: a killed run is resumed, nothing is lost, and counts still add up."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import dlt
import pytest

from xtremepush_dlt import delivery_report
from xtremepush_dlt.sandbox import Faults, SandboxSettings

if TYPE_CHECKING:
    from tests.conftest import Desk, MakeDesk

pytestmark = pytest.mark.usefixtures("dlt_home")

SCRIPT = """
    import sys
    import dlt
    from xtremepush_dlt import identify, track, xtremepush, xtremepush_adapter

    url, customers, orders, batch, lanes = sys.argv[1], *map(int, sys.argv[2:])
    people = [{"user_id": f"u{n}", "n": n} for n in range(customers)]
    hits = [{"user_id": f"u{n % 13}", "at": "2026-01-01", "n": n} for n in range(orders)]
    tables = []
    if people:
        tables.append(xtremepush_adapter(dlt.resource(people, name="customers"), identify()))
    if hits:
        table = dlt.resource(hits, name="orders")
        tables.append(xtremepush_adapter(table, track("order", timestamp="at")))
    destination = xtremepush(
        max_undelivered=1.0,
        api_endpoint=url,
        credentials={"app_token": "sandbox-token"},
        event_batch_size=batch,
        max_connections=lanes,
        assumptions={"task_poll_seconds": 0.01, "task_poll_seconds_most": 0.05},
    )
    dlt.pipeline("crm_sync", destination=destination, pipelines_dir="pipelines").run(tables)
"""


def run_and_kill(
    desk: Desk,
    numbers: tuple[int, int, int, int],
    soon: Callable[[], bool],
) -> None:
    """Run the script and kill it, without a chance to tidy up, as soon as something is true."""
    script = desk.home / "sync.py"
    script.write_text(textwrap.dedent(SCRIPT), encoding="utf-8")
    arguments = [sys.executable, str(script), desk.sandbox.url, *map(str, numbers)]
    with subprocess.Popen(arguments, cwd=desk.home, stderr=subprocess.PIPE) as process:
        patience = time.monotonic() + 30
        try:
            while not soon():
                assert process.poll() is None, process.stderr and process.stderr.read().decode()
                assert time.monotonic() < patience, "the moment to kill never came"
                time.sleep(0.001)
        finally:
            process.kill()


def resume(desk: Desk, **settings: Any) -> dlt.Pipeline:
    """The next run, with other batches and lanes if wanted."""
    pipeline = desk.pipeline(**settings)
    assert pipeline.has_pending_data
    pipeline.run()
    assert not pipeline.has_pending_data
    return pipeline


@pytest.mark.parametrize(
    "later", [{}, {"event_batch_size": 7, "max_connections": 3}], ids=["same", "other batches"]
)
def test_a_killed_run_loses_no_event_and_repeats_only_what_was_in_flight(
    later: dict[str, Any], make_desk: MakeDesk
) -> None:
    desk = make_desk(faults=Faults(latency=0.02))
    batch, lanes, rows = 5, 4, 200
    run_and_kill(desk, (20, rows, batch, lanes), lambda: len(desk.posts("hit")) >= 16)
    stored = len(desk.events)
    assert 0 < stored < rows
    imports = len(desk.posts("import"))

    settings = {"event_batch_size": batch, "max_connections": lanes, **later}
    report = delivery_report(resume(desk, **settings))
    times = Counter(event.value["n"] for event in desk.events)
    assert set(times) == set(range(rows)), "events were lost"
    repeated = sum(times.values()) - rows
    assert repeated <= batch * lanes, "more was repeated than was in flight"
    assert (report.offered, report.count("delivered")) == (rows + 20, rows + 20)
    assert report.complete
    # the profiles were settled before the crash
    assert len(desk.posts("import")) == imports
    # the first arrivals of each user are in the order of the rows
    seen: dict[str, list[int]] = defaultdict(list)
    for event in desk.events:
        if event.value["n"] not in seen[event.user_id]:
            seen[event.user_id].append(event.value["n"])
    assert all(numbers == sorted(numbers) for numbers in seen.values())


def test_an_import_whose_task_was_running_at_the_crash_is_looked_up_and_not_sent_again(
    make_desk: MakeDesk,
) -> None:
    desk = make_desk(SandboxSettings(async_from_rows=10, task_seconds=0.8))

    def followed() -> bool:
        return len(desk.posts("task")) > 0

    run_and_kill(desk, (50, 5, 1000, 8), followed)
    assert desk.sandbox.tasks[0].state == "Executing"
    report = delivery_report(resume(desk))
    assert len(desk.posts("import")) == 1
    assert len(desk.sandbox.profiles) == 50
    assert (report.offered, report.count("delivered"), report.complete) == (55, 55, True)
    # and no event left before that task had ended
    first_hit = min(post.arrived_at for post in desk.posts("hit"))
    assert (desk.sandbox.tasks[0].finished_at or 0.0) < first_hit


def test_a_killed_run_tells_how_far_it_came_and_that_it_is_not_complete(
    make_desk: MakeDesk,
) -> None:
    desk = make_desk(faults=Faults(latency=0.02))
    run_and_kill(desk, (0, 100, 5, 1), lambda: len(desk.events) >= 25)
    attached = dlt.attach("crm_sync", pipelines_dir=str(desk.pipelines_dir))
    report = delivery_report(attached)
    assert not report.complete
    assert "pending" in str(report)
    assert 0 < report.count("delivered") <= len(desk.events)
    report = delivery_report(resume(desk, event_batch_size=5))
    assert report.count("delivered") == 100


def test_no_lock_or_temporary_file_of_a_killed_run_hinders_the_next(
    make_desk: MakeDesk,
) -> None:
    desk = make_desk(faults=Faults(latency=0.02))
    for kill_at in (10, 20):
        run_and_kill(desk, (0, 150, 5, 2), lambda at=kill_at: len(desk.posts("hit")) >= at)  # type: ignore[misc]  # a default binds the loop's value
    report = delivery_report(resume(desk))
    assert {event.value["n"] for event in desk.events} == set(range(150))
    assert (report.offered, report.count("delivered")) == (150, 150)
