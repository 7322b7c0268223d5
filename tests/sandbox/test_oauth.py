"""The token endpoint (reference 2.2)."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import jwt
import pytest
import requests

from tests.sandbox.signing import assertion, certificate, private_key, signing_client, spki
from xtremepush_dlt.sandbox import Faults, OAuthClient, Sandbox, SandboxSettings
from xtremepush_dlt.sandbox.pytest_plugin import MakeSandbox

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"


def ask(sandbox: Sandbox, parameters: Any, *, as_json: bool = False) -> requests.Response:
    url = sandbox.url + "/api/oauth/token"
    return requests.post(url, **{"json" if as_json else "data": parameters}, timeout=5)


def ask_by_secret(sandbox: Sandbox, *, as_json: bool = False, **changes: Any) -> requests.Response:
    parameters = {
        "grant_type": "client_credentials",
        "client_id": sandbox.client_id,
        "client_secret": sandbox.client_secret,
        **changes,
    }
    return ask(sandbox, {k: v for k, v in parameters.items() if v is not None}, as_json=as_json)


def ask_by_assertion(sandbox: Sandbox, signed: str) -> requests.Response:
    return ask(sandbox, {"grant_type": JWT_BEARER, "assertion": signed})


def hit(sandbox: Sandbox, token: str) -> int:
    reply = requests.post(
        sandbox.url + "/api/external/hit/event",
        json={"user_id": "1", "event": "e"},
        headers={"Authorization": f"Bearer {token}"},
        timeout=5,
    )
    return reply.status_code


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
    ("algorithm", "kind"),
    [
        ("RS256", "2048"),
        ("RS384", "4096"),
        ("RS512", "8192"),
        ("ES256", "P-256"),
        ("ES384", "P-384"),
        ("ES512", "P-521"),
    ],
)
@pytest.mark.parametrize("form", [spki, certificate])
def test_an_assertion_signed_with_the_registered_key_buys_a_token(
    make_xtremepush_sandbox: MakeSandbox, algorithm: str, kind: str, form: Any
) -> None:
    key = private_key(kind)
    sandbox = make_xtremepush_sandbox(SandboxSettings(oauth_clients=(signing_client(form(key)),)))

    reply = ask_by_assertion(sandbox, assertion(sandbox, key, algorithm))

    assert reply.status_code == 200
    assert hit(sandbox, reply.json()["access_token"]) == 200


@pytest.mark.parametrize(
    ("algorithm", "kind", "needed"),
    [
        ("RS384", "2048", "4096 bits"),
        ("RS512", "4096", "8192 bits"),
        ("ES256", "P-384", "secp256r1"),
        ("ES512", "P-384", "secp521r1"),
        ("PS256", "2048", "RS256"),
    ],
)
def test_a_key_too_small_for_its_algorithm_is_named_in_the_refusal(
    make_xtremepush_sandbox: MakeSandbox, algorithm: str, kind: str, needed: str
) -> None:
    key = private_key(kind)
    sandbox = make_xtremepush_sandbox(SandboxSettings(oauth_clients=(signing_client(spki(key)),)))
    # PyJWT signs with the curve's own algorithm only, so the header is put there afterwards.
    signed = assertion(sandbox, key, "ES384" if kind == "P-384" else algorithm)
    head = base64.urlsafe_b64encode(json.dumps({"alg": algorithm}).encode()).decode().rstrip("=")
    signed = f"{head}.{signed.partition('.')[2]}"

    reply = ask_by_assertion(sandbox, signed)

    assert (reply.status_code, reply.json()["error"]) == (400, "invalid_grant")
    assert needed in reply.json()["error_description"]


def test_no_assertion_passes_unsigned_or_signed_with_a_shared_secret(
    make_xtremepush_sandbox: MakeSandbox,
) -> None:
    key = private_key("P-256")
    sandbox = make_xtremepush_sandbox(SandboxSettings(oauth_clients=(signing_client(spki(key)),)))
    claims = jwt.decode(assertion(sandbox, key), options={"verify_signature": False})

    for forged in (
        jwt.encode(claims, "", "none"),
        jwt.encode(claims, "x" * 32, "HS256"),
        assertion(sandbox, private_key("P-384"), "ES384"),
        assertion(sandbox, private_key("2048"), "RS256"),
        assertion(sandbox, key)[:-8],
        "no JWT at all",
    ):
        reply = ask_by_assertion(sandbox, forged)
        assert (reply.status_code, reply.json()["error"]) == (400, "invalid_grant")
    assert sandbox.tokens_issued == 0


def test_an_assertion_of_another_key_of_the_same_kind_is_refused(
    make_xtremepush_sandbox: MakeSandbox,
) -> None:
    registered, other = private_key("2048"), private_key("4096")
    sandbox = make_xtremepush_sandbox(
        SandboxSettings(oauth_clients=(signing_client(spki(registered)),))
    )

    reply = ask_by_assertion(sandbox, assertion(sandbox, other, "RS256"))

    assert (reply.status_code, reply.json()["error"]) == (400, "invalid_grant")


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"iss": "nobody"}, 401, "invalid_client"),
        ({"iss": None}, 401, "invalid_client"),
        ({"aud": "https://elsewhere.example/api/oauth/token"}, 400, "invalid_grant"),
        ({"aud": None}, 400, "invalid_grant"),
        ({"exp": 1_700_000_000}, 400, "invalid_grant"),
        ({"exp": None}, 400, "invalid_grant"),
        ({"exp": 99_999_999_999}, 400, "invalid_grant"),
        ({"iat": None}, 400, "invalid_grant"),
        ({"iat": 99_999_999_999}, 400, "invalid_grant"),
    ],
)
def test_each_claim_of_an_assertion_is_checked(
    make_xtremepush_sandbox: MakeSandbox, changes: dict[str, Any], status: int, code: str
) -> None:
    key = private_key("P-256")
    sandbox = make_xtremepush_sandbox(SandboxSettings(oauth_clients=(signing_client(spki(key)),)))

    reply = ask_by_assertion(sandbox, assertion(sandbox, key, **changes))

    assert (reply.status_code, reply.json()["error"]) == (status, code)


def test_what_is_assumed_of_claims_can_be_switched(make_xtremepush_sandbox: MakeSandbox) -> None:
    key = private_key("P-256")
    client = signing_client(spki(key))
    loose = make_xtremepush_sandbox(
        SandboxSettings(
            oauth_clients=(client,),
            check_audience=False,
            assertion_claims=("iss",),
            assertion_seconds=None,
        )
    )
    other = make_xtremepush_sandbox(
        SandboxSettings(
            oauth_clients=(client,), assertion_audience="xtremepush", assertion_claims=("sub",)
        )
    )

    bare = assertion(loose, key, aud=None, iat=None, exp=None)
    assert ask_by_assertion(loose, bare).status_code == 200
    named = assertion(other, key, aud="xtremepush", sub="crm")
    assert ask_by_assertion(other, named).status_code == 200
    assert ask_by_assertion(other, assertion(other, key, aud="xtremepush")).status_code == 400


@pytest.mark.parametrize(
    ("begins", "ends", "said"), [(-60, -30, "has expired"), (30, 60, "not valid yet")]
)
def test_a_certificate_out_of_its_time_is_named_in_the_refusal(
    make_xtremepush_sandbox: MakeSandbox, begins: float, ends: float, said: str
) -> None:
    key = private_key("P-256")
    client = signing_client(certificate(key, begins, ends))
    sandbox = make_xtremepush_sandbox(SandboxSettings(oauth_clients=(client,)))

    reply = ask_by_assertion(sandbox, assertion(sandbox, key))

    assert (reply.status_code, reply.json()["error"]) == (401, "invalid_client")
    assert said in reply.json()["error_description"]


def test_a_token_dies_with_the_certificate_of_its_client(
    make_xtremepush_sandbox: MakeSandbox,
) -> None:
    key = private_key("P-256")
    client = signing_client(certificate(key, ends=2.0))
    sandbox = make_xtremepush_sandbox(SandboxSettings(oauth_clients=(client,)))
    token = ask_by_assertion(sandbox, assertion(sandbox, key)).json()["access_token"]

    assert hit(sandbox, token) == 200
    time.sleep(2.1)
    assert hit(sandbox, token) == 401


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


def test_a_public_key_that_cannot_be_read_is_an_error_that_names_its_client() -> None:
    for wrong in ("no PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"):
        with pytest.raises(ValueError, match="public key of the client 'signing-client'"):
            Sandbox(SandboxSettings(oauth_clients=(signing_client(wrong),)))


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
