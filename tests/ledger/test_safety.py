"""Replays that go elsewhere, too far or too late, and ledgers that leak or get lost."""

from __future__ import annotations

import traceback
from collections import Counter
from pathlib import Path
from typing import Any

import dlt
import pytest
from dlt.common.configuration.container import Container
from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext

from tests.conftest import Configure, Desk, MakeDesk
from xtremepush_dlt import identify, ledger, track, xtremepush_adapter
from xtremepush_dlt.exceptions import ConfigurationError, LedgerError, ReplayRefusedError
from xtremepush_dlt.replay import replay
from xtremepush_dlt.sandbox import Faults


def hits(count: int) -> Any:
    """Events of as many users."""
    rows = [{"user_id": f"u{n}", "at": "2026-01-01T00:00:00Z", "n": n} for n in range(count)]
    return xtremepush_adapter(dlt.resource(rows, name="hits"), track("hit", timestamp="at"))


def person(tier: str) -> Any:
    """The profile of one user."""
    rows = [{"user_id": "u1", "tier": tier}]
    return xtremepush_adapter(dlt.resource(rows, name="people"), identify())


def test_a_replay_never_goes_to_another_project_than_the_run(
    make_desk: MakeDesk, configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, own = make_desk(), make_desk(faults=Faults(poison_users=frozenset({"u1"})))
    configure(
        f"""
[destination.xtremepush]
api_endpoint = "{other.sandbox.url}"
max_undelivered = 1.0
[destination.xtremepush.credentials]
app_token = "{other.sandbox.app_token}"
"""
    )
    monkeypatch.setenv("CRM__DESTINATION__XTREMEPUSH__API_ENDPOINT", own.sandbox.url)
    pipeline = dlt.pipeline("crm", destination="xtremepush", pipelines_dir=str(own.pipelines_dir))
    pipeline.run(hits(3))
    assert len(own.sandbox.events) == 2
    with pytest.raises(ReplayRefusedError, match=r"\[crm_replay.destination.xtremepush\]"):
        replay(pipeline)
    assert not other.sandbox.requests


def test_what_a_replay_sent_before_it_was_taken_back_is_not_sent_again(
    make_desk: MakeDesk,
) -> None:
    users = frozenset(f"u{n}" for n in range(240))
    desk = make_desk(faults=Faults(poison_users=users))
    desk.deliver(hits(240))
    # the cause is mended for half of them, and the breaker stops the replay
    desk.sandbox.set_faults(Faults(poison_users=frozenset(f"u{n}" for n in range(0, 240, 2))))
    pipeline = desk.pipeline(max_undelivered=0.1, event_batch_size=10, max_connections=1)
    with pytest.raises(Exception, match="max_undelivered"):
        replay(pipeline)
    sent = len(desk.sandbox.events)
    assert 0 < sent < 120
    sibling = desk.pipeline(f"{pipeline.pipeline_name}_replay")
    sibling.abort_packages()
    desk.sandbox.set_faults(Faults())
    replay(desk.pipeline())
    assert max(Counter(event.user_id for event in desk.sandbox.events).values()) == 1


def test_a_value_delivered_by_a_run_that_keeps_no_payloads_is_not_overwritten_either(
    make_desk: MakeDesk,
) -> None:
    desk = make_desk(faults=Faults(poison_marker="old"))
    desk.deliver(person("old"))
    desk.deliver(person("new"), ledger_payloads="none")
    desk.sandbox.set_faults(Faults())
    replay(desk.pipeline())
    assert desk.sandbox.profiles["u1"]["tier"] == "new"


def test_what_stands_in_a_ledger_is_not_told_by_an_error_that_came_of_reading_it(
    make_desk: MakeDesk,
) -> None:
    desk = make_desk(faults=Faults(poison_users=frozenset({"u1"})))
    desk.deliver(hits(3))
    folder = desk.home / "xtremepush_ledger" / "undelivered"
    (folder / "1.broken.jsonl").write_text(
        '{"undelivered_id": "x", "outcome": "rejected", "call": "track", '
        '"pipeline_name": "crm_sync", "settled_at": "sam@secret.example"}\n'
    )
    with pytest.raises(LedgerError) as raised:
        replay(desk.pipeline())
    assert "sam@secret" not in "".join(traceback.format_exception(raised.value))


def test_a_connection_string_as_the_name_of_a_ledger_is_refused_unquoted(desk: Desk) -> None:
    slip = "postgresql://loader:hush-hush@host/db"
    with pytest.raises(Exception, match=r"destination.postgres") as raised:
        desk.deliver(hits(1), ledger=slip)
    assert "hush" not in "".join(traceback.format_exception(raised.value))


def test_any_local_ledger_in_the_folder_of_an_airflow_task_is_refused(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, cause: Any
) -> None:
    folder = Path(desk.home / "dlt_0123456789abcdef")
    monkeypatch.setenv("DLT_DATA_DIR", str(folder))
    monkeypatch.setenv("DLT_LOCAL_DIR", str(folder))
    Container()[PluggableRunContext].reload()
    with pytest.raises(Exception, match="ledger") as raised:
        desk.deliver(hits(1), ledger="duckdb")
    assert "makes anew for each task" in str(cause(raised, ConfigurationError))
    assert not desk.sandbox.requests


def test_a_package_whose_account_waited_can_be_completed_without_a_ledger(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOAD__RAISE_ON_MAX_RETRIES", "1")
    from xtremepush_dlt.ledger import job

    def fails(*_: Any) -> None:
        raise OSError

    with monkeypatch.context() as broken:
        broken.setattr(job, "load_rows", fails)
        with pytest.raises(Exception, match="The ledger's table"):
            desk.deliver(hits(3))
    desk.deliver(hits(3), ledger="none")
    assert len(desk.sandbox.events) == 3
    assert not desk.pipeline(ledger="none").has_pending_data
    assert ledger(desk.pipeline()).deliveries.arrow().num_rows == 0
