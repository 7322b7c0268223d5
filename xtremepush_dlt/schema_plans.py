"""What dlt's schema says about the tables, as plans: which are ours, and what is done with them."""

from __future__ import annotations

from typing import Any

from dlt.common import logger
from dlt.common.schema import Schema
from dlt.common.schema.utils import is_dlt_table_or_column

from xtremepush_dlt.configuration import XtremepushClientConfiguration
from xtremepush_dlt.exceptions import MappingError
from xtremepush_dlt.ledger.companion import NO_LEDGER
from xtremepush_dlt.mapping.actions import ACTIONS_HINT, action_from_hint
from xtremepush_dlt.mapping.dialect import EXTERNAL_API
from xtremepush_dlt.mapping.plan import TablePlan
from xtremepush_dlt.mapping.planner import TableColumns, plan_table, require_consent
from xtremepush_dlt.mapping.stored import StoredTable, plan_stored
from xtremepush_dlt.replay.source import call_of, is_replay
from xtremepush_dlt.route_choice import dialect_of

_REPORTS_OF_DLT = ("_load_info", "_trace")
"""Tables that Airflow's `save_load_info` and `save_trace_info` load into every destination."""


class SchemaPlans:
    """The plans of the tables of one schema.

    Args:
        schema: The pipeline's schema.
        config: Settings of the run.
    """

    def __init__(self, schema: Schema, config: XtremepushClientConfiguration) -> None:
        self._schema = schema
        self._config = config

    def is_internal(self, name: str) -> bool:
        """Whether a table or column is dlt's own."""
        prefix = self._schema._dlt_tables_prefix  # noqa: SLF001  # dlt's own destinations read it too
        return bool(is_dlt_table_or_column(name, prefix))

    def passes_over(self, table: str) -> bool:
        """Whether a table is none of our business."""
        separator = self._schema.naming.PATH_SEPARATOR
        root = table.split(separator, maxsplit=1)[0] if separator else table
        return bool(self.is_internal(table) or root in _REPORTS_OF_DLT or table in _REPORTS_OF_DLT)

    def of(self, table: str) -> TablePlan | StoredTable | None:
        """The plan of a table; None for tables that are passed over.

        Raises:
            MappingError: If the table has no action, or an action does not fit it.
        """
        if self.passes_over(table):
            return None
        if is_replay(table):
            return plan_stored(table, call_of(table))
        hints: list[dict[str, Any]] = self._schema.get_table(table).get(ACTIONS_HINT) or []  # type: ignore[assignment]  # a hint of ours, unknown to dlt's TypedDict
        return plan_table(
            self._columns(table),
            [action_from_hint(hint) for hint in hints],
            dialect=dialect_of(self._config),
            known=self._config.known(),
        )

    def check(self, table: str, disposition: str, merge_strategy: str | None) -> None:
        """Checks a table that has rows to deliver, and says what a user should know about it.

        Args:
            table: Name of the table.
            disposition: Its write disposition.
            merge_strategy: How it is merged, if the user said so.

        Raises:
            MappingError: If the rows cannot be delivered as they are meant.
        """
        plan = self.of(table)
        if not isinstance(plan, TablePlan):
            return
        _check_disposition(table, disposition, merge_strategy)
        require_consent(plan)
        self._check_deletion(plan)
        self._warn_of_oblivion(table)
        for warning in plan.warnings:
            logger.warning(warning)

    def _check_deletion(self, plan: TablePlan) -> None:
        over_external = any(delete.dialect is EXTERNAL_API for delete in plan.deletes)
        if over_external and not self._config.external_api().delete_path:
            raise MappingError(
                plan.table,
                "Some of its rows would delete a profile, but the path for that is not documented "
                "for the External API, so deletion is off.",
                "Ask Xtremepush for the path and set `delete_path` in "
                "[destination.xtremepush.assumptions], use the Segment route (`segment_api_key`), "
                "or remove delete(...) and the hint `hard_delete`.",
            )

    def _warn_of_oblivion(self, table: str) -> None:
        """Says what is lost with this machine, where nothing else remembers it."""
        columns = self._schema.get_table(table)["columns"]
        cursors = [column for column, hints in columns.items() if hints.get("incremental")]
        if cursors and self._config.ledger == NO_LEDGER:
            logger.warning(
                f'Table `{table}` is read incrementally by `{cursors[0]}`, but `ledger` is "none": '
                "how far it was read is known on this machine alone. On another one, or after "
                "`pipeline.drop()` (Airflow and Dagster do that), all its rows are sent again and "
                "trigger their campaigns again. Name a destination in `ledger` to remember it."
            )

    def _columns(self, table: str) -> TableColumns:
        naming = self._schema.naming
        columns = self._schema.get_table(table)["columns"]
        variants: dict[str, list[str]] = {}
        for name, column in columns.items():
            if column.get("variant"):
                ending = f"v_{column['data_type']}"
                for base in columns:
                    if naming.shorten_fragments(base, ending) == name:
                        variants.setdefault(base, []).append(name)
        return TableColumns(
            table,
            types={name: column.get("data_type") for name, column in columns.items()},
            variants=variants,
            hard_delete=tuple(
                name for name, column in columns.items() if column.get("hard_delete")
            ),
            internal=frozenset(name for name in columns if self.is_internal(name)),
            primary_key=tuple(
                name for name, column in columns.items() if column.get("primary_key")
            ),
            normalize=lambda name: (naming.normalize_identifier(name), naming.normalize_path(name)),
        )


def _check_disposition(table: str, disposition: str, merge_strategy: str | None) -> None:
    if disposition == "replace":
        raise MappingError(
            table,
            "Its write disposition is `replace`, but what Xtremepush has is never replaced.",
            'Use write_disposition="append", or "merge" with a primary key.',
        )
    if disposition == "merge" and merge_strategy not in (None, "upsert"):
        raise MappingError(
            table,
            f"Its merge strategy is `{merge_strategy}`, but Xtremepush only updates or creates.",
            'Use write_disposition={"disposition": "merge", "strategy": "upsert"}.',
        )
