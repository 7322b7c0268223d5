"""Replay over the Segment route, and what was deleted since."""

from __future__ import annotations

from typing import Any

import dlt
import pytest

from tests.conftest import Desk, MakeDesk
from tests.ledger.conftest import rows_of
from xtremepush_dlt import delete, identify, ledger, track, xtremepush_adapter
from xtremepush_dlt.replay import ReplayReport, replay
from xtremepush_dlt.sandbox import Faults

BAD = "u-bad"


@pytest.fixture
def shop(make_desk: MakeDesk) -> Desk:
    return make_desk(faults=Faults(poison_users=frozenset({BAD})))


def sync(desk: Desk, *data: Any, **settings: Any) -> dlt.Pipeline:
    credentials = {"credentials": {"segment_api_key": desk.sandbox.segment_api_key}}
    pipeline = desk.pipeline(**{**credentials, **settings})
    pipeline.run([*data])
    return pipeline


def people(*rows: dict[str, Any]) -> Any:
    return xtremepush_adapter(dlt.resource([*rows], name="people"), identify())


def visits(*ids: int) -> Any:
    rows = [{"id": n, "user_id": BAD, "at": "2026-01-01T00:00:00Z"} for n in ids]
    return xtremepush_adapter(
        dlt.resource(rows, name="visits"), track("visit", timestamp="at", event_id="id")
    )


def gone() -> Any:
    return xtremepush_adapter(dlt.resource([{"user_id": BAD}], name="gone"), delete())


def outcomes(report: ReplayReport) -> dict[str, int]:
    return {outcome.value: count for outcome, count in report.outcomes.items()}


def bodies(desk: Desk) -> list[Any]:
    return [request.body for request in desk.sandbox.requests]


def test_calls_of_the_segment_route_are_sent_again_word_for_word_but_for_newer_values(
    shop: Desk,
) -> None:
    before = {"user_id": BAD, "email": "old@b.ie", "tier": "silver", "city": "Cork"}
    pipeline = sync(shop, people(before), visits(1, 2))
    refused = bodies(shop)
    shop.sandbox.set_faults(Faults())
    sync(shop, people({"user_id": BAD, "email": "new@b.ie", "tier": "gold"}))

    known = len(refused) + 1
    assert outcomes(replay(pipeline)) == {"delivered": 3}
    again = bodies(shop)[known:]
    profile = dict(shop.sandbox.profiles[BAD])
    assert (profile["email"], profile["tier"], profile["city"]) == ("new@b.ie", "gold", "Cork")
    assert "old@b.ie" not in str(again)
    events = [body for body in again if body["type"] == "track"]
    # the same message ids, so that a store which looks at them knows them again
    assert events == [body for body in refused if body["type"] == "track"]
    assert [event.value["id"] for event in shop.events] == [1, 2]


def test_a_profile_that_was_deleted_since_does_not_come_back(shop: Desk) -> None:
    pipeline = sync(shop, people({"user_id": BAD, "tier": "gold"}), visits(1))
    shop.sandbox.set_faults(Faults())
    sync(shop, gone())
    requests = len(shop.sandbox.requests)
    assert outcomes(replay(pipeline)) == {"merged": 2}
    assert len(shop.sandbox.requests) == requests
    assert BAD not in shop.sandbox.profiles


def test_a_deletion_is_replayed_unless_the_profile_was_written_since(shop: Desk) -> None:
    pipeline = sync(shop, gone())
    assert [row["call"] for row in rows_of(ledger(pipeline).undelivered)] == ["delete"]
    shop.sandbox.set_faults(Faults())
    sync(shop, people({"user_id": BAD, "tier": "gold"}))
    assert outcomes(replay(pipeline)) == {"invalid": 1}
    assert shop.sandbox.profiles[BAD]["tier"] == "gold"
    reasons = {row["outcome"]: row["reason"] for row in rows_of(ledger(pipeline).replays)}
    assert "was written since" in reasons["invalid"]


def test_a_deletion_is_replayed(shop: Desk) -> None:
    shop.sandbox.set_faults(Faults())
    sync(shop, people({"user_id": BAD, "tier": "gold"}))
    shop.sandbox.set_faults(Faults(poison_users=frozenset({BAD})))
    pipeline = sync(shop, gone())
    assert BAD in shop.sandbox.profiles
    shop.sandbox.set_faults(Faults())
    assert outcomes(replay(pipeline)) == {"delivered": 1}
    assert BAD not in shop.sandbox.profiles


def test_calls_made_for_the_other_kind_of_credentials_are_not_sent_and_stay_open(
    shop: Desk,
) -> None:
    sync(shop, people({"user_id": BAD, "tier": "gold"}), visits(1))
    shop.sandbox.set_faults(Faults())
    external = shop.pipeline()
    requests = len(shop.sandbox.requests)
    assert outcomes(replay(external)) == {"invalid": 2}
    assert len(shop.sandbox.requests) == requests
    token = {"segment_api_key": shop.sandbox.segment_api_key}
    assert outcomes(replay(shop.pipeline(credentials=token))) == {"delivered": 2}
