"""The credentials choose the way in."""

from __future__ import annotations

from typing import Protocol

from xtremepush_dlt.configuration import XtremepushClientConfiguration
from xtremepush_dlt.delivery.route import Route
from xtremepush_dlt.mapping.dialect import EXTERNAL_API, SEGMENT, Dialect
from xtremepush_dlt.routes.assumptions import endpoint_url
from xtremepush_dlt.routes.auth import AppToken, Auth, OAuth, SegmentKey
from xtremepush_dlt.routes.external import ExternalRoute
from xtremepush_dlt.routes.grants import ClientSecretGrant, Grant, SignedJwtGrant
from xtremepush_dlt.routes.segment import SegmentRoute


class OpenRoute(Route, Protocol):
    """A way into Xtremepush that holds connections."""

    def close(self) -> None:
        """Closes the connections."""


def make_route(config: XtremepushClientConfiguration, auth: Auth) -> OpenRoute:
    """The way into Xtremepush for one load package.

    Args:
        config: Settings of the run.
        auth: What `make_auth` made of them; it may serve several routes.
    """
    url = endpoint_url(config.api_endpoint)
    if config.credentials.kind == "segment_api_key":
        return SegmentRoute(url, auth, config.segment())
    return ExternalRoute(url, auth, config.external_api())


def dialect_of(config: XtremepushClientConfiguration) -> Dialect:
    """How calls look on the way that the credentials choose."""
    return SEGMENT if config.credentials.kind == "segment_api_key" else EXTERNAL_API


def make_auth(config: XtremepushClientConfiguration) -> Auth:
    """The credential in use."""
    credentials = config.credentials
    if credentials.kind == "app_token":
        return AppToken(str(credentials.app_token))
    if credentials.kind == "segment_api_key":
        return SegmentKey(str(credentials.segment_api_key))
    url, api, assumed = endpoint_url(config.api_endpoint), config.external_api(), config.oauth()
    client_id = str(credentials.client_id)
    grant: Grant
    if credentials.kind == "private_key":
        key = credentials.signing_key()
        grant = SignedJwtGrant(client_id, key, credentials.key_id or None, url, assumed)
    else:
        grant = ClientSecretGrant(client_id, str(credentials.client_secret), assumed)
    return OAuth(url, grant, assumed, api.connect_timeout_seconds, api.read_timeout_seconds)
