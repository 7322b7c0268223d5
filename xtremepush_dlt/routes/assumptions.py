"""What the public documentation of the External API does not confirm, in one place.

Each field of `ExternalApiAssumptions` can be overridden in the configuration, for example
`[destination.xtremepush.assumptions] event_path = "/api/external/hit/events"`.
Section numbers are those of the API reference that this project was written from.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any
from urllib.parse import urlsplit

from xtremepush_dlt.exceptions import ConfigurationError

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
    if endpoint.startswith(("https://", "http://")) and urlsplit(endpoint).hostname:
        # the full path of a call is added by the route, so a pasted one would be doubled
        return endpoint.rstrip("/").removesuffix("/api/external")
    raise ConfigurationError(
        f"`api_endpoint` is `{endpoint}`, which is neither a region ("
        + ", ".join(f"`{region}`" for region in sorted(REGIONS))
        + ") nor a URL. Use the region of your Xtremepush project, or a URL that starts with "
        "https://."
    )


@dataclass(frozen=True)
class ExternalApiAssumptions:
    """Paths, places and names that are inferred, not documented."""

    profile_path: str = "/api/external/import/profile"
    """Confirmed (section 4); a setting because paths are cheap to change and dear to be wrong."""

    event_path: str = "/api/external/hit/event"
    """Confirmed for single hits; that batches share it might be a slip of the page (5.2)."""

    task_path: str = "/api/external/list/task"
    """Confirmed (section 6); that its rows can be selected by `id` is inferred from the sample's
    `"order": ["id DESC"]`. `info/task` is not confirmed at all."""

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

    @classmethod
    def with_overrides(cls, overrides: Mapping[str, Any]) -> ExternalApiAssumptions:
        """The assumptions with some of them replaced.

        Args:
            overrides: Values by the name of a field; a list serves for a tuple.

        Raises:
            ConfigurationError: If a name is no assumption or a value has the wrong type.
        """
        assumptions = cls()
        known = {field.name: getattr(assumptions, field.name) for field in fields(cls)}
        typed: dict[str, Any] = {}
        for name, value in overrides.items():
            if name not in known:
                raise ConfigurationError(
                    f"`{name}` in [destination.xtremepush.assumptions] is not an assumption of "
                    f"the External API. Known are: {', '.join(sorted(known))}."
                )
            typed[name] = _typed(name, known[name], value)
        return replace(assumptions, **typed)


def _typed(name: str, default: Any, value: Any) -> Any:
    """A value of the type that the default has; a text serves for a number."""
    if isinstance(default, str) and isinstance(value, str):
        return value
    if isinstance(default, tuple):
        values = (value,) if isinstance(value, str) else value
        if isinstance(values, (list, tuple)) and all(isinstance(item, str) for item in values):
            return tuple(values)
    if isinstance(default, float) and isinstance(value, (int, float, str)):
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if 0 < number < math.inf:
            return number
    expected = {str: "a text", tuple: "a list of texts", float: "a number of seconds above 0"}
    raise ConfigurationError(
        f"`{name}` in [destination.xtremepush.assumptions] must be {expected[type(default)]}."
    )
