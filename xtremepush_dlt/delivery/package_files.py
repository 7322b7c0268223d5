"""The load files of a package, which dlt moves from folder to folder while they are worked on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from dlt.common.storages.load_package import ParsedLoadJobFileName

from xtremepush_dlt.mapping.columns import ColumnBatch

_UNFINISHED = ("new_jobs", "started_jobs", "new_jobs")
"""Folders of unfinished files, in an order in which none is missed while dlt moves it."""

ReadFile = Callable[[str, Sequence[str], Mapping[str, "str | None"]], Iterator[ColumnBatch]]


class PackageFiles:
    """The load files of one package.

    Args:
        package: Folder of the load package.
        read_file: Reads a load file.
    """

    def __init__(self, package: Path, read_file: ReadFile) -> None:
        self._package = package
        self._read_file = read_file

    def unfinished(self) -> Iterator[ParsedLoadJobFileName]:
        """The files that have not been delivered yet, in no particular order."""
        seen: dict[str, ParsedLoadJobFileName] = {}
        for folder in _UNFINISHED:
            for path in sorted((self._package / folder).iterdir()):
                file = ParsedLoadJobFileName.parse(path.name)
                seen[file.job_id()] = file
        return iter(seen.values())

    def batches(
        self, file: ParsedLoadJobFileName, names: Sequence[str], types: Mapping[str, str | None]
    ) -> Iterator[ColumnBatch]:
        """The rows of a file, wherever it is: dlt moves it when its job starts.

        Args:
            file: The file.
            names: Columns to read.
            types: dlt data type by column.
        """
        for attempt in range(10):
            path = self._find(file)
            try:
                yield from self._read_file(str(path), names, types)
            except FileNotFoundError:
                if attempt == 9:  # the last attempt
                    raise
                continue
            return

    def _find(self, file: ParsedLoadJobFileName) -> Path:
        for folder in _UNFINISHED:
            for path in (self._package / folder).iterdir():
                if ParsedLoadJobFileName.parse(path.name).job_id() == file.job_id():
                    return path
        raise FileNotFoundError(file.job_id())


def peek(batches: Iterator[ColumnBatch], rows: int) -> tuple[list[ColumnBatch], bool]:
    """Reads ahead until it is clear whether there are more than some rows.

    Returns:
        The batches that were read, and whether those are all.
    """
    first: list[ColumnBatch] = []
    for batch in batches:
        first.append(batch)
        if batch.start + batch.length > rows:
            return first, False
    return first, True
