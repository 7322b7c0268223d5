"""Promises about `known_attributes`, and about consent preferences on their way to the wire."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import dlt
import pytest
from dlt.pipeline.exceptions import PipelineStepFailed

from xtremepush_dlt import delete, identify, track, xtremepush_adapter
from xtremepush_dlt.exceptions import MappingError
from xtremepush_dlt.mapping.actions import Action

if TYPE_CHECKING:
    from tests.conftest import Configure, Desk

pytestmark = pytest.mark.usefixtures("dlt_home")

ROWS: list[dict[str, Any]] = [
    {"user_id": "sam", "tier": "gold", "visits": "many"},
    {"user_id": "kim", "tier": "basic", "visits": "3"},
    {"user_id": "pat", "tier": "basic", "visits": None},
]
KNOWN = {"tier": "string", "visits": "integer"}


def customers(*actions: Action, rows: list[dict[str, Any]] = ROWS, **hints: Any) -> Any:
    """A table of people with some actions."""
    return xtremepush_adapter(dlt.resource(rows, name="customers", **hints), *actions)


def test_an_attribute_that_is_not_listed_stops_the_run_before_the_first_request(
    desk: Desk, cause: Any
) -> None:
    with pytest.raises(PipelineStepFailed) as raised:
        desk.deliver(
            customers(identify()),
            known_attributes={"tiers": "string", "visits": "string"},
            unknown_attributes="error",
        )
    message = str(cause(raised, MappingError))
    for named in ("`customers`", "identify", "`tier`", "`tiers`"):
        assert named in message
    assert desk.sandbox.requests == []


def test_a_warning_is_logged_once_per_attribute_and_the_rows_are_sent(
    desk: Desk,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    configure: Configure,
) -> None:
    # from the configuration, as most users write it
    configure('[destination.xtremepush.known_attributes]\nvisits = "String"\n')
    of_dlt = logging.getLogger("dlt")
    monkeypatch.setenv("RUNTIME__LOG_LEVEL", "WARNING")
    of_dlt.addHandler(caplog.handler)
    try:
        report = desk.deliver(customers(identify()))
    finally:
        of_dlt.removeHandler(caplog.handler)
    logged = [line for line in caplog.messages if "known_attributes" in line]
    assert len(logged) == 1
    assert "`tier`" in logged[0]
    assert report.count("delivered") == 3
    assert "sent, but" not in str(report)


def test_a_value_that_does_not_fit_is_sent_and_counted_in_the_report(desk: Desk) -> None:
    report = desk.deliver(customers(identify()), known_attributes=KNOWN)
    assert report.count("delivered") == 3
    assert [row.get("visits") for row in desk.imported()] == ["many", "3", None]
    ((where, reason), count) = next(iter(report.actions[0].omissions.items()))
    assert (where, count) == ("visits", 2)
    assert reason.startswith("sent, but")
    assert "2 doubtful customers.visits (identify): sent, but does not fit" in str(report)
    assert "left out" not in str(report)


def test_a_value_that_does_not_fit_makes_its_row_invalid_where_that_is_an_error(
    desk: Desk,
) -> None:
    report = desk.deliver(customers(identify()), known_attributes=KNOWN, unknown_attributes="error")
    assert set(desk.sandbox.profiles) == {"pat"}
    assert (report.count("delivered"), report.count("invalid")) == (1, 2)
    assert all("integer" in row["problems"][0][1] for row in desk.undelivered())


def test_attributes_that_an_event_writes_are_checked_too(desk: Desk, cause: Any) -> None:
    rows = [{"user_id": "sam", "at": "2026-01-01", "tier": "gold"}]
    action = track("seen", timestamp="at", user_attributes=["tier"])
    with pytest.raises(PipelineStepFailed) as raised:
        desk.deliver(customers(action, rows=rows), known_attributes={}, unknown_attributes="error")
    assert "track seen" in str(cause(raised, MappingError))


@pytest.mark.parametrize("file_format", ["typed-jsonl", "parquet"])
def test_consent_preferences_arrive_beside_the_event_as_the_reference_shows_them(
    file_format: Any, desk: Desk
) -> None:
    wanted = {"email": {"Group Marketing": 1}, "metadata": {"location": "Dublin"}}
    rows: list[dict[str, Any]] = [
        {"user_id": "sam", "at": "2026-01-01", "consents": wanted, "price": 5},
        {"user_id": "kim", "at": "2026-01-01", "consents": {"email": {"News": 2}}, "price": 6},
        {"user_id": "pat", "at": "2026-01-01", "consents": None, "price": 7},
    ]
    action = track("bought", timestamp="at", consent_preferences="consents")
    report = desk.deliver(customers(action, rows=rows, file_format=file_format))
    hits = {hit["user_id"]: hit for hit in desk.hits()}
    assert hits["sam"]["consent_preferences"] == wanted
    assert hits["sam"]["value"] == {"price": 5}
    assert "consent_preferences" not in hits["kim"]
    assert "consent_preferences" not in hits["pat"]
    assert report.count("delivered") == 3
    assert report.actions[0].omissions == {("consents", "a preference that is neither 0 nor 1"): 1}


def test_consent_preferences_may_be_json_text(desk: Desk) -> None:
    wanted = {"sms": {"Offers": 0}}
    rows = [{"user_id": "sam", "at": "2026-01-01", "consents": json.dumps(wanted)}]
    desk.deliver(
        customers(track("seen", timestamp="at", consent_preferences="consents"), rows=rows)
    )
    assert desk.hits()[0]["consent_preferences"] == wanted


@pytest.mark.parametrize("action", [identify(anonymous_id="tier"), identify(timestamp="tier")])
def test_what_needs_the_segment_route_is_refused_over_the_external_api(
    action: Action, desk: Desk, cause: Any
) -> None:
    with pytest.raises(PipelineStepFailed) as raised:
        desk.deliver(customers(action))
    assert "needs the Segment route" in str(cause(raised, MappingError))
    assert desk.sandbox.requests == []


@pytest.mark.parametrize(
    ("actions", "hints"),
    [
        ((identify(),), {"columns": {"visits": {"hard_delete": True}}}),
        ((identify(), delete(when={"tier": "basic"})), {}),
    ],
)
def test_deletions_are_never_dropped_in_silence(
    actions: tuple[Action, ...], hints: dict[str, Any], desk: Desk, cause: Any
) -> None:
    with pytest.raises(PipelineStepFailed) as raised:
        desk.deliver(customers(*actions, **hints))
    assert "delete a profile" in str(cause(raised, MappingError))
    assert desk.sandbox.requests == []
