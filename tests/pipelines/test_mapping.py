"""Promises about mapping: which calls rows become, seen from the other end of the wire."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

import dlt
import pyarrow as pa
import pytest
from dlt.pipeline.exceptions import PipelineStepFailed

from xtremepush_dlt import column, identify, track, xtremepush_adapter
from xtremepush_dlt.delivery.outcomes import Outcome
from xtremepush_dlt.exceptions import MappingError
from xtremepush_dlt.sandbox import SandboxSettings

if TYPE_CHECKING:
    from tests.conftest import BareServer, Desk, MakeDesk

pytestmark = pytest.mark.usefixtures("dlt_home")

Rows = list[dict[str, Any]]


def as_dicts(rows: Rows, name: str) -> Any:
    """A resource of dicts, which dlt writes as JSON lines."""
    return dlt.resource(rows, name=name)


def as_arrow(rows: Rows, name: str) -> Any:
    """A resource of one Arrow table, which dlt writes as parquet."""
    return dlt.resource([pa.Table.from_pylist(rows)], name=name)


def as_parquet(rows: Rows, name: str) -> Any:
    """A resource of dicts, which dlt is told to write as parquet."""
    return dlt.resource(rows, name=name, file_format="parquet")


MakeResource = Callable[[Rows, str], Any]
any_source = pytest.mark.parametrize("source", [as_dicts, as_arrow])
any_file = pytest.mark.parametrize("source", [as_dicts, as_arrow, as_parquet])


@any_source
def test_identify_without_arguments_takes_the_usual_columns_and_the_rest_as_attributes(
    source: MakeResource, desk: Desk
) -> None:
    rows = [
        {
            "user_id": "sam",
            "email": " sam@example.com ",
            "phone": "+353 85 012-3456",
            "email_subscription": True,
            "sms_subscription": "no",
            "language": "EN",
            "timezone": "Europe/Dublin",
            "plan": "pro",
            "visits": 3,
        }
    ]
    desk.deliver(xtremepush_adapter(source(rows, "customers"), identify()))
    assert desk.imported() == [
        {
            "user_id": "sam",
            "email": "sam@example.com",
            "email_subscription": 1,
            "mobile_number": "353850123456",
            "sms_subscription": 0,
            "language": "en",
            "timezone": "Europe/Dublin",
            "plan": "pro",
            "visits": 3,
        }
    ]
    assert set(desk.sandbox.profiles) == {"sam"}


def test_identify_maps_the_columns_it_is_told_and_constants_for_all(desk: Desk) -> None:
    rows = [{"id": 7, "mail": "sam@example.com", "opt_in": "yes", "score": 1, "secret": "x"}]
    action = identify(
        user_id="id",
        email="mail",
        email_subscription="opt_in",
        sms_subscription=0,
        attributes={"rating": "score"},
    )
    desk.deliver(xtremepush_adapter(dlt.resource(rows, name="customers"), action))
    assert desk.sandbox.profiles == {
        "7": {
            "email": "sam@example.com",
            "email_subscription": 1,
            "sms_subscription": 0,
            "rating": 1,
        }
    }


def test_an_address_that_is_left_out_on_purpose_does_not_return_as_an_attribute(
    desk: Desk,
) -> None:
    rows = [{"user_id": "sam", "email": "sam@example.com", "phone": "353850123456", "plan": "pro"}]
    resource = dlt.resource(rows, name="customers")
    desk.deliver(xtremepush_adapter(resource, identify(email=None, mobile_number=None)))
    assert "sam@example.com" not in str(desk.imported())
    assert desk.imported()[0]["plan"] == "pro"
    assert "mobile_number" not in desk.imported()[0]


def test_a_table_may_carry_several_actions_and_each_row_is_offered_to_each(desk: Desk) -> None:
    at = "2026-01-01T00:00:00Z"
    rows = [
        {"id": "o1", "customer": "sam", "status": "paid", "placed": at, "refunded": None},
        {"id": "o2", "customer": "kim", "status": "refunded", "placed": at, "refunded": at},
        {"id": "o3", "customer": "sam", "status": "shipped", "placed": at, "refunded": None},
    ]
    report = desk.deliver(
        xtremepush_adapter(
            dlt.resource(rows, name="orders"),
            identify(user_id="customer", attributes={"last_status": "status"}),
            track(
                "order_placed",
                user_id="customer",
                timestamp="placed",
                when={"status": ["paid", "shipped"]},
                properties=["id"],
            ),
            track(
                "order_refunded",
                user_id="customer",
                timestamp="refunded",
                when={"status": "refunded"},
                properties=["id"],
            ),
        )
    )
    assert desk.sandbox.profiles == {
        "sam": {"last_status": "shipped"},
        "kim": {"last_status": "refunded"},
    }
    assert sorted((e.user_id, e.event, e.value["id"]) for e in desk.events) == [
        ("kim", "order_refunded", "o2"),
        ("sam", "order_placed", "o1"),
        ("sam", "order_placed", "o3"),
    ]
    counts = {action.action: action.counts for action in report.actions}
    assert counts["identify"][Outcome.DELIVERED] == 2
    assert counts["identify"][Outcome.MERGED] == 1
    assert counts["track order_placed"][Outcome.SKIPPED] == 1
    assert counts["track order_refunded"][Outcome.SKIPPED] == 2
    assert report.offered == 9


@any_source
def test_when_selects_rows_by_value_list_or_null(source: MakeResource, desk: Desk) -> None:
    at = "2026-01-01"
    rows: Rows = [
        {"user_id": "u1", "at": at, "kind": "a", "level": 1, "active": True},
        {"user_id": "u2", "at": at, "kind": "b", "level": 2, "active": False},
        {"user_id": "u3", "at": at, "kind": None, "level": 2, "active": True},
        {"user_id": "u4", "at": at, "kind": "a", "level": 3, "active": False},
    ]
    cases: list[tuple[dict[str, Any], set[str]]] = [
        ({"kind": "a"}, {"u1", "u4"}),
        ({"kind": ["a", "b"]}, {"u1", "u2", "u4"}),
        ({"kind": None}, {"u3"}),
        ({"kind": ["a", None]}, {"u1", "u3", "u4"}),
        ({"level": 2}, {"u2", "u3"}),
        ({"active": True}, {"u1", "u3"}),
        ({"kind": "a", "active": False}, {"u4"}),
        ({"kind": "z"}, set()),
    ]
    actions = [track(str(when), timestamp="at", when=when) for when, _ in cases]
    report = desk.deliver(xtremepush_adapter(source(rows, "log"), *actions))
    sent = {str(when): users for when, users in cases if users}
    seen: dict[str, set[str]] = {}
    for event in desk.events:
        seen.setdefault(event.event, set()).add(event.user_id)
    assert seen == sent
    assert report.count("skipped") == sum(4 - len(users) for _, users in cases)


@pytest.mark.parametrize(
    ("user", "at", "total"),
    [("customerId", "placedAt", "Total Amount"), ("customer_id", "placed_at", "total_amount")],
)
def test_names_in_actions_resolve_under_the_snake_case_convention(
    user: str, at: str, total: str, desk: Desk
) -> None:
    rows = [{"customerId": 1, "placedAt": "2026-01-01T00:00:00Z", "Total Amount": 5, "isGift": 1}]
    action = track(
        "Order Placed",
        user_id=user,
        timestamp=at,
        properties={"Sum Total": total},
        when={"isGift": 1},
    )
    desk.deliver(
        xtremepush_adapter(dlt.resource(rows, name="webOrders"), action),
        naming_convention="snake_case",
    )
    event = desk.events[0]
    assert (event.user_id, event.event) == ("1", "Order Placed")
    # names that the user wrote for the wire are nobody's to change
    assert event.value == {"Sum Total": 5}


def test_names_of_columns_reach_xtremepush_as_they_are(desk: Desk) -> None:
    rows = [{"Customer ID": 1, "First Name": "Sam", "größe": 3, "camelCase": 4}]
    action = identify(user_id="Customer ID")
    desk.deliver(xtremepush_adapter(dlt.resource(rows, name="Customers"), action))
    assert desk.sandbox.profiles == {"1": {"First Name": "Sam", "größe": 3, "camelCase": 4}}


@any_source
def test_what_dlt_adds_to_rows_is_never_sent(source: MakeResource, desk: Desk) -> None:
    rows = [{"user_id": "sam", "at": "2026-01-01T00:00:00Z", "plan": "pro"}]
    desk.deliver(
        xtremepush_adapter(source(rows, "customers"), identify(), track("seen", timestamp="at"))
    )
    assert "_dlt" not in str([post.body for post in desk.sandbox.requests])


@any_file
def test_a_null_overwrites_nothing(source: MakeResource, make_desk: MakeDesk) -> None:
    # a sandbox that would clear shows that the null was not even sent
    desk = make_desk(SandboxSettings(nulls="clear", empty_strings="clear"))
    first: Rows = [
        {"user_id": "sam", "plan": "pro", "city": "Cork"},
        {"user_id": "kim", "plan": "x", "city": "Rome"},
    ]
    later: Rows = [
        {"user_id": "sam", "plan": None, "city": "Bonn"},
        {"user_id": "kim", "plan": "y", "city": None},
    ]
    for rows in (first, later):
        desk.deliver(xtremepush_adapter(source(rows, "customers"), identify()))
    assert desk.sandbox.profiles == {
        "sam": {"plan": "pro", "city": "Bonn"},
        "kim": {"plan": "y", "city": "Rome"},
    }


@any_file
def test_nulls_clear_sends_the_null(source: MakeResource, make_desk: MakeDesk) -> None:
    desk = make_desk(SandboxSettings(nulls="clear"))
    first: Rows = [{"user_id": "sam", "plan": "pro", "city": "Cork"}]
    later: Rows = [
        {"user_id": "sam", "plan": None, "city": "Bonn"},
        {"user_id": "kim", "plan": "y", "city": "Rome"},
    ]
    for rows in (first, later):
        desk.deliver(xtremepush_adapter(source(rows, "customers"), identify(nulls="clear")))
    assert desk.sandbox.profiles["sam"] == {"city": "Bonn"}


@any_source
def test_a_null_property_is_left_out_of_an_event_unless_it_is_to_clear(
    source: MakeResource, desk: Desk
) -> None:
    at = "2026-01-01T00:00:00Z"
    rows: Rows = [
        {"user_id": "sam", "at": at, "sku": "a", "coupon": None},
        {"user_id": "kim", "at": at, "sku": "b", "coupon": "c"},
    ]
    desk.deliver(
        xtremepush_adapter(
            source(rows, "orders"),
            track("skipped", timestamp="at"),
            track("cleared", timestamp="at", nulls="clear"),
        )
    )
    values = {hit["event"]: hit["value"] for hit in desk.hits() if hit["user_id"] == "sam"}
    assert values == {"skipped": {"sku": "a"}, "cleared": {"sku": "a", "coupon": None}}


def test_a_mapped_column_that_never_had_a_value_is_no_error_when_its_type_is_known(
    desk: Desk,
) -> None:
    rows: Rows = [{"user_id": "sam", "email": None, "opt_in": None, "plan": "pro"}]
    types: Any = {"email": {"data_type": "text"}, "opt_in": {"data_type": "bool"}}
    action = identify(email="email", email_subscription="opt_in")
    resource = dlt.resource(rows, name="customers", columns=types)
    report = desk.deliver(xtremepush_adapter(resource, action))
    assert desk.sandbox.profiles == {"sam": {"plan": "pro"}}
    assert report.count("delivered") == 1


def test_a_mapped_column_that_never_had_a_value_is_refused_with_the_way_out(
    desk: Desk, cause: Any
) -> None:
    # dlt does not tell the destination of such a column, so it looks like a typo; it may be none
    rows: Rows = [{"user_id": "sam", "note": None, "plan": "pro"}]
    action = identify(attributes=["note", "plan"])
    with pytest.raises(PipelineStepFailed) as raised:
        desk.deliver(xtremepush_adapter(dlt.resource(rows, name="customers"), action))
    error = cause(raised, MappingError)
    assert "`note`" in str(error)
    assert re.search(r"data_type|columns=", str(error)), f"no way out in: {error}"


def test_a_column_that_a_later_run_lacks_is_no_error(desk: Desk) -> None:
    first = [{"user_id": "sam", "plan": "pro", "city": "Cork"}]
    later = [{"user_id": "sam", "plan": "basic"}]
    for rows in (first, later):
        desk.deliver(xtremepush_adapter(dlt.resource(rows, name="customers"), identify()))
    assert desk.sandbox.profiles == {"sam": {"plan": "basic", "city": "Cork"}}


@pytest.mark.parametrize("naming", ["direct", "snake_case"])
@pytest.mark.parametrize("source", [as_dicts, as_parquet])
def test_a_value_whose_type_drifted_is_reported_and_never_sent_under_the_variants_name(
    source: MakeResource, naming: str, desk: Desk
) -> None:
    def run(rows: Rows) -> Any:
        return desk.deliver(
            xtremepush_adapter(
                source(rows, "customers"), identify(), track("seen", timestamp="at")
            ),
            naming_convention=naming,
        )

    at = datetime(2026, 1, 1, tzinfo=timezone.utc)
    run([{"user_id": "sam", "amount": 5, "at": at}, {"user_id": "kim", "amount": 6, "at": at}])
    report = run(
        [{"user_id": "sam", "amount": "n/a", "at": at}, {"user_id": "kim", "amount": 7, "at": at}]
    )
    assert "v_text" not in str([post.body for post in desk.sandbox.requests])
    assert desk.sandbox.profiles == {
        "sam": {"amount": 5, "at": "2026-01-01 00:00:00 +00:00"},
        "kim": {"amount": 7, "at": "2026-01-01 00:00:00 +00:00"},
    }
    assert desk.hits()[-2:] != []
    assert report.count("delivered") == 4
    for action in report.actions:
        ((where, reason), count) = next(iter(action.omissions.items()))
        assert (where, count) == ("amount", 1)
        assert "drifted" in reason
    # a third run, without drift, is well again
    assert not any(a.omissions for a in run([{"user_id": "sam", "amount": 8, "at": at}]).actions)
    assert desk.sandbox.profiles["sam"]["amount"] == 8


def test_a_drifted_identifier_timestamp_or_condition_makes_the_row_invalid(desk: Desk) -> None:
    at = datetime(2026, 1, 1, tzinfo=timezone.utc)

    def run(rows: Rows) -> Any:
        action = track("seen", timestamp="at", when={"level": 1})
        return desk.deliver(xtremepush_adapter(dlt.resource(rows, name="visits"), action))

    run([{"user_id": 1, "at": at, "level": 1}])
    report = run(
        [
            {"user_id": "x-1", "at": at, "level": 1},
            {"user_id": 2, "at": "tomorrow", "level": 1},
            {"user_id": 3, "at": at, "level": "one"},
            {"user_id": 4, "at": at, "level": 1},
            {"user_id": "x-5", "at": at, "level": 2},
        ]
    )
    assert [event.user_id for event in desk.events] == ["1", "4"]
    assert report.count("invalid") == 3
    assert report.count("skipped") == 1
    columns = {key[1] for key in report.actions[0].reasons}
    assert columns == {"user_id", "at", "level"}


@any_file
def test_nested_values_are_json_in_properties_and_json_text_in_attributes(
    source: MakeResource, desk: Desk
) -> None:
    rows = [
        {
            "user_id": "sam",
            "at": "2026-01-01T00:00:00Z",
            "address": {"city": "Cork", "geo": {"lat": 51.9}},
            "tags": ["a", "b"],
            "items": [{"sku": "x", "n": 1}, {"sku": "y", "n": 2}],
        }
    ]
    desk.deliver(
        xtremepush_adapter(
            source(rows, "orders"),
            identify(attributes=["address", "tags"]),
            track("order", timestamp="at"),
        )
    )
    assert desk.sandbox.profiles["sam"] == {
        "address": '{"city":"Cork","geo":{"lat":51.9}}',
        "tags": '["a","b"]',
    }
    assert desk.events[0].value == {
        "address": {"city": "Cork", "geo": {"lat": 51.9}},
        "tags": ["a", "b"],
        "items": [{"sku": "x", "n": 1}, {"sku": "y", "n": 2}],
    }


def test_rows_of_dicts_of_arrow_and_of_parquet_make_the_same_requests(
    make_desk: MakeDesk,
) -> None:
    cork = timezone(timedelta(hours=1))
    rows = [
        {
            "user_id": n,
            "at": datetime(2026, 1, 1, 10, 0, n, 999999, tzinfo=cork),
            "naive": datetime(2026, 1, 1, 10, 0, n),
            "day": date(2026, 2, n + 1),
            "name": f"name {n} \u00e9\u4e2d",
            "flag": n % 2 == 0,
            "ratio": n / 3,
            "price": Decimal(f"{n}.10"),
            "big": 2**53 + n,
            "note": None if n % 3 == 0 else "note",
            "tags": ["a", str(n)],
            "address": {"city": "Cork", "n": n},
        }
        for n in range(7)
    ]
    seen: list[dict[str, Any]] = []
    for source in (as_dicts, as_arrow, as_parquet):
        desk = make_desk()
        report = desk.deliver(
            xtremepush_adapter(
                source(rows, "customers"),
                identify(),
                track("seen", timestamp="at", user_attributes=["name"]),
                track("seen_naive", timestamp="naive"),
            ),
            name=source.__name__,
        )
        assert report.count("delivered") == 21
        seen.append(
            {
                "profiles": sorted(desk.imported(), key=lambda row: row["user_id"]),
                "events": desk.hits(),
                "requests": [post.path for post in desk.sandbox.requests],
            }
        )
    assert seen[0] == seen[1]
    assert seen[0] == seen[2]
    last = seen[0]["profiles"][6]
    assert last["at"] == "2026-01-01 09:00:06 +00:00"
    assert last["naive"] == "2026-01-01 10:00:06 +00:00"
    assert last["day"] == "2026-02-07"


@any_file
def test_a_decimal_keeps_every_digit_on_the_wire(
    source: MakeResource, bare_server: BareServer, desk: Desk
) -> None:
    rows = [
        {
            "user_id": "sam",
            "at": "2026-01-01T00:00:00Z",
            "price": Decimal("12345678901234567890.123456789"),
            "small": Decimal("0.000000001"),
        }
    ]
    desk.deliver(
        xtremepush_adapter(
            source(rows, "orders"),
            identify(attributes=["price", "small"]),
            track("order", timestamp="at"),
        ),
        api_endpoint=bare_server.url,
    )
    bodies = b"\n".join(bare_server.bodies).decode()
    assert len(re.findall(r"12345678901234567890\.123456789(?!\d*[1-9])", bodies)) == 2
    assert len(re.findall(r"(?<!\d)0\.000000001(?!\d*[1-9])", bodies)) == 2
    assert '"12345678901234567890' not in bodies


def test_a_user_appears_once_in_a_request_and_later_values_win_column_by_column(
    desk: Desk,
) -> None:
    rows: Rows = [
        {"user_id": "sam", "plan": "basic", "city": "Cork", "visits": 1},
        {"user_id": "kim", "plan": "pro", "city": "Rome", "visits": 1},
        {"user_id": "sam", "plan": "pro", "city": None, "visits": 2},
        {"user_id": " sam ", "plan": None, "city": None, "visits": 3},
    ]
    report = desk.deliver(xtremepush_adapter(dlt.resource(rows, name="customers"), identify()))
    for post in desk.posts("import"):
        users = [row[post.body["columns"].index("user_id")] for row in post.body["rows"]]
        assert len(users) == len(set(users))
    assert desk.sandbox.profiles["sam"] == {"plan": "pro", "city": "Cork", "visits": 3}
    assert (report.count("delivered"), report.count("merged")) == (2, 2)


def test_a_user_whose_rows_carry_different_columns_is_still_sent_once(desk: Desk) -> None:
    rows: Rows = [
        {"user_id": "sam", "plan": "basic", "city": None},
        {"user_id": "sam", "plan": None, "city": "Cork"},
    ]
    desk.deliver(xtremepush_adapter(dlt.resource(rows, name="customers"), identify()))
    assert desk.imported() == [{"user_id": "sam", "plan": "basic", "city": "Cork"}]


BROKEN: Rows = [
    {"user_id": "sam", "email": "no address", "texts": "no", "note": "x" * 102, "plan": "pro"},
    {"user_id": "kim", "email": "kim@example.com", "texts": "yes", "note": "fine", "plan": "pro"},
    {"user_id": "pat", "email": "pat@example.com", "texts": "maybe", "note": "y", "plan": "pro"},
]
SOME_BROKEN = identify(email_subscription=1, sms_subscription="texts")


def test_a_value_that_breaks_its_rule_is_left_out_and_counted_by_column(desk: Desk) -> None:
    report = desk.deliver(xtremepush_adapter(dlt.resource(BROKEN, name="customers"), SOME_BROKEN))
    assert report.count("delivered") == 3
    assert report.count("invalid") == 0
    columns = Counter[str]()
    for (where, _), count in report.actions[0].omissions.items():
        columns[where] += count
    assert columns == {"email": 1, "note": 1, "texts": 1}
    assert desk.sandbox.profiles["sam"] == {
        "email_subscription": 1,
        "sms_subscription": 0,
        "plan": "pro",
    }
    assert desk.undelivered() == []
    assert "left out" in str(report)


def test_on_invalid_value_reject_makes_the_row_invalid_and_no_other(desk: Desk) -> None:
    report = desk.deliver(
        xtremepush_adapter(dlt.resource(BROKEN, name="customers"), SOME_BROKEN),
        on_invalid_value="reject",
    )
    assert set(desk.sandbox.profiles) == {"kim"}
    assert (report.count("delivered"), report.count("invalid")) == (1, 2)
    reasons = {
        (row["payload"]["user_id"], column)
        for row in desk.undelivered()
        for column, _ in row["problems"]
    }
    assert reasons == {("sam", "email"), ("sam", "note"), ("pat", "texts")}


def test_an_address_is_never_sent_without_its_flag_in_the_same_row(desk: Desk) -> None:
    # Xtremepush wants the flag beside the address; a flag that is null or broken is no consent
    rows: Rows = [
        {"user_id": "sam", "email": "sam@example.com", "opt_in": None},
        {"user_id": "kim", "email": "kim@example.com", "opt_in": "maybe"},
        {"user_id": "pat", "email": "pat@example.com", "opt_in": True},
    ]
    action = identify(email_subscription="opt_in")
    report = desk.deliver(xtremepush_adapter(dlt.resource(rows, name="customers"), action))
    for row in desk.imported():
        assert "email" not in row or row.get("email_subscription") in (0, 1)
    assert desk.sandbox.profiles["pat"] == {"email": "pat@example.com", "email_subscription": 1}
    assert report.offered == 3
    assert report.count("rejected") == 0


@pytest.mark.parametrize(
    ("ids", "sent"),
    [
        ([1, 22, 9007199254740993], ["1", "22", "9007199254740993"]),
        ([123.0, 4.0], ["123", "4"]),
        (["a", " b ", "", "   ", None], ["a", "b"]),
        ([1.5, float("nan"), 2.0], ["2"]),
        ([Decimal("5"), Decimal("6.00")], ["5", "6"]),
    ],
)
def test_a_user_id_is_text_and_a_row_without_one_is_invalid(
    ids: list[Any], sent: list[str], desk: Desk
) -> None:
    rows = [{"user_id": value, "n": n} for n, value in enumerate(ids)]
    actions = [identify()]
    report = desk.deliver(
        xtremepush_adapter(as_dicts(rows, "customers"), *actions),
        xtremepush_adapter(as_arrow(rows, "people"), *actions),
    )
    assert Counter(row["user_id"] for row in desk.imported()) == Counter(sent * 2)
    for table in ("customers", "people"):
        assert report.count("delivered", table) == len(sent)
        assert report.count("invalid", table) == len(ids) - len(sent)


def test_a_uuid_identifies_and_describes_as_text(desk: Desk) -> None:
    key = UUID("12345678-1234-5678-1234-567812345678")
    rows = [{"user_id": key, "device": key}]
    desk.deliver(xtremepush_adapter(dlt.resource(rows, name="customers"), identify()))
    assert desk.sandbox.profiles == {str(key): {"device": str(key)}}


def test_the_name_of_an_event_may_come_from_a_column(desk: Desk) -> None:
    at = "2026-01-01T00:00:00Z"
    rows: Rows = [
        {"user_id": "sam", "at": at, "what": "Order Placed"},
        {"user_id": "sam", "at": at, "what": " "},
        {"user_id": "sam", "at": at, "what": None},
        {"user_id": "kim", "at": at, "what": "Cart Filled"},
    ]
    action = track(column("what"), timestamp="at")
    report = desk.deliver(xtremepush_adapter(dlt.resource(rows, name="log"), action))
    assert desk.seen() == [("sam", "Order Placed"), ("kim", "Cart Filled")]
    assert report.count("invalid") == 2
    assert all(not event.value for event in desk.events)


TIMES = {
    "2026-07-01T12:30:00Z": "2026-07-01 12:30:00 +00:00",
    "2026-07-01T12:30:00+02:00": "2026-07-01 10:30:00 +00:00",
    "2026-07-01 12:30:00.123456": "2026-07-01 12:30:00 +00:00",
    "2026-07-01": "2026-07-01 00:00:00 +00:00",
    "20260701T123000Z": "2026-07-01 12:30:00 +00:00",
    "2026-07-01T23:30:00-02:00": "2026-07-02 01:30:00 +00:00",
    "soon": None,
    "": None,
    "2026-02-30": None,
    None: None,
}


@any_source
def test_a_timestamp_is_utc_to_the_second_and_an_event_without_one_is_invalid(
    source: MakeResource, desk: Desk
) -> None:
    rows = [{"user_id": f"u{n}", "at": written} for n, written in enumerate(TIMES)]
    resource = source(rows, "log")
    # left alone, dlt turns text that looks like a date-time into one
    resource.apply_hints(columns={"at": {"data_type": "text"}})
    report = desk.deliver(xtremepush_adapter(resource, track("seen", timestamp="at")))
    sent = {hit["user_id"]: hit["timestamp"] for hit in desk.hits()}
    assert sent == {f"u{n}": wire for n, wire in enumerate(TIMES.values()) if wire}
    assert report.count("invalid") == sum(wire is None for wire in TIMES.values())


@any_source
@pytest.mark.parametrize(
    ("written", "sent"),
    [
        (date(2026, 7, 1), "2026-07-01 00:00:00 +00:00"),
        (datetime(2026, 7, 1, 12, 30), "2026-07-01 12:30:00 +00:00"),  # naive on purpose
        (
            datetime(2026, 7, 1, 12, 30, 59, 999999, tzinfo=timezone(timedelta(hours=-3))),
            "2026-07-01 15:30:59 +00:00",
        ),
        (
            datetime(1969, 12, 31, 23, 59, 59, 500000, tzinfo=timezone.utc),
            "1969-12-31 23:59:59 +00:00",
        ),
        (1751373000, None),
    ],
)
def test_a_timestamp_may_be_a_date_or_date_time_and_a_bare_number_is_none(
    written: Any, sent: str | None, source: MakeResource, desk: Desk
) -> None:
    rows = [{"user_id": "sam", "at": written}]
    report = desk.deliver(xtremepush_adapter(source(rows, "log"), track("seen", timestamp="at")))
    assert [hit["timestamp"] for hit in desk.hits()] == ([] if sent is None else [sent])
    assert report.count("invalid") == (1 if sent is None else 0)


def test_user_attributes_of_an_event_reach_the_profile_and_not_the_properties(desk: Desk) -> None:
    rows = [{"user_id": "sam", "at": "2026-01-01", "total": 5, "tier": "gold"}]
    action = track("order", timestamp="at", user_attributes={"loyalty": "tier"})
    desk.deliver(xtremepush_adapter(dlt.resource(rows, name="orders"), action))
    assert desk.sandbox.profiles == {"sam": {"loyalty": "gold"}}
    assert desk.events[0].value == {"total": 5}


def messy(count: int) -> Rows:
    """Rows with every outcome that needs no refusal."""
    return [
        {
            "user_id": None if n % 10 == 3 else f"u{n % 17}",
            "at": "never" if n % 10 == 5 else "2026-01-01T00:00:00Z",
            "kind": "a" if n % 4 else "b",
            "note": "x" * (200 if n % 6 == 0 else 20),
        }
        for n in range(count)
    ]


@pytest.mark.parametrize(("source", "batch"), [(as_dicts, 7), (as_arrow, 7), (as_dicts, 1000)])
def test_the_counts_of_a_report_add_up_to_the_rows_offered(
    source: MakeResource, batch: int, desk: Desk
) -> None:
    rows = messy(120)
    report = desk.deliver(
        xtremepush_adapter(
            source(rows, "log"),
            identify(attributes=["kind"]),
            track("a", timestamp="at", when={"kind": "a"}),
            track("b", timestamp="at", when={"kind": ["b"]}),
        ),
        event_batch_size=batch,
        profile_batch_size=batch,
    )
    valid = [row for row in rows if row["user_id"]]
    timely = [row for row in valid if row["at"] != "never"]
    counts = {action.action: action.counts for action in report.actions}
    assert report.complete
    for action in report.actions:
        assert sum(action.counts.values()) == action.offered == 120
    assert counts["identify"][Outcome.INVALID] == 120 - len(valid)
    assert counts["identify"][Outcome.DELIVERED] + counts["identify"][Outcome.MERGED] == len(valid)
    assert counts["identify"][Outcome.DELIVERED] == len(desk.imported())
    for kind in "ab":
        of_kind = [row for row in rows if row["kind"] == kind]
        assert counts[f"track {kind}"][Outcome.SKIPPED] == 120 - len(of_kind)
        delivered = [row for row in timely if row["kind"] == kind]
        assert counts[f"track {kind}"][Outcome.DELIVERED] == len(delivered)
        assert sum(event.event == kind for event in desk.events) == len(delivered)
        assert counts[f"track {kind}"][Outcome.INVALID] == len(of_kind) - len(delivered)
    assert len(desk.undelivered()) == report.count("invalid")


def test_invalid_rows_are_kept_with_reason_and_payload_and_block_nobody(desk: Desk) -> None:
    rows: Rows = [
        {"id": "o1", "user_id": "sam", "at": "2026-01-01", "total": 1},
        {"id": "o2", "user_id": None, "at": "2026-01-01", "total": 2},
        {"id": "o3", "user_id": "kim", "at": "never", "total": 3},
        {"id": "o4", "user_id": "pat", "at": "2026-01-01", "total": 4},
    ]

    def run(some: Rows) -> Any:
        resource = dlt.resource(
            some, name="orders", primary_key="id", columns={"at": {"data_type": "text"}}
        )
        return desk.deliver(xtremepush_adapter(resource, track("order", timestamp="at")))

    report = run(rows)
    assert [event.user_id for event in desk.events] == ["sam", "pat"]
    assert (report.count("delivered"), report.count("invalid")) == (2, 2)
    kept = {tuple(row["event_id"]): row for row in desk.undelivered()}
    assert set(kept) == {("o2",), ("o3",)}
    assert kept["o2",]["problems"] == [["user_id", "missing"]]
    assert kept["o2",]["payload"]["value"]["total"] == 2
    ((where, reason),) = kept["o3",]["problems"]
    assert where == "at"
    assert reason
    assert kept["o3",]["payload"]["value"]["total"] == 3
    assert all(row["outcome"] == "invalid" for row in kept.values())
    # the runs after it are not blocked, and bring nothing of the past again
    assert (
        run([{"id": "o5", "user_id": "sam", "at": "2026-01-02", "total": 5}]).count("delivered")
        == 1
    )
    assert len(desk.events) == 3
