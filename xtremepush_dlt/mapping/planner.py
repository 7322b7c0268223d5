"""Planning: the actions of a table are checked against its columns, and names resolved.

Whatever is wrong with an action shows here, before the first request.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from xtremepush_dlt.exceptions import MappingError
from xtremepush_dlt.mapping import consent, formats
from xtremepush_dlt.mapping.actions import Action, Delete, Identify, Track
from xtremepush_dlt.mapping.arguments import AUTO, Column
from xtremepush_dlt.mapping.bindings import Binder, takes_marked_rows
from xtremepush_dlt.mapping.deletion import mark_of
from xtremepush_dlt.mapping.dialect import EXTERNAL_API, Dialect
from xtremepush_dlt.mapping.known_attributes import KnownAttributes
from xtremepush_dlt.mapping.plan import (
    ActionPlan,
    Binding,
    DeletePlan,
    IdentifyPlan,
    TablePlan,
    TrackPlan,
)
from xtremepush_dlt.mapping.requirements import require_consent
from xtremepush_dlt.mapping.table import TableColumns

__all__ = ["TableColumns", "plan_table", "require_consent"]


def plan_table(
    columns: TableColumns,
    actions: Sequence[Action],
    dialect: Dialect = EXTERNAL_API,
    known: KnownAttributes | None = None,
) -> TablePlan:
    """Checks the actions of a table against its columns.

    Args:
        columns: What the table has.
        actions: What the user wants done with its rows.
        dialect: How calls look on the route that they will take.
        known: The attributes of the project, if the user listed them.

    Raises:
        MappingError: If the table has no action, or an action does not fit the table or the route.
    """
    if not actions:
        raise MappingError(
            columns.table,
            "It has no action, so nothing says what to send.",
            "Wrap its resource: xtremepush_adapter(resource, identify(...)) or track(...).",
        )
    binder = Binder(columns, dialect, known, mark_of(columns))
    plans = [_plan(binder, index, action) for index, action in enumerate(actions)]
    identifies = tuple(plan for plan in plans if isinstance(plan, IdentifyPlan))
    deletes = tuple(plan for plan in plans if isinstance(plan, DeletePlan))
    if binder.mark is not None and not any(map(takes_marked_rows, actions)):
        if not identifies:
            raise MappingError(
                columns.table,
                f"Its column `{binder.mark.column}` has dlt's hint `hard_delete`, but no action "
                "says whose profile a marked row deletes.",
                "Add identify(...), whose users it then deletes, or delete(user_id=...), or "
                "remove the hint.",
            )
        deletes += (_plan_marked(binder, len(plans), actions, identifies[0]),)
    return TablePlan(
        columns.table,
        identifies,
        tuple(plan for plan in plans if isinstance(plan, TrackPlan)),
        {name: dialect.moments_as.get(kind, kind) for name, kind in columns.types.items()},
        deletes,
        tuple(binder.warnings),
    )


def _plan(binder: Binder, index: int, action: Action) -> ActionPlan:
    if isinstance(action, Identify):
        return _plan_identify(binder, index, action)
    if isinstance(action, Track):
        return _plan_track(binder, index, action)
    marked = binder.mark is not None and takes_marked_rows(action)
    return _plan_delete(binder, index, action, marked)


def _plan_identify(binder: Binder, index: int, action: Identify) -> IdentifyPlan:
    columns, dialect = binder.columns, binder.dialect
    user, anonymous = binder.user(action)
    fields = {
        keyword: binder.bind(action, keyword, field.write, field.target, field.usual)
        for keyword, field in dialect.fields.items()
    }
    profile = tuple(binding for binding in fields.values() if binding is not None)
    version = binder.bind(action, "version", dialect.write_property)
    timestamp = _identify_timestamp(binder, action)
    selection: Any = action.attributes
    if selection is None:
        used = (user, anonymous, version, timestamp, *profile)
        selection = columns.rest(
            {binding.column for binding in used if binding and binding.column}
            | _reserved_columns(binder, action)
        )
    attributes = binder.attributes(action, "attributes", selection)
    for attribute in attributes:
        if keyword := dialect.reserved.get(attribute.target):
            raise MappingError(
                columns.table,
                f"identify: attributes names `{attribute.target}`, which Xtremepush reserves.",
                f"Use the keyword: identify({keyword}=...).",
            )
    return IdentifyPlan(
        index,
        action.label,
        user,
        profile + attributes,
        version,
        binder.conditions(action),
        action.nulls,
        anonymous,
        timestamp,
        (version.column,) if version is not None and version.column else (),
        dialect,
    )


def _identify_timestamp(binder: Binder, action: Identify) -> Binding | None:
    if binder.dialect.traits is not None:
        return binder.bind(action, "timestamp", binder.dialect.write_moment)
    if action.timestamp not in (AUTO, None):
        raise MappingError(
            binder.columns.table,
            "identify: timestamp needs the Segment route; the External API's import of profiles "
            "has no field for the moment of a row.",
            "Remove timestamp; to keep an older row from overwriting a newer one use "
            "identify(version=...), to store the moment name the column in attributes.",
        )
    return None


def _reserved_columns(binder: Binder, action: Identify) -> set[str]:
    """Columns that are no attributes unless the user says so, used or not.

    An address that was left out on purpose must not come back as an attribute.
    """
    names = {*binder.dialect.reserved}
    if action.mobile_number is None:
        names.update(binder.dialect.fields["mobile_number"].usual)
    if binder.dialect.anonymous is not None:
        names.add("anonymous_id")
        if action.timestamp is None:
            names.add("timestamp")
    found = {column for name in names if (column := binder.columns.find(name)) is not None}
    return found.union(*(binder.columns.alike(name) for name in names))


def _plan_track(binder: Binder, index: int, action: Track) -> TrackPlan:
    columns, dialect = binder.columns, binder.dialect
    user, anonymous = binder.user(action)
    timestamp = binder.need(action, "timestamp", dialect.write_moment)
    if isinstance(action.event, Column):
        event = binder.need(action, "event", formats.event_name)
    else:
        event = Binding("event", None, action.event.strip(), formats.event_name)
    if not dialect.updates_profiles_on_track:
        for keyword in ("user_attributes", "consent_preferences"):
            if getattr(action, keyword):
                raise MappingError(
                    columns.table,
                    f"track: {keyword} does not exist on the {dialect.route}, whose events carry "
                    "properties only.",
                    "Send profile attributes with identify(...) on the same table."
                    if keyword == "user_attributes"
                    else "Remove it, or use credentials of the External API.",
                )
    consents = binder.bind(action, "consent_preferences", consent.preferences)
    attributes = binder.attributes(action, "user_attributes", action.user_attributes or ())
    if any(attribute.target == "user_id" for attribute in attributes):
        raise MappingError(
            columns.table,
            "track: user_attributes names `user_id`, which is no attribute.",
            "Use the keyword: track(..., user_id=...).",
        )
    selection: Any = action.properties
    if selection is None:
        bound = (user, anonymous, timestamp, event, consents, *attributes)
        used = {binding.column for binding in bound if binding and binding.column}
        if dialect.anonymous is not None and action.anonymous_id is None:
            used |= {columns.find("anonymous_id") or ""}
        selection = columns.rest(used)
    event_id = columns.primary_key
    if action.event_id is not None:
        chosen = binder.select(action, "event_id", action.event_id, dialect.write_property)
        event_id = tuple(binding.column for binding in chosen if binding.column)
    return TrackPlan(
        index,
        action.label,
        user,
        event,
        timestamp,
        binder.select(action, "properties", selection, dialect.write_property),
        attributes,
        event_id,
        binder.conditions(action),
        action.nulls,
        anonymous,
        consents,
        dialect,
    )


def _plan_delete(
    binder: Binder, index: int, action: Delete, marked: bool, told_by: Sequence[str] = ()
) -> DeletePlan:
    user, anonymous = binder.user(action)
    mark = (binder.mark.column,) if binder.mark is not None and marked else ()
    return DeletePlan(
        index,
        action.label,
        user,
        binder.conditions(action, marked),
        anonymous,
        tuple(dict.fromkeys((*binder.columns.primary_key, *mark, *told_by))),
        binder.dialect,
    )


def _plan_marked(
    binder: Binder, index: int, actions: Sequence[Action], identify: IdentifyPlan
) -> DeletePlan:
    """The delete action that stands for dlt's hint: it takes the marked rows of an identify."""
    like = actions[identify.index]
    action = Delete(
        user_id=like.user_id,  # type: ignore[arg-type]  # identify takes nothing but columns either
        anonymous_id=like.anonymous_id,  # type: ignore[arg-type]  # the same
        when=like.when,
    )
    return _plan_delete(binder, index, action, marked=True, told_by=identify.event_id)
