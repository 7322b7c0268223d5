"""The whole journey on one machine: a messy warehouse, a local Xtremepush, two runs of the sync.

The first run sends everything; the second only the 3 customers and 5 orders that changed in
between, which is checked against what the sandbox received. Nothing is kept: warehouse and dlt's
working folder lie in a temporary folder, and the sandbox is a thread of this process.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb

from pipelines import demo_warehouse
from xtremepush_dlt.sandbox import Sandbox
from xtremepush_dlt.sandbox.recorder import RequestRecord

ROOT = Path(__file__).resolve().parents[1]
PIPELINE = ROOT / "pipelines" / "warehouse_pipeline.py"


class DemoError(Exception):
    """The demo did not show what it promises."""


def run_demo() -> None:
    """Runs the demo.

    Raises:
        DemoError: If a run fails, or anything else was sent than should have been.
    """
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="xtremepush-demo-") as folder, Sandbox() as sandbox:
        warehouse = Path(folder) / "warehouse.duckdb"
        environment = _environment(sandbox, warehouse, Path(folder) / "dlt")
        _say(f"A local Xtremepush listens on {sandbox.url}")
        demo_warehouse.build(warehouse)
        _say(
            f"A DuckDB warehouse holds {demo_warehouse.CUSTOMERS:,} customers, some of them twice, "
            f"and {demo_warehouse.ORDERS:,} orders"
        )

        _say(f"First run: python {PIPELINE.relative_to(ROOT)}")
        _run_pipeline(environment)
        _check_first_run(sandbox, warehouse)
        state = sandbox.state
        _say(f"Xtremepush now has {state['profiles']:,} profiles and {state['events']:,} events")

        before = len(sandbox.requests)
        demo_warehouse.change(warehouse)
        _say("3 customers change, 5 orders are added. Second run, the same command:")
        _run_pipeline(environment)
        users, orders = sent(sandbox.requests[before:])
        _check_second_run(users, orders)
        _say(
            f"Sent by the second run: {len(users) + len(orders)} rows: {len(users)} customers "
            f"({', '.join(users)}), {len(orders)} orders ({', '.join(map(str, orders))})"
        )
    _say(f"Done in {time.monotonic() - began:.0f} s; nothing is left running")


def sent(requests: Sequence[RequestRecord]) -> tuple[list[str], list[int]]:
    """What some requests carried.

    Args:
        requests: Requests that the sandbox kept.

    Returns:
        The user of each row of the profile imports, and the order of each event hit.
    """
    users: list[str] = []
    orders: list[int] = []
    for request in requests:
        body: dict[str, Any] = request.body or {}
        if request.path.endswith("/import/profile"):
            position = body["columns"].index("user_id")
            users += [row[position] for row in body["rows"]]
        elif request.path.endswith("/hit/event"):
            orders += [event["value"]["order_id"] for event in body.get("events", [body])]
    return sorted(users, key=int), sorted(orders)


def _environment(sandbox: Sandbox, warehouse: Path, working_folder: Path) -> dict[str, str]:
    """What differs from a real project: the rest comes from `.dlt/`, as it does there."""
    return {
        **os.environ,
        "SOURCES__SQL_DATABASE__CREDENTIALS": f"duckdb:///{warehouse}",
        "DESTINATION__XTREMEPUSH__API_ENDPOINT": sandbox.url,
        "DESTINATION__XTREMEPUSH__CREDENTIALS__APP_TOKEN": sandbox.app_token,
        # dlt's own folder: the state of the user's pipelines is none of the demo's business
        "DLT_DATA_DIR": str(working_folder),
        "DLT_LOCAL_DIR": str(working_folder),  # where the ledger stands
        "PYTHONUNBUFFERED": "1",
    }


def _run_pipeline(environment: dict[str, str]) -> None:
    # run() kills the child if this process is interrupted meanwhile
    status = subprocess.run([sys.executable, PIPELINE], cwd=ROOT, env=environment, check=False)  # noqa: S603  # this project's own script
    if status.returncode:
        raise DemoError(f"The pipeline failed with exit status {status.returncode}: see above.")


def _check_first_run(sandbox: Sandbox, warehouse: Path) -> None:
    everyone = {str(number) for number in range(1, demo_warehouse.CUSTOMERS + 1)}
    if set(sandbox.profiles) != everyone:
        raise DemoError("The profiles in the sandbox are not the customers of the warehouse.")
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        wanted = connection.sql(
            "SELECT 'order_placed', id FROM orders "
            "WHERE customer_id IS NOT NULL AND status IN ('paid', 'shipped') "
            "UNION ALL SELECT 'order_refunded', id FROM orders "
            "WHERE customer_id IS NOT NULL AND status = 'refunded'"
        ).fetchall()
    events = [(event.event, _order_of(event.value)) for event in sandbox.events]
    if sorted(events) != sorted(wanted):
        raise DemoError("The events in the sandbox are not the orders of the warehouse.")


def _check_second_run(users: list[str], orders: list[int]) -> None:
    if users != [str(number) for number in demo_warehouse.CHANGED_CUSTOMERS]:
        raise DemoError(f"The second run sent the customers {users}, not those that changed.")
    if orders != list(demo_warehouse.NEW_ORDERS):
        raise DemoError(f"The second run sent the orders {orders}, not those that are new.")


def _order_of(value: Any) -> int:
    return int(value["order_id"])


def _say(text: str) -> None:
    print(f"\n==> {text}\n", flush=True)


def main() -> int:
    """Runs the demo; answers the exit status."""
    # the default action would end this process without ending the pipeline that it started
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        run_demo()
    except DemoError as error:
        print(f"\nThe demo failed. {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return 0


if __name__ == "__main__":
    sys.exit(main())
