"""The token endpoint, and the life of tokens (reference 2.2)."""

from __future__ import annotations

import time
from typing import Any

import pytest
import requests

from tests.sandbox.signing import assertion, private_key, signing_client, spki
from tests.sandbox.tokens import JWT_BEARER, ask, ask_by_assertion, ask_by_secret, hit
from xtremepush_dlt.sandbox import Faults, OAuthClient, Sandbox, SandboxSettings
from xtremepush_dlt.sandbox.pytest_plugin import MakeSandbox


@pytest.mark.parametrize("as_json", [False, True])
def test_a_client_secret_buys_a_bearer_token_as_form_and_as_json(
    xtremepush_sandbox: Sandbox, as_json: bool
) -> None:
    reply = ask_by_secret(xtremepush_sandbox, as_json=as_json)

    assert reply.status_code == 200
    assert reply.headers["cache-control"] == "no-store"
    token = reply.json().pop("access_token")
    assert {**reply.json(), "access_token": ""} == {
        "access_token": "",
        "token_type": "Bearer",
        "expires_in": 3600,
    }
    assert hit(xtremepush_sandbox, token) == 200
    assert xtremepush_sandbox.tokens_issued == xtremepush_sandbox.state["tokens_issued"] == 1


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"client_secret": "wrong"}, 401, "invalid_client"),
        ({"client_secret": "wröng"}, 401, "invalid_client"),
        ({"client_id": "nobody"}, 401, "invalid_client"),
        ({"client_secret": None}, 400, "invalid_request"),
        ({"client_id": None}, 400, "invalid_request"),
        ({"grant_type": None}, 400, "invalid_request"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"grant_type": JWT_BEARER}, 400, "invalid_request"),
    ],
)
def test_a_bad_token_request_is_answered_in_the_form_of_rfc_6749(
    xtremepush_sandbox: Sandbox, changes: dict[str, Any], status: int, code: str
) -> None:
    for as_json in (False, True):
        reply = ask_by_secret(xtremepush_sandbox, as_json=as_json, **changes)

        assert (reply.status_code, reply.json()["error"]) == (status, code)
        assert reply.json()["error_description"]


def test_a_client_with_a_key_only_has_no_secret_to_guess(
    make_xtremepush_sandbox: MakeSandbox,
) -> None:
    client = signing_client(spki(private_key("P-256")))
    sandbox = make_xtremepush_sandbox(SandboxSettings(oauth_clients=(client,)))

    assert ask_by_secret(sandbox, client_secret="None").status_code == 401


def test_the_token_endpoint_takes_post_only_and_the_encodings_it_is_told_to(
    make_xtremepush_sandbox: MakeSandbox,
) -> None:
    sandbox = make_xtremepush_sandbox(SandboxSettings(token_encodings=("form",)))

    assert requests.get(sandbox.url + "/api/oauth/token", timeout=5).status_code == 405
    assert ask_by_secret(sandbox).status_code == 200
    assert ask_by_secret(sandbox, as_json=True).json()["error"] == "invalid_request"
    assert ask(sandbox, [1], as_json=True).json()["error"] == "invalid_request"


def test_a_token_expires_after_its_life(make_xtremepush_sandbox: MakeSandbox) -> None:
    sandbox = make_xtremepush_sandbox(SandboxSettings(token_seconds=0.3))
    token = ask_by_secret(sandbox).json()["access_token"]

    assert hit(sandbox, token) == 200
    time.sleep(0.35)
    assert hit(sandbox, token) == 401
    assert hit(sandbox, ask_by_secret(sandbox).json()["access_token"]) == 200


def test_all_tokens_can_be_revoked_and_bought_anew(xtremepush_sandbox: Sandbox) -> None:
    tokens = [ask_by_secret(xtremepush_sandbox).json()["access_token"] for _ in range(2)]
    xtremepush_sandbox.revoke_tokens()

    assert [hit(xtremepush_sandbox, token) for token in tokens] == [401, 401]
    token = ask_by_secret(xtremepush_sandbox).json()["access_token"]
    assert hit(xtremepush_sandbox, token) == 200
    url = xtremepush_sandbox.url + "/_sandbox/revoke-tokens"
    assert requests.post(url, timeout=5).status_code == 200
    assert hit(xtremepush_sandbox, token) == 401
    assert xtremepush_sandbox.tokens_issued == 3


def test_a_token_outlives_a_reset_that_starts_the_count_anew(xtremepush_sandbox: Sandbox) -> None:
    token = ask_by_secret(xtremepush_sandbox).json()["access_token"]
    xtremepush_sandbox.reset()

    assert xtremepush_sandbox.tokens_issued == 0
    assert hit(xtremepush_sandbox, token) == 200


@pytest.mark.parametrize(("told", "seen"), [("true", 90), (5, 5), ("omit", None)])
def test_what_expires_in_says_is_a_setting(
    make_xtremepush_sandbox: MakeSandbox, told: Any, seen: int | None
) -> None:
    sandbox = make_xtremepush_sandbox(SandboxSettings(token_seconds=90.9, token_expires_in=told))

    assert ask_by_secret(sandbox).json().get("expires_in") == seen


def test_no_secret_of_a_token_request_is_kept(make_xtremepush_sandbox: MakeSandbox) -> None:
    key = private_key("P-256")
    client = OAuthClient("signing-client", "the-secret", spki(key))
    sandbox = make_xtremepush_sandbox(SandboxSettings(oauth_clients=(client,)))
    signed = assertion(sandbox, key)
    token = ask_by_assertion(sandbox, signed).json()["access_token"]
    ask_by_secret(sandbox)
    ask_by_secret(sandbox, as_json=True)

    assert [record.body for record in sandbox.requests] == [
        {"grant_type": JWT_BEARER},
        {"grant_type": "client_credentials", "client_id": "signing-client"},
        {"grant_type": "client_credentials", "client_id": "signing-client"},
    ]
    seen = requests.get(sandbox.url + "/_sandbox/requests", timeout=5).text
    seen += repr(sandbox.requests) + repr(sandbox.settings)
    assert not [secret for secret in ("the-secret", signed, token) if secret in seen]


def test_faults_hit_the_token_endpoint_too(make_xtremepush_sandbox: MakeSandbox) -> None:
    sandbox = make_xtremepush_sandbox(
        None, Faults(paths=("oauth",), plan=(429, 503, "html", "reset_before", "reset_after"))
    )

    assert [ask_by_secret(sandbox).status_code for _ in range(3)] == [429, 503, 502]
    for issued in (0, 1):
        with pytest.raises(requests.ConnectionError):
            ask_by_secret(sandbox)
        assert sandbox.tokens_issued == issued
    assert ask_by_secret(sandbox).status_code == 200
