"""Rows into calls: nulls, broken and drifted values, conditions, invalid rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xtremepush_dlt.mapping.actions import Action, column, identify, track
from xtremepush_dlt.mapping.calls import Problem, make_calls
from xtremepush_dlt.mapping.columns import ColumnBatch
from xtremepush_dlt.mapping.plan import ActionPlan
from xtremepush_dlt.mapping.planner import TableColumns, plan_table

quick = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])

NOON = datetime(2024, 7, 1, 12)
NOON_ON_WIRE = "2024-07-01 12:00:00 +00:00"


@dataclass(frozen=True)
class Seen:
    """What became of the rows; the payload of a row that was not selected is None."""

    users: list[str | None]
    payloads: list[dict[str, Any] | None]
    invalid: Mapping[int, list[Problem]]
    omitted: Mapping[int, list[Problem]]


def seen(batch: ColumnBatch, plan: ActionPlan, reject: bool = False) -> Seen:
    made = make_calls(batch, plan, reject)
    payloads = [
        None if index in made.skipped else payload for index, payload in enumerate(made.payloads)
    ]
    for index, payload in enumerate(payloads):
        # a payload is the same whether it is reached by its place or in a loop
        assert payload is None or repr(made.payloads[index]) == repr(payload)
    assert made.plain == (None not in payloads and not made.invalid and not made.omitted)
    return Seen(made.users, payloads, dict(made.invalid), dict(made.omitted))


def calls(
    action: Action,
    columns: dict[str, list[Any]],
    *,
    reject: bool = False,
    variants: dict[str, list[str]] | None = None,
) -> Seen:
    """What the action makes of the rows, given column by column."""
    known = TableColumns("t", dict.fromkeys(columns, "text"), variants=variants or {})
    (plan,) = plan_table(known, [action]).actions
    return seen(ColumnBatch(0, len(next(iter(columns.values()))), columns), plan, reject)


# --- identify ------------------------------------------------------------------------------------


def test_a_row_becomes_a_profile_in_its_wire_form() -> None:
    made = calls(
        identify(email_subscription="opt_in", sms_subscription=0, mobile_number="tel"),
        {
            "user_id": [123.0],
            "email": [" ann@example.com "],
            "opt_in": ["yes"],
            "tel": ["+353 85 012 3456"],
            "spent": [Decimal("19.90")],
            "since": [NOON],
            "tags": [["a", 1]],
        },
    )
    assert made == Seen(
        ["123"],
        [
            {
                "user_id": "123",
                "email": "ann@example.com",
                "email_subscription": 1,
                "mobile_number": "353850123456",
                "sms_subscription": 0,
                "spent": Decimal("19.90"),
                "since": NOON_ON_WIRE,
                "tags": '["a",1]',
            }
        ],
        {},
        {},
    )


def test_a_null_is_not_sent_so_that_it_overwrites_nothing() -> None:
    made = calls(
        identify(), {"user_id": ["a", "b"], "tier": [None, "gold"], "city": ["Cork", None]}
    )
    assert made.payloads == [{"user_id": "a", "city": "Cork"}, {"user_id": "b", "tier": "gold"}]
    assert made.omitted == {}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), Decimal("NaN")])
def test_nan_counts_as_null(value: Any) -> None:
    made = calls(identify(), {"user_id": ["a"], "score": [value]})
    assert made.payloads == [{"user_id": "a"}]
    assert made.omitted == {}


def test_a_null_is_sent_where_the_action_clears() -> None:
    made = calls(identify(nulls="clear"), {"user_id": ["a"], "tier": [None], "city": ["Cork"]})
    assert made.payloads == [{"user_id": "a", "tier": None, "city": "Cork"}]


def test_a_broken_value_never_clears_what_xtremepush_has() -> None:
    made = calls(
        identify(nulls="clear", email_subscription=1),
        {"user_id": ["a", "b"], "email": ["no address", None]},
    )
    assert made.payloads == [
        {"user_id": "a", "email_subscription": 1},
        {"user_id": "b", "email": None, "email_subscription": 1},
    ]
    assert set(made.omitted) == {0}


def test_a_broken_value_is_left_out_and_named_while_its_row_goes() -> None:
    made = calls(
        identify(email_subscription=1, language="lang"),
        {
            "user_id": ["a", "b"],
            "email": ["no address", "b@example.com"],
            "lang": ["english", "en"],
        },
    )
    assert made.payloads[0] == {"user_id": "a", "email_subscription": 1}
    assert made.payloads[1] == {
        "user_id": "b",
        "email": "b@example.com",
        "email_subscription": 1,
        "language": "en",
    }
    assert made.invalid == {}
    assert [problem.column for problem in made.omitted[0]] == ["email", "lang"]
    assert set(made.omitted) == {0}


def test_a_broken_value_makes_its_row_invalid_where_that_is_asked_for() -> None:
    made = calls(
        identify(email_subscription=1),
        {"user_id": ["a", "b"], "email": ["no address", "b@example.com"]},
        reject=True,
    )
    assert set(made.invalid) == {0}
    assert made.invalid[0][0].column == "email"
    assert made.omitted == {}


@pytest.mark.parametrize("user", [None, "", " ", True, 1.5, b"x", [1], float("nan")])
@pytest.mark.parametrize("reject", [True, False])
def test_a_row_without_a_usable_user_is_invalid_and_harms_no_other(user: Any, reject: bool) -> None:
    made = calls(identify(), {"user_id": ["a", user, "c"], "tier": [1, 2, 3]}, reject=reject)
    assert set(made.invalid) == {1}
    assert made.invalid[1][0].column == "user_id"
    assert made.users == ["a", None, "c"]
    assert [made.payloads[0], made.payloads[2]] == [
        {"user_id": "a", "tier": 1},
        {"user_id": "c", "tier": 3},
    ]


def test_an_invalid_row_keeps_what_could_be_made_of_it() -> None:
    made = calls(identify(), {"user_id": [None], "tier": ["gold"]})
    assert made.payloads[0] is not None
    assert made.payloads[0]["tier"] == "gold"
    assert made.payloads[0].get("user_id") is None
    assert made.invalid == {0: [Problem("user_id", "missing")]}


def test_a_row_that_is_invalid_is_not_counted_among_the_omissions() -> None:
    made = calls(
        identify(email_subscription=1), {"user_id": [" ", "b"], "email": ["broken", "broken"]}
    )
    assert set(made.invalid) == {0}
    assert set(made.omitted) == {1}


def test_a_profile_without_anything_else_is_its_user() -> None:
    made = calls(identify(attributes=[]), {"user_id": [1, 2]})
    assert made.payloads == [{"user_id": "1"}, {"user_id": "2"}]


# --- track ---------------------------------------------------------------------------------------


def test_a_row_becomes_an_event_with_properties_of_their_own_types() -> None:
    made = calls(
        track("paid", timestamp="at", user_attributes={"town": "city", "tags": "tags"}),
        {
            "user_id": [7],
            "at": ["2024-07-01T13:00:00+01:00"],
            "amount": [Decimal("19.90")],
            "gift": [True],
            "lines": [[{"sku": "a", "price": Decimal("1.10")}]],
            "city": ["Cork"],
            "tags": [["x"]],
        },
    )
    assert made == Seen(
        ["7"],
        [
            {
                "event": "paid",
                "user_id": "7",
                "timestamp": NOON_ON_WIRE,
                "user_attributes": {"town": "Cork", "tags": '["x"]'},
                "value": {
                    "amount": Decimal("19.90"),
                    "gift": True,
                    "lines": [{"sku": "a", "price": Decimal("1.10")}],
                },
            }
        ],
        {},
        {},
    )


def test_an_event_name_from_a_column_is_trimmed_and_a_blank_one_is_invalid() -> None:
    made = calls(
        track(column("kind"), timestamp="at"),
        {"user_id": ["a"] * 4, "at": [NOON] * 4, "kind": [" paid ", " ", None, 5]},
    )
    assert made.payloads[0] == {"event": "paid", "user_id": "a", "timestamp": NOON_ON_WIRE}
    assert set(made.invalid) == {1, 2, 3}
    assert {problem.column for found in made.invalid.values() for problem in found} == {"kind"}


@pytest.mark.parametrize("at", [None, "", "soon", 1_700_000_000, b"x"])
@pytest.mark.parametrize("reject", [True, False])
def test_an_event_without_a_usable_timestamp_is_invalid_and_never_stamped_now(
    at: Any, reject: bool
) -> None:
    made = calls(
        track("paid", timestamp="at"), {"user_id": ["a", "b"], "at": [at, NOON]}, reject=reject
    )
    assert set(made.invalid) == {0}
    assert made.invalid[0][0].column == "at"
    assert made.payloads[1] == {"event": "paid", "user_id": "b", "timestamp": NOON_ON_WIRE}


def test_every_reason_of_an_invalid_row_is_named() -> None:
    made = calls(track("paid", timestamp="at"), {"user_id": [None], "at": ["soon"]})
    assert [problem.column for problem in made.invalid[0]] == ["user_id", "at"]


@pytest.mark.parametrize(("nulls", "value"), [("skip", {"b": 1}), ("clear", {"a": None, "b": 1})])
def test_a_null_property_is_left_out_or_sent_as_the_action_says(nulls: Any, value: Any) -> None:
    made = calls(
        track("paid", timestamp="at", nulls=nulls),
        {"user_id": ["u"], "at": [NOON], "a": [None], "b": [1]},
    )
    assert made.payloads[0] is not None
    assert made.payloads[0]["value"] == value


# --- when ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "taken"),
    [
        ("paid", [0]),
        (["paid", "shipped"], [0, 1]),
        (None, [2]),
        (["paid", None], [0, 2]),
        ([], []),
        ("PAID", []),
    ],
)
def test_when_takes_the_rows_with_the_value_or_one_of_the_values(
    wanted: Any, taken: list[int]
) -> None:
    made = calls(
        identify(when={"status": wanted}),
        {"user_id": list("abcd"), "status": ["paid", "shipped", None, "lost"]},
    )
    assert [index for index, payload in enumerate(made.payloads) if payload is not None] == taken
    assert made.invalid == {}


@pytest.mark.parametrize(
    ("wanted", "values", "taken"),
    [
        (True, [True, False, None], [0]),
        (0, [0, 1, None], [0]),
        (1.5, [1.5, Decimal("1.5"), 2], [0, 1]),
        (5, [5, 5.0, Decimal("5.00"), "5"], [0, 1, 2]),
    ],
)
def test_when_compares_numbers_by_value_and_never_with_text(
    wanted: Any, values: list[Any], taken: list[int]
) -> None:
    made = calls(identify(when={"n": wanted}), {"user_id": ["u"] * len(values), "n": values})
    assert [index for index, payload in enumerate(made.payloads) if payload is not None] == taken


@pytest.mark.parametrize("value", [float("nan"), Decimal("NaN"), Decimal("sNaN"), b"x", [1], {}])
def test_a_value_that_equals_nothing_is_simply_not_selected(value: Any) -> None:
    made = calls(identify(when={"n": [1, "x", None]}), {"user_id": ["a", "b"], "n": [value, 1]})
    assert [payload is not None for payload in made.payloads] == [False, True]


def test_all_conditions_must_hold() -> None:
    made = calls(
        identify(when={"status": "paid", "country": ["IE", "UK"]}),
        {
            "user_id": list("abc"),
            "status": ["paid", "paid", "lost"],
            "country": ["IE", "FR", "IE"],
        },
    )
    assert [payload is not None for payload in made.payloads] == [True, False, False]


def test_a_row_that_is_not_selected_has_no_problems() -> None:
    made = calls(
        identify(when={"status": "paid"}, email_subscription=1),
        {"user_id": [None, "b"], "email": ["broken", "broken"], "status": ["lost", "lost"]},
    )
    assert made.payloads == [None, None]
    assert made.invalid == {}
    assert made.omitted == {}


def test_a_column_that_no_row_of_the_batch_has_counts_as_null() -> None:
    known = TableColumns("t", {"user_id": "text", "status": "text", "tier": "text"})
    (plan,) = plan_table(known, [identify(when={"status": None})]).actions
    made = seen(ColumnBatch(0, 1, {"user_id": ["a"]}), plan)
    assert made.payloads == [{"user_id": "a"}]


# --- drift ---------------------------------------------------------------------------------------

DRIFT = {"amount": ["amount▶v_text"]}


def test_a_drifted_value_is_reported_and_never_sent() -> None:
    made = calls(
        identify(),
        {"user_id": ["a", "b"], "amount": [5, None], "amount▶v_text": [None, "five"]},
        variants=DRIFT,
    )
    assert made.payloads == [{"user_id": "a", "amount": 5}, {"user_id": "b"}]
    ((problem,),) = made.omitted.values()
    assert problem.column == "amount"
    assert "drifted" in problem.reason
    assert "amount▶v_text" in problem.reason
    assert "five" not in problem.reason


def test_a_drifted_value_does_not_clear_what_xtremepush_has() -> None:
    made = calls(
        identify(nulls="clear"),
        {"user_id": ["a"], "amount": [None], "amount▶v_text": ["five"]},
        variants=DRIFT,
    )
    assert made.payloads == [{"user_id": "a"}]


def test_a_drifted_identifier_makes_the_row_invalid_with_one_reason() -> None:
    made = calls(
        identify(attributes=[]),
        {"user_id": [None, 2], "user_id▶v_text": ["one", None]},
        variants={"user_id": ["user_id▶v_text"]},
    )
    assert set(made.invalid) == {0}
    assert len(made.invalid[0]) == 1
    assert "drifted" in made.invalid[0][0].reason


def test_a_drifted_condition_makes_the_row_invalid_because_skipping_would_hide_it() -> None:
    made = calls(
        identify(when={"amount": 5}, attributes=[]),
        {"user_id": ["a", "b", "c"], "amount": [5, None, 4], "amount▶v_text": [None, "5", None]},
        variants=DRIFT,
    )
    assert [payload is not None for payload in made.payloads] == [True, True, False]
    assert set(made.invalid) == {1}


def test_a_row_that_another_condition_leaves_out_is_skipped_whatever_drifted() -> None:
    made = calls(
        identify(when={"amount": 5, "status": "paid"}, attributes=[]),
        {"user_id": ["a"], "amount": [None], "amount▶v_text": ["5"], "status": ["lost"]},
        variants=DRIFT,
    )
    assert made.payloads == [None]
    assert made.invalid == {}


def test_a_drifted_value_makes_the_row_invalid_where_that_is_asked_for() -> None:
    made = calls(
        identify(),
        {"user_id": ["a"], "amount": [None], "amount▶v_text": ["five"]},
        variants=DRIFT,
        reject=True,
    )
    assert set(made.invalid) == {0}


# --- whatever comes ------------------------------------------------------------------------------

cells = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.decimals(allow_nan=False) | st.just(Decimal("NaN")),
    st.text(max_size=8),
    st.binary(max_size=4),
    st.datetimes(timezones=st.none() | st.timezones()),
    st.dates(),
    st.uuids(),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)


def drifted(row: dict[str, Any]) -> dict[str, Any]:
    """A value stands in its column or in the variant of that column, never in both."""
    return row if row["a▶v_text"] is None else {**row, "a": None}


rows = st.lists(
    st.fixed_dictionaries(
        dict.fromkeys(("user_id", "at", "kind", "status", "a"), cells)
        | {"a▶v_text": st.none() | cells}
    ).map(drifted),
    min_size=1,
    max_size=6,
)
some_actions = st.sampled_from(
    [
        identify(attributes=["a", "status"]),
        identify(attributes=["a"], nulls="clear", when={"status": [True, None, "x", 1.5]}),
        identify(email="a", email_subscription=1, attributes=["kind"], when={"a": 0}),
        track(column("kind"), timestamp="at"),
        track("paid", timestamp="at", when={"status": None}, user_attributes=["a"], nulls="clear"),
    ]
)


@quick
@given(rows=rows, action=some_actions, reject=st.booleans())
def test_every_row_whatever_it_holds_is_a_call_or_invalid_or_not_selected(
    rows: list[dict[str, Any]], action: Action, reject: bool
) -> None:
    made = calls(
        action,
        {name: [row[name] for row in rows] for name in rows[0]},
        reject=reject,
        variants={"a": ["a▶v_text"]},
    )
    assert len(made.users) == len(made.payloads) == len(rows)
    assert not set(made.invalid) & set(made.omitted)
    for index, payload in enumerate(made.payloads):
        if payload is None:
            assert index not in made.invalid
            assert index not in made.omitted
        elif index not in made.invalid:
            assert isinstance(payload["user_id"], str)
            assert payload["user_id"].strip()
            assert payload["user_id"] == made.users[index]
    assert not (reject and made.omitted)


@quick
@given(rows=rows, action=some_actions, reject=st.booleans())
def test_a_row_becomes_the_same_call_alone_and_among_others(
    rows: list[dict[str, Any]], action: Action, reject: bool
) -> None:
    def made_of(some: list[dict[str, Any]]) -> Seen:
        columns = {name: [row[name] for row in some] for name in rows[0]}
        return calls(action, columns, reject=reject, variants={"a": ["a▶v_text"]})

    together = made_of(rows)
    for index, row in enumerate(rows):
        alone = made_of([row])
        assert repr(together.payloads[index]) == repr(alone.payloads[0])
        assert together.invalid.get(index) == alone.invalid.get(0)
        assert together.omitted.get(index) == alone.omitted.get(0)
