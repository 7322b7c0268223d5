"""The Segment integration: one identify, track or delete a request (reference 3)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from datetime import datetime

from xtremepush_dlt.sandbox.access import Access
from xtremepush_dlt.sandbox.calls import SEGMENT_PREFIX, Body, Call
from xtremepush_dlt.sandbox.deletions import Deletions
from xtremepush_dlt.sandbox.envelope import Refused, Reply
from xtremepush_dlt.sandbox.events import EventLog
from xtremepush_dlt.sandbox.faults import FaultEngine
from xtremepush_dlt.sandbox.poison import refuse_poison
from xtremepush_dlt.sandbox.profiles import Profiles
from xtremepush_dlt.sandbox.settings import SandboxSettings

_IDENTIFIERS = ("userId", "anonymousId", "phone", "email")
_COMMON = frozenset({"type", "timestamp", "messageId", *_IDENTIFIERS})
_MEMBERS = {
    "identify": _COMMON | {"traits"},
    "track": _COMMON | {"event", "properties"},
}
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII)
_TRAITS = {"phone": "mobile_number"}
"""Traits that have another name as an attribute; `email` keeps its own."""


class SegmentApi:
    """The calls under `/api/integration/segment/`. What they answer to errors is an assumption."""

    def __init__(
        self,
        settings: SandboxSettings,
        access: Access,
        profiles: Profiles,
        log: EventLog,
        deletions: Deletions,
        faults: FaultEngine,
    ) -> None:
        self._settings = settings
        self._access = access
        self._profiles = profiles
        self._log = log
        self._deletions = deletions
        self._faults = faults
        self._calls = {"handle": self._handle, "delete": self._delete}
        self._message_ids: set[str] = set()
        self.ignored_traits: Counter[str] = Counter()
        self.warnings: Counter[str] = Counter()

    def handle(self, call: Call) -> Reply:
        """Answer one request; `{}` tells of success.

        Raises:
            Refused: The request is refused.
        """
        name = call.path.removeprefix(SEGMENT_PREFIX)
        if name not in self._calls:
            raise Refused(404, "The URI is not valid.")
        if f"segment/{name}" in self._settings.endpoints_off:
            raise Refused(410, "The endpoint is switched off.")
        if call.method != "POST":
            raise Refused(405, "The HTTP method is not allowed.")
        serve = self._access.segment(call.headers)
        if call.body is None:
            raise Refused(400, "The body is not a JSON object.")
        if serve:
            self._calls[name](call.body, call.number)
        return Reply(200, {})

    def known(self, path: str) -> bool:
        """Whether a path is one of the calls served here."""
        return path.removeprefix(SEGMENT_PREFIX) in self._calls

    def _handle(self, body: Body, request: int) -> None:
        kind = body.get("type")
        if kind not in ("identify", "track"):
            raise Refused(400, "type must be identify or track.")
        unknown = sorted(body.keys() - _MEMBERS[kind])
        if unknown and self._settings.segment_unknown_members == "refuse":
            # Their names may be anything, so they are not told.
            raise Refused(400, f"{len(unknown)} members are not part of a {kind} call.")
        user_id, anonymous_id = self._identifiers(body)
        key = user_id or anonymous_id
        if key is None:
            raise Refused(400, "userId and anonymousId are missing.")
        moment = _moment(body.get("timestamp"))
        message_id = _text(body, "messageId")
        self._refuse_poison(key, body)
        event = _text(body, "event") if kind == "track" else None
        payload = _object(body, "traits" if event is None else "properties")
        if self._settings.segment_dedup:
            if message_id in self._message_ids:
                return
            self._message_ids.add(message_id)
        if event is None:
            self._profiles.identify(key, self._attributes(payload), self.warnings)
        else:
            known = key in self._profiles.imported
            self._profiles.hit(key, {}, self.warnings)
            self._log.add(
                request=request,
                user_id=key,
                event=event,
                value=payload,
                timestamp=moment,
                profile_known=known,
                anonymous_id=anonymous_id,
                message_id=message_id,
            )

    def _delete(self, body: Body, request: int) -> None:
        user_id, anonymous_id = self._identifiers(body)
        key = user_id or anonymous_id
        if key is None:
            raise Refused(400, "userId and anonymousId are missing.")
        self._refuse_poison(key, body)
        self._deletions.delete(request, user_id, anonymous_id)

    def _identifiers(self, body: Body) -> tuple[str | None, str | None]:
        """The user id and the anonymous id; Segment leaves absent ones out."""
        for name in _IDENTIFIERS:
            if name in body:
                _text(body, name)
        user_id, anonymous_id = body.get("userId"), body.get("anonymousId")
        return (
            user_id if isinstance(user_id, str) else None,
            anonymous_id if isinstance(anonymous_id, str) else None,
        )

    def _attributes(self, traits: Mapping[str, object]) -> dict[str, object]:
        """The traits that are attributes of the project; the others are ignored without a word."""
        named = {_TRAITS.get(name, name): value for name, value in traits.items()}
        for name in self._profiles.unknown(named):
            self.ignored_traits[name] += 1
            del named[name]
        return named

    def _refuse_poison(self, key: str, body: Body) -> None:
        poison = refuse_poison(self._faults.faults, [key], [body])
        if poison is not None:
            raise poison


def _moment(value: object) -> datetime:
    if not isinstance(value, str) or _TIMESTAMP.fullmatch(value) is None:
        raise Refused(400, "timestamp must be ISO 8601 with milliseconds and Z.")
    try:
        return datetime.fromisoformat(value.replace("Z", "+00:00"))
    except ValueError as wrong:
        raise Refused(400, "timestamp is no date and time.") from wrong


def _text(body: Body, name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value.strip():
        raise Refused(400, f"{name} must be a text that is not empty.")
    return value


def _object(body: Body, name: str) -> dict[str, object]:
    value = body.get(name, {})
    if not isinstance(value, dict):
        raise Refused(400, f"{name} must be an object.")
    return value
