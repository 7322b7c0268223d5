"""What a client shows at the token endpoint of OAuth 2.0: its secret, or a JWT that it signed."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote_plus, urlencode
from uuid import uuid4

import orjson

from xtremepush_dlt.routes.assumptions import OAuthAssumptions
from xtremepush_dlt.routes.http import wall_clock

if TYPE_CHECKING:
    # who signs nothing need not pay for the import
    from xtremepush_dlt.routes.signing import SigningKey

WHERE = "in [destination.xtremepush.credentials]"
REGION = "that `api_endpoint` is the region of the same project"

_JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"


class Grant(Protocol):
    """A way to ask for a token."""

    def parameters(self, token_url: str) -> tuple[dict[str, Any], dict[str, str]]:
        """Parameters and headers of a token request."""

    def advice(self, error: str) -> str:
        """What to check when the token endpoint refuses; `error` is its code, or empty."""


class ClientSecretGrant:
    """`client_credentials`: the client shows its secret (RFC 6749).

    Args:
        client_id: The client ID.
        client_secret: Its secret.
        assumed: What is assumed about OAuth.
    """

    def __init__(self, client_id: str, client_secret: str, assumed: OAuthAssumptions) -> None:
        self._client_id = client_id
        self._client_secret = client_secret
        self._assumed = assumed

    def parameters(self, token_url: str) -> tuple[dict[str, Any], dict[str, str]]:  # noqa: ARG002  # the protocol's
        """The secret as a parameter, or in the header."""
        assumed = self._assumed
        parameters = {assumed.oauth_grant_parameter: "client_credentials"}
        if assumed.oauth_client_authentication == "basic":
            pair = f"{quote_plus(self._client_id)}:{quote_plus(self._client_secret)}"
            return parameters, {"Authorization": f"Basic {b64encode(pair.encode()).decode()}"}
        parameters[assumed.oauth_client_id_parameter] = self._client_id
        parameters[assumed.oauth_client_secret_parameter] = self._client_secret
        return parameters, {}

    def advice(self, error: str) -> str:  # noqa: ARG002  # the protocol's
        """Names the settings to check."""
        return f"It gives no token. Check `client_id` and `client_secret` {_AND_REGION}"


class SignedJwtGrant:
    """`jwt-bearer`: the client shows a short-lived JWT that it signed (RFC 7523).

    Args:
        client_id: The client ID.
        key: The private key.
        key_id: The `kid`; None for what is assumed.
        endpoint: Scheme and host of the API.
        assumed: What is assumed about OAuth.
        clock: Seconds since the epoch.
    """

    def __init__(
        self,
        client_id: str,
        key: SigningKey,
        key_id: str | None,
        endpoint: str,
        assumed: OAuthAssumptions,
        clock: Callable[[], float] = wall_clock,
    ) -> None:
        self._client_id = client_id
        self._key = key
        self._key_id = key_id
        self._endpoint = endpoint
        self._assumed = assumed
        self._clock = clock

    def parameters(self, token_url: str) -> tuple[dict[str, Any], dict[str, str]]:
        """A new JWT: its life is short, and none is used twice."""
        assumed = self._assumed
        now = int(self._clock())
        claims: dict[str, Any] = dict.fromkeys(assumed.oauth_client_id_claims, self._client_id)
        claims |= {"iat": now, "exp": now + int(assumed.oauth_jwt_seconds), "jti": uuid4().hex}
        if assumed.oauth_audience:
            claims["aud"] = self._filled(assumed.oauth_audience, token_url)
        claims |= assumed.oauth_extra_claims
        key_id = self._key_id or self._filled(assumed.oauth_key_id, token_url)
        return {
            assumed.oauth_grant_parameter: _JWT_BEARER,
            assumed.oauth_assertion_parameter: self._key.sign(claims, key_id),
        }, {}

    def advice(self, error: str) -> str:
        """Names the settings to check, and what else makes a sound key fail."""
        first = "the clock of this machine, " if error == "invalid_grant" else ""
        return (
            f"It does not accept the signed JWT. Check {first}`client_id` and `private_key` "
            f"{_AND_REGION} In Xtremepush, check under Settings > Integrations > API Integration "
            "that the public key of this private key is uploaded for the client ID, and that it, "
            "or its certificate, has not expired. The JWT's time comes from the clock of this "
            "machine."
        )

    def _filled(self, template: str, token_url: str) -> str:
        return (
            template.replace("{token_url}", token_url)
            .replace("{endpoint}", self._endpoint)
            .replace("{client_id}", self._client_id)
        )


_AND_REGION = f"{WHERE}, and {REGION}."


def token_request(
    grant: Grant, token_url: str, assumed: OAuthAssumptions
) -> tuple[Mapping[str, str], bytes]:
    """Headers and body of a token request.

    Args:
        grant: What the client shows.
        token_url: Where the request goes.
        assumed: What is assumed about OAuth.
    """
    parameters, headers = grant.parameters(token_url)
    parameters |= assumed.oauth_extra_parameters
    headers["Accept"] = "application/json"
    if assumed.oauth_encoding == "json":
        headers["Content-Type"] = "application/json"
        return headers, orjson.dumps(parameters)
    headers["Content-Type"] = "application/x-www-form-urlencoded"
    return headers, urlencode(parameters).encode()
