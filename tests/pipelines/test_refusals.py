"""Promises about what is refused before the first request, and what is passed over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dlt
import pytest
from dlt.pipeline.exceptions import PipelineStepFailed

from xtremepush_dlt import delivery_report, identify, track, xtremepush_adapter
from xtremepush_dlt.exceptions import MappingError
from xtremepush_dlt.mapping.actions import Action

if TYPE_CHECKING:
    from tests.conftest import Desk

pytestmark = pytest.mark.usefixtures("dlt_home")

ROWS = [
    {
        "id": 1,
        "user_id": "sam",
        "email": "sam@example.com",
        "opt_in": True,
        "placed_at": "2026-01-01",
        "status": "paid",
    }
]


def orders(*actions: Action, **hints: Any) -> Any:
    """A table with some actions and hints of dlt."""
    return xtremepush_adapter(dlt.resource(ROWS, name="orders", **hints), *actions)


TRACK = track("order", timestamp="placed_at")


@pytest.mark.parametrize(
    "hints",
    [
        {"write_disposition": "append"},
        {"write_disposition": "merge", "primary_key": "id"},
        {"write_disposition": {"disposition": "merge", "strategy": "upsert"}, "primary_key": "id"},
    ],
    ids=["append", "merge", "upsert"],
)
def test_append_and_merge_deliver_each_row(hints: dict[str, Any], desk: Desk) -> None:
    report = desk.deliver(orders(TRACK, **hints))
    assert desk.seen() == [("sam", "order")]
    assert report.count("delivered") == 1


@pytest.mark.parametrize(
    ("hints", "remedy"),
    [
        ({"write_disposition": "replace"}, "append"),
        (
            {
                "write_disposition": {"disposition": "merge", "strategy": "delete-insert"},
                "primary_key": "id",
            },
            "upsert",
        ),
        (
            {"write_disposition": {"disposition": "merge", "strategy": "scd2"}},
            "upsert",
        ),
        (
            {
                "write_disposition": "merge",
                "primary_key": "id",
                "columns": {"opt_in": {"hard_delete": True}},
            },
            "hint",
        ),
    ],
    ids=["replace", "delete-insert", "scd2", "hard_delete"],
)
def test_a_disposition_that_cannot_be_kept_is_refused_before_the_first_request(
    hints: dict[str, Any], remedy: str, desk: Desk
) -> None:
    with pytest.raises(PipelineStepFailed) as raised:
        desk.deliver(orders(TRACK, **hints))
    assert "`orders`" in str(raised.value)
    assert remedy in str(raised.value)
    assert desk.sandbox.requests == []


def test_replace_is_refused_when_it_comes_from_run(desk: Desk, cause: Any) -> None:
    with pytest.raises(PipelineStepFailed) as raised:
        desk.pipeline().run(orders(TRACK), write_disposition="replace")
    assert "replace" in str(cause(raised, MappingError))
    assert desk.sandbox.requests == []


@pytest.mark.parametrize(
    ("action", "named", "hint"),
    [
        (identify(user_id="usr_id", email=None), "usr_id", "user_id"),
        (identify(email=None, attributes=["stattus"]), "stattus", "status"),
        (identify(email=None, attributes={"state": "stattus"}), "stattus", "status"),
        (track("order", timestamp="placed"), "placed", "placed_at"),
        (track("order", timestamp="placed_at", when={"statuss": "paid"}), "statuss", "status"),
        (track("order", timestamp="placed_at", properties=["idd"]), "idd", "id"),
        (track("order", timestamp="placed_at", user_attributes=["emai"]), "emai", "email"),
        (track("order", timestamp="placed_at", event_id="ident"), "ident", "id"),
    ],
)
def test_an_action_that_names_a_missing_column_is_refused_before_the_first_request(
    action: Action, named: str, hint: str, desk: Desk, cause: Any
) -> None:
    # a sound table beside it, of which nothing may leave either
    sound = xtremepush_adapter(dlt.resource(ROWS, name="a_sound_table"), TRACK)
    with pytest.raises(PipelineStepFailed) as raised:
        desk.deliver(sound, orders(action))
    error = cause(raised, MappingError)
    assert error.table == "orders"
    for part in ("`orders`", f"`{named}`", hint):
        assert part in str(error)
    assert desk.sandbox.requests == []


def test_a_table_without_action_is_refused_with_the_remedy(desk: Desk, cause: Any) -> None:
    sound = xtremepush_adapter(dlt.resource(ROWS, name="a_sound_table"), TRACK)
    with pytest.raises(PipelineStepFailed) as raised:
        desk.deliver(sound, dlt.resource(ROWS, name="orders"))
    error = cause(raised, MappingError)
    assert error.table == "orders"
    assert "xtremepush_adapter" in str(error)
    assert desk.sandbox.requests == []


@pytest.mark.parametrize(
    ("row", "action", "flag"),
    [
        ({"user_id": 1, "email": "a@b.ie"}, identify(), "email_subscription"),
        ({"user_id": 1, "phone": "353850123456"}, identify(), "sms_subscription"),
        ({"user_id": 1, "mail": "a@b.ie"}, identify(email="mail"), "email_subscription"),
        (
            {"user_id": 1, "email": "a@b.ie", "phone": "353850123456"},
            identify(email_subscription=1),
            "sms_subscription",
        ),
    ],
)
def test_an_address_without_its_consent_is_refused_and_the_choice_explained(
    row: dict[str, Any], action: Action, flag: str, desk: Desk, cause: Any
) -> None:
    with pytest.raises(PipelineStepFailed) as raised:
        desk.deliver(xtremepush_adapter(dlt.resource([row], name="customers"), action))
    error = cause(raised, MappingError)
    assert error.table == "customers"
    for way_out in (f"{flag}=1", f"{flag}=0", "=None"):
        assert way_out in str(error)
    assert "a@b.ie" not in str(raised.value)
    assert desk.sandbox.requests == []


def test_a_refused_package_is_kept_and_can_be_aborted_for_a_corrected_script(
    desk: Desk,
) -> None:
    with pytest.raises(PipelineStepFailed):
        desk.deliver(orders(track("order", timestamp="placed")))
    pipeline = desk.pipeline()
    assert pipeline.has_pending_data
    # dlt's own command, `dlt pipeline crm_sync abort-packages`, ends with this
    pipeline.abort_packages()
    assert desk.deliver(orders(TRACK)).count("delivered") == 1


def test_what_airflow_loads_of_load_info_and_trace_is_passed_over(desk: Desk) -> None:
    pipeline = desk.pipeline()
    info = pipeline.run([orders(TRACK)])
    pipeline.run([info], table_name="_load_info")
    pipeline.run([pipeline.last_trace], table_name="_trace")
    assert desk.seen() == [("sam", "order")]
    assert len(desk.sandbox.requests) == 1
    assert not pipeline.has_pending_data


def test_what_airflow_loads_is_passed_over_under_snake_case_too(desk: Desk) -> None:
    pipeline = desk.pipeline(naming_convention="snake_case")
    info = pipeline.run([orders(TRACK)])
    pipeline.run([info], table_name="_load_info")
    assert len(desk.sandbox.requests) == 1
    assert delivery_report(pipeline).offered == 0


def test_a_refused_request_is_terminal_for_dlt() -> None:
    from dlt.common.destination.exceptions import (
        DestinationTerminalException,
        DestinationTransientException,
    )

    from xtremepush_dlt import exceptions

    for name, kind in vars(exceptions).items():
        if isinstance(kind, type) and kind.__module__ == exceptions.__name__:
            terminal = issubclass(kind, DestinationTerminalException)
            transient = issubclass(kind, DestinationTransientException)
            assert terminal != transient, f"{name} must be either terminal or transient"


def test_after_a_refused_action_is_mended_and_the_package_taken_back_no_row_is_missing(
    desk: Desk,
) -> None:
    @dlt.resource(name="people")
    def people(
        number: Any = dlt.sources.incremental("id"),  # noqa: B008  # dlt's way of declaring a cursor
    ) -> Any:
        yield [{"id": 1, "email": "a@example.com"}, {"id": 2, "email": "b@example.com"}]

    pipeline = desk.pipeline()
    with pytest.raises(PipelineStepFailed, match="abort-packages"):
        pipeline.run(xtremepush_adapter(people, identify(user_id="id")))
    pipeline.abort_packages()
    pipeline.run(xtremepush_adapter(people, identify(user_id="id", email_subscription=0)))
    assert sorted(desk.sandbox.profiles) == ["1", "2"]
