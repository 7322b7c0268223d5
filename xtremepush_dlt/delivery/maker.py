"""The maker: rows of a file into calls as the route sends them."""

from __future__ import annotations

from collections.abc import Sequence

from xtremepush_dlt.delivery.lanes import Made, Record
from xtremepush_dlt.delivery.route import Route
from xtremepush_dlt.delivery.versions import Versions
from xtremepush_dlt.delivery.watch import Watch
from xtremepush_dlt.mapping.calls import make_calls, without, written
from xtremepush_dlt.mapping.columns import ColumnBatch
from xtremepush_dlt.mapping.plan import ActionPlan, IdentifyPlan, TrackPlan
from xtremepush_dlt.mapping.stored import ID, StoredPlan, stored_calls
from xtremepush_dlt.routes.calls import Call, CallSource


class Maker:
    """Makes the calls of one load package.

    Args:
        route: Encodes them.
        reject_invalid: Whether a broken value makes its row invalid.
        pipeline_name: Name of the pipeline.
        versions: The newest versions seen in this run, by table and action.
        watch: Knows what was delivered since a stored call was made.
    """

    def __init__(
        self,
        route: Route,
        reject_invalid: bool,
        pipeline_name: str,
        versions: dict[tuple[str, int], Versions],
        watch: Watch,
    ) -> None:
        self._route = route
        self._reject_invalid = reject_invalid
        self._pipeline_name = pipeline_name
        self._versions = versions
        self._watch = watch

    def make(self, batch: ColumnBatch, table: str, action: ActionPlan | StoredPlan) -> Made:
        """What an action makes of the rows of a batch, encoded as far as it can be.

        Args:
            batch: The rows.
            table: Name of their table.
            action: The action.
        """
        if isinstance(action, StoredPlan):
            return self._restored(batch, table, action)
        calls = make_calls(batch, action, self._reject_invalid)
        if isinstance(action, IdentifyPlan) and action.version is not None:
            newest = self._versions.setdefault((table, action.index), Versions())
            older = newest.older(calls.users, written(batch, action.version)[0])
            calls = without(calls, older)
        ids = _event_ids(batch, action)
        records: Sequence[Record]
        if isinstance(action, IdentifyPlan) and self._route.imports:
            # kept apart until it is known which rows of a user are merged
            records = [*calls.payloads]
        else:
            source = CallSource(_call_of(action), self._pipeline_name, table, _name_of(action))
            records = self._route.encode_calls(source, calls.payloads, ids)
        return Made(action.index, calls, records, ids)

    def _restored(self, batch: ColumnBatch, table: str, action: StoredPlan) -> Made:
        """Calls that were made before, without what was delivered since."""
        calls, empty = stored_calls(batch, action, self._route.imports, self._watch.superseded)
        ids = batch.column(ID)
        records: Sequence[Record] = [*calls.payloads]
        if action.call != "identify" or not self._route.imports:
            source = CallSource(action.call, self._pipeline_name, table, action.label)
            records = self._route.encode_calls(source, calls.payloads, ids)
        return Made(action.index, calls, records, ids, empty)


def _name_of(action: ActionPlan) -> str:
    """Tells an action from others of its table, also where both make the same event."""
    if isinstance(action, TrackPlan) and action.timestamp.column is not None:
        return f"{action.label} at {action.timestamp.column}"
    return action.label


def _call_of(action: ActionPlan) -> Call:
    if isinstance(action, IdentifyPlan):
        return "identify"
    return "track" if isinstance(action, TrackPlan) else "delete"


def _event_ids(batch: ColumnBatch, action: ActionPlan) -> list[object]:
    names = action.event_id
    if len(names) == 1:
        return batch.column(names[0])
    return list(zip(*(batch.column(name) for name in names), strict=True)) if names else []
