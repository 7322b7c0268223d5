"""Tasks: their states, counters and life, and requests that ran into them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from xtremepush_dlt.sandbox.envelope import ItemError

PROFILE_IMPORT = "profile_import"
ENDED = frozenset({"Completed", "Error", "Fatal"})


@dataclass
class ImportCounts:
    """The breakdown of an import as the task history shows it (reference 6)."""

    total: int = 0
    imported: int = 0
    failed_duplicated_rows: int = 0
    failed_wrong_columns: int = 0
    failed_empty_identifier: int = 0
    failed_saving: int = 0
    warnings: Counter[str] = field(default_factory=Counter)
    errors: list[ItemError] = field(default_factory=list)

    @property
    def failed(self) -> int:
        """All rows that were not imported."""
        return (
            self.failed_duplicated_rows
            + self.failed_wrong_columns
            + self.failed_empty_identifier
            + self.failed_saving
        )

    def members(self) -> dict[str, object]:
        """The counters as members of an answer; their JSON names are an assumption (6)."""
        return {
            "total": self.total,
            "imported": self.imported,
            "warnings": sum(self.warnings.values()),
            "failed": self.failed,
            "failed_duplicated_rows": self.failed_duplicated_rows,
            "failed_wrong_columns": self.failed_wrong_columns,
            "failed_empty_identifier": self.failed_empty_identifier,
            "failed_saving": self.failed_saving,
        }


@dataclass
class Task:
    """One asynchronous import or deletion."""

    id: int
    request: int  # number of the request that made it
    users: frozenset[str]
    state: str = "New"
    identifier: str = PROFILE_IMPORT
    created_at: float = field(default_factory=time.time)
    started_at: float | None = None
    finished_at: float | None = None
    counts: ImportCounts = field(default_factory=ImportCounts)

    @property
    def ended(self) -> bool:
        """Whether the task has come to its end, good or bad."""
        return self.state in ENDED


@dataclass(frozen=True)
class Overlap:
    """An import or a deletion arrived while a task with some of the same users had not ended."""

    task: int  # id of the task that had not ended
    request: int  # number of the request that came in between
    users: tuple[str, ...]


class Timer(Protocol):
    """What a scheduler gives back."""

    def cancel(self) -> None:
        """Make the call not happen."""


Schedule = Callable[[float, Callable[[], None]], Timer]


class TaskBoard:
    """All tasks, running on a scheduler such as the event loop's `call_later`."""

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._timers: dict[int, Timer] = {}
        self.tasks: dict[int, Task] = {}
        self.overlaps: list[Overlap] = []

    @property
    def running(self) -> int:
        """How many tasks are on their way to an end."""
        return len(self._timers)

    def note_overlaps(self, request: int, users: frozenset[str]) -> None:
        """Record the tasks that have not ended and share users with a request that arrives."""
        for task_id in self._timers:
            shared = self.tasks[task_id].users & users
            if shared:
                self.overlaps.append(Overlap(task_id, request, tuple(sorted(shared))))

    def add(
        self,
        request: int,
        users: frozenset[str],
        total: int,
        *,
        wait: float,
        seconds: float,
        work: Callable[[Task], str],
        identifier: str = PROFILE_IMPORT,
    ) -> Task:
        """Make a task that stays New, then Executing, and ends in the state that `work` gives."""
        # Ids start high, so that a client that mistakes a count or an index for one is found out.
        task = Task(
            id=70_001 + len(self.tasks), request=request, users=users, identifier=identifier
        )
        task.counts.total = total

        def start() -> None:
            task.state = "Executing"
            task.started_at = time.time()
            self._timers[task.id] = self._schedule(seconds, end)

        def end() -> None:
            task.state = work(task)
            task.finished_at = time.time()
            del self._timers[task.id]

        self.tasks[task.id] = task
        if wait > 0:
            self._timers[task.id] = self._schedule(wait, start)
        else:
            start()
        return task

    def stop(self) -> None:
        """Let no task go on. Those that had not ended keep the state that they are in."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
