"""Rows of the ledger's tables, read with nothing but what the companion itself needs."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import datetime, timezone
from typing import Any, cast

import orjson
from dlt.common.destination.client import JobClientBase
from dlt.common.destination.exceptions import DestinationUndefinedEntity
from dlt.destinations.fs_client import FSClientBase
from dlt.destinations.job_client_impl import SqlJobClientBase

from xtremepush_dlt.exceptions import LedgerError
from xtremepush_dlt.ledger.tables import KEYS, LEDGER

Row = dict[str, Any]

OpenLedger = Callable[[], JobClientBase]
"""Makes a client of the companion that knows the ledger's tables."""

_GZIP = b"\x1f\x8b"


@contextmanager
def reading(open_ledger: OpenLedger) -> Iterator[JobClientBase]:
    """A client to read the ledger with, for as long as the context.

    Args:
        open_ledger: Makes it.

    Raises:
        LedgerError: If there is no connection.
    """
    with ExitStack() as stack:
        try:
            opening = cast("AbstractContextManager[JobClientBase]", open_ledger())
            client = stack.enter_context(opening)
        except Exception as error:
            # no row has been seen yet that the text could quote
            why = f"{type(error).__name__}: {error}"
            raise LedgerError(LEDGER, why, reading=True) from error
        yield client


def read_rows(
    client: JobClientBase,
    table: str,
    where: Mapping[str, Sequence[str]] | None = None,
) -> list[Row]:
    """The rows of a table of the ledger, each once.

    Args:
        client: An open client of the companion that knows the table.
        table: Name of the table.
        where: Texts that a column may have, by column; None for all rows.

    Returns:
        The rows, moments as date-times in UTC; none where the table is not there yet.

    Raises:
        LedgerError: If the companion does not give them.
    """
    columns = client.schema.get_table(table)["columns"]
    moments = [name for name, column in columns.items() if column["data_type"] == "timestamp"]
    unique: dict[tuple[Any, ...], Row] = {}
    try:
        for row in _rows(client, table, [*columns], where or {}):
            for name in moments:
                row[name] = _in_utc(row[name])
            unique.setdefault(tuple(row[name] for name in KEYS[table]), row)
    except DestinationUndefinedEntity:
        return []
    except Exception as error:  # noqa: BLE001  # whatever a companion raises; it is raised anew
        # the text of a database's error may quote a row
        raise LedgerError(table, type(error).__name__, reading=True) from None
    return [*unique.values()]


def _rows(
    client: JobClientBase, table: str, columns: Sequence[str], where: Mapping[str, Sequence[str]]
) -> Iterator[Row]:
    if isinstance(client, FSClientBase):
        for row in _rows_of_files(client, table):
            if all(row.get(name) in values for name, values in where.items()):
                yield {name: row.get(name) for name in columns}
    elif isinstance(client, SqlJobClientBase):
        yield from _rows_of_query(client, table, columns, where)
    else:
        raise TypeError(f"a ledger in {type(client).__name__} cannot be read")


def _rows_of_query(
    client: SqlJobClientBase, table: str, columns: Sequence[str], where: Mapping[str, Sequence[str]]
) -> Iterator[Row]:
    sql = client.sql_client
    listed = ", ".join(map(sql.escape_column_name, columns))
    query = f"SELECT {listed} FROM {sql.make_qualified_table_name(table)}"  # noqa: S608  # names of our own, escaped
    if where:
        query += " WHERE " + " AND ".join(
            f"{sql.escape_column_name(name)} IN ({', '.join(['%s'] * len(values))})"
            for name, values in where.items()
        )
    with sql.execute_query(
        query, *(value for values in where.values() for value in values)
    ) as rows:
        while fetched := rows.fetchmany(5000):
            for values in fetched:
                yield dict(zip(columns, values, strict=True))


def _rows_of_files(client: FSClientBase, table: str) -> Iterator[Row]:
    paths = client.list_table_files(table)
    # together: files of a bucket are fetched side by side
    contents = client.fs_client.cat(paths) if paths else {}
    if isinstance(contents, bytes):
        contents = {paths[0]: contents}
    for path, content in sorted(contents.items()):
        yield from _rows_of_file(str(path), content)


def _rows_of_file(path: str, content: bytes) -> Iterator[Row]:
    if path.endswith(".parquet"):
        import pyarrow.parquet as pq

        yield from pq.read_table(io.BytesIO(content)).to_pylist()
        return
    if content.startswith(_GZIP):
        content = gzip.decompress(content)
    for line in content.splitlines():
        yield orjson.loads(line)


def _in_utc(moment: Any) -> datetime | None:
    if isinstance(moment, str):
        text = moment[:-1] + "+00:00" if moment.endswith("Z") else moment
        moment = datetime.fromisoformat(text)
    if not isinstance(moment, datetime):
        return None
    if moment.tzinfo is None:
        return moment.replace(tzinfo=timezone.utc)
    return moment.astimezone(timezone.utc)
