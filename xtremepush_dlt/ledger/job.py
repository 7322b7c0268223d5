"""The load job of the ledger: takes a file to the companion."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from dlt.common.destination.client import JobClientBase, RunnableLoadJob
from dlt.common.destination.exceptions import DestinationTerminalException
from dlt.common.storages.load_package import ParsedLoadJobFileName
from dlt.destinations.exceptions import DestinationConnectionError
from dlt.destinations.file_batching import JsonlFileBatchIterator, ParquetFileBatchIterator

from xtremepush_dlt.exceptions import LedgerError, LedgerRefusedError
from xtremepush_dlt.ledger.loading import load_rows

_ROWS_AT_A_TIME = 5000


class LedgerJob(RunnableLoadJob):
    """Loads one file into one table of the companion.

    The file is written anew in the format that the companion likes best, so what stands in the
    load package does not depend on which companion is configured.

    Args:
        file_path: Full path of the file in the load package: typed-jsonl or parquet.
        table: Name of the table in the companion.
        make_client: Makes the companion's client that knows the table.
    """

    def __init__(
        self, file_path: str, table: str, make_client: Callable[[], JobClientBase]
    ) -> None:
        super().__init__(file_path)
        self._table = table
        self._make_client = make_client

    def run(self) -> None:
        """Loads the file.

        Raises:
            LedgerRefusedError: If the companion can never take it.
            LedgerError: If it failed otherwise; dlt tries again.
        """
        file_id = self._parsed_file_name.file_id
        with writing(self._table), self._make_client() as client:
            load_rows(client, self._table, self._load_id, file_id, _rows(self._file_path))


@contextmanager
def writing(table: str) -> Iterator[None]:
    """Tells of what goes wrong with a table of the ledger without a value of a row.

    Args:
        table: The table that is written in the context.

    Raises:
        LedgerRefusedError: If the companion can never take it.
        LedgerError: If it failed otherwise.
    """
    try:
        yield
    except Exception as error:  # noqa: BLE001  # whatever a companion raises; it is raised anew
        refused = isinstance(error, DestinationTerminalException)
        # a database that refuses a row may quote it; one that is not there has seen none
        told = isinstance(error, DestinationConnectionError)
        why = f"{type(error).__name__}: {error}" if told else type(error).__name__
        raise (LedgerRefusedError if refused else LedgerError)(table, why) from None


def _rows(file_path: str) -> Iterator[list[dict[str, Any]]]:
    if ParsedLoadJobFileName.parse(file_path).file_format == "parquet":
        for batch in ParquetFileBatchIterator(file_path, _ROWS_AT_A_TIME, 0):
            yield batch.to_pylist()
    else:
        yield from JsonlFileBatchIterator(file_path, _ROWS_AT_A_TIME, 0)
