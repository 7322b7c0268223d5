"""Consent preferences: the object that an event may carry (reference, sections 5.1 and 9.4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from xtremepush_dlt.mapping import data_formats
from xtremepush_dlt.mapping.wire import Formatted, UnfitError, each

_METADATA = "metadata"


def preferences(values: Sequence[Any]) -> Formatted:
    """`{channel: {preference: 1 or 0}, "metadata": {...}}`, from an object or its JSON text."""
    return each(values, _preferences)


def _preferences(value: Any) -> dict[str, Any] | None:
    if isinstance(value, str):
        if not value.strip():
            return None
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError:
            raise UnfitError("not JSON") from None
        if value is None:
            return None
    if not isinstance(value, Mapping):
        raise UnfitError("not an object channel -> preference -> 0 or 1")
    return {_name(channel): _channel(channel, held) for channel, held in value.items()} or None


def _channel(channel: str, held: Any) -> dict[str, Any]:
    if channel == _METADATA:
        if not isinstance(held, Mapping):
            raise UnfitError("its metadata is not an object")
        metadata: dict[str, Any] = data_formats.json_form(held)
        return metadata
    if not isinstance(held, Mapping):
        raise UnfitError("a channel does not hold an object preference -> 0 or 1")
    return {_name(name): _choice(choice) for name, choice in held.items()}


def _name(name: Any) -> str:
    if not isinstance(name, str) or not name.strip():
        raise UnfitError("a channel or preference without a name")
    return name


def _choice(choice: Any) -> int:
    # nothing is read into text such as "yes": a consent is never guessed
    if isinstance(choice, (bool, int)) and choice in (0, 1):
        return int(choice)
    raise UnfitError("a preference that is neither 0 nor 1")
