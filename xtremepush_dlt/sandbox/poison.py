"""Poison: items that make their whole request fail."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from xtremepush_dlt.sandbox.envelope import ItemError, Refused
from xtremepush_dlt.sandbox.faults import Faults


def poisoned(faults: Faults, ids: Sequence[str | None], items: Sequence[object]) -> list[int]:
    """Positions of the poison items; `ids` are their users, in the same order."""
    users, marker = faults.poison_users, faults.poison_marker
    found = {index for index, user in enumerate(ids) if user in users} if users else set()
    if marker is not None:
        sought = orjson.dumps(marker)[1:-1]
        found.update(index for index, item in enumerate(items) if sought in orjson.dumps(item))
    return sorted(found)


def poison_errors(faults: Faults, found: Sequence[int]) -> list[ItemError]:
    """The `errors` about poison items, which name them or do not."""
    if faults.poison_named:
        return [ItemError("the item cannot be processed", index) for index in found]
    return [ItemError("an item cannot be processed")]


def refuse_poison(
    faults: Faults, ids: Sequence[str | None], items: Sequence[object]
) -> Refused | None:
    """The refusal of a request that holds poison, None when it holds none."""
    found = poisoned(faults, ids, items)
    if not found:
        return None
    return Refused(400, "The request cannot be processed.", poison_errors(faults, found))
