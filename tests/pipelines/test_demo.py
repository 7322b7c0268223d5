"""`make demo` and the script that it runs, as a user would start them."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import psutil
import pytest

from pipelines import demo_warehouse
from pipelines.demo import DemoError, _check_second_run, sent
from xtremepush_dlt.sandbox import Sandbox

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """The environment of a user who has nothing: an empty HOME, no settings in variables."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    home = tmp_path / "home"
    home.mkdir()
    return {**kept, "HOME": str(home)}


@pytest.fixture
def demo(environment: dict[str, str]) -> Iterator[psutil.Popen]:
    """The demo, started; its output can be read from `stdout`."""
    with psutil.Popen(
        [sys.executable, "-m", "pipelines.demo"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # a shell that runs the tests in the background lets its children ignore Ctrl-C
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    ) as process:
        yield process
        for left in processes_of(process):
            left.kill()


def processes_of(process: psutil.Popen) -> list[psutil.Process]:
    if not process.is_running():
        return []
    return [*process.children(recursive=True), process]


class Shop:
    """The demo's warehouse and a sandbox, with the script between them."""

    def __init__(self, folder: Path, sandbox: Sandbox, environment: dict[str, str]) -> None:
        self.warehouse = folder / "warehouse.duckdb"
        self.sandbox = sandbox
        self._environment = {
            **environment,
            "SOURCES__SQL_DATABASE__CREDENTIALS": f"duckdb:///{self.warehouse}",
            "DESTINATION__XTREMEPUSH__API_ENDPOINT": sandbox.url,
            "DESTINATION__XTREMEPUSH__CREDENTIALS__APP_TOKEN": sandbox.app_token,
            "DLT_DATA_DIR": str(folder / "dlt"),
            "DLT_LOCAL_DIR": str(folder),
        }
        with duckdb.connect(str(self.warehouse)) as warehouse:
            warehouse.execute(demo_warehouse.CUSTOMERS_SQL)
            warehouse.execute(demo_warehouse.ORDERS_SQL)

    def execute(self, sql: str, *values: Any) -> None:
        with duckdb.connect(str(self.warehouse)) as warehouse:
            warehouse.execute(sql, values)

    def run_script(self) -> str:
        """Runs the script in a process of its own; gives its output."""
        result = subprocess.run(
            [sys.executable, "pipelines/warehouse_pipeline.py"],
            cwd=ROOT,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, result.stderr
        return result.stdout

    def events(self) -> list[str]:
        return [event.event for event in self.sandbox.events]


@pytest.fixture
def shop(tmp_path: Path, xtremepush_sandbox: Sandbox, environment: dict[str, str]) -> Shop:
    return Shop(tmp_path, xtremepush_sandbox, environment)


def test_the_demo_sends_exactly_the_8_changed_rows_in_its_second_run_and_leaves_nothing(
    demo: psutil.Popen, environment: dict[str, str]
) -> None:
    children: set[psutil.Process] = set()
    output = ""
    for line in demo.stdout:
        children.update(demo.children(recursive=True))
        output += line

    assert demo.wait() == 0, output
    second_run = re.search(
        r"Sent by the second run: (\d+) rows: (\d+) customers .* (\d+) orders", output
    )
    assert second_run, output
    assert second_run.groups() == ("8", "3", "5")
    assert "Extract warehouse_to_xtremepush" in output, "dlt's progress is not shown"
    assert children, "the pipeline did not run in a process of its own"
    assert not [child for child in children if child.is_running()]
    assert not list(Path(environment["HOME"]).iterdir())


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_a_demo_that_is_interrupted_leaves_no_process_behind(
    demo: psutil.Popen, stop: signal.Signals
) -> None:
    for line in demo.stdout:
        if "Extract warehouse_to_xtremepush" in line:
            break
    children = demo.children(recursive=True)
    assert children, "the pipeline was not running yet"

    demo.send_signal(stop)

    assert demo.wait(timeout=20) == 128 + stop
    deadline = time.monotonic() + 5
    while any(child.is_running() for child in children) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [child for child in children if child.is_running()]


@pytest.mark.parametrize(
    ("users", "orders"),
    [
        (["7", "42"], [10001, 10002, 10003, 10004, 10005]),
        (["7", "42", "1234"], [10001, 10002, 10003, 10004]),
        (["7", "7", "42", "1234"], [10001, 10002, 10003, 10004, 10005]),
        (["7", "42", "1234"], [10001, 10001, 10002, 10003, 10004, 10005]),
    ],
    ids=["customer missing", "order missing", "customer twice", "order twice"],
)
def test_the_demo_fails_if_anything_but_the_8_rows_was_sent(
    users: list[str], orders: list[int]
) -> None:
    _check_second_run(["7", "42", "1234"], [10001, 10002, 10003, 10004, 10005])
    with pytest.raises(DemoError):
        _check_second_run(users, orders)


def test_the_script_sends_an_order_as_placed_once_even_if_it_ships_later(shop: Shop) -> None:
    order = "INSERT INTO orders VALUES (?, 5, ?, 9.99, 'EUR', 1, ?, ?, NULL)"
    moment = datetime(2026, 2, 1)  # naive, as in the warehouse
    shop.execute(order, 1, "pending", moment, None)
    shop.execute(order, 2, "paid", moment, moment)
    shop.run_script()
    assert shop.events() == ["order_placed"]

    shop.execute("UPDATE orders SET status = 'shipped' WHERE id = 2")
    shop.execute("UPDATE orders SET status = 'paid', placed_at = ? WHERE id = 1", moment)
    shop.run_script()
    assert [orders for _, orders in [sent(shop.sandbox.requests)]] == [[1, 2]]

    shop.execute("UPDATE orders SET status = 'refunded', refunded_at = ? WHERE id = 2", moment)
    shop.run_script()
    assert shop.events() == ["order_placed", "order_placed", "order_refunded"]


def test_the_script_prints_the_delivery_report_and_sends_nothing_when_nothing_changed(
    shop: Shop,
) -> None:
    shop.execute(
        "INSERT INTO customers BY NAME SELECT 1.0 AS id, 'a@example.com' AS email, "
        "'yes' AS email_opt_in, now()::TIMESTAMP AS updated_at"
    )
    assert re.search(r"customers +identify +1 +1", shop.run_script())
    assert shop.sandbox.profiles["1"]["email_subscription"] == 1
    requests = len(shop.sandbox.requests)

    shop.run_script()

    assert len(shop.sandbox.requests) == requests


def test_the_demo_warehouse_is_the_same_each_time_and_never_overwrites_a_file(
    tmp_path: Path,
) -> None:
    contents = []
    for name in ("one.duckdb", "two.duckdb"):
        demo_warehouse.build(tmp_path / name)
        with duckdb.connect(str(tmp_path / name)) as warehouse:
            contents.append(
                warehouse.sql(
                    "SELECT (SELECT md5(string_agg(c::VARCHAR, ';')) FROM customers c), "
                    "(SELECT md5(string_agg(o::VARCHAR, ';')) FROM orders o)"
                ).fetchone()
            )
    assert contents[0] == contents[1]
    with pytest.raises(FileExistsError):
        demo_warehouse.build(tmp_path / "one.duckdb")
