"""Deletion: dlt's hint `hard_delete` and the action `delete`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xtremepush_dlt.exceptions import MappingError
from xtremepush_dlt.mapping.actions import Action, delete, identify, track
from xtremepush_dlt.mapping.calls import Problem, make_calls
from xtremepush_dlt.mapping.columns import ColumnBatch
from xtremepush_dlt.mapping.dialect import EXTERNAL_API, SEGMENT, Dialect
from xtremepush_dlt.mapping.plan import DeletePlan, TablePlan, columns_of
from xtremepush_dlt.mapping.planner import TableColumns, plan_table, require_consent

quick = settings(max_examples=100, deadline=None)
both_routes = pytest.mark.parametrize("dialect", [EXTERNAL_API, SEGMENT])


def plan(
    *actions: Action,
    kind: str | None = "bool",
    dialect: Dialect = EXTERNAL_API,
    hard_delete: tuple[str, ...] = ("gone",),
    variants: dict[str, list[str]] | None = None,
) -> TablePlan:
    columns = TableColumns(
        "people",
        {"user_id": "text", "at": "text", "status": "text", "gone": kind, "gone__v_text": "text"},
        variants=variants or {"gone": ["gone__v_text"]},
        primary_key=("user_id",),
        hard_delete=hard_delete,
    )
    return plan_table(columns, actions, dialect)


def taken(mapped: TablePlan, columns: dict[str, list[Any]]) -> dict[str, list[int]]:
    """Rows that become calls, by label of the action."""
    length = len(next(iter(columns.values())))
    rows: dict[str, list[Any]] = {"user_id": [str(i) for i in range(length)], **columns}
    found = {}
    for action in mapped.actions:
        calls = make_calls(ColumnBatch(0, length, rows), action, reject_invalid=False)
        out = {*calls.skipped, *calls.invalid}
        found[action.label] = [index for index in range(length) if index not in out]
    return found


@both_routes
def test_a_marked_row_becomes_a_delete_call_and_no_other(dialect: Dialect) -> None:
    mapped = plan(identify(), track("seen", timestamp="at"), dialect=dialect)
    assert [action.label for action in mapped.actions] == ["identify", "track seen", "delete"]
    assert [action.index for action in mapped.deletes] == [2]
    columns: dict[str, list[Any]] = {"gone": [True, False, None], "at": ["2026-07-01"] * 3}
    assert taken(mapped, columns) == {"identify": [1, 2], "track seen": [1, 2], "delete": [0]}


@pytest.mark.parametrize("kind", ["timestamp", "text", "bigint", None])
def test_in_a_column_that_is_not_boolean_anything_but_null_marks_a_row(kind: str | None) -> None:
    mapped = plan(identify(), kind=kind)
    columns = {"gone": [datetime(2026, 7, 1), None, "", 0, False]}
    assert taken(mapped, columns) == {"identify": [1], "delete": [0, 2, 3, 4]}


@quick
@given(
    marks=st.lists(st.sampled_from([True, False, None]), min_size=1, max_size=8),
    statuses=st.lists(st.sampled_from(["a", "b", None]), min_size=8, max_size=8),
    boolean=st.booleans(),
)
def test_each_row_that_when_selects_is_either_a_profile_or_a_deletion(
    marks: list[bool | None], statuses: list[str | None], boolean: bool
) -> None:
    mapped = plan(identify(when={"status": "a"}), kind="bool" if boolean else "text")
    columns: dict[str, list[Any]] = {"gone": marks, "status": statuses[: len(marks)]}
    found = taken(mapped, columns)
    selected = [index for index, status in enumerate(columns["status"]) if status == "a"]
    assert sorted([*found["identify"], *found["delete"]]) == selected
    assert all(
        marks[index] is True or (not boolean and marks[index] is not None)
        for index in found["delete"]
    )


@both_routes
def test_the_mark_is_neither_attribute_nor_trait_nor_property(dialect: Dialect) -> None:
    mapped = plan(identify(), track("seen", timestamp="at"), dialect=dialect)
    assert "gone" not in {binding.target for binding in mapped.identifies[0].profile}
    assert "gone" not in {binding.target for binding in mapped.tracks[0].properties}
    assert "gone" in columns_of(mapped.identifies)


def test_the_implicit_deletion_takes_user_and_conditions_of_the_first_identify() -> None:
    mapped = plan(identify(user_id="status", when={"at": "x"}), identify(), kind="text")
    (deletion,) = mapped.deletes
    assert deletion.user == mapped.identifies[0].user
    assert [condition.column for condition in deletion.conditions] == ["at", "gone"]


@both_routes
def test_a_mark_that_drifted_makes_the_row_invalid_for_every_action(dialect: Dialect) -> None:
    mapped = plan(identify(), dialect=dialect)
    rows = ColumnBatch(
        0, 2, {"user_id": ["a", "b"], "gone": [None, True], "gone__v_text": ["maybe", None]}
    )
    reason = [Problem("gone", "its type drifted: arrived in `gone__v_text`")]
    for action in mapped.actions:
        assert make_calls(rows, action, reject_invalid=False).invalid == {0: reason}


def test_the_hint_without_an_action_that_says_whose_profile_is_an_error() -> None:
    with pytest.raises(MappingError, match=r"`gone`.*Add identify\(\.\.\.\).*delete\(user_id"):
        plan(track("seen", timestamp="at"))


def test_two_columns_with_the_hint_are_an_error() -> None:
    with pytest.raises(MappingError, match=r"`gone` and `status`"):
        plan(identify(), hard_delete=("gone", "status"))


def test_a_delete_without_conditions_takes_the_marked_rows_in_place_of_the_implicit_one() -> None:
    mapped = plan(track("seen", timestamp="at"), delete(user_id="status"))
    columns: dict[str, list[Any]] = {
        "gone": [True, False],
        "at": ["2026-07-01"] * 2,
        "status": ["a", "b"],
    }
    assert taken(mapped, columns) == {"track seen": [1], "delete": [0]}
    assert len(plan(identify(), delete()).deletes) == 1


def test_a_delete_with_conditions_of_its_own_takes_them_among_the_rows_without_a_mark() -> None:
    mapped = plan(identify(), delete(when={"status": "left"}))
    own, implicit = mapped.deletes
    rows = ColumnBatch(
        0,
        3,
        {"user_id": ["a", "b", "c"], "gone": [True, None, None], "status": ["left", "left", "in"]},
    )
    assert sorted(make_calls(rows, own, reject_invalid=False).skipped) == [0, 2]
    assert sorted(make_calls(rows, implicit, reject_invalid=False).skipped) == [1, 2]


def test_without_the_hint_delete_takes_every_row_that_when_selects() -> None:
    mapped = plan(delete(), hard_delete=())
    assert taken(mapped, {"gone": [True, None]}) == {"delete": [0, 1]}
    mapped = plan(delete(when={"status": "left"}), hard_delete=())
    assert taken(mapped, {"status": ["left", "in"]}) == {"delete": [0]}


def test_a_deletion_over_the_external_api_is_a_user_id_and_nothing_else() -> None:
    mapped = plan(delete(), hard_delete=())
    require_consent(mapped)
    calls = make_calls(
        ColumnBatch(0, 2, {"user_id": [" a ", None], "status": ["x", "y"]}),
        mapped.deletes[0],
        reject_invalid=False,
    )
    assert calls.payloads[0] == {"user_id": "a"}
    assert calls.invalid == {1: [Problem("user_id", "missing")]}


def test_what_tells_two_deletions_of_a_user_apart_is_key_mark_and_version() -> None:
    (deletion,) = plan(identify(version="at"), kind="timestamp").deletes
    assert isinstance(deletion, DeletePlan)
    assert deletion.event_id == ("user_id", "gone", "at")
    (deletion,) = plan(delete(), hard_delete=()).deletes
    assert deletion.event_id == ("user_id",)
