"""What the public documentation of Xtremepush does not confirm, in one place.

Each field of the classes below can be overridden in the configuration, for example
`[destination.xtremepush.assumptions] event_path = "/api/external/hit/events"`.
Section numbers are those of the API reference that this project was written from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from xtremepush_dlt.exceptions import ConfigurationError
from xtremepush_dlt.routes.overrides import Overridable

REGIONS: Mapping[str, str] = {
    "eu": "https://external-api.xtremepush.com",
    "us": "https://api.us.xtremepush.com",
}
"""Hosts of the region table of the API overview (section 1). `https://api.eu.xtremepush.com`, most
likely an alias of the EU host, can be given as a URL."""


def endpoint_url(api_endpoint: str) -> str:
    """Turns the setting `api_endpoint` into a base URL without a trailing slash.

    Args:
        api_endpoint: `eu`, `us` or a URL.

    Raises:
        ConfigurationError: If it is neither a known region nor an http(s) URL.
    """
    endpoint = api_endpoint.strip()
    if endpoint.lower() in REGIONS:
        return REGIONS[endpoint.lower()]
    if "@" in endpoint:
        raise ConfigurationError(
            "`api_endpoint` holds a user name or a password. Credentials go to "
            "[destination.xtremepush.credentials]; the endpoint is the scheme and host alone."
        )
    if (url := _url(endpoint)) is not None:
        # the full path of a call is added by the route, so a pasted one would be doubled
        return url.rstrip("/").removesuffix("/api/external")
    raise ConfigurationError(
        f"`api_endpoint` is `{endpoint}`, which is neither a region ("
        + ", ".join(f"`{region}`" for region in sorted(REGIONS))
        + ") nor a URL. Use the region of your Xtremepush project, or a URL that starts with "
        "https://."
    )


def _url(text: str) -> str | None:
    """A URL that calls can be added to, its scheme in lower case; None if it is none."""
    try:
        parts = urlsplit(text)
        port_fits = parts.port is None or parts.port > 0
    except ValueError:
        return None
    fits = parts.hostname and port_fits and not (parts.query or parts.fragment)
    if not fits or parts.scheme not in ("https", "http") or any(map(str.isspace, text)):
        return None
    return parts.geturl()


@dataclass(frozen=True)
class ExternalApiAssumptions(Overridable):
    """Paths, places and names of the External API that are inferred, not documented."""

    profile_path: str = "/api/external/import/profile"
    """Confirmed (section 4); a setting because paths are cheap to change and dear to be wrong."""

    event_path: str = "/api/external/hit/event"
    """Confirmed for single hits; that batches share it might be a slip of the page (5.2)."""

    task_path: str = "/api/external/list/task"
    """Confirmed (section 6); that its rows can be selected by `id` is inferred from the sample's
    `"order": ["id DESC"]`. `info/task` is not confirmed at all."""

    delete_path: str = ""
    """Not documented (section 9.3): deletion over the External API is off until the path that
    Xtremepush names is set here, such as `/api/external/delete/profile`. One request a user, with
    `user_id` in the body."""

    task_id_places: tuple[str, ...] = ("data.task_id", "data.id", "model.id", "task_id", "id")
    """Where the 202 reply of an import may carry the task's id, tried in this order (section 4)."""

    failed_rows_places: tuple[str, ...] = ("data.failed", "data.total_failed")
    """Where the reply to a synchronous import may carry the number of failed rows (section 4)."""

    error_place_members: tuple[str, ...] = ("row", "index")
    """Members of an item of `errors` that may name the place of its row in the request, counted
    from 0 (sections 4 and 5). Trusted for events only: imports are asked again in halves."""

    task_status_places: tuple[str, ...] = ("status", "state")
    """Members of a listed task that may carry its status (section 6)."""

    task_running: tuple[str, ...] = ("new", "executing")
    """States in which a task goes on, in lower case; names of the UI (section 6)."""

    task_finished: tuple[str, ...] = ("completed", "error")
    """States in which a task has processed its rows, in lower case. `Error` means "finished with
    errors": the counters tell how many rows failed (section 6)."""

    task_failed: tuple[str, ...] = ("fatal",)
    """States in which a task could not finish, in lower case (section 6)."""

    task_failed_rows_places: tuple[str, ...] = ("total_failed", "failed")
    """Members of a listed task that may carry its number of failed rows (section 6)."""

    task_poll_seconds: float = 0.1
    """Seconds until a task is asked for the first time; doubled after each ask."""

    task_poll_seconds_most: float = 5.0
    """Seconds between two asks at the most."""

    task_patience_seconds: float = 900.0
    """Seconds after which a task that still runs is left to dlt's retry."""

    connect_timeout_seconds: float = 10.0
    """Seconds to wait for a connection; nothing is documented (section 10)."""

    read_timeout_seconds: float = 120.0
    """Seconds to wait for an answer; nothing is documented (section 10)."""


