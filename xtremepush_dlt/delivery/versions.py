"""Versions: an older row must not overwrite a newer one of the same user."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class Versions:
    """The newest version seen of each user, over the files of one table in one run.

    dlt does not say in which order the files of a table were written, so a row that comes later
    may be the older one.
    """

    def __init__(self) -> None:
        self._newest: dict[str, Any] = {}

    def older(self, users: Sequence[str | None], versions: Sequence[Any]) -> set[int]:
        """Indices of rows that are older than a row of the same user before them.

        Args:
            users: Users of the rows.
            versions: Their versions, in a form that can be compared; None is never older.
        """
        found: set[int] = set()
        newest = self._newest
        for index, (user, version) in enumerate(zip(users, versions, strict=True)):
            if user is None or version is None:
                continue
            seen: Any = newest.get(user)
            # values of two types cannot be told apart by age: the later row counts
            if type(seen) is type(version) and version < seen:
                found.add(index)
            else:
                newest[user] = version
        return found
