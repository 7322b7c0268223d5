"""The companion: the dlt destination that holds the ledger."""

from __future__ import annotations

import re
from collections.abc import Iterable
from copy import copy
from pathlib import Path
from typing import Any

from dlt.common.destination import AnyDestination, Destination
from dlt.common.destination.client import (
    DestinationClientDwhConfiguration,
    JobClientBase,
    WithStateSync,
)
from dlt.common.destination.exceptions import DestinationException
from dlt.common.runtime.run_context import active
from dlt.common.schema import Schema
from dlt.destinations.fs_client import FSClientBase

from xtremepush_dlt.exceptions import ConfigurationError
from xtremepush_dlt.ledger.loading import load_rows
from xtremepush_dlt.ledger.tables import LEDGER, LEDGER_TABLES, ledger_schema

NO_LEDGER = "none"
"""Value of the setting `ledger` that switches it off."""

DEFAULT_LEDGER = "filesystem"
"""dlt destination that needs no further package."""

_NAME = re.compile(r"[\w.]+")

_FOLDER_OF_A_TASK = re.compile(r"dlt_[0-9a-f]{16}")
"""Name of the folder that dlt's Airflow helper makes, for dlt's data and for local files."""


class LedgerDestination:
    """A destination that was handed over as an object; it prints as its name and nothing more.

    dlt prints destinations with their explicit arguments, which may be credentials.
    """

    def __init__(self, destination: AnyDestination) -> None:
        self.destination = destination

    def __repr__(self) -> str:
        return self.destination.destination_name


class Companion:
    """Makes clients of the companion for dlt's own tables and for those of the ledger.

    Args:
        destination: The companion.

    Raises:
        ConfigurationError: If the destination cannot hold a ledger.
    """

    def __init__(self, destination: AnyDestination) -> None:
        name = destination.destination_name
        if not issubclass(destination.client_class, WithStateSync) or not issubclass(
            destination.spec, DestinationClientDwhConfiguration
        ):
            raise ConfigurationError(
                f"`ledger` names `{name}`, which keeps no state that dlt could restore. Use a "
                "destination with tables, such as `duckdb`, `postgres` or `filesystem`, or `none`."
            )
        self._destination = _quiet(destination)
        self._config: Any = None
        self._location = ""

    @property
    def destination(self) -> AnyDestination:
        """The companion as a dlt destination."""
        return self._destination

    def location(self, schema: Schema) -> str:
        """Where the ledger stands, without a credential.

        Args:
            schema: The pipeline's schema.
        """
        self.for_tables(schema)
        return self._location

    def for_state(self, schema: Schema) -> JobClientBase:
        """A client for dlt's own tables.

        Args:
            schema: The pipeline's schema; of its tables, only dlt's own are made in the companion.
        """
        return self._client(schema)

    def for_tables(self, schema: Schema) -> JobClientBase:
        """A client for the ledger's tables.

        Args:
            schema: The pipeline's schema.
        """
        return self._client(ledger_schema(schema))

    def store_schema(self, schema: Schema, tables: Iterable[str] | None, force: bool) -> None:
        """Stores a pipeline's schema, and makes the tables of the ledger where they are missing.

        Args:
            schema: The schema.
            tables: Those of its tables that are in use; None for all.
            force: Whether tables are looked up although the schema is stored.
        """
        with self.for_state(schema) as client:
            own = set(schema.dlt_table_names())
            in_use = own if tables is None else own & set(tables)
            client.update_stored_schema(sorted(in_use), force=force)
        self.make_tables(schema)

    def make_tables(self, schema: Schema) -> None:
        """Makes the tables of the ledger where they are missing.

        Args:
            schema: The pipeline's schema.
        """
        with self.for_tables(schema) as client:
            client.update_stored_schema([*client.schema.dlt_table_names(), *LEDGER_TABLES])
            if isinstance(client, FSClientBase):
                for table in LEDGER_TABLES:
                    if not client.list_table_files(table):
                        # a table without a file could not be queried
                        load_rows(client, table, "0", "empty", [])

    def _client(self, schema: Schema) -> JobClientBase:
        if self._config is None:
            config: Any = self._destination.spec()
            # without a default schema dlt adds no schema's name to the dataset's
            self._config = config._bind_dataset_name(LEDGER)  # noqa: SLF001  # dlt's own pipelines bind it so
        client: JobClientBase = self._destination.client(schema, self._config)
        if self._config is not client.config or not self._location:
            self._location = str(client.config)
            _refuse_lost(self._location)
        self._config = client.config
        return client


def companion_of(ledger: str | LedgerDestination) -> Companion | None:
    """The companion that the setting `ledger` names; None if there is to be none.

    Args:
        ledger: Name or type of a dlt destination, a destination, or `none`.

    Raises:
        ConfigurationError: If it names no destination, or one that cannot hold a ledger, or one
            that would be lost with the run.
    """
    if isinstance(ledger, LedgerDestination):
        return Companion(ledger.destination)
    if ledger == NO_LEDGER:
        return None
    try:
        destination: Any = Destination.from_reference(ledger)
        homeless = ledger == DEFAULT_LEDGER and not _has_bucket(destination)
    except DestinationException as error:
        if not _NAME.fullmatch(ledger):
            # it may hold a password
            raise ConfigurationError(
                "`ledger` is no name of a dlt destination. Give the name, such as `postgres`, and "
                "put its address into [destination.postgres] credentials."
            ) from None
        raise ConfigurationError(
            f"`ledger` is `{ledger}`, which is no dlt destination here ({type(error).__name__}). "
            "Use the name of an installed destination, such as `duckdb`, `postgres` or "
            "`filesystem`, or `none`."
        ) from error
    if homeless:
        destination = Destination.from_reference(ledger, bucket_url=_local_folder())
    return Companion(destination)


def _quiet(destination: AnyDestination) -> AnyDestination:
    """A copy that does not warn of tables of the user's whose names hold a slash: it has none."""
    setting = "warn_unsafe_layout_separators"
    if setting not in destination.spec.get_resolvable_fields():
        return destination
    quiet = copy(destination)
    quiet.config_params = {setting: False, **destination.config_params}
    return quiet


def _local_folder() -> str:
    """The local directory of dlt.

    Raises:
        ConfigurationError: If it is the one that dlt's Airflow helper makes anew for each task.
    """
    folder: str = active().local_dir
    _refuse_lost(folder)
    return folder


def _refuse_lost(location: str) -> None:
    """Refuses a place in the folder that dlt's Airflow helper makes anew for each task."""
    folder = active().local_dir
    is_of_a_task = folder == active().data_dir and _FOLDER_OF_A_TASK.fullmatch(Path(folder).name)
    if is_of_a_task and folder in location:
        raise ConfigurationError(
            "The ledger would stand in the folder that dlt's Airflow helper makes anew for each "
            "task, and the next one would send everything again. Name a place that lasts: `ledger` "
            'in [destination.xtremepush], such as "postgres", or `bucket_url` in '
            '[destination.filesystem]. `ledger = "none"` does without.'
        )


def _has_bucket(destination: AnyDestination) -> bool:
    config = destination.spec()
    resolved = destination.configuration(config, accept_partial=True)
    return bool(getattr(resolved, "bucket_url", None))
