"""Reads dlt's load files, typed JSON and parquet alike, as column batches."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import orjson
from dlt.common.json import PUA_START, custom_pua_decode_nested
from dlt.common.storages import FileStorage
from dlt.common.storages.load_package import ParsedLoadJobFileName

from xtremepush_dlt.exceptions import UnreadableFileError
from xtremepush_dlt.mapping.columns import WITH_FRACTION, ColumnBatch, Unreadable

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_IN_BATCH = 1000
"""Rows that are mapped at once: enough to make columns worth it, few enough to stay in cache."""

_WIRE_LENGTH = len("YYYY-MM-DD HH:MM:SS +00:00")
_DECIMAL_MARK, _DATETIME_MARK = chr(PUA_START), chr(PUA_START + 1)


def read_load_file(
    path: str, names: Sequence[str], types: Mapping[str, str | None]
) -> Iterator[ColumnBatch]:
    """Reads a load file from its beginning.

    Args:
        path: Full path of a typed-jsonl (plain or gzip) or parquet file that dlt wrote.
        names: Columns that are needed; others are not decoded.
        types: dlt data type by column. Parquet files hold the type `json` as text. For
            `WITH_FRACTION` moments are objects, instead of text that is cut to seconds.

    Yields:
        Batches of at most `ROWS_IN_BATCH` rows, in the order of the file.

    Raises:
        UnreadableFileError: If the file is damaged or of another format.
        FileNotFoundError: If dlt has moved the file meanwhile.
    """
    file = ParsedLoadJobFileName.parse(path)
    try:
        if file.file_format == "parquet":
            yield from _read_parquet(path, names, types)
        elif file.file_format in ("typed-jsonl", "jsonl"):
            yield from _read_jsonl(path, names, types)
        else:
            raise UnreadableFileError(
                f"Load file of table `{file.table_name}` has the format `{file.file_format}`; "
                "Xtremepush takes typed-jsonl and parquet. Remove `loader_file_format` from the "
                "arguments of run() and from the resource."
            )
    except (orjson.JSONDecodeError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise _damaged(file, error) from None


def _damaged(file: ParsedLoadJobFileName, error: Exception) -> UnreadableFileError:
    return UnreadableFileError(
        f"Load file `{file.job_id()}` of table `{file.table_name}` is damaged "
        f"({type(error).__name__}). Restore it, or drop the pending package with "
        "`dlt pipeline <name> drop-pending-packages` and run the pipeline again."
    )


def _read_jsonl(
    path: str, names: Sequence[str], types: Mapping[str, str | None]
) -> Iterator[ColumnBatch]:
    pending: list[Mapping[str, Any]] = []
    start = 0
    with FileStorage.open_zipsafe_ro(path, "rb") as lines:
        for line in lines:
            parsed = orjson.loads(line)
            # typed-jsonl writes a buffer of rows as one list a line
            rows = parsed if isinstance(parsed, list) else [parsed]
            if not set(map(type, rows)) <= {dict}:
                raise EOFError("a line holds something else than rows")
            pending.extend(rows)
            while len(pending) >= ROWS_IN_BATCH:
                yield _batch_of_records(pending[:ROWS_IN_BATCH], start, names, types)
                start += ROWS_IN_BATCH
                del pending[:ROWS_IN_BATCH]
    if pending:
        yield _batch_of_records(pending, start, names, types)


def _batch_of_records(
    records: Sequence[Mapping[str, Any]],
    start: int,
    names: Sequence[str],
    types: Mapping[str, str | None],
) -> ColumnBatch:
    columns: dict[str, list[Any]] = {}
    wire: set[str] = set()
    for name, values in zip(names, _columns(records, names), strict=True):
        moments = _moments_in_utc(values) if types.get(name) == "timestamp" else None
        if moments is not None:
            columns[name] = moments
            wire.add(name)
        elif types.get(name) == "decimal" and _all_marked(values, _DECIMAL_MARK):
            columns[name] = [Decimal(text[1:]) for text in values]
        elif types.get(name) in ("timestamp", WITH_FRACTION):
            columns[name] = [_moment(value) for value in values]
        else:
            columns[name] = _decoded(values)
    return ColumnBatch(start, len(records), columns, frozenset(wire))


def _columns(records: Sequence[Mapping[str, Any]], names: Sequence[str]) -> Iterable[Sequence[Any]]:
    if len(names) > 1:
        try:
            return zip(*map(itemgetter(*names), records), strict=True)
        except KeyError:
            pass  # dlt leaves nulls out, so some row lacks a column: the slower way
    return [[record.get(name) for record in records] for name in names]


def _moments_in_utc(values: Sequence[Any]) -> list[str] | None:
    """The wire form of a column that holds nothing but date-times in UTC; None for any other.

    Cut from dlt's text (mark, ISO 8601, offset): a date-time object would cost five times as much.
    """
    if not _all_marked(values, _DATETIME_MARK) or "".join(values).count("+00:00") != len(values):
        return None
    return [f"{text[1:11]} {text[12:20]} +00:00" for text in values]


def _moment(value: Any) -> Any:
    """Decodes a date-time, also one whose offset has seconds, which older releases of dlt leave."""
    if type(value) is str and value.startswith(_DATETIME_MARK):
        text = value[1:]
        try:
            return datetime.fromisoformat(text[:-1] + "+00:00" if text.endswith("Z") else text)
        except ValueError:
            pass  # dlt may know more forms
    return custom_pua_decode_nested(value)


def _all_marked(values: Sequence[Any], mark: str) -> bool:
    """Whether a column holds nothing but texts with one of dlt's marks."""
    try:
        return "".join(values).count(mark) == len(values)
    except TypeError:
        return False  # something else than texts


