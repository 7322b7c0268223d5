"""The process that is killed: a real dlt pipeline over the data of a trial.

`python -m tests.chaos.worker` is a nursery. For each line of JSON (a `Job`) it forks a process
that has imported dlt already, tells its process id, and tells when it has ended. The fork is a
process like any other; without it, most of a trial would be imports.
"""

from __future__ import annotations

import faulthandler
import json
import os
import random
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import dlt

# imported late by dlt and by the destination; here, so that a fork has them already
import pyarrow.parquet  # noqa: F401

import xtremepush_dlt.job_client  # noqa: F401
from tests.chaos.data import LEAVERS, TRACKS, Data, Sizes
from xtremepush_dlt import delete, identify, track, xtremepush, xtremepush_adapter
from xtremepush_dlt.delivery import throttle

PIPELINE = "chaos"
CREDENTIALS = {
    "external": {"app_token": "sandbox-token"},
    "segment": {"segment_api_key": "sandbox-segment-key"},
}
DELETE_PATH = "/api/external/delete/profile"

HANG_SECONDS = 90.0
"""After so long a run tells where it stands, in its log."""


@dataclass(frozen=True)
class Job:
    """One run of the worker."""

    url: str
    folder: str
    seed: int
    sizes: dict[str, int]
    workers: int = 5
    lanes: int = 4
    event_batch: int = 30
    profile_batch: int = 30
    on_unknown: str = "resend"
    retry_patience: float = 20.0
    file_format: str = "typed-jsonl"
    route: str = "external"
    backoff_first: float = 0.01

    def to_json(self) -> str:
        """The job as one line."""
        return json.dumps(asdict(self))


def tables(data: Data, part: int) -> list[Any]:
    """The resources of one package, with their actions; in the wrong order on purpose."""
    actions: dict[str, list[Any]] = {LEAVERS: [delete(user_id="user_id")]}
    actions |= {
        table: [
            track(event, timestamp="at", when={"status": statuses} if statuses else None)
            for event, statuses in events.items()
        ]
        for table, events in TRACKS.items()
    }
    actions["customers"] = [identify()]
    actions["signups"].append(
        identify(attributes={"signup_n": "n", "signup_part": "part", "signup_note": "note"})
    )
    return [
        xtremepush_adapter(
            dlt.resource(
                data.part(table, part),
                name=table,
                # a small part may have no poison, and so no value in this column
                columns=None if table == LEAVERS else {"note": {"data_type": "text"}},
            ),
            *todo,
        )
        for table, todo in actions.items()
    ]


def work(job: Job) -> None:
    """Delivers what a killed run left, then the parts that no run has begun."""
    random.seed()  # the fork has the nursery's state
    os.environ["LOAD__WORKERS"] = str(job.workers)
    throttle.BACKOFF_FIRST, throttle.BACKOFF_MOST = job.backoff_first, 20 * job.backoff_first
    faulthandler.dump_traceback_later(HANG_SECONDS)
    data = Data(job.seed, Sizes(**job.sizes))
    destination = xtremepush(
        api_endpoint=job.url,
        credentials=CREDENTIALS[job.route],
        event_batch_size=job.event_batch,
        profile_batch_size=job.profile_batch,
        max_connections=job.lanes,
        retry_patience=job.retry_patience,
        on_unknown=job.on_unknown,  # type: ignore[arg-type]  # one of its literals
        max_undelivered=1.0,  # with so much poison the breaker might trip by chance
        assumptions={
            "task_poll_seconds": 0.01,
            "task_poll_seconds_most": 0.05,
            "delete_path": DELETE_PATH,
        },
    )
    pipeline = dlt.pipeline(
        PIPELINE, destination=destination, pipelines_dir=str(Path(job.folder, "pipelines"))
    )
    _tell(k="began", at=time.monotonic())
    if pipeline.has_pending_data:
        pipeline.run()
    for part in range(len(pipeline.list_completed_load_packages()), data.sizes.parts):
        pipeline.run(tables(data, part), loader_file_format=job.file_format)  # type: ignore[arg-type]  # one of its literals
    pipeline.run()
    _tell(k="done", at=time.monotonic())


def serve() -> int:
    """Forks a process for each job; answers the exit status of a fork, or 0 at the end."""
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            return _child(Job(**json.loads(line)))
        _, status = os.waitpid(child, 0)
        _tell(k="ended", code=os.waitstatus_to_exitcode(status))
    return 0


_out = 1


def _child(job: Job) -> int:
    _tell(k="forked", pid=os.getpid())
    global _out  # noqa: PLW0603  # what dlt prints goes to the log
    _out = os.dup(1)
    log = os.open(Path(job.folder, "worker.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    try:
        work(job)
    except Exception as error:  # noqa: BLE001  # told to the runner, which judges
        causes: list[str] = []
        cause: BaseException | None = error
        while cause is not None and len(causes) < 20:
            causes.append(type(cause).__name__)
            cause = cause.__cause__ or cause.__context__
        sys.excepthook(type(error), error, error.__traceback__)
        _tell(k="failed", causes=causes)
        return 1
    return 0


def _tell(**what: Any) -> None:
    os.write(_out, json.dumps(what).encode() + b"\n")


if __name__ == "__main__":
    sys.exit(serve())
