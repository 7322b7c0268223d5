"""Bindings: what an action names, resolved to columns that the table has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from xtremepush_dlt.exceptions import MappingError
from xtremepush_dlt.mapping import formats, wire
from xtremepush_dlt.mapping.actions import Action, Delete
from xtremepush_dlt.mapping.arguments import AUTO, Column
from xtremepush_dlt.mapping.deletion import Mark
from xtremepush_dlt.mapping.dialect import Dialect
from xtremepush_dlt.mapping.known_attributes import KnownAttributes
from xtremepush_dlt.mapping.plan import Binding, Condition
from xtremepush_dlt.mapping.table import TableColumns


@dataclass(frozen=True)
class Binder:
    """Resolves the names in the actions of one table.

    Attributes:
        columns: What the table has.
        dialect: Names and formats on the wire.
        known: The attributes of the project, if the user listed them.
        mark: Tells which rows dlt wants deleted, if any column does.
        warnings: Takes what a user should know.
    """

    columns: TableColumns
    dialect: Dialect
    known: KnownAttributes | None
    mark: Mark | None
    warnings: list[str] = field(default_factory=list)

    def bind(
        self,
        action: Action,
        keyword: str,
        write: wire.Format,
        target: str = "",
        usual: Iterable[str] = (),
    ) -> Binding | None:
        """Binds one keyword of an action.

        Args:
            action: The action.
            keyword: The keyword.
            write: Format of the value.
            target: Name on the wire, where it is not the keyword.
            usual: Columns to look for where the user named none.

        Returns:
            The binding; None where the user wants none, or named none and there is none.

        Raises:
            MappingError: If a column that the user named does not exist.
        """
        source = getattr(action, keyword)
        target = target or keyword
        if source is None:
            return None
        if source == AUTO:
            found = (self.columns.find_usual(name) for name in usual or (keyword,))
            column = next((name for name in found if name is not None), None)
            return None if column is None else self._from(target, column, write)
        if isinstance(source, (str, Column)):
            named = source.name if isinstance(source, Column) else source
            return self._from(target, self.columns.need(named, kind_of(action), keyword), write)
        return Binding(target, None, int(source), write)

    def need(self, action: Action, keyword: str, write: wire.Format) -> Binding:
        """Binds a keyword that must have a column.

        Raises:
            MappingError: If there is none.
        """
        bound = self.bind(action, keyword, write)
        if bound is not None:
            return bound
        return self._from(keyword, self.columns.need(keyword, kind_of(action), keyword), write)

    def user(self, action: Action) -> tuple[Binding, Binding | None]:
        """Binds the identifiers: the user's, and the anonymous one where the route has it.

        Raises:
            MappingError: If there is none that the route can use.
        """
        kind = kind_of(action)
        if self.dialect.anonymous is None:
            if action.anonymous_id not in (AUTO, None):
                raise MappingError(
                    self.columns.table,
                    f"{kind}: anonymous_id needs the Segment route; the {self.dialect.route} "
                    "knows people by their user_id only.",
                    "Remove anonymous_id, or configure `segment_api_key` as credentials.",
                )
            return self.need(action, "user_id", formats.user_id), None
        anonymous = self.bind(action, "anonymous_id", formats.user_id)
        if anonymous is None and action.anonymous_id is AUTO and action.user_id == AUTO:
            self._need_any_identifier(kind)
        user = self.bind(action, "user_id", formats.user_id)
        if user is None and anonymous is None:
            user = self.need(action, "user_id", formats.user_id)
        return user or Binding("user_id", None, None, formats.user_id), anonymous

    def _need_any_identifier(self, kind: str) -> None:
        if self.columns.find("user_id") is None:
            raise MappingError(
                self.columns.table,
                f"{kind}: the table has neither a column `user_id` nor a column `anonymous_id`, "
                f"and on the {self.dialect.route} each row needs one of them.",
                f"Name the column: {kind}(user_id=...) or {kind}(anonymous_id=...).",
            )

    def select(
        self, action: Action, keyword: str, selection: Any, default: wire.Format
    ) -> tuple[Binding, ...]:
        """Binds columns that were chosen.

        Raises:
            MappingError: If one does not exist.
        """
        pairs = selection if isinstance(selection, Mapping) else {name: name for name in selection}
        return tuple(
            self._from(target, self.columns.need(named, kind_of(action), keyword), default)
            for target, named in pairs.items()
        )

    def attributes(self, action: Action, keyword: str, selection: Any) -> tuple[Binding, ...]:
        """Binds columns that become profile attributes.

        Raises:
            MappingError: If a column does not exist, or the project does not have the attribute
                and that is to be an error.
        """
        own = self.dialect.formats
        bound = self.select(action, keyword, selection, self.dialect.write_attribute)
        return tuple(
            replace(binding, write=own[binding.target])
            if binding.target in own
            else self._checked(action, binding)
            for binding in bound
        )

    def conditions(self, action: Action, takes_marked: bool = False) -> tuple[Condition, ...]:
        """The rows that an action takes.

        Args:
            action: The action.
            takes_marked: Whether it takes the rows that dlt wants deleted, not the others.
        """
        conditions = []
        when: Mapping[str, Any] = action.when or {}
        for named, values in when.items():
            name = self.columns.need(named, kind_of(action), "when")
            conditions.append(Condition(name, tuple(values), self._variants(name)))
        if self.mark is not None:
            conditions.append(self.mark.condition(takes_marked))
        return tuple(conditions)

    def _checked(self, action: Action, binding: Binding) -> Binding:
        """The binding with the check of its attribute's type, if the attributes are known."""
        if self.known is None:
            return binding
        check = self.known.check(binding.target)
        if check is None:
            problem = (
                f"{action.label} sends the column `{binding.column}` as the attribute "
                f"`{binding.target}`, which `known_attributes` does not list: Xtremepush ignores "
                "attributes that the project does not have."
            )
            remedy = self.known.remedy(binding.target)
            if self.known.strict:
                raise MappingError(self.columns.table, problem, remedy)
            self.warnings.append(f"Table `{self.columns.table}`: {problem} {remedy}")
        return replace(binding, check=check)

    def _from(self, target: str, column: str, write: wire.Format) -> Binding:
        return Binding(target, column, None, write, self._variants(column))

    def _variants(self, column: str) -> tuple[str, ...]:
        return tuple(self.columns.variants.get(column, ()))


def kind_of(action: Action) -> str:
    """How a user writes the action: `identify`, `track` or `delete`."""
    return type(action).__name__.lower()


def takes_marked_rows(action: Action) -> bool:
    """Whether an action, on a table with dlt's hint `hard_delete`, is meant for the marked rows."""
    return isinstance(action, Delete) and action.when is None
