"""Tokens of OAuth 2.0 on the wire: how they are asked for, shown, shared, renewed and refused."""

from __future__ import annotations

import json
import threading
import time
from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qs

import jwt
import pytest

from tests.keys import pem
from tests.routes.recorder import Asked, Recorder
from tests.routes.sending import hit, import_profiles
from tests.sandbox.signing import private_key
from xtremepush_dlt.routes.assumptions import ExternalApiAssumptions, OAuthAssumptions
from xtremepush_dlt.routes.auth import OAuth, Proof
from xtremepush_dlt.routes.external import ExternalRoute
from xtremepush_dlt.routes.grants import ClientSecretGrant, SignedJwtGrant
from xtremepush_dlt.routes.signing import signing_key
from xtremepush_dlt.routes.verdict import Answer, Verdict

TOKEN_PATH = "/api/oauth/token"
SECRET = "s3cr3t+&=ü"
TOKEN = "acc3ss"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"


class Clock:
    """Time that passes when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Office:
    """Gives tokens that count up, and lets those pass that are not revoked."""

    def __init__(self, server: Recorder, seconds: float = 0.0, **members: Any) -> None:
        self.issued = 0
        self.revoked: set[str] = set()
        self.members = members
        self._seconds = seconds
        self._lock = threading.Lock()
        server.answer = self._answer

    def _answer(self, asked: Asked) -> tuple[int, Any] | None:
        if asked.path == TOKEN_PATH:
            time.sleep(self._seconds)
            with self._lock:
                self.issued += 1
                return 200, {"access_token": f"{TOKEN}-{self.issued}", **self.members}
        shown = asked.headers["authorization"].removeprefix("Bearer ")
        return (401, {"code": 401, "success": False}) if shown in self.revoked else None


def by_secret(server: Recorder, clock: Callable[[], float] = time.monotonic, **o: Any) -> OAuth:
    assumed = OAuthAssumptions.with_overrides(o)
    grant = ClientSecretGrant("client-1", SECRET, assumed)
    return OAuth(server.url, grant, assumed, 2, 2, clock)


def by_jwt(server: Recorder, key_id: str | None = None, **overrides: Any) -> OAuth:
    assumed = OAuthAssumptions.with_overrides(overrides)
    key = signing_key(pem("P-256"))
    grant = SignedJwtGrant("client-1", key, key_id, server.url, assumed, lambda: 1e9)
    return OAuth(server.url, grant, assumed, 2, 2)


def route_of(server: Recorder, auth: OAuth) -> ExternalRoute:
    return ExternalRoute(server.url, auth, ExternalApiAssumptions())


def shown(auth: OAuth) -> str:
    """The header that the next request would carry."""
    proof = auth.proof()
    assert isinstance(proof, Proof)
    return proof.headers["Authorization"]


def asked_for(server: Recorder) -> dict[str, str]:
    """The parameters of the last token request, which was a form."""
    asked = server.asked[-1]
    assert asked.headers["content-type"] == "application/x-www-form-urlencoded"
    parsed = parse_qs(asked.body.decode(), strict_parsing=True)
    assert all(len(values) == 1 for values in parsed.values())
    return {name: values[0] for name, values in parsed.items()}


# --- how a token is asked for ---------------------------------------------------------------------


def test_client_credentials_are_sent_as_a_form(server: Recorder) -> None:
    Office(server)
    assert shown(by_secret(server)) == "Bearer acc3ss-1"
    assert server.asked[0].path == TOKEN_PATH
    assert asked_for(server) == {
        "grant_type": "client_credentials",
        "client_id": "client-1",
        "client_secret": SECRET,
    }
    assert "authorization" not in server.asked[0].headers


def test_client_credentials_can_be_sent_as_json_and_under_other_names(server: Recorder) -> None:
    Office(server)
    auth = by_secret(
        server,
        oauth_encoding="json",
        oauth_grant_parameter="grant",
        oauth_client_id_parameter="id",
        oauth_client_secret_parameter="secret",
        oauth_extra_parameters={"scope": "import"},
    )
    auth.proof()
    assert server.asked[0].headers["content-type"] == "application/json"
    assert json.loads(server.asked[0].body) == {
        "grant": "client_credentials",
        "id": "client-1",
        "secret": SECRET,
        "scope": "import",
    }


def test_client_credentials_can_be_sent_in_the_header(server: Recorder) -> None:
    Office(server)
    by_secret(server, oauth_client_authentication="basic").proof()
    pair = b64encode(b"client-1:s3cr3t%2B%26%3D%C3%BC").decode()
    assert server.asked[0].headers["authorization"] == f"Basic {pair}"
    assert asked_for(server) == {"grant_type": "client_credentials"}


def test_a_signed_jwt_names_the_client_and_lives_for_minutes(server: Recorder) -> None:
    Office(server)
    auth = by_jwt(server)
    assert shown(auth) == "Bearer acc3ss-1"
    parameters = asked_for(server)
    assert set(parameters) == {"grant_type", "assertion"}
    assert parameters["grant_type"] == JWT_BEARER
    claims = jwt.decode(
        parameters["assertion"],
        private_key("P-256").public_key(),
        algorithms=["ES256"],
        audience=server.url + TOKEN_PATH,
        options={"verify_exp": False, "verify_iat": False},
    )
    assert len(claims.pop("jti")) > 20
    assert claims == {
        "iss": "client-1",
        "sub": "client-1",
        "aud": server.url + TOKEN_PATH,
        "iat": 10**9,
        "exp": 10**9 + 300,
    }
    assert jwt.get_unverified_header(parameters["assertion"])["kid"] == "client-1"


def unverified(server: Recorder) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims of the last JWT."""
    token = asked_for(server)["assertion"]
    claims = jwt.decode(token, options={"verify_signature": False})
    return jwt.get_unverified_header(token), claims


