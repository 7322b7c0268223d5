"""Who may call what (reference 1, 2, 3, 10)."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest
import requests

from tests.sandbox.client import Caller
from xtremepush_dlt.sandbox import OAuthClient, Sandbox, SandboxSettings
from xtremepush_dlt.sandbox.pytest_plugin import MakeSandbox


def test_a_request_without_a_token_is_answered_with_400(xtremepush_sandbox: Sandbox) -> None:
    reply = Caller(xtremepush_sandbox).load(1, apptoken=None)

    assert reply.status_code == 400
    assert reply.json() == {
        "code": 400,
        "success": False,
        "message": "The request has no authentication.",
    }


def basic(user: str, password: str = "") -> dict[str, str]:
    return {"Authorization": "Basic " + b64encode(f"{user}:{password}".encode()).decode()}


EXTERNAL: dict[str, dict[str, Any]] = {
    "import/profile": {"columns": ["user_id"], "rows": [["1"]]},
    "hit/event": {"user_id": "1", "event": "e"},
    "delete/profile": {"user_id": "1"},
    "list/task": {},
}
SEGMENT: dict[str, dict[str, Any]] = {
    "handle": {
        "type": "track",
        "userId": "1",
        "event": "e",
        "timestamp": "2026-07-01T10:00:00.000Z",
        "messageId": "m",
    },
    "delete": {"userId": "1"},
}


@pytest.mark.parametrize("call", EXTERNAL)
def test_the_external_api_takes_an_app_token_or_a_bearer_token_and_no_api_key(
    xtremepush_sandbox: Sandbox, call: str
) -> None:
    sandbox, body = xtremepush_sandbox, EXTERNAL[call]
    good = Caller(sandbox).bearer()

    def status(headers: dict[str, str] | None = None, **members: Any) -> int:
        url = f"{sandbox.url}/api/external/{call}"
        return requests.post(url, json={**body, **members}, headers=headers, timeout=5).status_code

    accepted = 202 if call == "delete/profile" else 200
    assert status(apptoken=sandbox.app_token) == accepted
    assert status(good) == accepted
    assert status({"Authorization": good["Authorization"].replace("Bearer", "bearer")}) == accepted

    assert status() == 400
    assert status(basic(sandbox.segment_api_key)) == 400
    assert status(basic(sandbox.app_token)) == 400
    assert status(apptoken="") == 400

    assert status({"Authorization": "Bearer wrong"}) == 401
    assert status({"Authorization": "Bearer"}) == 401
    assert status({"Authorization": f"Bearer {sandbox.app_token}"}) == 401
    assert status({"Authorization": f"Bearer {sandbox.segment_api_key}"}) == 401
    assert status(apptoken=good["Authorization"].split()[1]) == 401
    assert status(apptoken=sandbox.segment_api_key) == 401
    assert status(apptoken=sandbox.client_secret) == 401


@pytest.mark.parametrize("call", SEGMENT)
def test_the_segment_integration_takes_its_api_key_as_basic_user_name_and_nothing_else(
    xtremepush_sandbox: Sandbox, call: str
) -> None:
    sandbox, body = xtremepush_sandbox, SEGMENT[call]
    key = sandbox.segment_api_key

    def status(headers: dict[str, str] | None = None, **members: Any) -> int:
        url = f"{sandbox.url}/api/integration/segment/{call}"
        return requests.post(url, json={**body, **members}, headers=headers, timeout=5).status_code

    assert status(basic(key)) == 200

    assert status() == 401
    assert status(apptoken=sandbox.app_token) == 401
    assert status(Caller(sandbox).bearer()) == 401
    assert status({"Authorization": f"Bearer {key}"}) == 401
    assert status(basic("wrong")) == 401
    assert status(basic(sandbox.app_token)) == 401
    assert status(basic(key, "password")) == 401
    assert status(basic("", key)) == 401
    assert status({"Authorization": f"Basic {key}"}) == 401
    assert status({"Authorization": "Basic " + b64encode(key.encode()).decode()}) == 401


def test_a_request_shows_which_kinds_of_credentials_came_but_not_the_credentials(
    xtremepush_sandbox: Sandbox,
) -> None:
    caller = Caller(xtremepush_sandbox)
    caller.hit()
    caller.hit(apptoken=None)
    caller.track()
    caller.session.headers.update(caller.bearer())
    caller.hit(apptoken=None)
    caller.hit()
    caller.session.headers["Authorization"] = "bare-secret"
    caller.hit(apptoken=None)

    kinds = [record.credentials for record in xtremepush_sandbox.requests]
    assert kinds == [("apptoken",), (), ("basic",), (), ("bearer",), ("apptoken", "bearer"), ()]
    key = b64encode(f"{xtremepush_sandbox.segment_api_key}:".encode()).decode()
    assert key not in repr(xtremepush_sandbox.requests)


def test_a_client_without_the_scope_of_a_call_is_answered_with_403(
    make_xtremepush_sandbox: MakeSandbox,
) -> None:
    every = ("import", "hit", "delete", "list")
    clients = tuple(OAuthClient(scope, "s", scopes=frozenset({scope})) for scope in every)
    sandbox = make_xtremepush_sandbox(SandboxSettings(oauth_clients=clients))

    for scope, call in zip(every, EXTERNAL, strict=True):
        for client in every:
            reply = requests.post(
                f"{sandbox.url}/api/external/{call}",
                json=EXTERNAL[call],
                headers=Caller(sandbox).bearer(client_id=client, client_secret="s"),
                timeout=5,
            )
            assert (reply.status_code == 403) == (client != scope)
            if client != scope:
                assert reply.json()["message"] == f"The client has not the scope {scope}."


def test_the_names_of_scopes_are_a_setting_and_none_at_all_allows_nothing(
    make_xtremepush_sandbox: MakeSandbox,
) -> None:
    sandbox = make_xtremepush_sandbox(
        SandboxSettings(
            scope_names={"hit/event": "events:write"},
            oauth_clients=(
                OAuthClient("named", "s", scopes=frozenset({"events:write"})),
                OAuthClient("bare", "s", scopes=frozenset()),
            ),
        )
    )

    def hit(client: str) -> int:
        caller = Caller(sandbox)
        caller.session.headers.update(caller.bearer(client_id=client, client_secret="s"))
        return int(caller.hit(apptoken=None).status_code)

    assert (hit("named"), hit("bare")) == (200, 403)


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
    assert caller.segment(key="other-region-token", **SEGMENT["handle"]).status_code == 200
    assert sandbox.profiles == {}
    assert sandbox.events == []


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/external/import/profile", 405),
        ("PUT", "/api/external/hit/event", 405),
        ("POST", "/api/external/improt/profile", 405),
        ("POST", "/api/external/import/profil", 404),
        ("POST", "/api/external/delete-personal-data/profile", 405),
        ("GET", "/api/integration/segment/handle", 405),
        ("POST", "/api/integration/segment/handel", 404),
        ("POST", "/api/oauth/tokens", 404),
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
    off = ("info/task", "segment/delete")
    sandbox = make_xtremepush_sandbox(SandboxSettings(endpoints_off=off))

    assert Caller(sandbox).post("info/task", id=1).status_code == 410
    assert Caller(sandbox).segment("delete", userId="1").status_code == 410
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
