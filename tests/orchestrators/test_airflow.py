"""`pipelines/airflow_dag.py` under the real Airflow, as a user runs it: `airflow dags test`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from subprocess import CompletedProcess

import duckdb
import pytest

from tests.orchestrators.conftest import MakeShop, Shop, run_command
from xtremepush_dlt.sandbox import Faults

DAG = "warehouse_to_xtremepush"


def airflow_settings(home: Path, dags: Path) -> dict[str, str]:
    return {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
    }


class Airflow:
    """An Airflow whose DAGs folder is a shop's project.

    Args:
        shop: The shop.
        database: A fresh database of Airflow's, to be copied.
    """

    def __init__(self, shop: Shop, database: Path) -> None:
        self.shop = shop
        self.home = shop.folder / "airflow"
        self.home.mkdir()
        shutil.copy(database, self.home)
        shop.install("airflow_dag.py", "warehouse_pipeline.py")

    def command(self, *arguments: str, **environment: str) -> CompletedProcess[str]:
        """Run a command of Airflow's."""
        settings = airflow_settings(self.home, self.shop.project)
        return self.shop.run("airflow", *arguments, **settings, **environment)

    def run_dag(self, app_token: str | None = None) -> CompletedProcess[str]:
        """Run the DAG once, on a worker that remembers nothing."""
        self.shop.wipe()
        # the Airflow Variable `dlt_secrets_toml`, as Airflow reads Variables from the environment
        secrets = self.shop.secrets(app_token)
        return self.command("dags", "test", DAG, AIRFLOW_VAR_DLT_SECRETS_TOML=secrets)


@pytest.fixture(scope="session")
def airflow_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database as `airflow db migrate` makes it."""
    folder = tmp_path_factory.mktemp("airflow")
    settings = airflow_settings(folder, folder / "dags")
    done = run_command(folder, "airflow", "db", "migrate", HOME=str(folder), **settings)
    assert done.returncode == 0, done.stdout
    return folder / "airflow.db"


@pytest.fixture
def airflow(shop: Shop, airflow_database: Path) -> Airflow:
    """The DAG, copied to the DAGs folder of an Airflow."""
    return Airflow(shop, airflow_database)


@pytest.mark.parametrize("ledger", ["duckdb", "filesystem"])
def test_a_second_run_on_a_worker_that_remembers_nothing_sends_only_what_changed(
    airflow: Airflow, ledger: str
) -> None:
    shop = airflow.shop
    shop.configure(ledger, log_level="INFO")
    first = airflow.run_dag()
    assert first.returncode == 0, first.stdout
    assert set(shop.sandbox.profiles) == {"1", "2"}
    assert shop.sent_since(0)[1] == [1, 2, 3]
    before = len(shop.sandbox.requests)

    shop.execute(
        "UPDATE customers SET first_name = 'Aoife', updated_at = '2027-01-01' WHERE id = 2"
    )
    shop.add_orders(5)
    second = airflow.run_dag()

    assert second.returncode == 0, second.stdout
    assert shop.sent_since(before) == (["2"], [5])
    # dlt's load info and trace were made, and neither sent nor stumbled over
    for run in (first, second):
        assert "Saving the load info in the destination" in run.stdout
        assert "Saving the trace in the destination" in run.stdout
    paths = {request.path.rpartition("/external/")[-1] for request in shop.sandbox.requests}
    assert paths == {"import/profile", "hit/event"}


def test_a_row_that_was_not_delivered_is_in_the_task_log_with_its_reason_and_no_value(
    airflow: Airflow,
) -> None:
    shop = airflow.shop
    shop.execute("UPDATE customers SET id = NULL WHERE id = 1")
    shop.configure("duckdb")

    run = airflow.run_dag()

    assert run.returncode == 0, run.stdout
    # offered, delivered, merged, skipped, invalid, rejected, unknown
    rows = {" ".join(line.split()) for line in run.stdout.splitlines()}
    assert "customers identify 3 1 0 0 1 1 0" in rows
    assert "orders track order_placed 4 3 0 1 0 0 0" in rows
    assert "1 invalid customers.id (identify): missing" in rows
    assert any(row.startswith("1 rejected customers (identify): ") for row in rows)
    assert "@example.com" not in run.stdout
    assert shop.sandbox.app_token not in run.stdout
    with duckdb.connect(str(shop.folder / "ledger.duckdb"), read_only=True) as ledger:
        kept = ledger.sql("SELECT outcome, user_id FROM xtremepush_ledger.undelivered").fetchall()
    assert sorted(kept) == [("invalid", None), ("rejected", "3")]


def test_the_dag_fails_when_too_many_rows_fail_and_loses_none(airflow: Airflow) -> None:
    shop = airflow.shop
    shop.add_customers(*range(4, 204))
    shop.execute("UPDATE customers SET id = NULL WHERE id > 150")
    shop.configure("duckdb", max_undelivered=0.1)

    failed = airflow.run_dag()

    assert failed.returncode != 0
    assert "max_undelivered" in failed.stdout
    assert "invalid, id: missing" in failed.stdout

    # the cause is mended, and the worker has forgotten the load package
    shop.execute("UPDATE customers SET id = date_diff('day', '2026-01-01'::TIMESTAMP, updated_at)")
    mended = airflow.run_dag()

    assert mended.returncode == 0, mended.stdout
    assert set(shop.sandbox.profiles) == {str(number) for number in range(1, 204)} - {"3"}
    assert shop.orders() == {1, 2, 3}


def test_an_outage_is_waited_out_within_the_task_which_goes_on_where_it_was(
    make_shop: MakeShop, airflow_database: Path
) -> None:
    # the profiles arrive, then Xtremepush is down for longer than dlt's loader tries
    shop = make_shop(Faults(plan=("ok", *[503] * 8)))
    shop.configure("duckdb", log_level="INFO", retry_patience=0)

    run = Airflow(shop, airflow_database).run_dag()

    assert run.returncode == 0, run.stdout
    assert "Running the pipeline, attempt=2" in run.stdout
    assert shop.sent_since(0)[0] == ["1", "2", "3"], "profiles were not sent once"
    assert shop.sandbox.state["events"] == 3
    assert shop.orders() == {1, 2, 3}


def test_the_dag_fails_when_the_credential_is_refused(airflow: Airflow) -> None:
    airflow.shop.configure("duckdb")

    run = airflow.run_dag(app_token="another-token")

    assert run.returncode != 0
    assert "CredentialsRefusedError" in run.stdout
    assert "another-token" not in run.stdout
    assert airflow.shop.sandbox.profiles == {}


def test_the_dag_fails_when_its_ledger_would_be_lost_with_the_worker(airflow: Airflow) -> None:
    airflow.shop.configure(None)

    run = airflow.run_dag()

    assert run.returncode != 0
    assert "bucket_url" in run.stdout
    assert airflow.shop.sandbox.requests == []


def test_airflow_reads_the_dag_without_warehouse_ledger_and_credentials(airflow: Airflow) -> None:
    airflow.shop.warehouse.unlink()
    airflow.shop.configure(None)

    assert airflow.command("dags", "reserialize").returncode == 0

    listed = airflow.command("dags", "list", "-o", "json").stdout
    (dag,) = json.loads(listed[listed.index("[{") :])
    assert dag["dag_id"] == DAG
    assert not airflow.shop.warehouse.exists()
