"""Column batches: rows as they travel from load file to call, column by column.

Formats are checked on whole columns, so the work for a value is a step of a list comprehension,
whichever file format the rows came in.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

WITH_FRACTION = "timestamp with fraction"
"""Type by which a load file is asked for moments as objects, which keep their milliseconds.

For the type `timestamp` it cuts them to seconds, which is all that the External API takes.
"""


class Unreadable:
    """Stands for a value that Python has no object for; every format refuses it."""


@dataclass(frozen=True)
class ColumnBatch:
    """Some consecutive rows of a load file.

    Attributes:
        start: Position of the first row in its file, from 0.
        length: Number of rows.
        columns: Values by column name, each list `length` long. A column that none of the rows
            has may be missing. Null and absent are both None.
        wire_datetimes: Columns whose values have the wire form of a date-time already.
    """

    start: int
    length: int
    columns: Mapping[str, list[Any]] = field(repr=False)
    wire_datetimes: Collection[str] = frozenset()

    def column(self, name: str) -> list[Any]:
        """The values of a column; all None when the rows do not have it."""
        values = self.columns.get(name)
        return [None] * self.length if values is None else values
