"""Promises about deletion: who is marked is deleted, last of all, on both routes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dlt
import pytest
from dlt.pipeline.exceptions import PipelineStepFailed

from tests.conftest import QUICK_POLLS
from tests.pipelines.access import SEGMENT
from xtremepush_dlt import delete, delivery_report, identify, ledger, track, xtremepush_adapter
from xtremepush_dlt.exceptions import MappingError, XtremepushUnavailableError
from xtremepush_dlt.sandbox import Faults, SandboxSettings

if TYPE_CHECKING:
    from tests.conftest import Desk, MakeDesk

pytestmark = pytest.mark.usefixtures("dlt_home")

DELETION_ON = {**QUICK_POLLS, "delete_path": "/api/external/delete/profile"}
ROUTES: dict[str, dict[str, Any]] = {
    "external": {"assumptions": DELETION_ON},
    "segment": {"credentials": SEGMENT},
}
both_routes = pytest.mark.parametrize("route", ROUTES)


def people(count: int = 6, marked: int = 2, **hints: Any) -> Any:
    """Profiles; every so many are marked as deleted at their source."""
    rows = [{"user_id": f"u{n}", "n": n, "gone": n % marked == 0} for n in range(count)]
    return dlt.resource(rows, name="people", columns={"gone": {"hard_delete": True, **hints}})


def visits(count: int = 6, each: int = 3) -> Any:
    """Events of as many users."""
    rows = [
        {"user_id": f"u{n}", "at": "2026-01-01", "n": number}
        for number in range(each)
        for n in range(count)
    ]
    return xtremepush_adapter(dlt.resource(rows, name="visits"), track("visit", timestamp="at"))


def leavers(*users: str, name: str = "a_leavers") -> Any:
    """Deletions; the name sorts before those of other tables."""
    rows = [{"user_id": user} for user in users]
    return xtremepush_adapter(dlt.resource(rows, name=name), delete(user_id="user_id"))


def deleted(desk: Desk) -> list[Any]:
    """The users that were deleted, in that order."""
    return [one.user_id for one in desk.sandbox.deletions]


@both_routes
def test_a_row_with_dlts_mark_deletes_the_profile_and_the_others_are_identified(
    route: str, desk: Desk
) -> None:
    report = desk.deliver(xtremepush_adapter(people(), identify()), **ROUTES[route])
    assert sorted(deleted(desk)) == ["u0", "u2", "u4"]
    assert {user: kept["n"] for user, kept in desk.sandbox.profiles.items()} == {
        "u1": 1,
        "u3": 3,
        "u5": 5,
    }
    assert [(of.action, of.counts["delivered"], of.counts["skipped"]) for of in report.actions] == [  # type: ignore[index]  # outcomes are texts too
        ("identify", 3, 3),
        ("delete", 3, 3),
    ]


@both_routes
@pytest.mark.parametrize("workers", ["1", "2", "20"])
def test_a_user_is_deleted_after_his_other_calls_although_his_deletion_comes_first(
    route: str, workers: str, make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOAD__WORKERS", workers)
    monkeypatch.setenv("NORMALIZE__DATA_WRITER__FILE_MAX_ITEMS", "50")
    desk = make_desk(
        SandboxSettings(async_from_rows=10, task_seconds=0.05), Faults(latency=0.001, jitter=0.01)
    )
    users = 40
    profiles = [{"user_id": f"u{n}", "n": n} for n in range(users)]
    report = desk.deliver(
        leavers(*[f"u{n}" for n in range(0, users, 2)]),
        visits(users, 4),
        xtremepush_adapter(dlt.resource(profiles, name="z_people"), identify()),
        leavers(*[f"u{n}" for n in range(1, users, 4)], name="z_leavers"),
        **ROUTES[route],
    )
    gone = {f"u{n}" for n in (*range(0, users, 2), *range(1, users, 4))}
    assert report.count("delivered") == users + users * 4 + len(gone)
    assert {*deleted(desk)} == gone
    # a call that came after the deletion would have brought the profile back
    assert {*desk.sandbox.profiles} == {f"u{n}" for n in range(users)} - gone
    assert len(desk.events) == users * 4
    first_deletion = min(one.arrived for one in desk.sandbox.requests if "/delete" in one.path)
    others = [one for one in desk.sandbox.requests if "/delete" not in one.path]
    calls = [one for one in others if "task" not in one.path]
    assert max(one.finished or 0.0 for one in calls) < first_deletion


@both_routes
def test_one_table_with_all_three_actions_keeps_their_order(route: str, desk: Desk) -> None:
    rows = [{"user_id": f"u{n % 5}", "at": "2026-01-01", "n": n} for n in range(30)]
    resource = xtremepush_adapter(
        dlt.resource(rows, name="people"),
        delete(user_id="user_id", when={"n": 0}),
        track("seen", timestamp="at"),
        identify(attributes=["n"]),
    )
    report = desk.deliver(resource, **ROUTES[route])
    assert deleted(desk) == ["u0"]
    assert {*desk.sandbox.profiles} == {"u1", "u2", "u3", "u4"}
    assert len(desk.events) == 30
    assert all(event.profile_known for event in desk.events)
    assert report.offered == 90


@both_routes
def test_a_package_whose_other_files_are_done_already_deletes_all_the_same(
    route: str, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOAD__WORKERS", "20")
    monkeypatch.setenv("LOAD__RAISE_ON_MAX_RETRIES", "1")
    desk.sandbox.set_faults(Faults(paths=("/delete",), outage_requests=1000))
    settings = {**ROUTES[route], "retry_patience": 0.0}
    pipeline = desk.pipeline(**settings)
    with pytest.raises(PipelineStepFailed):
        pipeline.run([leavers("u1"), visits()])
    assert len(desk.events) == 18
    desk.sandbox.set_faults()
    pipeline.run()
    assert deleted(desk) == ["u1"]
    assert len(desk.events) == 18
    assert delivery_report(pipeline).complete


def test_over_the_external_api_deletion_is_off_until_its_path_is_set(
    desk: Desk, cause: Any
) -> None:
    marked = xtremepush_adapter(people(), identify())
    for resource in (leavers("u1"), marked):
        with pytest.raises(PipelineStepFailed) as raised:
            desk.pipeline().run([resource])
        said = str(cause(raised, MappingError))
        for part in ("`delete_path`", "[destination.xtremepush.assumptions]", "not documented"):
            assert part in said
        assert f"`{resource.name}`" in said
        # nothing was sent, and with the path set the rows go on their way
        assert desk.sandbox.requests == []
        desk.pipeline(assumptions=DELETION_ON).run()
        assert deleted(desk)
        desk.sandbox.reset()


def test_over_the_external_api_the_task_of_a_deletion_is_followed_to_its_end(
    make_desk: MakeDesk,
) -> None:
    desk = make_desk(SandboxSettings(task_seconds=0.2))
    report = desk.deliver(leavers("u1", "u2"), assumptions=DELETION_ON)
    assert report.count("delivered") == 2
    assert [task.state for task in desk.sandbox.tasks] == ["Completed"] * 2
    assert {*deleted(desk)} == {"u1", "u2"}
    assert [one.status for one in desk.posts("delete")] == [202, 202]


def test_a_deletion_whose_task_fails_is_rejected(make_desk: MakeDesk) -> None:
    desk = make_desk(faults=Faults(task_failures=1.0))
    report = desk.deliver(leavers("u1", "u2"), assumptions=DELETION_ON)
    assert (report.count("delivered"), report.count("rejected")) == (0, 2)


def test_a_deletion_whose_task_does_not_end_is_left_to_the_next_run(
    make_desk: MakeDesk, cause: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOAD__RAISE_ON_MAX_RETRIES", "1")
    desk = make_desk(SandboxSettings(task_seconds=0.6))
    assumed = {**DELETION_ON, "task_patience_seconds": 0.1}
    with pytest.raises(PipelineStepFailed) as raised:
        desk.pipeline(assumptions=assumed).run([leavers("u1")])
    said = str(cause(raised, XtremepushUnavailableError))
    assert "has not ended" in said
    pipeline = desk.pipeline(assumptions=DELETION_ON)
    pipeline.run()
    assert delivery_report(pipeline).count("delivered") == 1


def test_a_user_whom_nobody_knows_is_a_rejected_row_and_no_stop(make_desk: MakeDesk) -> None:
    desk = make_desk(SandboxSettings(delete_unknown="refuse"))
    profiles = [{"user_id": f"u{n}", "n": n} for n in range(3)]
    pipeline = desk.pipeline(assumptions=DELETION_ON)
    known = xtremepush_adapter(dlt.resource(profiles, name="people"), identify())
    pipeline.run([leavers("u0", "nobody", "u2"), known])
    report = delivery_report(pipeline)
    assert (report.count("delivered"), report.count("rejected")) == (5, 1)
    assert sorted(deleted(desk)) == ["u0", "u2"]
    (row,) = ledger(pipeline).undelivered.arrow().to_pylist()
    assert (row["user_id"], row["status"], row["call"]) == ("nobody", 404, "delete")
    assert row["action"] == "delete"


def test_an_anonymous_profile_is_deleted_by_its_anonymous_id(desk: Desk) -> None:
    rows = [{"user_id": None, "anonymous_id": "a1"}, {"user_id": "u2", "anonymous_id": "a2"}]
    resource = dlt.resource(rows, name="people", columns={"user_id": {"data_type": "text"}})
    desk.deliver(
        xtremepush_adapter(resource, delete(user_id="user_id", anonymous_id="anonymous_id")),
        credentials=SEGMENT,
    )
    found = {(one.user_id, one.anonymous_id) for one in desk.sandbox.deletions}
    assert found == {(None, "a1"), ("u2", "a2")}


@both_routes
def test_a_user_who_comes_back_in_a_later_run_is_a_profile_again(route: str, desk: Desk) -> None:
    for gone in (False, True, False):
        rows = [{"user_id": "u1", "n": 1, "gone": gone}]
        resource = dlt.resource(rows, name="people", columns={"gone": {"hard_delete": True}})
        desk.deliver(xtremepush_adapter(resource, identify()), **ROUTES[route])
        assert ("u1" in desk.sandbox.profiles) is not gone
