"""The Segment dialect: what Segment's own Xtremepush integration would send for the same row."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
import pendulum
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xtremepush_dlt.exceptions import MappingError
from xtremepush_dlt.mapping import segment_formats
from xtremepush_dlt.mapping.actions import Action, column, delete, identify, track
from xtremepush_dlt.mapping.calls import ANONYMOUS, Calls, Problem, make_calls
from xtremepush_dlt.mapping.columns import WITH_FRACTION, ColumnBatch
from xtremepush_dlt.mapping.dialect import EXTERNAL_API, SEGMENT
from xtremepush_dlt.mapping.plan import TablePlan, columns_of
from xtremepush_dlt.mapping.planner import TableColumns, plan_table, require_consent
from xtremepush_dlt.mapping.wire import encode_number

quick = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])

NOON = datetime(2026, 7, 1, 12, 0, 0, 123456)
offsets: st.SearchStrategy[timezone] = st.timedeltas(timedelta(hours=-23), timedelta(hours=23)).map(
    lambda offset: timezone(offset)  # noqa: PLW0108  # typeshed: a class whose __new__ hides its type
)
NOON_ON_WIRE = "2026-07-01T12:00:00.123Z"


def plan(action: Action, *names: str, **types: str) -> TablePlan:
    """The plan of a table with text columns, on the Segment route."""
    kinds: dict[str, str | None] = {**dict.fromkeys(names, "text"), **types}
    return plan_table(TableColumns("people", kinds, primary_key=()), [action], SEGMENT)


def made(action: Action, columns: dict[str, list[Any]], *, reject: bool = False) -> Calls:
    """The calls of some rows, given column by column."""
    (of,) = plan(action, *columns).actions
    calls = make_calls(ColumnBatch(0, len(next(iter(columns.values()))), columns), of, reject)
    rows = list(calls.payloads)
    assert rows == [calls.payloads[index] for index in range(len(rows))]
    return calls


def sent(action: Action, columns: dict[str, list[Any]]) -> list[dict[str, Any]]:
    calls = made(action, columns)
    assert not calls.invalid
    return list(calls.payloads)


# --- identify ------------------------------------------------------------------------------------


def test_a_profile_is_its_identifiers_flat_and_its_traits_with_phone_and_email_among_them() -> None:
    assert sent(
        identify(),
        {
            "user_id": [7],
            "anonymous_id": ["anon-7"],
            "email": [" sam@example.com "],
            "phone": [" +353 85 012 3456 "],
            "first_name": ["Sam"],
            "timestamp": [NOON],
        },
    ) == [
        {
            "userId": "7",
            "anonymousId": "anon-7",
            "phone": "+353 85 012 3456",
            "email": "sam@example.com",
            "traits": {
                "email": "sam@example.com",
                "phone": "+353 85 012 3456",
                "first_name": "Sam",
            },
            "timestamp": NOON_ON_WIRE,
        }
    ]


@pytest.mark.parametrize(
    ("action", "source"),
    [
        (identify(), "phone"),
        (identify(), "mobile_number"),
        (identify(mobile_number="tel"), "tel"),
    ],
)
def test_a_phone_keeps_the_name_that_segment_gives_it(action: Action, source: str) -> None:
    (call,) = sent(action, {"user_id": ["a"], source: ["0850123456"]})
    assert call == {"userId": "a", "phone": "0850123456", "traits": {"phone": "0850123456"}}


def test_phone_goes_before_mobile_number_which_does_not_come_back_as_a_trait() -> None:
    (call,) = sent(identify(), {"user_id": ["a"], "mobile_number": ["1"], "phone": ["2"]})
    assert call == {"userId": "a", "phone": "2", "traits": {"phone": "2"}}


def test_absent_identifiers_are_left_out_and_never_null_even_where_nulls_clear() -> None:
    calls = sent(
        identify(nulls="clear"),
        {
            "user_id": ["a", None],
            "anonymous_id": [None, "x"],
            "email": [None, None],
            "timestamp": [None, NOON],
            "tier": [None, "gold"],
        },
    )
    assert calls == [
        {"userId": "a", "traits": {"email": None, "tier": None}},
        {
            "anonymousId": "x",
            "timestamp": NOON_ON_WIRE,
            "traits": {"email": None, "tier": "gold"},
        },
    ]


def test_values_keep_their_types_and_moments_are_iso_with_milliseconds_and_z() -> None:
    columns: dict[str, list[Any]] = {
        "user_id": ["a"],
        "number": [Decimal("19.90")],
        "flag": [True],
        "count": [3],
        "nested": [{"tags": ["a", 1], "at": NOON}],
        "text": ["x" * 300],
        "day": [date(2026, 7, 1)],
        "hour": [time(8, 30)],
        "moment": [NOON.replace(tzinfo=timezone(timedelta(hours=2)))],
        "key": [UUID(int=5)],
        "nothing": [float("nan")],
    }
    (call,) = sent(identify(), columns)
    assert call["traits"] == {
        "number": Decimal("19.90"),
        "flag": True,
        "count": 3,
        "nested": {"tags": ["a", 1], "at": NOON_ON_WIRE},
        "text": "x" * 300,
        "day": "2026-07-01T00:00:00.000Z",
        "hour": "08:30:00",
        "moment": "2026-07-01T10:00:00.123Z",
        "key": str(UUID(int=5)),
    }
    assert b'"number":19.90' in orjson.dumps(call, default=encode_number)


def test_flags_language_and_timezone_are_traits_like_any_other() -> None:
    (call,) = sent(
        identify(email_subscription="opt_in", sms_subscription=0),
        {
            "user_id": ["a"],
            "email": ["a@example.com"],
            "opt_in": [None],
            "language": ["English"],
            "timezone": ["somewhere"],
        },
    )
    # the address is sent although its row has no flag
    assert call == {
        "userId": "a",
        "email": "a@example.com",
        "traits": {
            "email": "a@example.com",
            "sms_subscription": 0,
            "language": "English",
            "timezone": "somewhere",
        },
    }


def test_no_subscription_flag_is_asked_for() -> None:
    mapped = plan(identify(), "user_id", "email", "phone")
    require_consent(mapped)
    on_external = plan_table(
        TableColumns("people", {"user_id": "text", "email": "text"}), [identify()]
    )
    with pytest.raises(MappingError, match="email_subscription"):
        require_consent(on_external)


def test_a_broken_address_is_left_out_everywhere_and_counted() -> None:
    calls = made(
        identify(nulls="clear"),
        {"user_id": ["a"], "email": ["none"], "phone": [True], "timestamp": ["soon"]},
    )
    assert list(calls.payloads) == [{"userId": "a", "traits": {}}]
    assert calls.omitted == {
        0: [
            Problem("email", "not an e-mail address"),
            Problem("phone", "not a phone number"),
            Problem("timestamp", "not a date-time"),
        ]
    }


def test_a_profile_without_traits_is_sent_with_an_empty_object() -> None:
    assert sent(identify(attributes=[]), {"user_id": ["a", "b"]}) == [
        {"userId": "a", "traits": {}},
        {"userId": "b", "traits": {}},
    ]


def test_a_timestamp_that_is_switched_off_is_neither_sent_nor_a_trait() -> None:
    columns: dict[str, list[Any]] = {"user_id": ["a"], "timestamp": [NOON]}
    assert sent(identify(timestamp=None), columns) == [{"userId": "a", "traits": {}}]


@pytest.mark.parametrize("name", ["phone", "email", "mobile_number"])
def test_a_reserved_trait_is_written_by_its_keyword_only(name: str) -> None:
    with pytest.raises(MappingError, match="Use the keyword"):
        plan(identify(email=None, mobile_number=None, attributes=[name]), "user_id", name)


# --- identifiers ---------------------------------------------------------------------------------


def test_a_user_without_id_travels_under_a_key_that_no_user_id_can_have() -> None:
    calls = made(
        track("seen", timestamp="at"),
        {
            "user_id": ["x", None, f" {ANONYMOUS}x"],
            "anonymous_id": ["a", "x", None],
            "at": [NOON] * 3,
        },
    )
    assert calls.users == ["x", f"{ANONYMOUS}x", f"{ANONYMOUS}x".strip()]
    assert len(set(calls.users)) == 3


def test_a_row_without_any_identifier_is_invalid() -> None:
    calls = made(identify(), {"user_id": ["a", None], "anonymous_id": [None, None]})
    assert calls.invalid == {1: [Problem("anonymous_id", "missing")]}
    calls = made(identify(), {"user_id": ["a", None]})
    assert calls.invalid == {1: [Problem("user_id", "missing")]}
    calls = made(identify(), {"anonymous_id": ["a", None]})
    assert calls.invalid == {1: [Problem("anonymous_id", "missing")]}


def test_a_broken_user_id_is_not_replaced_by_the_anonymous_one() -> None:
    calls = made(identify(), {"user_id": [" ", 1.5], "anonymous_id": ["a", "b"]})
    assert calls.users == [None, None]
    assert [problem.column for found in calls.invalid.values() for problem in found] == [
        "user_id",
        "user_id",
    ]


def test_a_broken_anonymous_id_beside_a_user_id_is_left_out_or_rejects_the_row() -> None:
    columns: dict[str, list[Any]] = {"user_id": ["a", None], "anonymous_id": [True, True]}
    reason = [Problem("anonymous_id", "a boolean is no identifier")]
    calls = made(identify(), columns)
    assert calls.payloads[0] == {"userId": "a", "traits": {}}
    assert (calls.omitted, calls.invalid) == ({0: reason}, {1: reason})
    assert made(identify(), columns, reject=True).invalid == {0: reason, 1: reason}


@pytest.mark.parametrize("action", [identify(), track("seen", timestamp="at"), delete()])
def test_a_table_without_a_column_for_either_identifier_is_an_error(action: Action) -> None:
    with pytest.raises(MappingError, match=r"`user_id` nor a column `anonymous_id`"):
        plan(action, "id", "at")


def test_a_user_id_that_was_named_must_exist_whatever_else_there_is() -> None:
    with pytest.raises(MappingError, match="user_nr"):
        plan(identify(user_id="user_nr"), "user_id", "anonymous_id")


def test_an_anonymous_id_that_is_switched_off_is_neither_sent_nor_a_trait_nor_a_property() -> None:
    columns: dict[str, list[Any]] = {"user_id": ["a"], "anonymous_id": ["x"], "at": [NOON]}
    assert "x" not in repr(sent(identify(anonymous_id=None), columns))
    assert "'x'" not in repr(sent(track("e", timestamp="at", anonymous_id=None), columns))
    assert sent(delete(anonymous_id=None), columns) == [{"userId": "a"}]


cells = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.decimals()
    | st.text(max_size=6)
    | st.datetimes()
    | st.dates()
    | st.lists(st.integers(), max_size=2)
    | st.binary(max_size=2)
)


@quick
@given(
    rows=st.lists(st.tuples(*[cells] * 6), min_size=1, max_size=5),
    action=st.sampled_from(
        [
            identify(),
            identify(nulls="clear"),
            track("seen", timestamp="timestamp"),
            track(column("tier"), timestamp="timestamp", nulls="clear"),
            delete(),
        ]
    ),
    reject=st.booleans(),
)
def test_whatever_rows_hold_what_is_sent_is_json_with_an_identifier_and_no_null_beside_it(
    rows: list[tuple[Any, ...]], action: Action, reject: bool
) -> None:
    names = ("user_id", "anonymous_id", "email", "phone", "timestamp", "tier")
    columns = {name: [row[place] for row in rows] for place, name in enumerate(names)}
    calls = made(action, columns, reject=reject)
    for index, payload in enumerate(calls.payloads):
        call = orjson.loads(orjson.dumps(payload, default=encode_number))
        assert (calls.users[index] is None) <= (index in calls.invalid)
        if index not in calls.invalid:
            assert "userId" in call or "anonymousId" in call
            assert None not in call.values()
            in_order = (call.get("userId"), call.get("anonymousId"))
            assert calls.users[index] in (in_order[0], f"{ANONYMOUS}{in_order[1]}")
            for name in ("phone", "email"):
                assert call.get(name) == call.get("traits", {}).get(name)


# --- track and delete ----------------------------------------------------------------------------


def test_an_event_is_its_identifiers_name_properties_and_moment() -> None:
    assert sent(
        track(column("name"), timestamp="at", user_id="who", anonymous_id="device"),
        {
            "who": ["a", None],
            "device": [None, "d"],
            "name": [" paid ", "seen"],
            "at": [NOON, "2026-07-01 14:00:00.5+02:00"],
            "price": [Decimal("9.90"), None],
            "items": [[{"sku": 1}], None],
        },
    ) == [
        {
            "userId": "a",
            "event": "paid",
            "properties": {"price": Decimal("9.90"), "items": [{"sku": 1}]},
            "timestamp": NOON_ON_WIRE,
        },
        {
            "anonymousId": "d",
            "event": "seen",
            "properties": {},
            "timestamp": "2026-07-01T12:00:00.500Z",
        },
    ]


def test_an_event_without_properties_has_an_empty_object() -> None:
    (call,) = sent(track("seen", timestamp="at", properties=[]), {"user_id": ["a"], "at": [NOON]})
    assert call["properties"] == {}


@pytest.mark.parametrize("keyword", ["user_attributes", "consent_preferences"])
def test_what_segments_events_cannot_carry_is_an_error_that_names_it(keyword: str) -> None:
    value: dict[str, Any] = {keyword: ["tier"] if keyword == "user_attributes" else "tier"}
    with pytest.raises(MappingError, match=f"{keyword} does not exist on the Segment route"):
        plan(track("seen", timestamp="at", **value), "user_id", "at", "tier")


def test_a_deletion_carries_whichever_identifiers_exist_and_nothing_else() -> None:
    calls = sent(
        delete(),
        {"user_id": ["a", None, "c"], "anonymous_id": [None, "x", "y"], "tier": ["gold"] * 3},
    )
    assert calls == [
        {"userId": "a"},
        {"anonymousId": "x"},
        {"userId": "c", "anonymousId": "y"},
    ]


def test_load_files_are_read_so_that_moments_keep_their_milliseconds() -> None:
    mapped = plan(identify(), "user_id", seen="timestamp")
    assert mapped.types == {"user_id": "text", "seen": WITH_FRACTION}


def test_the_plan_reads_every_column_that_makes_a_call() -> None:
    mapped = plan(identify(version="v"), "user_id", "anonymous_id", "timestamp", "v", "tier")
    assert sorted(columns_of(mapped.actions)) == sorted(mapped.types)


def test_version_tells_two_profiles_of_equal_content_apart() -> None:
    (of,) = plan(identify(version="changed"), "user_id", "changed").identifies
    assert of.event_id == ("changed",)


# --- the External API knows none of it -----------------------------------------------------------


@pytest.mark.parametrize(
    "action",
    [
        identify(anonymous_id="device"),
        track("seen", timestamp="at", anonymous_id="device"),
        delete(anonymous_id="device"),
    ],
)
def test_an_anonymous_id_needs_the_segment_route(action: Action) -> None:
    columns = TableColumns("people", dict.fromkeys(("user_id", "device", "at"), "text"))
    with pytest.raises(MappingError, match="needs the Segment route"):
        plan_table(columns, [action], EXTERNAL_API)


def test_a_profiles_timestamp_needs_the_segment_route() -> None:
    columns = TableColumns("people", dict.fromkeys(("user_id", "at"), "text"))
    with pytest.raises(MappingError, match=r"timestamp needs the Segment route.*version="):
        plan_table(columns, [identify(timestamp="at")])


def test_columns_with_segments_names_stay_attributes_and_properties_on_the_external_api() -> None:
    columns = TableColumns(
        "people", dict.fromkeys(("user_id", "anonymous_id", "timestamp", "at"), "text")
    )
    mapped = plan_table(columns, [identify(), track("seen", timestamp="at")])
    names = ["anonymous_id", "timestamp"]
    assert [binding.target for binding in mapped.identifies[0].profile] == [*names, "at"]
    assert [binding.target for binding in mapped.tracks[0].properties] == names


# --- formats -------------------------------------------------------------------------------------


@quick
@given(
    moment=st.datetimes(
        min_value=datetime(1000, 1, 2),
        max_value=datetime(9999, 12, 30),
        timezones=st.one_of(st.none(), offsets),
    )
)
def test_a_moment_on_the_wire_is_the_same_moment_to_the_millisecond(moment: datetime) -> None:
    ((text,), problems) = segment_formats.timestamp([moment])
    assert not problems
    assert segment_formats.value([moment]).values == [text]
    back = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc)
    in_utc = moment.replace(tzinfo=timezone.utc) if moment.tzinfo is None else moment
    assert timedelta(0) <= in_utc - back < timedelta(milliseconds=1)
    assert len(text) == len(NOON_ON_WIRE)


def test_moments_of_pendulum_and_of_load_files_look_alike() -> None:
    moment = pendulum.datetime(2026, 7, 1, 14, 0, 0, 123456, tz="Europe/Paris")
    assert segment_formats.timestamp([moment]).values == [NOON_ON_WIRE]
    assert segment_formats.from_wire(["2026-07-01 12:00:00 +00:00", None]) == [
        "2026-07-01T12:00:00.000Z",
        None,
    ]
    batch = ColumnBatch(
        0, 1, {"user_id": ["a"], "at": ["2026-07-01 12:00:00 +00:00"]}, frozenset({"at"})
    )
    (of,) = plan(identify(timestamp="at", attributes=["at"]), "user_id", "at").actions
    (call,) = make_calls(batch, of, reject_invalid=False).payloads
    assert call["timestamp"] == call["traits"]["at"] == "2026-07-01T12:00:00.000Z"


@pytest.mark.parametrize("value", ["now", "", "2026-13-01", 17, "12:30", object()])
def test_what_is_no_moment_is_refused(value: Any) -> None:
    assert segment_formats.timestamp([value]).values == [None]
    assert list(segment_formats.timestamp([value]).problems) == [0]


@pytest.mark.parametrize(
    ("value", "wire"),
    [
        (" +44 (0)20 7946 0018 ", "+44 (0)20 7946 0018"),
        (353850123456, "353850123456"),
        (353850123456.0, "353850123456"),
        ("  ", None),
        (float("nan"), None),
    ],
)
def test_a_phone_number_is_text_as_the_user_has_it(value: Any, wire: str | None) -> None:
    assert segment_formats.phone([value]) == ([wire], {})
