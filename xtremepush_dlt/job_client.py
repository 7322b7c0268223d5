"""dlt's job client: wires schema, settings, route and courier together."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any

from dlt.common import logger
from dlt.common.configuration.container import Container
from dlt.common.destination import DestinationCapabilitiesContext
from dlt.common.destination.client import JobClientBase, LoadJob
from dlt.common.destination.typing import PreparedTableSchema
from dlt.common.schema import Schema
from dlt.common.schema.utils import is_dlt_table_or_column
from dlt.common.storages.load_package import (
    LoadPackageStateInjectableContext,
    ParsedLoadJobFileName,
)
from dlt.destinations.job_impl import FinalizedLoadJob

from xtremepush_dlt.configuration import XtremepushClientConfiguration
from xtremepush_dlt.delivery.courier import Courier
from xtremepush_dlt.delivery.report import report_of_package
from xtremepush_dlt.exceptions import MappingError
from xtremepush_dlt.load_job import XtremepushLoadJob
from xtremepush_dlt.mapping.actions import ACTIONS_HINT, action_from_hint
from xtremepush_dlt.mapping.plan import TablePlan
from xtremepush_dlt.mapping.planner import TableColumns, plan_table, require_consent
from xtremepush_dlt.shared import shared

_REPORTS_OF_DLT = ("_load_info", "_trace")
"""Tables that Airflow's `save_load_info` and `save_trace_info` load into every destination."""


class XtremepushClient(JobClientBase):
    """The client that dlt asks to check the schema and to make load jobs."""

    def __init__(
        self,
        schema: Schema,
        config: XtremepushClientConfiguration,
        capabilities: DestinationCapabilitiesContext,
    ) -> None:
        super().__init__(schema, config, capabilities)
        self.config: XtremepushClientConfiguration = config

    def initialize_storage(self, truncate_tables: Iterable[str] | None = None) -> None:
        """Nothing to prepare: Xtremepush has no tables."""

    def is_storage_initialized(self) -> bool:
        """Always: Xtremepush has no tables."""
        return True

    def drop_storage(self) -> None:
        """Nothing to drop: profiles and events are not ours to delete."""

    def verify_schema(
        self,
        only_tables: Iterable[str] = None,  # type: ignore[assignment]  # noqa: RUF013  # as dlt declares it
        new_jobs: Iterable[ParsedLoadJobFileName] | None = None,
    ) -> list[PreparedTableSchema]:
        """Checks every table that has rows to deliver, before the first request.

        Raises:
            MappingError: If a table has no action, an action does not fit its table, a consent
                flag is missing, or the write disposition cannot be kept.
        """
        jobs = list(new_jobs or ())
        tables: list[PreparedTableSchema] = super().verify_schema(only_tables, jobs)
        for name in sorted({job.table_name for job in jobs}):
            if not self._is_passed_over(name):
                self._refuse_disposition(name)
                plan = self._make_plan(name)
                require_consent(plan)
        return tables

    def create_load_job(
        self,
        table: PreparedTableSchema,
        file_path: str,
        load_id: str,  # noqa: ARG002  # dlt's interface
        restore: bool = False,  # noqa: ARG002  # a resumed job looks into the journal anyway
    ) -> LoadJob:
        """Makes the job of a load file; dlt's own tables are done at once."""
        if self._is_passed_over(str(table["name"])):
            return FinalizedLoadJob(file_path)
        return XtremepushLoadJob(file_path, self.courier)

    def complete_load(self, load_id: str) -> None:
        """Logs the report of a package that is delivered."""
        storage = Container()[LoadPackageStateInjectableContext].storage
        package = Path(storage.storage.make_full_path(storage.get_package_path(load_id)))
        shared.forget(package)
        logger.info(f"Xtremepush, load package {load_id}:\n{report_of_package(package)}")

    def courier(self, file_path: str) -> AbstractContextManager[Courier]:
        """The courier of the load package that a file belongs to, for as long as it is needed."""
        package = Path(file_path).parent.parent
        return shared.courier(package, self.config, self.plan_of)

    def plan_of(self, table: str) -> TablePlan | None:
        """The plan of a table; None for tables that are passed over."""
        return None if self._is_passed_over(table) else self._make_plan(table)

    def __enter__(self) -> XtremepushClient:  # noqa: PYI034  # typing.Self needs Python 3.11
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        """Connections outlive the client: dlt makes one for every job."""

    def _is_passed_over(self, table: str) -> bool:
        separator = self.schema.naming.PATH_SEPARATOR
        root = table.split(separator, maxsplit=1)[0] if separator else table
        return bool(self._is_internal(table) or root in _REPORTS_OF_DLT or table in _REPORTS_OF_DLT)

    def _is_internal(self, name: str) -> bool:
        prefix = self.schema._dlt_tables_prefix  # noqa: SLF001  # dlt's own destinations read it too
        return bool(is_dlt_table_or_column(name, prefix))

    def _refuse_disposition(self, name: str) -> None:
        table = self.prepare_load_table(name)
        if table["write_disposition"] == "replace":
            raise MappingError(
                name,
                "Its write disposition is `replace`, but what Xtremepush has is never replaced.",
                'Use write_disposition="append", or "merge" with a primary key.',
            )
        strategy = table.get("x-merge-strategy")
        if table["write_disposition"] == "merge" and strategy not in (None, "upsert"):
            raise MappingError(
                name,
                f"Its merge strategy is `{strategy}`, but Xtremepush only updates or creates.",
                'Use write_disposition={"disposition": "merge", "strategy": "upsert"}.',
            )
        if marked := [
            column for column, hints in table["columns"].items() if hints.get("hard_delete")
        ]:
            raise MappingError(
                name,
                f"Its column `{marked[0]}` has the hint `hard_delete`, but deletion is not "
                "supported yet.",
                "Remove the hint, and leave deleted rows out with resource.add_filter(...).",
            )

    def _make_plan(self, table: str) -> TablePlan:
        hints: list[dict[str, Any]] = self.schema.get_table(table).get(ACTIONS_HINT) or []  # type: ignore[assignment]  # a hint of ours, unknown to dlt's TypedDict
        return plan_table(self._columns(table), [action_from_hint(hint) for hint in hints])

    def _columns(self, table: str) -> TableColumns:
        naming = self.schema.naming
        columns = self.schema.get_table(table)["columns"]
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
            internal=frozenset(name for name in columns if self._is_internal(name)),
            primary_key=tuple(
                name for name, column in columns.items() if column.get("primary_key")
            ),
            normalize=lambda name: (naming.normalize_identifier(name), naming.normalize_path(name)),
        )
