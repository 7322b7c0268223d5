"""Dialects: what a call is named and how its values are written, by the route that it takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from xtremepush_dlt.mapping import data_formats, formats, segment_formats, wire
from xtremepush_dlt.mapping.columns import WITH_FRACTION


class Field(NamedTuple):
    """One of the fields that `identify` has keywords for.

    Attributes:
        target: Name on the wire.
        write: Turns a column into its wire form.
        usual: Columns to look for by default, the first that exists.
    """

    target: str
    write: wire.Format
    usual: Sequence[str]


@dataclass(frozen=True, repr=False)
class Dialect:
    """How calls look on one route.

    Attributes:
        route: Name of the route, for messages.
        user: Member of the user's identifier.
        anonymous: Member of the anonymous identifier; None where there is none.
        fields: The fields of a profile that have a keyword, by keyword.
        traits: Member that holds a profile; None where it lies flat beside the identifier.
        beside: Members of a profile that stand beside it as well, to identify the user.
        properties: Member that holds an event's properties.
        consent: Flags that an address must not be sent without, by address.
        write_attribute: Format of a profile attribute.
        write_property: Format of a property.
        write_moment: Format of a moment.
        updates_profiles_on_track: Whether an event can carry attributes and consent preferences.
        moments_as: Types with which load files are to be read, by dlt's type.
    """

    route: str
    user: str
    anonymous: str | None
    fields: Mapping[str, Field]
    traits: str | None
    beside: Sequence[str]
    properties: str
    consent: Mapping[str, str]
    write_attribute: wire.Format
    write_property: wire.Format
    write_moment: wire.Format
    updates_profiles_on_track: bool
    moments_as: Mapping[str | None, str]

    def __repr__(self) -> str:
        """Plans are compared and printed in tests; the tables of a dialect would drown them."""
        return f"<dialect of the {self.route}>"

    @property
    def reserved(self) -> Mapping[str, str]:
        """Names that only a keyword may write, and that keyword."""
        return {"user_id": "user_id"} | {
            name: keyword
            for keyword, field in self.fields.items()
            for name in (keyword, field.target)
        }

    @property
    def formats(self) -> Mapping[str, wire.Format]:
        """Formats of the fields that have a keyword, by their names on the wire."""
        return {field.target: field.write for field in self.fields.values()}


def _field(target: str, write: wire.Format, *usual: str) -> Field:
    return Field(target, write, usual or (target,))


EXTERNAL_API = Dialect(
    route="External API",
    user="user_id",
    anonymous=None,
    fields={
        "email": _field("email", formats.email),
        "email_subscription": _field("email_subscription", formats.subscription),
        # `phone` is Segment's trait
        "mobile_number": _field("mobile_number", formats.mobile_number, "mobile_number", "phone"),
        "sms_subscription": _field("sms_subscription", formats.subscription),
        "language": _field("language", formats.language),
        "timezone": _field("timezone", formats.timezone_name),
    },
    traits=None,
    beside=(),
    properties="value",
    consent={"email": "email_subscription", "mobile_number": "sms_subscription"},
    write_attribute=data_formats.attribute,
    write_property=data_formats.json_value,
    write_moment=data_formats.timestamp,
    updates_profiles_on_track=True,
    moments_as={},
)
"""`import/profile` and `hit/event` (reference, sections 4 and 5)."""

SEGMENT = Dialect(
    route="Segment route",
    user="userId",
    anonymous="anonymousId",
    fields={
        "email": _field("email", formats.email),
        "email_subscription": _field("email_subscription", segment_formats.value),
        "mobile_number": _field("phone", segment_formats.phone, "phone", "mobile_number"),
        "sms_subscription": _field("sms_subscription", segment_formats.value),
        "language": _field("language", segment_formats.value),
        "timezone": _field("timezone", segment_formats.value),
    },
    traits="traits",
    beside=("phone", "email"),
    properties="properties",
    # the integration sends no flags, and none are asked for (reference, section 3)
    consent={},
    write_attribute=segment_formats.value,
    write_property=segment_formats.value,
    write_moment=segment_formats.timestamp,
    updates_profiles_on_track=False,
    moments_as={"timestamp": WITH_FRACTION},
)
"""What Segment's own integration sends for the same record (reference, section 3)."""
