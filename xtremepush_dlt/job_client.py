"""dlt's job client: wires schema, settings, route and courier together."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import TypeVar, cast

from dlt.common import logger
from dlt.common.configuration.container import Container
from dlt.common.destination import DestinationCapabilitiesContext
from dlt.common.destination.client import (
    JobClientBase,
    LoadJob,
    StateInfo,
    StorageSchemaInfo,
    WithStateSync,
)
from dlt.common.destination.exceptions import DestinationUndefinedEntity
from dlt.common.destination.typing import PreparedTableSchema
from dlt.common.schema import Schema, TSchemaTables
from dlt.common.schema.utils import new_table
from dlt.common.storages.load_package import (
    LoadPackageStateInjectableContext,
    ParsedLoadJobFileName,
)
from dlt.destinations.job_impl import FinalizedLoadJob

from xtremepush_dlt.configuration import XtremepushClientConfiguration
from xtremepush_dlt.delivery.courier import Courier
from xtremepush_dlt.delivery.outcomes import UNDELIVERED
from xtremepush_dlt.delivery.report import report_of_package
from xtremepush_dlt.delivery.watch import Memory
from xtremepush_dlt.ledger.job import LedgerJob
from xtremepush_dlt.ledger.tables import table_of_file
from xtremepush_dlt.load_job import XtremepushLoadJob, package_of
from xtremepush_dlt.replay.source import holds_replay
from xtremepush_dlt.replay.undelivered import read_memory
from xtremepush_dlt.schema_plans import SchemaPlans
from xtremepush_dlt.shared import shared

_Stored = TypeVar("_Stored")


class XtremepushClient(JobClientBase, WithStateSync):
    """The client that dlt asks to check the schema and to make load jobs.

    What dlt keeps in a destination (the state of the pipeline, the schema, the packages that are
    complete) goes to the companion.
    """

    def __init__(
        self,
        schema: Schema,
        config: XtremepushClientConfiguration,
        capabilities: DestinationCapabilitiesContext,
    ) -> None:
        super().__init__(schema, config, capabilities)
        self.config: XtremepushClientConfiguration = config
        self._companion = config.companion()
        self._plans = SchemaPlans(schema, config)

    def initialize_storage(
        self,
        truncate_tables: Iterable[str] | None = None,  # noqa: ARG002  # nothing there is truncated
    ) -> None:
        """Makes the ledger's dataset; in Xtremepush there is nothing to prepare."""
        if self._companion is not None:
            with self._companion.for_state(self.schema) as client:
                client.initialize_storage()

    def is_storage_initialized(self) -> bool:
        """Whether the ledger's dataset is there."""
        if self._companion is None:
            return True
        with self._companion.for_state(self.schema) as client:
            return client.is_storage_initialized()

    def drop_storage(self) -> None:
        """Drops the ledger; profiles and events are not ours to delete."""
        if self._companion is not None:
            with self._companion.for_state(self.schema) as client:
                client.drop_storage()

    def drop_tables(self, *tables: str, delete_schema: bool = True) -> None:  # noqa: ARG002  # dlt's interface
        """Forgets the stored schema, as dlt asks after a reset; Xtremepush has no tables."""
        if self._companion is not None and delete_schema:
            with self._companion.for_state(self.schema) as client:
                # a reset makes dlt call what its own destinations have beyond the interface
                client.drop_tables(delete_schema=True)  # type: ignore[attr-defined]

    def update_stored_schema(
        self,
        only_tables: Iterable[str] = None,  # type: ignore[assignment]  # noqa: RUF013  # as dlt declares it
        expected_update: TSchemaTables = None,  # type: ignore[assignment]  # as dlt declares it
        force: bool = False,
    ) -> TSchemaTables | None:
        """Stores the schema in the ledger, and makes the ledger's tables."""
        applied = super().update_stored_schema(only_tables, expected_update, force)
        if self._companion is not None:
            self._companion.store_schema(self.schema, only_tables, force)
        return applied

    def get_stored_schema(
        self,
        schema_name: str = None,  # type: ignore[assignment]  # noqa: RUF013  # as dlt declares it
    ) -> StorageSchemaInfo | None:
        """The newest schema of a name that the ledger holds."""
        return self._stored(lambda client: client.get_stored_schema(schema_name))

    def get_stored_schema_by_hash(self, version_hash: str) -> StorageSchemaInfo:
        """The schema of a version that the ledger holds."""
        found = self._stored(lambda client: client.get_stored_schema_by_hash(version_hash))
        return cast("StorageSchemaInfo", found)  # dlt's own clients return None as well

    def get_stored_state(self, pipeline_name: str) -> StateInfo | None:
        """The state of a pipeline as of its last complete load.

        A ledger that is not there yet holds none. dlt would wipe the local state then, and with
        it the knowledge of what was sent already.
        """
        return self._stored(lambda client: client.get_stored_state(pipeline_name))

    def prepare_load_table(self, table_name: str) -> PreparedTableSchema:
        """A table as its jobs need it; the ledger's tables stand in no schema of the pipeline."""
        table = table_of_file(table_name)
        if table is None:
            return super().prepare_load_table(table_name)
        prepared = new_table(table_name, write_disposition="append")
        return cast("PreparedTableSchema", prepared)

    def verify_schema(
        self,
        only_tables: Iterable[str] = None,  # type: ignore[assignment]  # noqa: RUF013  # as dlt declares it
        new_jobs: Iterable[ParsedLoadJobFileName] | None = None,
    ) -> list[PreparedTableSchema]:
        """Checks every table that has rows to deliver, before the first request.

        Raises:
            MappingError: If a table has no action, an action does not fit its table, a consent
                flag is missing, deletion is off, or the write disposition cannot be kept.
        """
        jobs = list(new_jobs or ())
        tables: list[PreparedTableSchema] = super().verify_schema(only_tables, jobs)
        for name in sorted({job.table_name for job in jobs}):
            if not self._plans.passes_over(name):
                table = self.prepare_load_table(name)
                strategy = table.get("x-merge-strategy")
                self._plans.check(
                    name, str(table["write_disposition"]), str(strategy) if strategy else None
                )
        return tables

    def create_load_job(
        self,
        table: PreparedTableSchema,
        file_path: str,
        load_id: str,
        restore: bool = False,  # noqa: ARG002  # a resumed job looks into the journal anyway
    ) -> LoadJob:
        """Makes the job of a load file; what the companion does not want is done at once."""
        name = str(table["name"])
        companion = self._companion
        if companion is not None:
            if (ledger_table := table_of_file(name)) is not None:
                return LedgerJob(file_path, ledger_table, lambda: companion.for_tables(self.schema))
            if self._plans.is_internal(name):
                return LedgerJob(file_path, name, lambda: companion.for_state(self.schema))
        if table_of_file(name) is not None:
            logger.warning(
                f"The account of load package {load_id} is not kept in `{table_of_file(name)}`, "
                'because `ledger` is "none" by now.'
            )
        if self._plans.passes_over(name):
            return FinalizedLoadJob(file_path)
        return XtremepushLoadJob(file_path, self.courier, companion is not None)

    def complete_load(self, load_id: str) -> None:
        """Commits the state of the pipeline, and logs the report of a package that is delivered.

        It is a warning where a row was not delivered: by default dlt logs nothing below that, and
        an orchestrator's task log may be all that is left of the run.
        """
        if self._companion is not None:
            with self._companion.for_state(self.schema) as client:
                client.complete_load(load_id)
        storage = Container()[LoadPackageStateInjectableContext].storage
        package = Path(storage.storage.make_full_path(storage.get_package_path(load_id)))
        shared.forget(package)
        report = report_of_package(package, loaded=True)
        log = logger.warning if any(map(report.count, UNDELIVERED)) else logger.info
        log(f"Xtremepush, load package {load_id}:\n{report}")

    def courier(self, file_path: str) -> AbstractContextManager[Courier]:
        """The courier of the load package that a file belongs to, for as long as it is needed."""
        look_up: Callable[[], Memory] | None = None
        if self._companion is not None:
            # whatever is kept from now on, rows of earlier runs may still be replayed
            companion, package = self._companion, package_of(file_path)

            def look_up() -> Memory:
                return read_memory(
                    lambda: companion.for_tables(self.schema), of_replay=holds_replay(package)
                )

        return shared.courier(package_of(file_path), self.config, self._plans.of, look_up)

    def __enter__(self) -> XtremepushClient:  # noqa: PYI034  # typing.Self needs Python 3.11
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        """Connections outlive the client: dlt makes one for every job."""

    def _stored(self, ask: Callable[[WithStateSync], _Stored | None]) -> _Stored | None:
        if self._companion is None:
            return None
        with self._companion.for_state(self.schema) as client:
            try:
                return ask(cast("WithStateSync", client))
            except DestinationUndefinedEntity:
                return None
