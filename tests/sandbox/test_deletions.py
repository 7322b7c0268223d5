"""Deleting profiles, by both ways in (reference 9.3)."""

from __future__ import annotations

import pytest
import requests

from tests.sandbox.client import Caller
from xtremepush_dlt.sandbox import Faults, Sandbox, SandboxSettings
from xtremepush_dlt.sandbox.pytest_plugin import MakeSandbox

IDENTIFIER = "profile_delete_personal_data"


def test_segment_deletes_a_profile_at_once_and_keeps_what_it_deleted_in_order(
    xtremepush_sandbox: Sandbox,
) -> None:
    caller = Caller(xtremepush_sandbox)
    caller.identify("user-1", traits={"plan": "gold"})
    caller.identify("user-2")

    reply = caller.segment("delete", userId="user-1", type="delete", messageId="m", context={})
    caller.identify("user-3")
    caller.segment("delete", userId="nobody")

    assert (reply.status_code, reply.json()) == (200, {})
    assert list(xtremepush_sandbox.profiles) == ["user-2", "user-3"]
    assert [
        (one.number, one.request, one.user_id, one.existed) for one in xtremepush_sandbox.deletions
    ] == [(1, 3, "user-1", True), (2, 5, "nobody", False)]
    paths = [record.path.rpartition("/")[2] for record in xtremepush_sandbox.requests]
    assert paths == ["handle", "handle", "delete", "handle", "delete"]


def test_segment_deletes_by_user_id_anonymous_id_or_both(xtremepush_sandbox: Sandbox) -> None:
    caller = Caller(xtremepush_sandbox)
    for name in ("a", "b"):
        caller.identify(f"user-{name}")
        caller.identify(None, anonymousId=f"anonymous-{name}")

    assert caller.segment("delete", anonymousId="anonymous-a").status_code == 200
    assert list(xtremepush_sandbox.profiles) == ["user-a", "user-b", "anonymous-b"]
    both = {"userId": "user-b", "anonymousId": "anonymous-b"}
    assert caller.segment("delete", **both).status_code == 200
    assert list(xtremepush_sandbox.profiles) == ["user-a"]
    for wrong in ({}, {"userId": ""}, {"userId": None}, {"userId": 1}, {"user_id": "user-a"}):
        assert caller.segment("delete", **wrong).status_code == 400
    assert [(one.user_id, one.anonymous_id) for one in xtremepush_sandbox.deletions] == [
        (None, "anonymous-a"),
        ("user-b", "anonymous-b"),
    ]


def test_the_external_api_deletes_when_the_task_of_the_deletion_completes(
    make_xtremepush_sandbox: MakeSandbox,
) -> None:
    sandbox = make_xtremepush_sandbox(SandboxSettings(task_start_seconds=0.15, task_seconds=0.15))
    caller = Caller(sandbox)
    caller.load(2)

    reply = caller.post("delete/profile", user_id="user-0")
    task_id = reply.json()["data"]["task_id"]
    states: list[str] = []
    while not states or states[-1] not in ("Completed", "Error", "Fatal"):
        there = "user-0" in sandbox.profiles  # read first: the task may end in between
        model = caller.post("info/task", id=task_id).json()["model"]
        if states[-1:] != [model["status"]]:
            states.append(model["status"])
        assert model["identifier"] == IDENTIFIER
        assert there or states[-1] == "Completed"

    assert reply.status_code == reply.json()["code"] == 202
    assert states == ["New", "Executing", "Completed"]
    assert list(sandbox.profiles) == ["user-1"]
    (done,) = sandbox.deletions
    assert (done.user_id, done.request, done.task, done.existed) == ("user-0", 2, task_id, True)


def test_a_list_of_import_tasks_does_not_show_deletions(xtremepush_sandbox: Sandbox) -> None:
    caller = Caller(xtremepush_sandbox)
    caller.load(100)
    caller.post("delete/profile", user_id="user-0")

    def listed(identifier: str) -> list[dict[str, object]]:
        condition = [["identifier", "=", identifier]]
        tasks: list[dict[str, object]] = caller.post("list/task", condition=condition).json()[
            "data"
        ]
        return tasks

    (imported,), (deleted,) = listed("profile_import"), listed(IDENTIFIER)
    assert imported["total"] == 100
    assert "total" not in deleted


def test_a_deletion_that_fails_leaves_the_profile(make_xtremepush_sandbox: MakeSandbox) -> None:
    sandbox = make_xtremepush_sandbox(None, Faults(task_failures=1.0))
    caller = Caller(sandbox)
    caller.load(1)

    assert caller.post("delete/profile", user_id="user-0").status_code == 202
    sandbox.wait_for_tasks()
    assert [task.state for task in sandbox.tasks] == ["Fatal"]
    assert (list(sandbox.profiles), sandbox.deletions) == (["user-0"], [])


def test_a_deletion_and_an_import_that_run_into_each_other_are_told(
    make_xtremepush_sandbox: MakeSandbox,
) -> None:
    sandbox = make_xtremepush_sandbox(SandboxSettings(task_seconds=0.2))
    caller = Caller(sandbox)
    caller.load(100)
    caller.post("delete/profile", user_id="user-7")
    caller.load(1, first=7)

    assert [(one.request, one.users) for one in sandbox.overlaps] == [
        (2, ("user-7",)),
        (3, ("user-7",)),
        (3, ("user-7",)),
    ]


def test_a_deleted_profile_comes_back_new_with_the_next_call(
    make_xtremepush_sandbox: MakeSandbox,
) -> None:
    sandbox = make_xtremepush_sandbox(SandboxSettings(consent_manager=True))
    caller = Caller(sandbox)
    caller.load(1, first=1)
    caller.hit(consent_preferences={"email": {"News": 1}})
    caller.segment("delete", userId="user-1")
    caller.hit()

    assert sandbox.profiles == {"user-1": {}}
    assert sandbox.consents == {}
    assert [event.profile_known for event in sandbox.events] == [True, False]


def test_what_is_assumed_of_deletion_can_be_switched(make_xtremepush_sandbox: MakeSandbox) -> None:
    sandbox = make_xtremepush_sandbox(
        SandboxSettings(
            delete_call="delete-personal-data/profile",
            delete_by="id",
            delete_by_task=False,
            delete_unknown="refuse",
        )
    )
    caller = Caller(sandbox)
    caller.load(1)

    assert caller.post("delete/profile", id="user-0").status_code == 405
    assert caller.post("delete-personal-data/profile", user_id="user-0").status_code == 400
    assert caller.post("delete-personal-data/profile", id="user-0").status_code == 200
    assert sandbox.profiles == {}
    assert caller.post("delete-personal-data/profile", id="user-0").status_code == 404
    assert len(sandbox.deletions) == 1


def test_poison_and_resets_hit_deletions_too(make_xtremepush_sandbox: MakeSandbox) -> None:
    sandbox = make_xtremepush_sandbox(
        None, Faults(poison_users=frozenset({"user-7"}), plan=("ok", "reset_before", "reset_after"))
    )
    caller = Caller(sandbox)

    assert caller.post("delete/profile", user_id="user-7").status_code == 400
    for _ in range(2):
        with pytest.raises(requests.ConnectionError):
            caller.post("delete/profile", user_id="user-8")
    sandbox.wait_for_tasks()
    assert [(one.user_id, one.request) for one in sandbox.deletions] == [("user-8", 3)]
