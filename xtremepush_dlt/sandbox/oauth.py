"""`/api/oauth/token`: access tokens for a client secret or a signed assertion (reference 2.2)."""

from __future__ import annotations

import contextlib
import hmac
import math
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import jwt
import orjson

from xtremepush_dlt.sandbox.envelope import Refused, Reply
from xtremepush_dlt.sandbox.keys import BadKey, check_algorithm, read_key
from xtremepush_dlt.sandbox.settings import OAuthClient, SandboxSettings

TOKEN_PATH = "/api/oauth/token"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
SHOWN = frozenset({"grant_type", "client_id"})
"""Members of a token request that hold no secret and may be kept."""

Parameters = dict[str, object]


@dataclass(frozen=True)
class _Token:
    """An access token that was issued."""

    client: OAuthClient
    expires: float  # by the clock of the office


class _Denied(Exception):  # noqa: N818  # an answer, not an error of the sandbox
    """The token request is denied with this code of RFC 6749."""

    def __init__(self, code: str, description: str) -> None:
        super().__init__(description)
        self.code = code


class TokenOffice:
    """Issues access tokens and knows the clients that hold them.

    Args:
        settings: The clients, the life of tokens, what is checked of an assertion.
        clock: Monotonic seconds, for the life of tokens.
        wall_clock: Unix time, for certificates.

    Raises:
        ValueError: The public key of a client is no PEM of a key or of a certificate.
    """

    def __init__(
        self,
        settings: SandboxSettings,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._wall_clock = wall_clock
        self._clients = {client.client_id: client for client in settings.oauth_clients}
        for client in settings.oauth_clients:
            self._check_form(client)
        self._clock = clock
        self._tokens: dict[str, _Token] = {}
        self.issued = 0

    def handle(self, method: str, headers: Mapping[str, str], parameters: Parameters) -> Reply:
        """Answer a token request; errors have the form of RFC 6749, section 5.2.

        Args:
            method: The HTTP method; only POST is served.
            headers: Header values by lower-case name.
            parameters: What `read_parameters` found.

        Raises:
            Refused: The method is another than POST (405).
        """
        if method != "POST":
            raise Refused(405, "The HTTP method is not allowed.")
        try:
            client = self._client(headers, parameters)
        except _Denied as denied:
            status = 401 if denied.code == "invalid_client" else 400
            return _reply(status, {"error": denied.code, "error_description": str(denied)})
        return self._issue(client)

    def client_of(self, token: str) -> OAuthClient | None:
        """The client that an access token was issued to.

        None when it never was, has expired or was revoked, or when the client's certificate is
        out of its time, which is checked on every request (2.2).
        """
        kept = self._tokens.get(token)
        if kept is None or kept.expires <= self._clock():
            return None
        if kept.client.public_key is not None:
            try:
                read_key(kept.client.public_key, self._wall_clock())
            except BadKey:
                return None
        return kept.client

    def revoke_all(self) -> None:
        """Make all access tokens invalid from now on."""
        self._tokens.clear()

    def _check_form(self, client: OAuthClient) -> None:
        if client.public_key is None:
            return
        try:
            # A certificate out of its time may be registered here, so that a test can have one.
            with contextlib.suppress(BadKey):
                read_key(client.public_key, self._wall_clock())
        except ValueError as wrong:
            raise ValueError(
                f"The public key of the client {client.client_id!r} cannot be read; "
                "use an SPKI public key or an X.509 certificate, in PEM."
            ) from wrong

    def _issue(self, client: OAuthClient) -> Reply:
        life = self._settings.token_seconds
        token = secrets.token_urlsafe(24)
        self._tokens[token] = _Token(client, self._clock() + life)
        self.issued += 1
        answer: dict[str, object] = {"access_token": token, "token_type": "Bearer"}
        told = self._settings.token_expires_in
        if told != "omit":
            answer["expires_in"] = int(life) if told == "true" else told
        return _reply(200, answer)

    def _client(self, headers: Mapping[str, str], parameters: Parameters) -> OAuthClient:
        encoding = _encoding(headers)
        if encoding not in self._settings.token_encodings:
            allowed = " or ".join(self._settings.token_encodings)
            raise _Denied("invalid_request", f"The request must be sent as {allowed}.")
        grant = _text(parameters, "grant_type")
        if grant == "client_credentials":
            return self._by_secret(parameters)
        if grant == JWT_BEARER:
            return self._by_assertion(_text(parameters, "assertion"), headers)
        raise _Denied("unsupported_grant_type", "The grant type is not served.")

    def _by_secret(self, parameters: Parameters) -> OAuthClient:
        name, secret = _text(parameters, "client_id"), _text(parameters, "client_secret")
        client = self._clients.get(name)
        known = None if client is None else client.client_secret
        if client is None or known is None or not _same(known, secret):
            raise _Denied("invalid_client", "The client id or the client secret is wrong.")
        return client

    def _by_assertion(self, assertion: str, headers: Mapping[str, str]) -> OAuthClient:
        settings = self._settings
        try:
            unchecked = jwt.decode(assertion, options={"verify_signature": False})
            algorithm = jwt.get_unverified_header(assertion).get("alg")
        except jwt.InvalidTokenError as wrong:
            raise _Denied("invalid_grant", "The assertion is not a JWT.") from wrong
        client = self._clients.get(str(unchecked.get("iss")))
        if client is None or client.public_key is None:
            raise _Denied("invalid_client", "The issuer is not a client with a public key.")
        try:
            key = read_key(client.public_key, self._wall_clock())
        except BadKey as bad:
            raise _Denied("invalid_client", str(bad)) from bad
        audience = settings.assertion_audience or _own_url(headers)
        required = list(settings.assertion_claims)
        try:
            claims = jwt.decode(
                assertion,
                key,
                algorithms=[check_algorithm(algorithm, key)],
                audience=audience if settings.check_audience else None,
                options={
                    "require": [*required, "aud"] if settings.check_audience else required,
                    "verify_aud": settings.check_audience,
                },
            )
        except (BadKey, jwt.InvalidTokenError) as wrong:
            # PyJWT's messages name the claim, never its value.
            raise _Denied("invalid_grant", f"The assertion is refused: {wrong}") from wrong
        longest = settings.assertion_seconds
        if longest is not None and self._life(claims) > longest:
            raise _Denied("invalid_grant", f"The assertion lives for more than {longest} seconds.")
        return client

    def _life(self, claims: Mapping[str, Any]) -> float:
        """Seconds from the making of an assertion, or from now, to its end."""
        # PyJWT has made sure that both are numbers where they are there.
        begin = float(claims.get("iat", self._wall_clock()))
        return float(claims.get("exp", math.inf)) - begin


def read_parameters(raw: bytes, headers: Mapping[str, str]) -> Parameters:
    """The parameters of a token request, sent as a form or as a JSON object; empty when neither."""
    if _encoding(headers) == "form":
        return dict(parse_qsl(raw.decode(errors="replace"), keep_blank_values=True))
    try:
        parameters = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return {}
    return parameters if isinstance(parameters, dict) else {}


def _reply(status: int, members: dict[str, object]) -> Reply:
    return Reply(status, members, {"Cache-Control": "no-store"})


def _encoding(headers: Mapping[str, str]) -> str:
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    names = {"application/x-www-form-urlencoded": "form", "application/json": "json"}
    return names.get(kind, "another type")


def _text(parameters: Parameters, name: str) -> str:
    value = parameters.get(name)
    if not isinstance(value, str) or not value:
        raise _Denied("invalid_request", f"{name} is missing.")
    return value


def _same(known: str, given: str) -> bool:
    # as bytes, because texts beyond ASCII cannot be compared this way
    return hmac.compare_digest(known.encode(), given.encode())


def _own_url(headers: Mapping[str, str]) -> str:
    # Any name by which the client found the sandbox will do.
    return f"http://{headers.get('host', '')}{TOKEN_PATH}"
