"""A shop whose warehouse is synced by an orchestrator; its commands run in processes of their own.

Plain `pytest` passes this folder over: `make test-orchestrators` runs each module in the
environment that has its orchestrator.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any, Protocol

import duckdb
import pytest
import tomlkit

from pipelines import demo_warehouse
from pipelines.demo import sent
from xtremepush_dlt.sandbox import Faults, Sandbox
from xtremepush_dlt.sandbox.pytest_plugin import MakeSandbox

ROOT = Path(__file__).resolve().parents[2]

ADD_CUSTOMERS = """
INSERT INTO customers BY NAME SELECT
    n::DOUBLE AS id, 'customer' || n || '@example.com' AS email, 'Y' AS email_opt_in,
    TIMESTAMP '2026-01-01' + to_days(n) AS updated_at
FROM unnest(?) AS list(n)"""

ADD_ORDERS = """
INSERT INTO orders BY NAME SELECT
    n AS id, 1 AS customer_id, ? AS status, 9.99 AS amount, 'EUR' AS currency,
    TIMESTAMP '2026-01-01' + to_days(n) AS placed_at
FROM unnest(?) AS list(n)"""


class Shop:
    """A warehouse, a sandbox, and a project folder with settings for dlt.

    Args:
        folder: Where all of it lies.
        sandbox: The local Xtremepush.
    """

    def __init__(self, folder: Path, sandbox: Sandbox) -> None:
        self.folder = folder
        self.sandbox = sandbox
        self.warehouse = folder / "warehouse.duckdb"
        self.project = folder / "project"
        (self.project / "pipelines").mkdir(parents=True)
        self.wipe()
        self.execute(demo_warehouse.CUSTOMERS_SQL)
        self.execute(demo_warehouse.ORDERS_SQL)

    def execute(self, sql: str, *values: Any) -> None:
        """Run a statement in the warehouse."""
        with duckdb.connect(str(self.warehouse)) as warehouse:
            warehouse.execute(sql, values)

    def add_customers(self, *numbers: int) -> None:
        """Customers; a greater number is a later change."""
        self.execute(ADD_CUSTOMERS, list(numbers))

    def add_orders(self, *numbers: int, status: str = "paid") -> None:
        """Orders of customer 1; a greater number is a later one."""
        self.execute(ADD_ORDERS, status, list(numbers))

    def install(self, *scripts: str) -> None:
        """Copy scripts of `pipelines/` into the project, as a user does."""
        for script in scripts:
            shutil.copy(ROOT / "pipelines" / script, self.project / "pipelines")

    def configure(self, ledger: str | None, log_level: str = "WARNING", **settings: Any) -> None:
        """Write `.dlt/config.toml`.

        Args:
            ledger: `duckdb` or `filesystem`; None leaves it at its default.
            log_level: Of dlt; WARNING is its default.
            **settings: More of `[destination.xtremepush]`.
        """
        settings = {"api_endpoint": self.sandbox.url, "retry_patience": 0.5, **settings}
        if ledger is not None:
            settings["ledger"] = ledger
        config: dict[str, Any] = {
            "runtime": {"dlthub_telemetry": False, "log_level": log_level},
            "destination": {"xtremepush": settings},
        }
        if ledger == "filesystem":
            config["destination"]["filesystem"] = {"bucket_url": str(self.folder / "ledger")}
        folder = self.project / ".dlt"
        folder.mkdir(exist_ok=True)
        (folder / "config.toml").write_text(tomlkit.dumps(config), encoding="utf-8")

    def secrets(self, app_token: str | None = None) -> str:
        """What a user writes into secrets.toml."""
        credentials = {"app_token": app_token or self.sandbox.app_token}
        return tomlkit.dumps(
            {
                "sources": {"sql_database": {"credentials": f"duckdb:///{self.warehouse}"}},
                "destination": {
                    "xtremepush": {"credentials": credentials},
                    "duckdb": {"credentials": str(self.folder / "ledger.duckdb")},
                },
            }
        )

    def run(self, *command: str, **environment: str) -> CompletedProcess[str]:
        """Run a command in the project, on a worker that keeps things where `wipe` clears."""
        return run_command(
            self.project,
            *command,
            HOME=str(self.folder / "home"),
            TMPDIR=str(self.folder / "tmp"),
            DLT_DATA_DIR=str(self.folder / "dlt"),
            **environment,
        )

    def wipe(self) -> None:
        """Take away all that a worker keeps for itself."""
        for name in ("home", "tmp", "dlt"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
            (self.folder / name).mkdir()

    def orders(self) -> set[int]:
        """Orders whose events the sandbox keeps."""
        values: list[Any] = [event.value for event in self.sandbox.events]
        return {value["order_id"] for value in values}

    def sent_since(self, request: int) -> tuple[list[str], list[int]]:
        """Users of the imported rows and orders of the events, from one request on."""
        return sent(self.sandbox.requests[request:])


def run_command(folder: Path, *command: str, **environment: str) -> CompletedProcess[str]:
    """Run a command that is installed beside this Python.

    Args:
        folder: Where.
        *command: Its name and arguments.
        **environment: Its environment; of that of the tests it sees the path alone.
    """
    commands = Path(sys.executable).parent
    return subprocess.run(
        [str(commands / command[0]), *command[1:]],
        cwd=folder,
        env={"PATH": f"{commands}:{os.environ['PATH']}", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )


class MakeShop(Protocol):
    """The type of the fixture `make_shop`."""

    def __call__(self, faults: Faults | None = None) -> Shop:
        """A shop with 3 customers and 4 orders, one of which is not paid."""


@pytest.fixture
def make_shop(tmp_path: Path, make_xtremepush_sandbox: MakeSandbox) -> MakeShop:
    """Makes a shop whose Xtremepush has faults."""

    def make(faults: Faults | None = None) -> Shop:
        shop = Shop(tmp_path, make_xtremepush_sandbox(None, faults))
        shop.add_customers(1, 2, 3)
        shop.add_orders(1, 2, 3)
        shop.add_orders(4, status="cancelled")
        return shop

    return make


@pytest.fixture
def shop(make_shop: MakeShop) -> Shop:
    """A shop whose Xtremepush refuses customer 3."""
    return make_shop(Faults(poison_users=frozenset({"3"})))
