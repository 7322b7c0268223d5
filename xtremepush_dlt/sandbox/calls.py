"""A request as the API reads it: the body without its secrets, and what may be kept of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import orjson

from xtremepush_dlt.sandbox.oauth import SHOWN, TOKEN_PATH, read_parameters

EXTERNAL_PREFIX = "/api/external/"
SEGMENT_PREFIX = "/api/integration/segment/"

Body = dict[str, object]


@dataclass(frozen=True)
class Call:
    """One request. Its credentials are in no `repr`."""

    method: str
    path: str
    number: int  # of the request, from 1
    headers: Mapping[str, str] = field(repr=False)  # by lower-case name
    body: Body | None = field(repr=False)  # None when it was not a JSON object
    token: object = field(repr=False)  # what stood in `apptoken`

    @property
    def credentials(self) -> tuple[str, ...]:
        """The kinds of credentials that came, right or wrong: `apptoken`, `bearer`, `basic`."""
        header = self.headers.get("authorization", "").lower()
        # A header of no known scheme may be a bare credential, so nothing of it is shown.
        schemes = [name for name in ("bearer", "basic") if header.split(" ")[0] == name]
        return (*(["apptoken"] if self.token else []), *schemes)

    @property
    def shown(self) -> Body | None:
        """The body as it may be kept and shown, without secrets."""
        if self.path != TOKEN_PATH or self.body is None:
            return self.body
        return {name: value for name, value in self.body.items() if name in SHOWN}


def read_call(method: str, path: str, number: int, headers: Mapping[str, str], raw: bytes) -> Call:
    """Read a request, whatever it holds."""
    if path == TOKEN_PATH:
        return Call(method, path, number, headers, read_parameters(raw, headers), None)
    body, token = _parse_body(raw)
    return Call(method, path, number, headers, body, token)


def _parse_body(raw: bytes) -> tuple[Body | None, object]:
    """The JSON object of a body without its token, and the token; None when it is no object."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None, None
    if not isinstance(body, dict):
        return None, None
    # The token leaves the body before anything can keep, log or show it.
    return body, body.pop("apptoken", None)
