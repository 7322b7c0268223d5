"""What is found wrong while rows are mapped: reasons, never values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Problem(NamedTuple):
    """Why a value was left out or a row refused; never the value itself."""

    column: str
    reason: str


class Problems(dict[int, list[Problem]]):
    """Problems by the index of their row."""

    def note(self, index: int, column: str, reason: str) -> None:
        """Adds a problem."""
        self.setdefault(index, []).append(Problem(column, reason))


@dataclass(frozen=True, repr=False)
class Findings:
    """What is found while a batch is mapped.

    Attributes:
        invalid: Rows that are refused.
        broken: Rows that go without a value, or are refused for it, as the user chose.
        noted: Rows that are sent as they are.
    """

    invalid: Problems
    broken: Problems
    noted: Problems
