"""Signed assertions at the token endpoint, and their keys (reference 2.2)."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import jwt
import pytest

from tests.sandbox.signing import assertion, certificate, private_key, signing_client, spki
from tests.sandbox.tokens import ask_by_assertion, hit
from xtremepush_dlt.sandbox import Sandbox, SandboxSettings
from xtremepush_dlt.sandbox.pytest_plugin import MakeSandbox


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


def test_a_public_key_that_cannot_be_read_is_an_error_that_names_its_client() -> None:
    for wrong in ("no PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"):
        with pytest.raises(ValueError, match="public key of the client 'signing-client'"):
            Sandbox(SandboxSettings(oauth_clients=(signing_client(wrong),)))
