"""Stores on a dlt resource which of its rows trigger which calls."""

from __future__ import annotations

from typing import Any

from dlt.destinations.utils import get_resource_for_adapter
from dlt.extract import DltResource

from xtremepush_dlt.exceptions import InvalidActionError
from xtremepush_dlt.mapping.actions import ACTIONS_HINT, Delete, Identify, Track


def xtremepush_adapter(data: Any, *actions: Identify | Track | Delete) -> DltResource:
    """Tells the Xtremepush destination what to make of the rows of a resource.

    Each row is offered to each action, in the order of the rows. Calling it again on the same
    resource replaces the actions.

    Args:
        data: A dlt resource, a source with a single resource, or plain data.
        *actions: What to send: `identify(...)`, `track(...)` and `delete(...)`, at least one.

    Returns:
        The resource, with the actions stored as a hint on its table.

    Raises:
        InvalidActionError: If there is no action, or something else than an action.

    Examples:
        >>> xtremepush_adapter(customers, identify(user_id="id", email=None))
        >>> xtremepush_adapter(
        ...     orders, track("order_placed", user_id="customer_id", timestamp="placed_at")
        ... )
        >>> xtremepush_adapter(closed_accounts, delete(user_id="customer_id"))
    """
    if not actions:
        raise InvalidActionError(
            "xtremepush_adapter() needs at least one action after the data: identify(...) to "
            "create or update profiles, track(...) to send events, delete(...) to delete profiles."
        )
    for action in actions:
        if not isinstance(action, (Identify, Track, Delete)):
            raise InvalidActionError(
                f"xtremepush_adapter() got a {type(action).__name__} where it takes actions. "
                "Use identify(...), track(...) or delete(...)."
            )
    resource = get_resource_for_adapter(data)
    resource.apply_hints(
        additional_table_hints={ACTIONS_HINT: [action.to_hint() for action in actions]}
    )
    return resource
