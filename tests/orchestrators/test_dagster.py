"""`pipelines/dagster_definitions.py` under the real Dagster."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from subprocess import CompletedProcess
from typing import Any

import pytest
from dagster import AssetKey, DagsterInstance

from tests.orchestrators.conftest import ADD_ORDERS, Shop

TABLES = ("customers", "orders", "refunds")
NONE = dict.fromkeys(["delivered", "merged", "skipped", "invalid", "rejected", "unknown"], 0)


class Dagster:
    """A Dagster instance whose code location is a shop's project.

    Args:
        shop: The shop.
    """

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.home = shop.folder / "dagster"
        self.home.mkdir()
        (self.home / "dagster.yaml").write_text("telemetry:\n  enabled: false\n", encoding="utf-8")
        shop.install("dagster_definitions.py", "warehouse_pipeline.py")

    def materialize(self, app_token: str | None = None) -> CompletedProcess[str]:
        """Materialise all assets once, in a process on a worker that remembers nothing."""
        self.shop.wipe()
        secrets = self.shop.project / ".dlt" / "secrets.toml"
        secrets.write_text(self.shop.secrets(app_token), encoding="utf-8")
        return self.shop.run(
            "dagster",
            *("asset", "materialize", "--select", "*", "-m", "pipelines.dagster_definitions"),
            DAGSTER_HOME=str(self.home),
        )

    def metadata(self, table: str) -> Mapping[str, Any]:
        """What Dagster keeps of the last materialisation of a table, plain values only."""
        with DagsterInstance.from_config(str(self.home)) as instance:
            event = instance.get_latest_materialization_event(AssetKey(["xtremepush", table]))
        if event is None or event.asset_materialization is None:
            return {}
        return {name: of.value for name, of in event.asset_materialization.metadata.items()}

    def outcomes(self, table: str) -> dict[str, Any]:
        """The outcomes among the metadata of a table."""
        return {name: self.metadata(table).get(name) for name in NONE}


@pytest.fixture
def dagster(shop: Shop) -> Dagster:
    """The definitions, in the project of a shop."""
    return Dagster(shop)


@pytest.mark.parametrize("ledger", ["duckdb", "filesystem"])
def test_a_second_run_on_a_worker_that_remembers_nothing_sends_only_what_changed(
    dagster: Dagster, ledger: str
) -> None:
    shop = dagster.shop
    shop.configure(ledger)
    first = dagster.materialize()
    assert first.returncode == 0, first.stdout
    assert set(shop.sandbox.profiles) == {"1", "2"}
    assert shop.sent_since(0)[1] == [1, 2, 3]
    before = len(shop.sandbox.requests)

    shop.execute(
        "UPDATE customers SET first_name = 'Aoife', updated_at = '2027-01-01' WHERE id = 2"
    )
    shop.add_orders(5)
    second = dagster.materialize()

    assert second.returncode == 0, second.stdout
    assert shop.sent_since(before) == (["2"], [5])
    assert {table: dagster.outcomes(table) for table in TABLES} == {
        "customers": {**NONE, "delivered": 1},
        "orders": {**NONE, "delivered": 1},
        "refunds": NONE,
    }


def test_every_outcome_of_a_table_is_metadata_of_its_asset(dagster: Dagster) -> None:
    shop = dagster.shop
    # one without an id, and an older copy of customer 2
    shop.add_customers(4)
    shop.execute("UPDATE customers SET id = NULL WHERE id = 4")
    shop.execute("INSERT INTO customers BY NAME SELECT 2.0 AS id, '2025-01-01' AS updated_at")
    shop.configure("duckdb")

    run = dagster.materialize()

    assert run.returncode == 0, run.stdout
    assert {table: dagster.outcomes(table) for table in TABLES} == {
        "customers": {**NONE, "delivered": 2, "merged": 1, "invalid": 1, "rejected": 1},
        "orders": {**NONE, "delivered": 3, "skipped": 1},
        "refunds": NONE,
    }
    report = dagster.metadata("customers")["delivery_report"]
    assert "1 invalid customers.id (identify): missing" in report
    seen = f"{run.stdout}{[dagster.metadata(table) for table in TABLES]}"
    assert "@example.com" not in seen
    assert shop.sandbox.app_token not in seen


def test_the_materialisation_fails_when_too_many_rows_fail_and_loses_none(
    dagster: Dagster,
) -> None:
    shop = dagster.shop
    shop.add_customers(*range(4, 204))
    shop.execute("UPDATE customers SET id = NULL WHERE id > 150")
    shop.configure("duckdb", max_undelivered=0.1)

    failed = dagster.materialize()

    assert failed.returncode != 0
    assert "max_undelivered" in failed.stdout
    assert "invalid customers.id (identify): missing" in failed.stdout
    assert [dagster.metadata(table) for table in TABLES] == [{}, {}, {}]

    # the cause is mended, and the worker has forgotten the load package
    shop.execute("UPDATE customers SET id = date_diff('day', '2026-01-01'::TIMESTAMP, updated_at)")
    mended = dagster.materialize()

    assert mended.returncode == 0, mended.stdout
    assert set(shop.sandbox.profiles) == {str(number) for number in range(1, 204)} - {"3"}
    assert shop.orders() == {1, 2, 3}


def test_the_materialisation_fails_when_the_credential_is_refused(dagster: Dagster) -> None:
    dagster.shop.configure("duckdb")

    run = dagster.materialize(app_token="another-token")

    assert run.returncode != 0
    assert "CredentialsRefusedError" in run.stdout
    assert "another-token" not in run.stdout
    assert [dagster.metadata(table) for table in TABLES] == [{}, {}, {}]


def test_one_process_may_materialise_again_and_again_and_each_time_sends_only_what_is_new(
    dagster: Dagster,
) -> None:
    shop = dagster.shop
    shop.configure("duckdb")
    (shop.project / ".dlt" / "secrets.toml").write_text(shop.secrets(), encoding="utf-8")
    script = f"""
        import duckdb
        from dagster import DagsterInstance, materialize
        from pipelines.dagster_definitions import defs, synced_tables

        with DagsterInstance.get() as instance:
            for order in (5, 6):
                assert materialize(
                    [synced_tables], instance=instance, resources=defs.resources
                ).success
                with duckdb.connect({str(shop.warehouse)!r}) as warehouse:
                    warehouse.execute({ADD_ORDERS!r}, ["paid", [order]])
            assert materialize([synced_tables], instance=instance, resources=defs.resources).success
    """

    run = shop.run("python", "-c", textwrap.dedent(script), DAGSTER_HOME=str(dagster.home))

    assert run.returncode == 0, run.stdout
    users, orders = shop.sent_since(0)
    # customer 3 is refused: the request is halved until it is found
    assert set(users) == {"1", "2", "3"}
    assert orders == [1, 2, 3, 5, 6]
    assert dagster.outcomes("orders") == {**NONE, "delivered": 1}
    assert dagster.outcomes("customers") == NONE
