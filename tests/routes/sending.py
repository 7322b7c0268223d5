"""Requests as the delivery makes them, in one line each."""

from __future__ import annotations

from collections.abc import Sequence

from xtremepush_dlt.routes.calls import CallSource
from xtremepush_dlt.routes.external import ExternalRoute
from xtremepush_dlt.routes.verdict import Verdict

EVENTS = CallSource("track", "crm_sync", "orders", "track order_placed")


def hit(route: ExternalRoute, records: Sequence[bytes]) -> Verdict:
    """Sends events once."""
    return route.send("track", route.body("track", (), records))


def import_profiles(
    route: ExternalRoute, columns: Sequence[str], records: Sequence[bytes]
) -> Verdict:
    """Sends an import once."""
    return route.send("identify", route.body("identify", columns, records))
