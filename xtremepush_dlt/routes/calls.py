"""The kinds of calls, and what tells one call from another."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

import orjson

from xtremepush_dlt.mapping import segment_formats
from xtremepush_dlt.mapping.payloads import Payload
from xtremepush_dlt.mapping.wire import encode_number

Call = Literal["identify", "track", "delete"]

_OURS = uuid.UUID("2f0f3a52-7d38-5d0c-9a55-2d1c2f8f8d3e")
"""Namespace of the ids that are made here; never to be changed, or a resend would look new."""


class CallSource(NamedTuple):
    """Where calls come from: the same on any machine and any day.

    Attributes:
        call: Their kind.
        pipeline_name: Name of the pipeline.
        table: Name of the table.
        action: Label of the action.
    """

    call: Call
    pipeline_name: str
    table: str
    action: str


def message_ids(
    source: CallSource, payloads: Iterable[Payload], ids: Sequence[object]
) -> Iterator[str]:
    """An id for each call, the same whenever the same row is sent again.

    An event is told by its event id, and by its content where it has none. Other calls are told
    by their content, and by what tells one version of the row from another if there is such a
    column.

    Args:
        source: Where the calls come from.
        payloads: The calls.
        ids: Event ids of the rows: values or tuples of them, or nothing at all.
    """
    begin = orjson.dumps([*source])
    written = _written(ids)
    for index, payload in enumerate(payloads):
        own = written[index] if written else b""
        if source.call != "track" or not own:
            content = {name: value for name, value in payload.items() if name != "messageId"}
            own += orjson.dumps(content, default=encode_number, option=orjson.OPT_SORT_KEYS)
        yield str(uuid.uuid5(_OURS, (begin + own).decode()))


def _written(ids: Sequence[object]) -> list[bytes]:
    """Event ids as JSON; empty where a row has none."""
    if not ids:
        return []
    columns = zip(*(each if isinstance(each, tuple) else (each,) for each in ids), strict=True)
    # a moment is another object in each file format, and is written alike
    formatted = [segment_formats.value(column).values for column in columns]
    return [
        b"" if None in row and not any(row) else orjson.dumps(row, default=encode_number)
        for row in zip(*formatted, strict=True)
    ]