def test_what_is_assumed_about_the_jwt_can_be_overridden(server: Recorder) -> None:
    Office(server)
    overrides: dict[str, Any] = {
        "oauth_client_id_claims": ["iss"],
        "oauth_audience": "{endpoint}/x",
        "oauth_key_id": "",
        "oauth_jwt_seconds": 60,
        "oauth_extra_claims": {"scope": "import", "jti": "mine"},
    }
    by_jwt(server, **overrides).proof()
    header, claims = unverified(server)
    assert header == {"alg": "ES256", "typ": "JWT"}
    assert claims == {
        "iss": "client-1",
        "aud": f"{server.url}/x",
        "iat": 10**9,
        "exp": 10**9 + 60,
        "scope": "import",
        "jti": "mine",
    }
    by_jwt(server, "key-7", oauth_audience="").proof()
    header, claims = unverified(server)
    assert header["kid"] == "key-7"
    assert "aud" not in claims


def test_no_jwt_is_used_twice(server: Recorder) -> None:
    Office(server)
    auth = by_jwt(server)
    for _ in range(2):
        proof = auth.proof()
        assert isinstance(proof, Proof)
        auth.renew(proof)
    first, second = (parse_qs(asked.body.decode())["assertion"] for asked in server.asked)
    assert first != second


@pytest.mark.parametrize(
    ("overrides", "reply", "header"),
    [
        ({}, {"data": {"access_token": "t"}}, {"Authorization": "Bearer t"}),
        ({"oauth_token_places": "x.y"}, {"x": {"y": "t"}}, {"Authorization": "Bearer t"}),
        ({"oauth_scheme": ""}, {"access_token": "t"}, {"Authorization": "t"}),
        ({"oauth_header": "X-Token"}, {"access_token": "t"}, {"X-Token": "Bearer t"}),
    ],
)
def test_where_a_token_is_found_and_shown_is_assumed(
    overrides: dict[str, Any], reply: Any, header: dict[str, str], server: Recorder
) -> None:
    server.reply = (200, reply)
    proof = by_secret(server, **overrides).proof()
    assert isinstance(proof, Proof)
    assert proof.headers == header


