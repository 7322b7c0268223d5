"""The profiles Xtremepush would keep, and the rules for writing to them (reference 4, 7, 11)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial

from xtremepush_dlt.sandbox.attributes import fits
from xtremepush_dlt.sandbox.settings import SYSTEM_ATTRIBUTES, SandboxSettings

# Loose on purpose: the reference has the form of these values, not their exact rules (11).
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
_MOBILE = re.compile(r"[0-9]{5,15}")
_LANGUAGE = re.compile(r"[A-Za-z]{2}")
_TIMEZONE = re.compile(r"[A-Za-z0-9_+\-]+(/[A-Za-z0-9_+\-]+)*")


def _matches(pattern: re.Pattern[str]) -> Callable[[object], bool]:
    return lambda value: isinstance(value, str) and pattern.fullmatch(value) is not None


def _is_flag(value: object) -> bool:
    return type(value) is int and value in (0, 1)


def _is_mobile(value: object) -> bool:
    return (type(value) is int or isinstance(value, str)) and _MOBILE.fullmatch(
        str(value)
    ) is not None


_CHECKS: dict[str, Callable[[object], bool]] = {
    "email": _matches(_EMAIL),
    "email_subscription": _is_flag,
    "mobile_number": _is_mobile,
    "mobile_subscription": _is_flag,
    "sms_subscription": _is_flag,
    "whatsapp_number": _is_mobile,
    "whatsapp_subscription": _is_flag,
    "language": _matches(_LANGUAGE),
    "timezone": _matches(_TIMEZONE),
}

SUBSCRIPTION_OF = {"email": "email_subscription", "mobile_number": "sms_subscription"}
"""The flag that must come with an identifier (4)."""


def normal_user_id(value: object) -> str | None:
    """A user id as it is stored: a string. None when there is none, or it is no identifier."""
    if isinstance(value, str):
        return value if value.strip() else None
    # bool is an int in Python, and true is no identifier.
    return str(value) if type(value) is int else None


class InvalidRow(Exception):  # noqa: N818  # the name says more than an Error suffix would
    """The row cannot be saved; the message names the attribute, never its value."""


class Profiles:
    """Profiles by user id."""

    def __init__(self, settings: SandboxSettings) -> None:
        self._settings = settings
        own = settings.known_attributes
        self._known = None if own is None else own.keys() | SYSTEM_ATTRIBUTES
        typed = {name: kind for name, kind in (own or {}).items() if kind is not None}
        self._checks = {name: partial(fits, kind) for name, kind in typed.items()} | _CHECKS
        self.attributes: dict[str, dict[str, object]] = {}
        self.imported: set[str] = set()
        self.consents: dict[str, dict[str, object]] = {}

    def unknown(self, names: Iterable[str]) -> list[str]:
        """The names that are no attribute of the project."""
        known = self._known
        return [] if known is None else [name for name in names if name not in known]

    def import_row(
        self, user_id: str, names: list[str], values: Iterable[object], warnings: Counter[str]
    ) -> None:
        """Create or update a profile from a row.

        Raises:
            InvalidRow: A value cannot be saved; the profile is as it was.
        """
        settings = self._settings
        changes = self._changes(names, values, warnings, fail=settings.invalid_values == "fail")
        if settings.empty_subscription == "fail":
            for name, flag in SUBSCRIPTION_OF.items():
                if changes.get(name) is not None and changes.get(flag) is None:
                    raise InvalidRow(f"{name} is set without {flag}")
        self._write(user_id, changes)
        self.imported.add(user_id)

    def hit(self, user_id: str, attributes: dict[str, object], warnings: Counter[str]) -> None:
        """Create the profile if it is new and write the attributes that came with an event."""
        # How a hit answers to a bad attribute is unknown; the event stays (5.1).
        changes = self._changes(attributes, attributes.values(), warnings, fail=False)
        self._write(user_id, changes)

    def identify(self, user_id: str, attributes: dict[str, object], warnings: Counter[str]) -> None:
        """Create or update a profile from the traits of an identify call."""
        self.hit(user_id, attributes, warnings)
        self.imported.add(user_id)

    def forget(self, user_id: str) -> bool:
        """Delete all that is known of a user; answers whether there was a profile."""
        self.imported.discard(user_id)
        self.consents.pop(user_id, None)
        return self.attributes.pop(user_id, None) is not None

    def consent(self, user_id: str, preferences: dict[str, object]) -> None:
        """Write consent preferences, channel by channel."""
        kept = self.consents.setdefault(user_id, {})
        for channel, choices in preferences.items():
            before = kept.get(channel)
            if isinstance(before, dict) and isinstance(choices, dict):
                kept[channel] = {**before, **choices}
            else:
                kept[channel] = choices

    def _write(self, user_id: str, changes: dict[str, object]) -> None:
        profile = self.attributes.get(user_id)
        if profile is None:
            profile = self.attributes[user_id] = {}
        profile.update(changes)
        if None in changes.values():
            for name, value in changes.items():
                if value is None:
                    del profile[name]

    def _changes(
        self,
        names: Iterable[str],
        values: Iterable[object],
        warnings: Counter[str],
        *,
        fail: bool,
    ) -> dict[str, object]:
        """What a row changes; None stands for clearing. Written for speed: 10,000 rows at once."""
        settings, known, checks = self._settings, self._known, self._checks
        longest = settings.max_string_length
        changes: dict[str, object] = {}
        for name, value in zip(names, values, strict=True):
            if value is None or value == "":
                rule = settings.nulls if value is None else settings.empty_strings
                if rule == "clear":
                    changes[name] = None
            elif known is not None and name not in known:
                warnings[f"attribute {name} does not exist and was ignored"] += 1
            elif name in checks and not checks[name](value):
                if fail:
                    raise InvalidRow(f"{name} is not valid")
                warnings[f"{name} is not valid and was ignored"] += 1
            elif type(value) is str and len(value) > longest and name not in _CHECKS:
                changes[name] = self._cut(name, value, warnings, fail=fail)
            else:
                changes[name] = value
        return changes

    def _cut(self, name: str, value: str, warnings: Counter[str], *, fail: bool) -> str:
        # Array attributes come as escaped JSON text (4) and are not bound by the length of strings.
        if value[0] in "[{" and value[-1] in "]}":
            return value
        longest = self._settings.max_string_length
        if self._settings.long_strings == "fail" and fail:
            raise InvalidRow(f"{name} is longer than {longest} characters")
        warnings[f"{name} was cut to {longest} characters"] += 1
        return value[:longest]
