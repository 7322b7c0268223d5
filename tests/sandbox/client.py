"""A plain HTTP caller for the sandbox tests."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import requests

from xtremepush_dlt.sandbox import Sandbox

COLUMNS = ["user_id", "first_name"]


@dataclass
class Caller:
    """Sends what the tests want to a sandbox, with the right token unless told otherwise."""

    sandbox: Sandbox
    session: requests.Session = field(default_factory=requests.Session)

    def post(self, call: str, timeout: float = 10.0, **body: Any) -> requests.Response:
        """POST to `/api/external/{call}`; `apptoken=None` leaves the token out."""
        body = {"apptoken": self.sandbox.app_token, **body}
        if body["apptoken"] is None:
            del body["apptoken"]
        url = f"{self.sandbox.url}/api/external/{call}"
        return self.session.post(url, json=body, timeout=timeout)

    def load(self, count: int, first: int = 0, **body: Any) -> requests.Response:
        """Import `count` users from number `first`."""
        rows = [[f"user-{number}", "Sam"] for number in range(first, first + count)]
        return self.post("import/profile", columns=COLUMNS, rows=rows, **body)

    def rows(self, columns: list[str], *rows: list[Any], **body: Any) -> requests.Response:
        """Import these rows."""
        return self.post("import/profile", columns=columns, rows=list(rows), **body)

    def hit(self, user_id: Any = "user-1", event: Any = "purchase", **members: Any) -> Any:
        """Send one event."""
        return self.post("hit/event", user_id=user_id, event=event, **members)

    def hits(self, *events: dict[str, Any]) -> requests.Response:
        """Send a batch of events."""
        return self.post("hit/event", events=list(events))
