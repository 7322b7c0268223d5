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

    def segment(self, call: str = "handle", key: str | None = None, **body: Any) -> Any:
        """POST to `/api/integration/segment/{call}` with the API key, or another one."""
        url = f"{self.sandbox.url}/api/integration/segment/{call}"
        user = self.sandbox.segment_api_key if key is None else key
        return self.session.post(url, json=body, auth=(user, ""), timeout=10)

    def identify(self, user_id: str | None = "user-1", **members: Any) -> Any:
        """Send an identify call as Segment would; None leaves a member out."""
        return self.segment(**_record("identify", user_id, members))

    def track(self, user_id: str | None = "user-1", **members: Any) -> Any:
        """Send a track call as Segment would; None leaves a member out."""
        return self.segment(**_record("track", user_id, {"event": "purchase", **members}))

    def bearer(self, **client: str) -> dict[str, str]:
        """Headers with an access token of the sandbox's first client, or of another one."""
        body = {
            "grant_type": "client_credentials",
            "client_id": self.sandbox.client_id,
            "client_secret": self.sandbox.client_secret,
            **client,
        }
        reply = self.session.post(f"{self.sandbox.url}/api/oauth/token", data=body, timeout=10)
        return {"Authorization": f"Bearer {reply.json()['access_token']}"}


def _record(kind: str, user_id: str | None, members: dict[str, Any]) -> dict[str, Any]:
    record = {
        "type": kind,
        "userId": user_id,
        "timestamp": "2026-07-01T10:00:00.000Z",
        "messageId": "message-1",
        **members,
    }
    return {name: value for name, value in record.items() if value is not None}