def test_a_token_may_come_from_another_host(server: Recorder) -> None:
    Office(server)
    elsewhere = "http://127.0.0.1:9"
    assumed = OAuthAssumptions(oauth_token_path=server.url + TOKEN_PATH)
    auth = OAuth(elsewhere, ClientSecretGrant("c", "s", assumed), assumed, 2, 2)
    assert shown(auth) == "Bearer acc3ss-1"


# --- how it is shown, shared and renewed ----------------------------------------------------------


def test_requests_show_the_token_in_the_header_and_nothing_in_the_body(server: Recorder) -> None:
    Office(server)
    route = route_of(server, by_secret(server))
    import_profiles(route, ("user_id",), [b'["1"]'])
    hit(route, [b'{"user_id":"1"}'])
    route.look_up_task("7")
    route.close()
    assert server.paths()[0] == TOKEN_PATH
    calls = server.asked[1:]
    assert {asked.headers["authorization"] for asked in calls} == {"Bearer acc3ss-1"}
    assert [json.loads(asked.body) for asked in calls] == [
        {"columns": ["user_id"], "rows": [["1"]]},
        {"events": [{"user_id": "1"}]},
        {"condition": [["id", "=", 7]], "limit": 1},
    ]


def test_sixteen_threads_fetch_one_token(server: Recorder) -> None:
    office = Office(server, seconds=0.1)
    auth = by_secret(server)
    with ThreadPoolExecutor(16) as threads:
        got = {future.result() for future in [threads.submit(shown, auth) for _ in range(64)]}
    assert got == {"Bearer acc3ss-1"}
    assert office.issued == 1


@pytest.mark.parametrize(
    ("members", "overrides", "life"),
    [
        ({"expires_in": 600}, {}, 540),
        ({"expires_in": "600"}, {}, 540),
        ({"expires_in": 10}, {}, 5),
        ({"expires_in": 600}, {"oauth_renewal_seconds": 100}, 500),
        ({"life": 600}, {"oauth_life_places": "life"}, 540),
        ({}, {}, 3540),
        ({"expires_in": None}, {"oauth_life_seconds": 200}, 140),
        ({"expires_in": "soon"}, {}, 3540),
        ({"expires_in": 0}, {}, 3540),
        ({"expires_in": [1]}, {}, 3540),
    ],
)
def test_a_token_is_renewed_before_it_ends_and_not_earlier(
    members: dict[str, Any], overrides: dict[str, Any], life: float, server: Recorder
) -> None:
    Office(server, **members)
    clock = Clock()
    auth = by_secret(server, clock, **overrides)
    assert shown(auth).endswith("-1")
    clock.now += life - 0.01
    assert shown(auth).endswith("-1")
    clock.now += 0.02
    assert shown(auth).endswith("-2")


def test_a_401_renews_the_token_and_sends_once_more(server: Recorder) -> None:
    office = Office(server)
    office.revoked = {f"{TOKEN}-1"}
    verdict = hit(route_of(server, by_secret(server)), [b"{}"])
    assert verdict.answer is Answer.DELIVERED
    assert server.paths() == [TOKEN_PATH, "/api/external/hit/event"] * 2
    assert server.asked[1].body == server.asked[3].body


def test_a_401_in_the_envelope_of_a_200_renews_the_token_too(server: Recorder) -> None:
    office = Office(server)
    usual = server.answer

    def answer(asked: Asked) -> tuple[int, Any] | None:
        if asked.headers.get("authorization") == f"Bearer {TOKEN}-1":
            return 200, {"success": False, "code": 401}
        return usual(asked)

    server.answer = answer
    assert hit(route_of(server, by_secret(server)), [b"{}"]).answer is Answer.DELIVERED
    assert office.issued == 2


