"""The load job: hands its file to the courier of the package, and its receipts to the ledger."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path

from dlt.common.destination.client import (
    FollowupJobRequest,
    HasFollowupJobs,
    RunnableLoadJob,
    TLoadJobState,
)
from dlt.common.json import json

from xtremepush_dlt.delivery.courier import Courier
from xtremepush_dlt.delivery.journal import pipeline_name_of, read_records
from xtremepush_dlt.delivery.receipts import (
    Origin,
    Row,
    deliveries,
    replays,
    superseding,
    undelivered,
)
from xtremepush_dlt.ledger.tables import (
    DELIVERIES,
    REPLAYS,
    SUPERSEDING,
    UNDELIVERED,
    file_table,
)
from xtremepush_dlt.replay.source import is_replay, read_replayed


class ReceiptsFile(FollowupJobRequest):
    """A load file for the ledger, made in the load package.

    Its name follows from the file that the rows are about, so that making it again after a crash
    makes the same file.

    Args:
        folder: Where it is made; dlt moves it from there.
        table: Table of the ledger.
        file_id: dlt's id of the file that the rows are about.
        rows: The rows.
    """

    def __init__(self, folder: Path, table: str, file_id: str, rows: Iterable[Row]) -> None:
        self._path = folder / f"{file_table(table)}.{file_id}.0.typed-jsonl"
        with self._path.open("wb") as file:
            file.writelines(json.typed_dumpb(row) + b"\n" for row in rows)

    def new_file_path(self) -> str:
        """Where the file is."""
        return str(self._path)

    @property
    def empty(self) -> bool:
        """Whether there was no row."""
        return not self._path.stat().st_size

    def remove(self) -> None:
        """Takes the file away."""
        self._path.unlink()


class XtremepushLoadJob(RunnableLoadJob, HasFollowupJobs):
    """Delivers one load file of one table.

    Args:
        file_path: Full path of the file in the load package.
        courier: The courier of the package that a file belongs to, for as long as it is needed.
        keep_receipts: Whether there is a ledger.
    """

    def __init__(
        self,
        file_path: str,
        courier: Callable[[str], AbstractContextManager[Courier]],
        keep_receipts: bool,
    ) -> None:
        super().__init__(file_path)
        self._courier = courier
        self._keep_receipts = keep_receipts

    def run(self) -> None:
        """Delivers the file, and the identify calls of the package before its track calls.

        Raises:
            XtremepushTerminalError: If a person must act first.
            XtremepushTransientError: If dlt should try again.
        """
        with self._courier(self._file_path) as courier:
            courier.deliver(self._file_name)

    def create_followup_jobs(self, final_state: TLoadJobState) -> list[FollowupJobRequest]:
        """What was sent for the file, and what was not, as load files for the ledger.

        They are as durable as the package, and it is complete only when they are loaded.
        """
        if final_state != "completed" or not self._keep_receipts:
            return []
        package = package_of(self._file_path)
        file = self._parsed_file_name
        origin = Origin(pipeline_name_of(package), package.name, file.job_id())
        made: dict[str, Iterable[Row]] = {DELIVERIES: deliveries(read_records(package), origin)}
        if is_replay(file.table_name):
            # its rows stand in the ledger already; what is new is their outcome
            replayed, host = read_replayed(self._file_path), socket.gethostname()
            made[REPLAYS] = replays(read_records(package), origin, replayed, host)
            made[SUPERSEDING] = superseding(read_records(package), origin, replayed)
        else:
            made[UNDELIVERED] = undelivered(read_records(package), origin)
            made[SUPERSEDING] = superseding(read_records(package), origin)
        requests: list[FollowupJobRequest] = []
        for table, rows in made.items():
            receipts = ReceiptsFile(package, table, file.file_id, rows)
            if receipts.empty:
                receipts.remove()
            else:
                requests.append(receipts)
        return requests


def package_of(file_path: str) -> Path:
    """The folder of the load package that a load file is in."""
    return Path(file_path).parent.parent
