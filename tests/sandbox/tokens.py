"""Plain requests to the token endpoint, and with what it gave."""

from __future__ import annotations

from typing import Any

import requests

from xtremepush_dlt.sandbox import Sandbox

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"


def ask(sandbox: Sandbox, parameters: Any, *, as_json: bool = False) -> requests.Response:
    url = sandbox.url + "/api/oauth/token"
    return requests.post(url, **{"json" if as_json else "data": parameters}, timeout=5)


def ask_by_secret(sandbox: Sandbox, *, as_json: bool = False, **changes: Any) -> requests.Response:
    parameters = {
        "grant_type": "client_credentials",
        "client_id": sandbox.client_id,
        "client_secret": sandbox.client_secret,
        **changes,
    }
    return ask(sandbox, {k: v for k, v in parameters.items() if v is not None}, as_json=as_json)


def ask_by_assertion(sandbox: Sandbox, signed: str) -> requests.Response:
    return ask(sandbox, {"grant_type": JWT_BEARER, "assertion": signed})


def hit(sandbox: Sandbox, token: str) -> int:
    reply = requests.post(
        sandbox.url + "/api/external/hit/event",
        json={"user_id": "1", "event": "e"},
        headers={"Authorization": f"Bearer {token}"},
        timeout=5,
    )
    return reply.status_code
