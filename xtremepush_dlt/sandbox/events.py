"""`hit/event`: events kept in the order of their arrival (reference 5)."""

from __future__ import annotations

import logging
import re
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from xtremepush_dlt.sandbox.envelope import ItemError, Refused, Reply, error_members, success
from xtremepush_dlt.sandbox.faults import FaultEngine
from xtremepush_dlt.sandbox.poison import poison_errors, poisoned
from xtremepush_dlt.sandbox.profiles import Profiles, normal_user_id
from xtremepush_dlt.sandbox.settings import SandboxSettings

_log = logging.getLogger(__name__)
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d( [+-]\d\d:\d\d)?", re.ASCII)


@dataclass(frozen=True)
class Event:
    """An event as Xtremepush would keep it."""

    number: int  # 1 for the first event that was stored
    request: int  # number of the request that brought it
    user_id: str
    event: str
    value: object
    timestamp: datetime  # UTC
    received_at: float  # wall time, seconds
    profile_known: bool  # an import or identify had made or updated the profile before this event
    user_attributes: dict[str, object] = field(default_factory=dict)
    # as it was sent; written to the profile only with the Consent Manager
    consent_preferences: dict[str, object] = field(default_factory=dict)
    anonymous_id: str | None = None  # Segment route only, where it is the user id if there is none
    message_id: str | None = None  # Segment route only


def parse_timestamp(value: object, *, strict: bool) -> datetime | None:
    """A timestamp in UTC, None when it has another form than the reference's (5.1, 11).

    Args:
        value: `YYYY-MM-DD HH:MM:SS`, in UTC or with ` +HH:MM`.
        strict: False reads any ISO 8601 text and Unix seconds too.
    """
    try:
        if isinstance(value, str):
            if _TIMESTAMP.fullmatch(value):
                value = value.replace(" ", "T", 1).replace(" ", "")
            elif strict:
                return None
            # datetime knows "Z" from Python 3.11 on.
            moment = datetime.fromisoformat(value.strip().replace("Z", "+00:00"))
            if moment.tzinfo is None:
                return moment.replace(tzinfo=timezone.utc)
            return moment.astimezone(timezone.utc)
        if not strict and type(value) in (int, float):
            return datetime.fromtimestamp(value, timezone.utc)  # type: ignore[arg-type]  # a number
    except (ValueError, OverflowError, OSError):
        return None
    return None


@dataclass(frozen=True)
class _Hit:
    """A sound event of a request."""

    user_id: str
    event: str
    value: object
    timestamp: datetime | None
    user_attributes: dict[str, object]
    consents: dict[str, object]


class EventLog:
    """Answers hits and keeps the events."""

    def __init__(self, settings: SandboxSettings, profiles: Profiles, faults: FaultEngine) -> None:
        self._settings = settings
        self._profiles = profiles
        self._faults = faults
        self.events: list[Event] = []
        self.warnings: Counter[str] = Counter()

    def handle(self, body: Mapping[str, object], request: int) -> Reply:
        """Store one event, or the batch in `events`.

        Raises:
            Refused: The request is refused; whether sound events were stored is a setting.
        """
        settings = self._settings
        hits, errors = self._read_all(self._items(body))
        if errors and (settings.bad_event == "refuse_all" or "events" not in body):
            raise Refused(400, "The events are not valid.", errors)
        self._store(hits, request)
        if not errors:
            return success({"async": True})
        if settings.bad_event == "refuse_but_store_rest":
            raise Refused(400, "Some events are not valid.", errors)
        members = error_members(errors, settings.errors_as, named=settings.errors_name_items)
        return success({"async": True, "errors": members})

    def add(self, **members: Any) -> None:
        """Keep an event that arrives now; `members` are fields of `Event` but number and time."""
        self.events.append(Event(number=len(self.events) + 1, received_at=time.time(), **members))

    def _items(self, body: Mapping[str, object]) -> Sequence[object]:
        if "events" not in body:
            return [body]
        items = body["events"]
        if not isinstance(items, list) or not items:
            raise Refused(400, "events must be a list of events.")
        limit = self._settings.max_events
        if len(items) > limit:
            if self._settings.over_max_events == "refuse":
                raise Refused(400, f"a batch takes at most {limit} events.")
            _log.warning("a batch of %d events; at most %d are advised", len(items), limit)
        return items

    def _read_all(self, items: Sequence[object]) -> tuple[list[_Hit], list[ItemError]]:
        """The sound events, and what is wrong with the others."""
        faults = self._faults.faults
        read = [self._read(item) for item in items]
        ids = [hit.user_id if isinstance(hit, _Hit) else None for hit in read]
        poison = frozenset(poisoned(faults, ids, items))
        hits: list[_Hit] = []
        errors: list[ItemError] = []
        for index, hit in enumerate(read):
            if isinstance(hit, str):
                errors.append(ItemError(hit, index))
            elif index not in poison:
                hits.append(hit)
        return hits, errors + (poison_errors(faults, sorted(poison)) if poison else [])

    def _read(self, item: object) -> _Hit | str:
        """A sound event, or what is wrong with it, without any of its values."""
        if not isinstance(item, dict):
            return "an event must be an object"
        user_id = normal_user_id(item.get("user_id"))
        if user_id is None:
            return "user_id is missing"
        name = item.get("event")
        if not isinstance(name, str) or not name.strip():
            return "event is missing"
        value = item.get("value")
        if isinstance(value, bool) or not isinstance(value, (dict, str, int, float, type(None))):
            return "value must be a string, a number or an object"
        attributes = item.get("user_attributes") or {}
        if not isinstance(attributes, dict):
            return "user_attributes must be an object"
        if self._settings.unknown_attributes == "refuse" and self._profiles.unknown(attributes):
            return "user_attributes has an attribute that does not exist"
        consents = item.get("consent_preferences") or {}
        if not isinstance(consents, dict) or not self._takes(consents):
            return "consent_preferences must be channels of preferences that are 0 or 1"
        moment, timestamp = item.get("timestamp"), None
        if moment is not None:
            timestamp = parse_timestamp(moment, strict=self._settings.strict_timestamps)
            if timestamp is None:
                return "timestamp must be YYYY-MM-DD HH:MM:SS, in UTC or with an offset"
        return _Hit(user_id, name, value, timestamp, attributes, consents)

    def _takes(self, consents: Mapping[str, object]) -> bool:
        """Whether all channels hold preferences that are 0 or 1; `metadata` may hold anything."""
        if not self._settings.consent_manager:
            return True  # they are ignored (5.1)
        return all(
            isinstance(choices, dict)
            and (
                channel == "metadata"
                or all(type(choice) is int and choice in (0, 1) for choice in choices.values())
            )
            for channel, choices in consents.items()
        )

    def _store(self, hits: Sequence[_Hit], request: int) -> None:
        arrival = datetime.now(timezone.utc)
        profiles = self._profiles
        for hit in hits:
            known = hit.user_id in profiles.imported
            profiles.hit(hit.user_id, hit.user_attributes, self.warnings)
            if hit.consents and self._settings.consent_manager:
                profiles.consent(hit.user_id, hit.consents)
            self.add(
                request=request,
                user_id=hit.user_id,
                event=hit.event,
                value=hit.value,
                timestamp=hit.timestamp or arrival,
                user_attributes=hit.user_attributes,
                profile_known=known,
                consent_preferences=hit.consents,
            )
