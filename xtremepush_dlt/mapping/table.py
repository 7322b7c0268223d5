"""What is known of a table's columns, and how a name that a user wrote finds its column."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from xtremepush_dlt.exceptions import MappingError


@dataclass(frozen=True)
class TableColumns:
    """What is known of a table's columns.

    Attributes:
        table: Name of the table.
        types: dlt data type by column, in the order of the schema; None for a column that never
            had a value.
        variants: Columns that hold values which did not fit, by the column they were meant for.
        internal: Columns that dlt adds for itself.
        primary_key: Columns of the primary key.
        hard_delete: Columns with dlt's hint `hard_delete`.
        normalize: The forms that a name may take under the pipeline's naming convention.
    """

    table: str
    types: Mapping[str, str | None]
    variants: Mapping[str, Sequence[str]] = field(default_factory=dict)
    internal: frozenset[str] = frozenset()
    primary_key: tuple[str, ...] = ()
    hard_delete: tuple[str, ...] = ()
    normalize: Callable[[str], Iterable[str]] = lambda name: (name,)

    def find(self, name: str) -> str | None:
        """The column that a name means, or None."""
        return next((form for form in (name, *self.normalize(name)) if form in self.types), None)

    def alike(self, name: str) -> list[str]:
        """Columns of a name that nobody wrote, upper case or lower: warehouses differ in that."""
        return [column for column in self.types if column.casefold() == name.casefold()]

    def find_usual(self, name: str) -> str | None:
        """The column that goes by a usual name, or None.

        Raises:
            MappingError: If several differ in upper and lower case alone.
        """
        if (found := self.find(name)) is not None:
            return found
        alike = self.alike(name)
        if len(alike) > 1:
            named = " and ".join(f"`{column}`" for column in alike)
            raise MappingError(
                self.table,
                f"Its columns {named} could both be meant as `{name}`.",
                f'Say which: {name}="{alike[0]}".',
            )
        return alike[0] if alike else None

    def need(self, name: str, action: str, keyword: str) -> str:
        """The column that a name means.

        Raises:
            MappingError: If there is none.
        """
        if (found := self.find(name)) is not None:
            return found
        close = difflib.get_close_matches(name, list(self.types), n=1)
        known = (
            f"Did you mean `{close[0]}`?"
            if close
            else "Its columns are: "
            + ", ".join(f"`{column}`" for column in self.types if column not in self.internal)
            + "."
        )
        raise MappingError(
            self.table,
            f"{action}: {keyword} names the column `{name}`, which the table does not have.",
            f"{known} A column that never had a value is unknown to dlt until its type is given: "
            f'resource.apply_hints(columns={{"{name}": {{"data_type": "text"}}}}).',
        )

    def rest(self, used: Iterable[str]) -> list[str]:
        """Columns with data of the user's own that are not used already.

        Neither dlt's columns nor drifted values nor the mark of a deletion.
        """
        out = {
            *used,
            *self.internal,
            *self.hard_delete,
            *(v for vs in self.variants.values() for v in vs),
        }
        return [name for name, kind in self.types.items() if kind is not None and name not in out]