def _decoded(values: Sequence[Any]) -> list[Any]:
    """Decodes dlt's marks: a character of the private use area before a date, a decimal, ..."""
    kinds = set(map(type, values))
    texts: Iterable[str] = (text for text in values if type(text) is str)
    if kinds == {str}:
        texts = values
    # a mark sorts behind almost every other character, so the last text tells for all of them
    marked = str in kinds and max(texts) >= _DECIMAL_MARK
    if marked or dict in kinds or list in kinds:
        return [custom_pua_decode_nested(value) for value in values]
    return list(values)


def _read_parquet(
    path: str, names: Sequence[str], types: Mapping[str, str | None]
) -> Iterator[ColumnBatch]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    start = 0
    try:
        with pq.ParquetFile(path) as file:
            present = [name for name in names if name in set(file.schema_arrow.names)]
            for table in file.iter_batches(batch_size=ROWS_IN_BATCH, columns=present):
                yield _batch_of_arrow(table, start, types)
                start += table.num_rows
    except (pa.ArrowInvalid, OSError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise _damaged(ParsedLoadJobFileName.parse(path), error) from None


def _batch_of_arrow(
    table: pa.RecordBatch, start: int, types: Mapping[str, str | None]
) -> ColumnBatch:
    import pyarrow as pa

    columns: dict[str, list[Any]] = {}
    wire: set[str] = set()
    for name, array in zip(table.schema.names, table.columns, strict=True):
        if pa.types.is_timestamp(array.type) and types.get(name) != WITH_FRACTION:
            columns[name], in_calendar = _wire_datetimes(array)
            if in_calendar:
                wire.add(name)
        else:
            columns[name] = _values(array)
            if types.get(name) == "json":
                columns[name] = [_parsed(value) for value in columns[name]]
    return ColumnBatch(start, table.num_rows, columns, frozenset(wire))


def _wire_datetimes(array: pa.Array) -> tuple[list[Any], bool]:
    """`YYYY-MM-DD HH:MM:SS +00:00`, made by Arrow: datetime objects would cost more than the rest.

    Arrow keeps moments that have a timezone in UTC, and moments without one mean UTC here.

    Returns:
        The values, and whether all of them are in the wire form; PostgreSQL's `infinity`, for
        one, lies in no calendar.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    naive = array.cast(pa.timestamp(array.type.unit))
    seconds = pc.floor_temporal(naive, unit="second").cast(pa.timestamp("s"), safe=False)
    texts = pc.binary_join_element_wise(seconds.cast(pa.string()), "+00:00", " ")
    lengths = pc.min_max(pc.utf8_length(texts)).as_py()
    if lengths["min"] == lengths["max"] == _WIRE_LENGTH or array.null_count == len(array):
        return texts.to_pylist(), True
    return [
        Unreadable() if text is not None and len(text) != _WIRE_LENGTH else text
        for text in texts.to_pylist()
    ], False


def _values(array: pa.Array) -> list[Any]:
    try:
        values: list[Any] = array.to_pylist()
    except (ValueError, OverflowError):
        # nanoseconds, or a date that Python's calendar does not hold
        values = [_value(scalar) for scalar in _without_nanoseconds(array)]
    return values


def _value(scalar: pa.Scalar) -> Any:
    try:
        return scalar.as_py()
    except (ValueError, OverflowError):
        return Unreadable()


def _without_nanoseconds(array: pa.Array) -> pa.Array:
    return array.cast(_in_microseconds(array.type), safe=False)


def _in_microseconds(kind: pa.DataType) -> pa.DataType:
    import pyarrow as pa

    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", kind.tz)
    if pa.types.is_time64(kind):
        return pa.time64("us")
    if pa.types.is_list(kind):
        return pa.list_(_in_microseconds(kind.value_type))
    if pa.types.is_large_list(kind):
        return pa.large_list(_in_microseconds(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_in_microseconds(field.type)) for field in kind])
    return kind


def _parsed(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        # a text that is not JSON is a value all the same
        return value
