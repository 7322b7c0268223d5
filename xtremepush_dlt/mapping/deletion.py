"""dlt's hint `hard_delete`: rows that it marks become delete calls, and no other calls."""

from __future__ import annotations

from dataclasses import dataclass

from xtremepush_dlt.exceptions import MappingError
from xtremepush_dlt.mapping.plan import Condition
from xtremepush_dlt.mapping.table import TableColumns


@dataclass(frozen=True)
class Mark:
    """The column that marks a row as deleted, by dlt's rule.

    Attributes:
        column: Its name.
        boolean: Whether True marks a row; in a column of another type, anything but null does.
        variants: Columns in which its values arrive that did not fit its type.
    """

    column: str
    boolean: bool
    variants: tuple[str, ...] = ()

    def condition(self, marked: bool) -> Condition:
        """The condition that takes the marked rows, or the others."""
        if self.boolean:
            return Condition(self.column, (True,), self.variants, negated=not marked)
        return Condition(self.column, (None,), self.variants, negated=marked)


def mark_of(columns: TableColumns) -> Mark | None:
    """The column of a table that has the hint, if one does.

    Raises:
        MappingError: If several do.
    """
    if not columns.hard_delete:
        return None
    name, *others = columns.hard_delete
    if others:
        raise MappingError(
            columns.table,
            f"The columns `{name}` and `{others[0]}` both have dlt's hint `hard_delete`, so "
            "nothing says which one decides.",
            "Leave the hint on one of them.",
        )
    return Mark(name, columns.types.get(name) == "bool", tuple(columns.variants.get(name, ())))