def test_a_second_401_is_the_answer(server: Recorder) -> None:
    office = Office(server)
    office.revoked = {f"{TOKEN}-{number}" for number in range(9)}
    verdict = hit(route_of(server, by_secret(server)), [b"{}"])
    assert (verdict.answer, verdict.status, office.issued) == (Answer.DENIED, 401, 2)
    for part in ("api_endpoint", "expired", "client ID"):
        assert part in verdict.advice


def test_eight_threads_with_a_401_at_once_renew_once(server: Recorder) -> None:
    office = Office(server)
    barrier = threading.Barrier(8)
    usual = server.answer

    def answer(asked: Asked) -> tuple[int, Any] | None:
        if asked.headers.get("authorization") == f"Bearer {TOKEN}-1" and barrier is not None:
            # all eight are under way with the token before the first is answered
            barrier.wait(5)
        return usual(asked)

    auth = by_secret(server)
    shown(auth)
    office.revoked = {f"{TOKEN}-1"}
    server.answer = answer
    routes = [route_of(server, auth) for _ in range(8)]
    with ThreadPoolExecutor(8) as threads:
        sent = [threads.submit(hit, route, [b"{}"]) for route in routes]
        assert {future.result().answer for future in sent} == {Answer.DELIVERED}
    assert office.issued == 2


def test_an_app_token_that_is_refused_is_not_sent_again(server: Recorder) -> None:
    from xtremepush_dlt.routes.auth import AppToken

    server.reply = (401, {"code": 401, "success": False})
    route = ExternalRoute(server.url, AppToken("tok"), ExternalApiAssumptions())
    verdict = hit(route, [b"{}"])
    assert verdict.answer is Answer.DENIED
    assert "`app_token`" in verdict.advice
    assert len(server.asked) == 1


def test_a_missing_scope_is_told_with_the_call_and_where_to_tick_it(server: Recorder) -> None:
    Office(server)
    auth = by_secret(server)
    shown(auth)
    server.answer = lambda asked: (403, {"code": 403, "success": False})
    route = route_of(server, auth)
    for call, verdict in (
        ("import/profile", import_profiles(route, ("user_id",), [b'["1"]'])),
        ("hit/event", hit(route, [b"{}"])),
        ("list/task", route.look_up_task("1")),
    ):
        assert verdict.answer is Answer.DENIED
        for part in ("scope", f"`{call}`", "Settings > Integrations > API Integration"):
            assert part in verdict.advice
    assert TOKEN_PATH not in server.paths()[1:]


# --- when there is no token -----------------------------------------------------------------------


@pytest.mark.parametrize("make", [by_secret, by_jwt])
@pytest.mark.parametrize(
    ("status", "reply", "answer"),
    [
        (400, {"error": "invalid_request"}, Answer.DENIED),
        (400, {"error": "invalid_grant"}, Answer.DENIED),
        (400, b"<html>", Answer.DENIED),
        (401, {"error": "invalid_client"}, Answer.DENIED),
        (403, {}, Answer.DENIED),
        (422, {}, Answer.DENIED),
        (200, {"success": False, "code": 401}, Answer.DENIED),
        (200, {"success": True}, Answer.DENIED),
        (200, {"access_token": ""}, Answer.DENIED),
        (200, {"access_token": "two\nlines"}, Answer.DENIED),
        (200, {"access_token": 7}, Answer.DENIED),
        (302, {}, Answer.MISDIRECTED),
        (404, {}, Answer.MISDIRECTED),
        (405, {}, Answer.MISDIRECTED),
        (410, {}, Answer.MISDIRECTED),
        (408, {}, Answer.BUSY),
        (429, {}, Answer.BUSY),
        (500, {}, Answer.BUSY),
        (502, b"<html>", Answer.BUSY),
        (503, {}, Answer.BUSY),
        (504, {}, Answer.BUSY),
        (200, b"", Answer.BUSY),
        (200, b"<html>", Answer.BUSY),
    ],
)
def test_without_a_token_nothing_is_sent_and_the_verdict_says_what_can_be_done(
    make: Callable[[Recorder], OAuth], status: int, reply: Any, answer: Answer, server: Recorder
) -> None:
    server.reply = (status, reply)
    verdict = hit(route_of(server, make(server)), [b"{}"])
    assert (verdict.answer, verdict.status) == (answer, status)
    assert "the token endpoint" in verdict.described
    assert server.paths() == [TOKEN_PATH]
    assert SECRET not in f"{verdict}{verdict!r}{verdict.advice}{verdict.described}"
    if answer is Answer.DENIED and status != 200:
        named = "`client_secret`" if make is by_secret else "`private_key`"
        assert named in verdict.advice
        assert "`client_id`" in verdict.advice
    if answer is Answer.MISDIRECTED:
        assert "`api_endpoint`" in verdict.advice
        assert TOKEN_PATH in verdict.advice


