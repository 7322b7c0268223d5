"""Who is calling: what a request carries for it, and what to check when it is not believed."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson

from xtremepush_dlt.routes.assumptions import OAuthAssumptions
from xtremepush_dlt.routes.grants import REGION, WHERE, Grant, token_request
from xtremepush_dlt.routes.http import HttpSession, wall_clock
from xtremepush_dlt.routes.verdict import Answer, Verdict, find, judge

_SCOPES = "Xtremepush under Settings > Integrations > API Integration"
_TOKEN_ENDPOINT = "the token endpoint"  # noqa: S105  # a name, no token

_ERRORS = frozenset(
    {
        "invalid_request",
        "invalid_client",
        "invalid_grant",
        "unauthorized_client",
        "unsupported_grant_type",
        "invalid_scope",
    }
)
"""Error codes of RFC 6749. What else a server says may quote what it was sent."""


@dataclass(frozen=True)
class Proof:
    """What a request carries to show who is calling.

    Attributes:
        headers: Headers.
        members: The first members of the body, each with its comma.
    """

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    members: bytes = field(default=b"", repr=False)


class Auth(Protocol):
    """A credential in use; one for all threads."""

    member_bytes: int
    """Bytes that it adds to a body."""

    def proof(self) -> Proof | Verdict:
        """What the next request carries, or why there is nothing that it could carry."""

    def renew(self, refused: Proof) -> bool:
        """After a 401: whether the next proof is another than the one that was refused."""

    def advice(self, status: int | None, call: str) -> str:
        """What to check after 401 or 403 on a call, such as `import/profile`."""


class AppToken:
    """The project's app token; it travels in the body (reference, section 2.1).

    Args:
        token: The token.
    """

    def __init__(self, token: str) -> None:
        self._proof = Proof(members=b'"apptoken":%b,' % orjson.dumps(token))
        self.member_bytes = len(self._proof.members)

    def proof(self) -> Proof:
        """Always the same."""
        return self._proof

    def renew(self, refused: Proof) -> bool:  # noqa: ARG002  # the protocol's
        """There is no other token."""
        return False

    def advice(self, status: int | None, call: str) -> str:  # noqa: ARG002  # the protocol's
        """Names the setting to check."""
        if status == 403:
            return (
                "The credential is known but may not do this. Ask Xtremepush whether API access "
                "is enabled for the project."
            )
        return (
            f"It does not accept the credential. Check `app_token` {WHERE} and {REGION}. Projects "
            "created after mid-2026 have OAuth 2.0 instead: `client_id` and its secret or key."
        )


class SegmentKey:
    """The API key of the Segment integration, as HTTP Basic (reference, section 3).

    Args:
        key: The key; it is the user name, and the password is empty.
    """

    member_bytes = 0

    def __init__(self, key: str) -> None:
        basic = base64.b64encode(f"{key}:".encode()).decode()
        self._proof = Proof(headers={"Authorization": f"Basic {basic}"})

    def proof(self) -> Proof:
        """Always the same."""
        return self._proof

    def renew(self, refused: Proof) -> bool:  # noqa: ARG002  # the protocol's
        """There is no other key."""
        return False

    def advice(self, status: int | None, call: str) -> str:  # noqa: ARG002  # the protocol's
        """Names the setting to check."""
        return (
            f"It does not accept the key. Check `segment_api_key` {WHERE} and `api_endpoint` in "
            "[destination.xtremepush]: Xtremepush shows both under Settings > Integrations > "
            "Segment. An app token is no Segment API key."
        )


class OAuth:
    """A token of OAuth 2.0, asked for when it is needed and renewed before it ends.

    Threads that need one at once wait for one request. If that fails, all of them get the
    verdict on it, instead of asking one after the other.

    Args:
        endpoint: Scheme and host of the API.
        grant: What the client shows for a token.
        assumed: What is assumed about OAuth.
        connect_timeout: Seconds to wait for a connection.
        read_timeout: Seconds to wait for an answer.
        clock: Seconds of a clock that never goes back.
    """

    member_bytes = 0

    def __init__(
        self,
        endpoint: str,
        grant: Grant,
        assumed: OAuthAssumptions,
        connect_timeout: float,
        read_timeout: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        path = assumed.oauth_token_path
        self._url = path if path.startswith(("https://", "http://")) else endpoint + path
        self._grant = grant
        self._assumed = assumed
        self._timeouts = (connect_timeout, read_timeout)
        self._clock = clock
        self._lock = threading.Lock()
        self._current: Proof | None = None
        self._renew_at = 0.0
        self._asked = 0
        self._failure: Verdict | None = None

    def proof(self) -> Proof | Verdict:
        """The header with a token that has not ended."""
        asked = self._asked
        with self._lock:
            if self._current is not None and self._clock() < self._renew_at:
                return self._current
            if self._asked != asked and self._failure is not None:
                return self._failure
            self._current = None
            got = self._ask()
            self._asked += 1
            if isinstance(got, Verdict):
                self._failure = got
            else:
                self._failure, self._current = None, got
            return got

    def renew(self, refused: Proof) -> bool:
        """Lets go of a token, unless another thread has renewed it already."""
        with self._lock:
            if self._current is refused:
                self._current = None
        return True

    def advice(self, status: int | None, call: str) -> str:
        """Names the scope that may be missing, or what makes a fresh token be refused."""
        if status == 403:
            return (
                f"The client ID lacks the scope for `{call}`. Tick it for this client ID in "
                f"{_SCOPES}, or ask Xtremepush whether API access is enabled for the project."
            )
        return (
            "The token endpoint gave a token, a new one even, but the API does not accept it. "
            f"Check {REGION}, that the client ID is still active, and that its certificate or "
            f"public key has not expired, in {_SCOPES}."
        )

    def _ask(self) -> Proof | Verdict:
        asked_at = self._clock()
        headers, body = token_request(self._grant, self._url, self._assumed)
        with closing(HttpSession(*self._timeouts)) as http:
            reply = http.post(self._url, body, headers)
        if isinstance(reply, Verdict):
            return self._hindered(reply, {})
        verdict, envelope = judge(reply.status, reply.headers, reply.body, wall_clock())
        if verdict.answer is not Answer.DELIVERED:
            return self._hindered(verdict, envelope)
        token = find(envelope, self._assumed.oauth_token_places)
        if not isinstance(token, str) or not (token and token.isascii() and token.isprintable()):
            return Verdict(
                Answer.DENIED,
                verdict.status,
                where=_TOKEN_ENDPOINT,
                advice="Its answer carries no token where one is looked for. Name the place in "
                "`oauth_token_places` in [destination.xtremepush.assumptions].",
            )
        life = _seconds(find(envelope, self._assumed.oauth_life_places))
        life = life or self._assumed.oauth_life_seconds
        # counted from the question, because the answer took its time
        self._renew_at = asked_at + max(life - self._assumed.oauth_renewal_seconds, life / 2)
        shown = f"{self._assumed.oauth_scheme} {token}".lstrip()
        return Proof({self._assumed.oauth_header: shown})

    def _hindered(self, verdict: Verdict, envelope: Mapping[str, Any]) -> Verdict:
        """What it means for the request that there is no token: it was not sent."""
        if verdict.answer is Answer.UNTRUSTED:
            return verdict
        if verdict.answer is Answer.MISDIRECTED:
            answer = Answer.MISDIRECTED
            advice = (
                f"Nobody gives tokens at `{self._assumed.oauth_token_path}` of that address. Check "
                "`api_endpoint` in [destination.xtremepush], and `oauth_token_path` in "
                "[destination.xtremepush.assumptions] if Xtremepush told you another path."
            )
        elif verdict.answer in (Answer.DENIED, Answer.REFUSED, Answer.TOO_LARGE):
            answer = Answer.DENIED
            said = find(envelope, self._assumed.oauth_error_places)
            error = said if isinstance(said, str) and said in _ERRORS else ""
            advice = (f"It says `{error}`. " if error else "") + self._grant.advice(error)
        else:
            answer, advice = Answer.BUSY, ""
        return Verdict(
            answer,
            verdict.status,
            verdict.code,
            retry_after=verdict.retry_after,
            unanswered_why=verdict.unanswered_why,
            where=_TOKEN_ENDPOINT,
            advice=advice,
        )


def _seconds(value: Any) -> float | None:
    """A life in seconds, which may be written as text; None if it is none."""
    try:
        seconds = float(value) if isinstance(value, (int, float, str)) else 0.0
    except ValueError:
        return None
    return seconds if 0 < seconds < float("inf") else None
