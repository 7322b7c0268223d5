"""The journal: what was intended, accepted and settled, kept in the load package.

One file of JSON lines, only ever appended to. A line that a crash cut short is the last one and is
dropped; what it would have said is in doubt and handled as such. Positions are written as
sequence numbers of rows and together with the number of lanes, so a resume may use other batch
sizes and other lanes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from xtremepush_dlt.delivery.lanes import lane_of
from xtremepush_dlt.delivery.outcomes import Tally
from xtremepush_dlt.exceptions import JournalDamagedError
from xtremepush_dlt.mapping.stored import StoredCall
from xtremepush_dlt.mapping.wire import encode_number

JOURNAL_NAME = "xtremepush_journal.jsonl"
"""Name of the file in the load package. It holds what was not delivered, with its payload."""

Record = Mapping[str, Any]


@dataclass(frozen=True)
class PassKey:
    """One pass over one load file.

    Attributes:
        file: dlt's job id of the file: table and file id.
        phase: `identify`, `track` or `delete`.
    """

    file: str
    phase: str


@dataclass
class Progress:
    """How far a pass has come, over all runs.

    Attributes:
        tally: Outcomes that are final.
        ended: Whether every row has one.
        marks: Sequence number before which a lane is settled, by number of lanes and lane.
        settled: Sequence numbers that are settled beside that.
        intents: Lanes and ranges of track requests that left without a recorded answer.
        tasks: Import tasks that were accepted and whose end is not recorded, by id.
    """

    tally: Tally = field(default_factory=Tally)
    ended: bool = False
    marks: dict[int, dict[int, int]] = field(default_factory=dict)
    settled: set[int] = field(default_factory=set)
    intents: dict[tuple[int, int], list[tuple[int, int]]] = field(default_factory=dict)
    tasks: dict[str, Record] = field(default_factory=dict)

    @property
    def fresh(self) -> bool:
        """Whether nothing is settled yet, so that no row has to be looked up."""
        return not self.marks and not self.settled

    def is_settled(self, sequence: int, user: str | None) -> bool:
        """Whether a row at an action has its outcome already."""
        return sequence in self.settled or any(
            sequence < marks.get(lane_of(user, lanes), 0) for lanes, marks in self.marks.items()
        )

    def doubts(self) -> Callable[[int, str | None], bool] | None:
        """Tells which rows were in a track request whose answer is not recorded.

        Taken before the first request of a run: what leaves later is not in doubt yet.

        Returns:
            A function of sequence number and user, or None when there is no doubt.
        """
        ranges = [(*lane, *span) for lane, spans in self.intents.items() for span in spans]
        if not ranges:
            return None
        return lambda sequence, user: any(
            first <= sequence < end and lane_of(user, lanes) == lane
            for lanes, lane, first, end in ranges
        )

    def apply(self, record: Record) -> None:
        """Takes a record of this pass into account."""
        kind = record["k"]
        if kind == "settled":
            self.tally.add(Tally.from_json(record["tally"]))
            if "task" in record:
                self.settled.update(self.tasks.pop(record["task"])["sequences"])
                return
            lanes, lane, upto = record["lanes"], record["lane"], record["upto"]
            self.marks.setdefault(lanes, {})[lane] = upto
            ranges = self.intents.get((lanes, lane), [])
            self.intents[lanes, lane] = [span for span in ranges if span[1] > upto]
            self.tasks = {
                task_id: task
                for task_id, task in self.tasks.items()
                if (task["lanes"], task["lane"]) != (lanes, lane)
            }
        elif kind == "intent":
            ranges = self.intents.setdefault((record["lanes"], record["lane"]), [])
            ranges.append((record["first"], record["end"]))
        elif kind == "answered":
            span = (record["first"], record["end"])
            ranges = self.intents.get((record["lanes"], record["lane"]), [])
            ranges[:] = [other for other in ranges if other != span]
        elif kind == "task":
            self.tasks[record["task"]] = record
        elif kind == "task_failed":
            self.tasks.pop(record["task"], None)
        elif kind == "ended":
            self.ended = True


class Journal:
    """Reads and appends the journal of one load package.

    Attributes:
        known_tasks: Ids of all import tasks that were accepted.
        open_calls: Rows that were not delivered in earlier runs, with the kind of their calls.
        imports_in_doubt: Imports that left and whose reply is not recorded: each may have made a
            task whose id never arrived.

    Args:
        package: Folder of the load package.

    Raises:
        JournalDamagedError: If a line other than the last cannot be read.
    """

    def __init__(self, package: Path) -> None:
        self._path = package / JOURNAL_NAME
        self._lock = threading.Lock()
        self._progress: dict[PassKey, Progress] = {}
        self.known_tasks: set[str] = set()
        self.imports_in_doubt = 0
        self.open_calls: list[tuple[StoredCall, Record]] = []
        intact = 0
        for record, behind in _read(self._path):
            intact = behind
            self._note(record)
            if "file" in record:
                rows = record.get("undelivered", ())
                self.open_calls += ((record["phase"], row) for row in rows)
                self.progress(PassKey(record["file"], record["phase"])).apply(record)
        # a line that was cut short would swallow the next one
        self._file = self._path.open("ab")
        self._file.truncate(intact)
        self.write({"k": "run"})

    def _note(self, record: Record) -> None:
        if record["k"] == "task":
            self.known_tasks.add(record["task"])
        elif record["k"] == "importing":
            self.imports_in_doubt += 1
        elif record["k"] == "imported":
            self.imports_in_doubt -= 1
        elif record["k"] == "no_imports":
            self.imports_in_doubt = 0

    def progress(self, key: PassKey) -> Progress:
        """How far a pass has come; kept up to date by `write`."""
        return self._progress.setdefault(key, Progress())

    def tasks(self) -> list[tuple[PassKey, str, Record]]:
        """Import tasks whose end is not recorded, of all passes."""
        return [
            (key, task_id, task)
            for key, progress in self._progress.items()
            for task_id, task in progress.tasks.items()
        ]

    def write(self, record: Record, key: PassKey | None = None, lazy: bool = False) -> None:
        """Appends a record, which outlives the process from here on.

        It is as durable as the load package that it stands in: dlt does not wait for the disk
        either.

        Args:
            record: JSON data; `k` says what it is.
            key: The pass that it is about.
            lazy: Whether it may wait for the next record; for what only the report needs.
        """
        whole = {**record, "at": time.time()}
        if key is not None:
            whole |= {"file": key.file, "phase": key.phase}
        line = orjson.dumps(whole, default=_as_text) + b"\n"
        with self._lock:
            self._file.write(line)
            self._note(record)
            if not lazy:
                self._file.flush()
            if key is not None:
                self.progress(key).apply(whole)

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


def pipeline_name_of(package: Path) -> str:
    """The pipeline that a load package belongs to: dlt names the working folder after it."""
    return package.parents[2].name


def read_records(package: Path) -> Iterator[Record]:
    """The records of a load package's journal, one by one; none if it has no journal.

    Where each request carries one call there are several for every row, too many to be kept.

    Raises:
        JournalDamagedError: If a line other than the last cannot be read.
    """
    return (record for record, _ in _read(package / JOURNAL_NAME))


def _read(path: Path) -> Iterator[tuple[Record, int]]:
    """Records, each with the position behind it."""
    if not path.exists():
        return
    behind = 0
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.endswith(b"\n"):
                return
            behind += len(line)
            try:
                yield orjson.loads(line), behind
            except orjson.JSONDecodeError:
                raise JournalDamagedError(
                    f"Line {number} of `{path.name}` in the load package `{path.parent.name}` is "
                    "damaged, so it is not known what was delivered. Restore the file, or remove "
                    "it to deliver the whole package again."
                ) from None


def _as_text(value: Any) -> Any:
    """Event ids may be of any type that a table has; decimals keep every digit."""
    try:
        return encode_number(value)
    except TypeError:
        return str(value)
