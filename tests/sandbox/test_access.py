"""Who may call what (reference 1, 2, 10)."""

from __future__ import annotations

import pytest
import requests

from tests.sandbox.client import Caller
from xtremepush_dlt.sandbox import Sandbox, SandboxSettings
from xtremepush_dlt.sandbox.pytest_plugin import MakeSandbox


def test_a_request_without_a_token_is_answered_with_400(xtremepush_sandbox: Sandbox) -> None:
    reply = Caller(xtremepush_sandbox).load(1, apptoken=None)

    assert reply.status_code == 400
    assert reply.json() == {
        "code": 400,
        "success": False,
        "message": "The request has no authentication.",
    }


@pytest.mark.parametrize("token", ["wrong", 17, ["sandbox-token"], "other-region-token"])
def test_a_wrong_or_foreign_token_is_answered_with_401(
    xtremepush_sandbox: Sandbox, token: object
) -> None:
    assert Caller(xtremepush_sandbox).load(1, apptoken=token).status_code == 401
    assert xtremepush_sandbox.profiles == {}


def test_a_disabled_api_is_answered_with_403(make_xtremepush_sandbox: MakeSandbox) -> None:
    sandbox = make_xtremepush_sandbox(SandboxSettings(api_enabled=False))

    assert Caller(sandbox).load(1).status_code == 403


def test_a_silent_region_answers_200_and_stores_nothing(
    make_xtremepush_sandbox: MakeSandbox,
) -> None:
    sandbox = make_xtremepush_sandbox(SandboxSettings(foreign_token="silent"))
    caller = Caller(sandbox)

    assert caller.load(1, apptoken="other-region-token").status_code == 200
    assert caller.hit(apptoken="other-region-token").status_code == 200
    assert sandbox.profiles == {}
    assert sandbox.events == []


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/external/import/profile", 405),
        ("PUT", "/api/external/hit/event", 405),
        ("POST", "/api/external/improt/profile", 405),
        ("POST", "/api/external/import/profil", 404),
        ("POST", "/api/elsewhere", 404),
        ("POST", "/", 404),
    ],
)
def test_a_wrong_method_path_or_model_is_answered_with_an_envelope(
    xtremepush_sandbox: Sandbox, method: str, path: str, status: int
) -> None:
    reply = requests.request(method, xtremepush_sandbox.url + path, json={}, timeout=5)

    assert reply.status_code == status
    assert reply.json()["code"] == status
    assert reply.json()["success"] is False


@pytest.mark.parametrize("body", [b'{"apptoken": "sandbox-token", ', b"[]", b"", b"\xff"])
def test_a_body_that_is_no_json_object_is_answered_with_400(
    xtremepush_sandbox: Sandbox, body: bytes
) -> None:
    url = xtremepush_sandbox.url + "/api/external/hit/event"

    assert requests.post(url, data=body, timeout=5).status_code == 400


def test_an_endpoint_that_is_switched_off_is_answered_with_410(
    make_xtremepush_sandbox: MakeSandbox,
) -> None:
    sandbox = make_xtremepush_sandbox(SandboxSettings(endpoints_off=("info/task",)))

    assert Caller(sandbox).post("info/task", id=1).status_code == 410
    assert Caller(sandbox).post("list/task").status_code == 200


def test_a_body_over_the_limit_is_answered_with_413_and_not_processed(
    make_xtremepush_sandbox: MakeSandbox,
) -> None:
    sandbox = make_xtremepush_sandbox(SandboxSettings(max_body_bytes=2000))
    caller = Caller(sandbox)

    assert caller.load(1).status_code == 200
    assert caller.load(99).status_code == 413
    assert len(sandbox.profiles) == 1


def test_the_token_is_kept_nowhere(xtremepush_sandbox: Sandbox) -> None:
    caller = Caller(xtremepush_sandbox)
    caller.session.headers["Authorization"] = "Bearer secret-bearer"
    caller.hit()

    seen = requests.get(xtremepush_sandbox.url + "/_sandbox/requests", timeout=5).text
    assert "purchase" in seen
    assert "sandbox-token" not in seen
    assert "secret-bearer" not in seen
    assert "sandbox-token" not in repr(xtremepush_sandbox.requests)


def test_a_request_is_recorded_before_its_answer_is_seen(xtremepush_sandbox: Sandbox) -> None:
    caller = Caller(xtremepush_sandbox)
    for number in range(1, 6):
        caller.hit()
        record = xtremepush_sandbox.requests[-1]
        assert (record.number, record.status, record.in_flight) == (number, 200, 1)
        assert record.body == {"user_id": "user-1", "event": "purchase"}
        assert record.size == int(record.headers["content-length"])
        assert record.seconds is not None