@dataclass(frozen=True)
class OAuthAssumptions(Overridable):
    """How a token of OAuth 2.0 is asked for and shown (section 2.2).

    Path, grants and algorithms are documented; the rest follows RFC 6749, 6750 and 7523. In
    `oauth_audience` and `oauth_key_id`, `{token_url}`, `{endpoint}` and `{client_id}` stand for
    those values.
    """

    oauth_token_path: str = "/api/oauth/token"
    """Confirmed; a setting because paths are cheap to change and dear to be wrong. A whole URL
    serves for a token endpoint on another host."""

    oauth_encoding: str = "form"
    """Form of the token request: `form` (RFC 6749) or `json`."""

    oauth_client_authentication: str = "body"
    """Where client ID and secret stand in the token request: `body`, or `basic` for the header."""

    oauth_grant_parameter: str = "grant_type"
    """Name of the parameter that tells the grant."""

    oauth_client_id_parameter: str = "client_id"
    """Name of the parameter with the client ID."""

    oauth_client_secret_parameter: str = "client_secret"
    """Name of the parameter with the client secret."""

    oauth_assertion_parameter: str = "assertion"
    """Name of the parameter with the signed JWT."""

    oauth_extra_parameters: Mapping[str, Any] = field(default_factory=dict)
    """Further parameters of the token request, such as `scope`."""

    oauth_client_id_claims: tuple[str, ...] = ("iss", "sub")
    """Claims of the JWT that carry the client ID."""

    oauth_audience: str = "{token_url}"
    """Claim `aud` of the JWT; empty leaves it out."""

    oauth_key_id: str = "{client_id}"
    """`kid` of the JWT where `key_id` is not set; empty leaves it out. An older page calls the
    client ID the "unique key identifier"."""

    oauth_jwt_seconds: float = 300.0
    """Life of the JWT, from `iat` to `exp`."""

    oauth_extra_claims: Mapping[str, Any] = field(default_factory=dict)
    """Further claims of the JWT; they also replace those that it would have."""

    oauth_token_places: tuple[str, ...] = ("access_token", "data.access_token", "token")
    """Where the reply may carry the token, tried in this order."""

    oauth_life_places: tuple[str, ...] = ("expires_in", "data.expires_in")
    """Where the reply may carry the token's life in seconds, tried in this order."""

    oauth_error_places: tuple[str, ...] = ("error", "data.error")
    """Where a refusal may carry one of the error codes of RFC 6749."""

    oauth_life_seconds: float = 3600.0
    """Life of a token where the reply does not tell it."""

    oauth_renewal_seconds: float = 60.0
    """How long before its end a token is renewed; at half its life, if that is later."""

    oauth_header: str = "Authorization"
    """Header of a request that shows the token."""

    oauth_scheme: str = "Bearer"
    """What stands before the token in that header; empty leaves it out."""

    def __post_init__(self) -> None:
        for name, known in (
            ("oauth_encoding", ("form", "json")),
            ("oauth_client_authentication", ("body", "basic")),
        ):
            if getattr(self, name) not in known:
                raise ConfigurationError(
                    f"`{name}` in [destination.xtremepush.assumptions] must be "
                    + " or ".join(f"`{value}`" for value in known)
                    + "."
                )


@dataclass(frozen=True)
class SegmentAssumptions(Overridable):
    """Paths and times of the Segment route that are read from code, not documented."""

    segment_handle_path: str = "/api/integration/segment/handle"
    """From the code of Segment's own integration (section 3)."""

    segment_delete_path: str = "/api/integration/segment/delete"
    """From the code of Segment's own integration (section 3)."""

    segment_connect_timeout_seconds: float = 10.0
    """Seconds to wait for a connection; nothing is documented (section 10)."""

    segment_read_timeout_seconds: float = 120.0
    """Seconds to wait for an answer; nothing is documented (section 10)."""
