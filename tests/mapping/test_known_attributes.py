"""Known attributes: what Xtremepush would ignore without a word is seen before it is sent."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xtremepush_dlt.exceptions import ConfigurationError, MappingError
from xtremepush_dlt.mapping.actions import Action, identify, track
from xtremepush_dlt.mapping.calls import Calls, Problem, make_calls, without
from xtremepush_dlt.mapping.columns import ColumnBatch
from xtremepush_dlt.mapping.dialect import EXTERNAL_API, SEGMENT, Dialect
from xtremepush_dlt.mapping.known_attributes import KnownAttributes
from xtremepush_dlt.mapping.plan import TablePlan
from xtremepush_dlt.mapping.planner import TableColumns, plan_table

quick = settings(max_examples=100, deadline=None)
both_routes = pytest.mark.parametrize("dialect", [EXTERNAL_API, SEGMENT])

SYSTEM = (
    "user_id",
    "email",
    "email_subscription",
    "phone",
    "sms_subscription",
    "language",
    "timezone",
)


def plan(
    action: Action,
    known: dict[str, str],
    *names: str,
    strict: bool,
    dialect: Dialect = EXTERNAL_API,
) -> TablePlan:
    columns = TableColumns("people", dict.fromkeys((*SYSTEM, *names), "text"))
    return plan_table(columns, [action], dialect, KnownAttributes(known, strict))


def calls(
    kind: str,
    values: list[Any],
    *,
    strict: bool,
    dialect: Dialect = EXTERNAL_API,
    action: Action | None = None,
) -> Calls:
    """What becomes of rows with an attribute of a type."""
    action = identify(email=None, mobile_number=None) if action is None else action
    known = {"x": kind, "status": "string"}
    (of,) = plan(action, known, "x", "status", strict=strict, dialect=dialect).actions
    rows = {"user_id": [str(index) for index in range(len(values))], "x": values}
    return make_calls(ColumnBatch(0, len(values), rows), of, reject_invalid=False)


TRACK = track("seen", timestamp="at", user_attributes={"tire": "car", "email": "email"})


@pytest.mark.parametrize(
    ("action", "dialect"),
    [(identify(attributes={"tire": "car"}), EXTERNAL_API),
     (identify(attributes={"tire": "car"}), SEGMENT),
     (TRACK, EXTERNAL_API)],
)  # fmt: skip
def test_an_attribute_that_is_not_listed_is_an_error_or_a_warning_that_names_everything(
    action: Action, dialect: Dialect
) -> None:
    known = {"tier": "string", "city": "string"}
    with pytest.raises(MappingError) as raised:
        plan(action, known, "car", "at", strict=True, dialect=dialect)
    mapped = plan(action, known, "car", "at", strict=False, dialect=dialect)
    (warning,) = mapped.warnings
    for text in (str(raised.value), warning):
        for named in ("`people`", action.label, "`car`", "`tire`", "`tier`", "known_attributes"):
            assert named in text


@both_routes
def test_the_systems_own_attributes_need_not_be_listed(dialect: Dialect) -> None:
    assert plan(identify(), {}, strict=True, dialect=dialect).warnings == ()


def test_properties_are_no_attributes_and_are_not_checked() -> None:
    action = track("seen", timestamp="at", properties=["car"])
    assert plan(action, {}, "car", "at", strict=True).warnings == ()


def test_without_a_list_nothing_is_checked() -> None:
    columns = TableColumns("people", dict.fromkeys(("user_id", "car"), "text"))
    mapped = plan_table(columns, [identify()])
    assert mapped.warnings == ()
    assert all(binding.check is None for binding in mapped.identifies[0].profile)


FITTING: list[tuple[str, list[Any]]] = [
    ("string", ["", "x" * 101]),
    ("number", [0, 1.5, Decimal("19.90"), 2**63]),
    ("integer", [0, -3, 4.0, Decimal("5.00")]),
    ("boolean", [True, False, 1, 0]),
    ("date", ["2026-07-01", "2026-07-01 10:00:00", "2026-07-01 10:00:00 +01:00",
              "2026-07-01T10:00:00.123Z", date(2026, 7, 1), datetime(2026, 7, 1, 10)]),
    ("array", [[], ["a"], {"a": 1}, '["a"]', '{"a": 1}']),
]  # fmt: skip
MISFITS: list[tuple[str, list[Any]]] = [
    ("string", [1, True]),
    ("number", ["1", True, "x"]),
    ("integer", [1.5, "1", True, Decimal("0.5")]),
    ("boolean", ["true", 2, 0.5]),
    ("date", ["yesterday", "2026-02-30", "01/07/2026", 20260701, "2026-07-01 25:00:00"]),
    ("array", ["a, b", "5", 5, True, "{"]),
]


@both_routes
@pytest.mark.parametrize(("kind", "values"), FITTING)
@pytest.mark.parametrize("strict", [True, False])
def test_a_value_that_fits_its_type_is_sent_without_a_word(
    kind: str, values: list[Any], strict: bool, dialect: Dialect
) -> None:
    made = calls(kind, [*values, None, float("nan")], strict=strict, dialect=dialect)
    assert made.plain
    assert len(list(made.payloads)) == len(values) + 2


@both_routes
@pytest.mark.parametrize(("kind", "values"), MISFITS)
def test_a_value_that_does_not_fit_is_sent_and_noted_or_makes_the_row_invalid(
    kind: str, values: list[Any], dialect: Dialect
) -> None:
    noted = calls(kind, values, strict=False, dialect=dialect)
    reason = f"sent, but does not fit its type `{kind}` in known_attributes"
    assert noted.noted == {index: [Problem("x", reason)] for index in range(len(values))}
    assert not noted.invalid
    assert not noted.plain
    sent = [payload.get("traits", payload)["x"] for payload in noted.payloads]
    assert sent == values
    refused = calls(kind, values, strict=True, dialect=dialect)
    assert [*refused.invalid] == [*range(len(values))]
    assert all(f"type `{kind}`" in found[0].reason for found in refused.invalid.values())


def test_on_the_segment_route_a_text_too_long_for_xtremepush_is_a_misfit() -> None:
    assert [*calls("string", ["x" * 102], strict=True, dialect=SEGMENT).invalid] == [0]
    # the External API's own format leaves it out in any case
    assert [*calls("string", ["x" * 102], strict=False).omitted] == [0]


def test_a_row_that_is_not_sent_has_nothing_noted() -> None:
    action = identify(email=None, mobile_number=None, when={"status": "a"})
    assert calls("number", ["x"], strict=False, action=action).noted == {}
    made = calls("number", ["x", "y"], strict=False)
    assert [*without(made, {0}).noted] == [1]
    assert made.remarks(1) == made.noted[1]


@quick
@given(
    kind=st.sampled_from(
        ["string", "Number", "INTEGER", "date", "Array", "boolean", " text ", "bigint", "json"]
    ),
    value=st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=120)
    | st.decimals() | st.lists(st.integers(), max_size=2) | st.dates() | st.datetimes(),
)  # fmt: skip
def test_every_value_is_sent_noted_left_out_or_refused_whatever_its_type(
    kind: str, value: Any
) -> None:
    for dialect in (EXTERNAL_API, SEGMENT):
        loose, strict = (
            calls(kind, [value], strict=strict, dialect=dialect) for strict in (False, True)
        )
        assert not loose.invalid
        assert bool(loose.noted) == bool(strict.invalid)


def test_types_are_read_in_any_case_and_by_dlts_names() -> None:
    known = KnownAttributes({"a": "STRING", "b": "Bigint", "c": " json "})
    assert known.types == {"a": "string", "b": "integer", "c": "array"}


def test_a_type_that_xtremepush_does_not_have_is_an_error_that_lists_them() -> None:
    with pytest.raises(ConfigurationError, match=r"`tier`.*string, number, integer"):
        KnownAttributes({"tier": "colour"})
