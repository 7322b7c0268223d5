"""Profile imports and their tasks (reference 4, 6, 7)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.sandbox.client import COLUMNS, Caller
from xtremepush_dlt.sandbox import Faults, Sandbox, SandboxSettings
from xtremepush_dlt.sandbox.pytest_plugin import MakeSandbox

SLOW = SandboxSettings(task_seconds=30.0)


def test_an_import_of_99_rows_is_answered_with_200_and_stored_at_once(
    xtremepush_sandbox: Sandbox,
) -> None:
    reply = Caller(xtremepush_sandbox).load(99)

    assert reply.status_code == 200
    assert reply.json()["data"]["imported"] == 99
    assert xtremepush_sandbox.profiles["user-98"] == {"first_name": "Sam"}
    assert xtremepush_sandbox.tasks == []


def test_an_import_of_100_rows_is_answered_with_202_and_a_task(
    make_xtremepush_sandbox: MakeSandbox,
) -> None:
    sandbox = make_xtremepush_sandbox(SandboxSettings(task_seconds=0.2))
    caller = Caller(sandbox)

    reply = caller.load(100)

    assert reply.status_code == 202
    assert reply.json()["code"] == 202
    task_id = reply.json()["data"]["task_id"]
    assert caller.post("info/task", id=task_id).json()["model"]["status"] == "Executing"
    assert sandbox.profiles == {}
    sandbox.wait_for_tasks()
    model = caller.post("info/task", id=str(task_id)).json()["model"]
    assert (model["status"], model["imported"], model["failed"]) == ("Completed", 100, 0)
    assert len(sandbox.profiles) == 100


def test_the_async_member_forces_either_way(xtremepush_sandbox: Sandbox) -> None:
    caller = Caller(xtremepush_sandbox)

    assert caller.load(1, **{"async": True}).status_code == 202
    assert caller.load(150, **{"async": False}).status_code == 200


@pytest.mark.parametrize("place", ["data.task_id", "data.id", "model.id", "task_id", "id"])
def test_the_task_id_stands_where_the_setting_says(
    make_xtremepush_sandbox: MakeSandbox, place: str
) -> None:
    sandbox = make_xtremepush_sandbox(SandboxSettings(task_id_at=place))
    found: Any = Caller(sandbox).load(100).json()
    for member in place.split("."):
        found = found[member]

    assert found == sandbox.tasks[0].id


def test_a_task_is_new_then_executing_and_its_states_may_be_codes(
    make_xtremepush_sandbox: MakeSandbox,
) -> None:
    settings = SandboxSettings(
        task_start_seconds=0.3,
        task_seconds=0.3,
        task_state_codes={"New": 0, "Executing": 1, "Completed": 2},
        task_info_at="data",
    )
    sandbox = make_xtremepush_sandbox(settings)
    caller = Caller(sandbox)
    task_id = caller.load(100).json()["data"]["task_id"]

    seen = []
    while 2 not in seen:
        status = caller.post("info/task", id=task_id).json()["data"]["status"]
        if status not in seen:
            seen.append(status)
    assert seen == [0, 1, 2]


def test_failed_rows_are_counted_by_cause_and_do_not_stop_the_others(
    xtremepush_sandbox: Sandbox,
) -> None:
    caller = Caller(xtremepush_sandbox)
    rows: list[list[Any]] = [
        ["a", "a@example.com", 1],
        ["b", "b@example.com"],
        ["", "c@example.com", 1],
        ["a", "second@example.com", 1],
        ["e", "no address", 1],
        ["f", "f@example.com", "yes"],
        [7, "seven@example.com", 0],
    ]
    columns = ["user_id", "email", "email_subscription"]
    caller.rows(columns, *rows, **{"async": True})
    xtremepush_sandbox.wait_for_tasks()

    task = xtremepush_sandbox.tasks[0]
    assert task.state == "Error"
    assert task.counts.members() == {
        "total": 7,
        "imported": 2,
        "warnings": 0,
        "failed": 5,
        "failed_duplicated_rows": 1,
        "failed_wrong_columns": 1,
        "failed_empty_identifier": 1,
        "failed_saving": 2,
    }
    assert set(xtremepush_sandbox.profiles) == {"a", "7"}
    assert xtremepush_sandbox.profiles["a"]["email"] == "a@example.com"
    errors = caller.post("info/task", id=task.id).json()["model"]["errors"]
    assert [error["row"] for error in errors] == [1, 2, 3, 4, 5]
    assert "no address" not in json.dumps(errors)


@pytest.mark.parametrize(
    ("rule", "stored"),
    [("first", {"first_name": "1"}), ("last", {"first_name": "2"}), ("none", None)],
)
def test_the_row_that_survives_duplication_is_a_setting(
    make_xtremepush_sandbox: MakeSandbox, rule: Any, stored: object
) -> None:
    sandbox = make_xtremepush_sandbox(SandboxSettings(duplicate_kept=rule))
    Caller(sandbox).rows(COLUMNS, ["a", "1"], ["a", "2"], ["b", "3"])

    assert sandbox.profiles.get("a") == stored
    assert sandbox.profiles["b"] == {"first_name": "3"}


def test_an_import_updates_and_keeps_what_it_does_not_name(xtremepush_sandbox: Sandbox) -> None:
    caller = Caller(xtremepush_sandbox)
    caller.rows(["user_id", "a", "b"], [1, "old", '["x"]'])
    caller.rows(["a", "user_id"], ["new", "1"])

    assert xtremepush_sandbox.profiles == {"1": {"a": "new", "b": '["x"]'}}


def test_null_and_empty_leave_the_value_unless_told_to_clear_it(
    make_xtremepush_sandbox: MakeSandbox,
) -> None:
    left = {}
    for rule in ("keep", "clear"):
        sandbox = make_xtremepush_sandbox(SandboxSettings(nulls=rule))
        caller = Caller(sandbox)
        caller.rows(["user_id", "a", "b"], ["1", "x", "y"])
        caller.rows(["user_id", "a", "b"], ["1", None, ""])
        left[rule] = sandbox.profiles["1"]

    assert left == {"keep": {"a": "x", "b": "y"}, "clear": {"b": "y"}}


@pytest.mark.parametrize(
    ("columns", "rows"),
    [
        (["first_name"], [["Sam"]]),
        (["user_id", "email"], [["1", "a@example.com"]]),
        (["user_id", "mobile_number"], [["1", "353850123456"]]),
        (["user_id", "user_id"], [["1", "1"]]),
        ([], [["1"]]),
        ("user_id", [["1"]]),
        (["user_id"], []),
        (["user_id"], [{"user_id": "1"}]),
        (["user_id"], None),
    ],
)
def test_a_malformed_import_is_refused_whole(
    xtremepush_sandbox: Sandbox, columns: Any, rows: Any
) -> None:
    reply = Caller(xtremepush_sandbox).post("import/profile", columns=columns, rows=rows)

    assert reply.status_code == 400
    assert xtremepush_sandbox.profiles == {}


def test_a_missing_subscription_column_can_be_a_mere_warning(
    make_xtremepush_sandbox: MakeSandbox,
) -> None:
    sandbox = make_xtremepush_sandbox(SandboxSettings(missing_subscription="warn"))
    reply = Caller(sandbox).rows(["user_id", "email"], ["1", "a@example.com"])

    assert reply.json()["data"]["warnings"] == 1
    assert sandbox.profiles == {"1": {"email": "a@example.com"}}


@pytest.mark.parametrize("number", ["+353850123456", "085 012", "abc", 1.5])
def test_a_mobile_number_is_digits_only(xtremepush_sandbox: Sandbox, number: object) -> None:
    columns = ["user_id", "mobile_number", "sms_subscription"]
    reply = Caller(xtremepush_sandbox).rows(columns, ["1", number, 1], ["2", "353850123456", 0])

    assert reply.json()["data"]["failed_saving"] == 1
    assert list(xtremepush_sandbox.profiles) == ["2"]


def test_an_attribute_the_project_lacks_is_ignored_with_a_warning_or_refused(
    make_xtremepush_sandbox: MakeSandbox,
) -> None:
    known = {"first_name": None}
    lenient = make_xtremepush_sandbox(SandboxSettings(known_attributes=known))
    strict = make_xtremepush_sandbox(
        SandboxSettings(known_attributes=known, unknown_attributes="refuse")
    )
    columns, row = ["user_id", "first_name", "typo", "language"], ["1", "Sam", "x", "en"]

    assert Caller(lenient).rows(columns, row).json()["data"]["warnings"] == 1
    assert lenient.profiles == {"1": {"first_name": "Sam", "language": "en"}}
    assert Caller(strict).rows(columns, row).status_code == 400
    assert Caller(strict).hit(user_attributes={"typo": 1}).status_code == 400


def test_a_string_of_102_characters_is_cut_or_fails_its_row(
    make_xtremepush_sandbox: MakeSandbox,
) -> None:
    cut = make_xtremepush_sandbox()
    strict = make_xtremepush_sandbox(SandboxSettings(long_strings="fail"))
    rows: list[list[Any]] = [["1", "x" * 101], ["2", "y" * 102], ["3", json.dumps(["z" * 200])]]

    assert Caller(cut).rows(COLUMNS, *rows).json()["data"]["warnings"] == 1
    assert cut.profiles["2"]["first_name"] == "y" * 101
    assert cut.profiles["3"]["first_name"] == rows[2][1]
    assert Caller(strict).rows(COLUMNS, *rows).json()["data"]["failed_saving"] == 1
    assert list(strict.profiles) == ["1", "3"]


@pytest.mark.parametrize(
    ("rule", "status", "success", "has_errors", "stored"),
    [
        ("errors", 200, True, True, 1),
        ("data", 200, True, False, 1),
        ("success_false", 200, False, True, 1),
        ("refuse", 400, False, True, 0),
    ],
)
def test_how_a_synchronous_import_tells_of_failed_rows_is_a_setting(
    make_xtremepush_sandbox: MakeSandbox,
    rule: Any,
    status: int,
    success: bool,
    has_errors: bool,
    stored: int,
) -> None:
    sandbox = make_xtremepush_sandbox(SandboxSettings(sync_row_failures=rule))
    reply = Caller(sandbox).rows(COLUMNS, ["1", "Sam"], ["", "Alex"])

    assert (reply.status_code, reply.json()["success"]) == (status, success)
    assert ("errors" in reply.json()) is has_errors
    assert len(sandbox.profiles) == stored


def test_errors_can_be_keyed_by_row_or_name_no_row(make_xtremepush_sandbox: MakeSandbox) -> None:
    keyed = make_xtremepush_sandbox(SandboxSettings(errors_as="keyed"))
    unnamed = make_xtremepush_sandbox(SandboxSettings(errors_name_items=False))
    rows = [["1", "Sam"], ["", "Alex"]]

    assert Caller(keyed).rows(COLUMNS, *rows).json()["errors"] == {"1": ["empty identifier"]}
    assert Caller(unnamed).rows(COLUMNS, *rows).json()["errors"] == [
        {"message": "empty identifier"}
    ]


def test_an_import_of_a_user_whose_task_has_not_ended_is_an_overlap(
    make_xtremepush_sandbox: MakeSandbox,
) -> None:
    sandbox = make_xtremepush_sandbox(SLOW)
    caller = Caller(sandbox)
    caller.load(100)
    caller.load(100, first=100)
    assert sandbox.overlaps == []

    caller.load(2, first=99)

    assert [(one.request, one.users) for one in sandbox.overlaps] == [
        (3, ("user-99",)),
        (3, ("user-100",)),
    ]


def test_imports_after_the_end_of_a_task_are_no_overlap(xtremepush_sandbox: Sandbox) -> None:
    caller = Caller(xtremepush_sandbox)
    caller.load(100)
    xtremepush_sandbox.wait_for_tasks()
    caller.load(100)

    assert xtremepush_sandbox.overlaps == []


def test_a_failing_task_ends_fatal_and_stores_nothing(
    make_xtremepush_sandbox: MakeSandbox,
) -> None:
    sandbox = make_xtremepush_sandbox(None, Faults(task_failures=1.0))
    Caller(sandbox).load(100)
    sandbox.wait_for_tasks()

    assert sandbox.tasks[0].state == "Fatal"
    assert sandbox.profiles == {}


def test_slow_tasks_take_their_own_time(make_xtremepush_sandbox: MakeSandbox) -> None:
    sandbox = make_xtremepush_sandbox(None, Faults(slow_tasks=1.0, slow_task_seconds=30.0))
    Caller(sandbox).load(100)

    with pytest.raises(TimeoutError):
        sandbox.wait_for_tasks(timeout=0.2)


def test_tasks_are_listed_by_condition_order_limit_and_offset(
    xtremepush_sandbox: Sandbox,
) -> None:
    caller = Caller(xtremepush_sandbox)
    ids = [caller.load(100, first=100 * n).json()["data"]["task_id"] for n in range(3)]
    xtremepush_sandbox.wait_for_tasks()

    def listed(**query: Any) -> list[Any]:
        reply = caller.post("list/task", select=["id"], **query)
        return [item["id"] for item in reply.json()["data"]]

    assert listed(condition=[["identifier", "=", "profile_import"], ["finish_time", ">", 1]]) == ids
    assert listed(condition=[["identifier", "=", "list_import"]]) == []
    assert listed(order=["id DESC"], limit=2, offset=1) == [ids[1], ids[0]]
    assert listed(
        condition={"0": ["id", "=", ids[0]], "1": ["id", "=", str(ids[2])], "operator": "OR"}
    ) == [ids[0], ids[2]]
    assert listed(condition=[["id", "IN", ids[1:]]]) == ids[1:]
    assert caller.post("list/task", condition=[["id", "~", 1]]).status_code == 400


def test_profiles_can_be_read_back(xtremepush_sandbox: Sandbox) -> None:
    caller = Caller(xtremepush_sandbox)
    caller.load(3)

    assert caller.post("list/profile", limit=1).json()["data"] == [
        {"user_id": "user-0", "first_name": "Sam"}
    ]
    assert caller.post("info/profile", user_id="user-2").json()["model"]["first_name"] == "Sam"
    assert caller.post("info/profile", user_id="nobody").status_code == 404
    assert caller.post("info/task", id=1).status_code == 404


def test_10000_rows_are_handled_in_well_under_a_second(xtremepush_sandbox: Sandbox) -> None:
    Caller(xtremepush_sandbox).load(10_000, **{"async": False})

    seconds = xtremepush_sandbox.requests[0].seconds
    assert seconds is not None
    assert seconds < 0.5
    assert len(xtremepush_sandbox.profiles) == 10_000
