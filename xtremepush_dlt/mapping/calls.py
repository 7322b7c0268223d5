"""Rows into calls: what one action makes of one column batch."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from xtremepush_dlt.mapping.columns import ColumnBatch
from xtremepush_dlt.mapping.payloads import Events, Objects, Payload, Records
from xtremepush_dlt.mapping.plan import (
    ActionPlan,
    Binding,
    IdentifyPlan,
    TrackPlan,
)
from xtremepush_dlt.mapping.problems import Findings, Problem, Problems
from xtremepush_dlt.mapping.reading import optional, required, unselected, written

__all__ = ["ANONYMOUS", "Calls", "Problem", "make_calls", "without", "written"]

ANONYMOUS = " anonymous: "
"""Stands before an anonymous identifier where users are told apart.

No user's identifier begins like that: they are trimmed.
"""


@dataclass(frozen=True, repr=False)
class Calls:
    """What one action makes of the rows of a batch.

    Attributes:
        users: The user of each row; None where the identifier is unusable. A user who has only an
            anonymous identifier is that, behind `ANONYMOUS`.
        payloads: The call of each row, also of a row that is not sent.
        skipped: Indices of rows that `when` did not select.
        invalid: Problems by index, of rows that are refused here.
        omitted: Problems by index, of rows that are sent without some value.
        noted: Problems by index, of rows that are sent with some value that Xtremepush may ignore.
    """

    users: list[str | None]
    payloads: Objects | Events | Records | Sequence[Payload]
    skipped: Collection[int]
    invalid: Mapping[int, list[Problem]]
    omitted: Mapping[int, list[Problem]]
    noted: Mapping[int, list[Problem]] = field(default_factory=dict)

    @property
    def plain(self) -> bool:
        """Whether every row makes a call, and there is nothing to say about any."""
        return not (self.skipped or self.invalid or self.omitted or self.noted)

    def remarks(self, index: int) -> list[Problem]:
        """What is to be said about a row that is sent."""
        return [*self.omitted.get(index, ()), *self.noted.get(index, ())]


def make_calls(batch: ColumnBatch, action: ActionPlan, reject_invalid: bool) -> Calls:
    """Applies an action to the rows of a batch.

    Args:
        batch: The rows.
        action: The action.
        reject_invalid: Whether a value that breaks its rule makes its row invalid instead of
            being left out.
    """
    invalid, omitted, noted = Problems(), Problems(), Problems()
    findings = Findings(invalid, invalid if reject_invalid else omitted, noted)
    users, identifiers = _identifiers(batch, action, findings)
    payloads: Objects | Events | Records
    if isinstance(action, IdentifyPlan):
        payloads = _profiles(batch, action, identifiers, findings)
    elif isinstance(action, TrackPlan):
        payloads = _events(batch, action, identifiers, findings)
    else:
        payloads = _present(identifiers)
    skipped = unselected(batch, action.conditions, invalid)
    for index in skipped:
        invalid.pop(index, None)
    for index in (*skipped, *invalid):
        omitted.pop(index, None)
        noted.pop(index, None)
    return Calls(users, payloads, skipped, invalid, omitted, noted)


def without(calls: Calls, indices: Collection[int]) -> Calls:
    """The calls with some further rows left out."""
    if not indices:
        return calls
    return replace(
        calls,
        skipped={*calls.skipped, *indices},
        invalid={index: what for index, what in calls.invalid.items() if index not in indices},
        omitted={index: what for index, what in calls.omitted.items() if index not in indices},
        noted={index: what for index, what in calls.noted.items() if index not in indices},
    )


def _identifiers(
    batch: ColumnBatch, action: ActionPlan, findings: Findings
) -> tuple[list[str | None], dict[str, list[str | None]]]:
    """The users of the rows, and their identifiers by member of the call."""
    dialect = action.dialect
    if action.anonymous is None or dialect.anonymous is None:
        users = required(batch, action.user, findings.invalid)
        return users, {dialect.user: users}
    known, unusable = written(batch, action.user)
    anonymous, broken = written(batch, action.anonymous)
    source = action.anonymous.column or action.anonymous.target
    for index, reason in unusable.items():
        findings.invalid.note(index, action.user.column or action.user.target, reason)
    for index, user in enumerate(known):
        if user is None and index not in unusable and anonymous[index] is None:
            findings.invalid.note(index, source, broken.get(index, "missing"))
        elif index in broken:
            findings.broken.note(index, source, broken[index])
    users = [
        user if user is not None or other is None or index in unusable else ANONYMOUS + other
        for index, (user, other) in enumerate(zip(known, anonymous, strict=True))
    ]
    return users, {dialect.user: known, dialect.anonymous: anonymous}


def _profiles(
    batch: ColumnBatch,
    action: IdentifyPlan,
    identifiers: Mapping[str, list[Any]],
    findings: Findings,
) -> Objects | Records:
    dialect, clear = action.dialect, action.nulls == "clear"
    if dialect.traits is None:
        return _objects(batch, action.profile, clear, findings, dialect.consent, identifiers)
    traits = _objects(batch, action.profile, clear, findings, dialect.consent)
    held = dict(zip(traits.names, traits.columns, strict=True))
    head = {**identifiers, **{name: held[name] for name in dialect.beside if name in held}}
    if action.timestamp is not None:
        head["timestamp"] = optional(batch, action.timestamp, findings.broken)
    return Records(_present(head), {dialect.traits: traits})


def _events(
    batch: ColumnBatch,
    action: TrackPlan,
    identifiers: Mapping[str, list[Any]],
    findings: Findings,
) -> Events | Records:
    dialect, clear = action.dialect, action.nulls == "clear"
    names = required(batch, action.event, findings.invalid)
    moments = required(batch, action.timestamp, findings.invalid)
    bound = {"user_attributes": action.user_attributes, dialect.properties: action.properties}
    members = {
        member: _objects(batch, bindings, clear, findings, dialect.consent)
        for member, bindings in bound.items()
        if bindings or (not dialect.updates_profiles_on_track and member == dialect.properties)
    }
    if dialect.updates_profiles_on_track and action.consent_preferences is None:
        return Events(names, identifiers[dialect.user], moments, members)
    head = {"event": names, **identifiers, "timestamp": moments}
    if action.consent_preferences is not None:
        consents = optional(batch, action.consent_preferences, findings.broken)
        head["consent_preferences"] = consents
    return Records(_present(head), members)


def _present(columns: Mapping[str, Sequence[Any]]) -> Objects:
    """Members that a call has where there is a value, and never as null."""
    return Objects(tuple(columns), [*columns.values()], True, {})


def _objects(
    batch: ColumnBatch,
    bindings: Sequence[Binding],
    clear: bool,
    findings: Findings,
    consent: Mapping[str, str],
    always: Mapping[str, list[Any]] = MappingProxyType({}),
) -> Objects:
    """Brings columns into their wire form.

    Args:
        batch: The rows.
        bindings: What goes into the dicts.
        clear: Whether nulls are sent.
        findings: Takes what is broken.
        consent: Flags that an address is not sent without, by address.
        always: Columns in their wire form that every dict begins with.
    """
    broken: dict[int, set[str]] = {}
    columns: list[list[Any]] = [*always.values()]
    for binding in bindings:
        values, found = written(batch, binding)
        for index, reason in found.items():
            findings.broken.note(index, binding.column or binding.target, reason)
            # a broken value is not a null: it must not clear what Xtremepush has
            broken.setdefault(index, set()).add(binding.target)
        if binding.check is not None:
            problems = findings.invalid if binding.check.strict else findings.noted
            for index, reason in binding.check.misfits(values).items():
                problems.note(index, binding.column or binding.target, reason)
        columns.append(values)
    names = (*always, *(binding.target for binding in bindings))
    for address, flag in consent.items():
        if address in names and flag in names:
            place = names.index(address)
            source = bindings[place - len(always)].column or address
            columns[place], without = _with_consent(columns[place], columns[names.index(flag)])
            for index in without:
                findings.broken.note(index, source, f"its row has no `{flag}`")
                broken.setdefault(index, set()).add(address)
    holes = not clear and any(None in values for values in columns)
    return Objects(names, columns, holes, broken)


def _with_consent(addresses: list[Any], flags: Sequence[Any]) -> tuple[list[Any], list[int]]:
    """Addresses of the rows that say whether the person agreed, and indices of the others.

    Xtremepush wants the flag beside the address (reference, section 4), in every row.
    """
    if None not in flags:
        return addresses, []
    without = [
        index
        for index, (address, flag) in enumerate(zip(addresses, flags, strict=True))
        if flag is None and address is not None
    ]
    kept = [*addresses]
    for index in without:
        kept[index] = None
    return kept, without
