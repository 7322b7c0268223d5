"""Rows into a table of the companion, through the companion's own load jobs."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dlt.common.data_writers.buffered import BufferedDataWriter
from dlt.common.data_writers.writers import resolve_best_writer_spec
from dlt.common.destination.client import (
    HasFollowupJobs,
    JobClientBase,
    LoadJob,
    RunnableLoadJob,
)
from dlt.common.schema.typing import TTableSchemaColumns


def load_rows(
    client: JobClientBase,
    table: str,
    load_id: str,
    file_id: str,
    batches: Iterable[Sequence[Mapping[str, Any]]],
) -> None:
    """Loads rows into a table; rows of no batch at all make an empty file.

    Args:
        client: An open client of the companion that knows the table.
        table: Name of the table.
        load_id: Id of the load package.
        file_id: Id of the file, so that a second try overwrites the first in a companion that
            keeps files.
        batches: The rows.
    """
    columns = client.prepare_load_table(table)["columns"]
    with tempfile.TemporaryDirectory() as folder:
        for number, part in enumerate(_written(client, columns, Path(folder), batches)):
            _, _, extensions = part.name.partition(".")
            name = f"{table}.{file_id}{number or ''}.0.{extensions}"
            _run_job(client, table, load_id, str(part.rename(Path(folder) / name)))


def _written(
    client: JobClientBase,
    columns: TTableSchemaColumns,
    folder: Path,
    batches: Iterable[Sequence[Mapping[str, Any]]],
) -> Iterator[Path]:
    """Writes the rows in the format that the companion likes best."""
    capabilities = client.capabilities
    writer: BufferedDataWriter[Any] = BufferedDataWriter(
        resolve_best_writer_spec(
            "object",
            capabilities.supported_loader_file_formats,
            capabilities.preferred_loader_file_format,
        ),
        str(folder / "%s"),
        _caps=capabilities,
    )
    empty = True
    with writer:
        for rows in batches:
            empty = False
            writer.write_data_item([*rows], columns)
        if empty:
            writer.write_empty_file(columns)
    for part in writer.closed_files:
        yield Path(part.file_path)


def _run_job(client: JobClientBase, table: str, load_id: str, path: str) -> None:
    """Runs the companion's job for a file, and those that follow from it."""
    prepared = client.prepare_load_table(table)
    job: LoadJob = client.create_load_job(prepared, path, load_id)
    if isinstance(job, RunnableLoadJob):
        job.set_run_vars(load_id, client.schema, prepared)
        job._job_client = client  # noqa: SLF001  # as dlt's loader hands the client to a job
        client.prepare_load_job_execution(job)
        job.run()
    if isinstance(job, HasFollowupJobs):
        for further in job.create_followup_jobs("completed"):
            _run_job(client, table, load_id, further.new_file_path())