def test_an_invalid_grant_points_to_key_clock_and_expiry(server: Recorder) -> None:
    server.reply = (400, {"error": "invalid_grant", "error_description": "who knows"})
    verdict = by_jwt(server).proof()
    assert isinstance(verdict, Verdict)
    for part in ("`invalid_grant`", "public key", "clock", "expired", "certificate"):
        assert part in verdict.advice


def test_what_the_token_endpoint_quotes_is_not_repeated(server: Recorder) -> None:
    def quote(asked: Asked) -> tuple[int, Any]:
        text = asked.body.decode()
        return 400, {"error": text, "error_description": text, "message": text, "errors": [text]}

    server.answer = quote
    for auth in (by_secret(server), by_jwt(server)):
        verdict = auth.proof()
        assert isinstance(verdict, Verdict)
        printed = f"{verdict!r}{verdict.advice}{verdict.message}{verdict.described}"
        for word in (SECRET, "s3cr3t", "assertion", "eyJ"):
            assert word not in printed


def test_a_pause_that_the_token_endpoint_asks_for_is_kept(server: Recorder) -> None:
    server.reply = (429, {})
    server.reply_headers = {"Retry-After": "7"}
    verdict = by_secret(server).proof()
    assert isinstance(verdict, Verdict)
    assert verdict.retry_after == 7


def test_a_token_endpoint_that_nobody_listens_at_is_busy() -> None:
    assumed = OAuthAssumptions()
    grant = ClientSecretGrant("c", "s", assumed)
    verdict = OAuth("http://127.0.0.1:9", grant, assumed, 1, 1).proof()
    assert isinstance(verdict, Verdict)
    assert (verdict.answer, verdict.described) == (
        Answer.BUSY,
        "no connection at the token endpoint",
    )


def test_threads_that_wait_for_a_token_share_the_failure_and_the_next_asks_again(
    server: Recorder,
) -> None:
    def slow(asked: Asked) -> tuple[int, Any]:  # its interface
        time.sleep(0.3)
        return 503, {}

    server.answer = slow
    auth = by_secret(server)
    with ThreadPoolExecutor(8) as threads:
        got = [future.result() for future in [threads.submit(auth.proof) for _ in range(8)]]
    assert {one.answer for one in got if isinstance(one, Verdict)} == {Answer.BUSY}
    assert len(server.asked) == 1
    Office(server)
    assert shown(auth) == "Bearer acc3ss-1"


def test_neither_proof_nor_credential_in_use_can_be_printed(server: Recorder) -> None:
    Office(server)
    for auth in (by_secret(server), by_jwt(server)):
        proof = auth.proof()
        printed = f"{auth}{auth!r}{proof}{proof!r}{auth._grant!r}{route_of(server, auth)!r}"
        for word in (SECRET, TOKEN, "BEGIN"):
            assert word not in printed
