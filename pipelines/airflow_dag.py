"""The sync of `warehouse_pipeline.py` as an Airflow DAG.

Copy it to the DAGs folder together with that script and your settings:
``cp -r .dlt pipelines "$DAGS_FOLDER"``. Settings that dlt reads:

    .dlt/config.toml in the DAGs folder     api_endpoint, ledger
    the Airflow Variable dlt_secrets_toml   credentials, written as in secrets.toml

The ledger must be named there: Airflow's workers forget everything else. ``ledger = "postgres"``
with ``[destination.postgres]``, for example, or a ``[destination.filesystem]`` on S3.
"""

import os
from datetime import datetime, timezone

import dlt
from airflow.sdk import DAG
from dlt.helpers.airflow_helper import DEFAULT_RETRY_BACKOFF, PipelineTasksGroup

from pipelines.warehouse_pipeline import PIPELINE_NAME, warehouse

SCHEDULE = os.environ.get("WAREHOUSE_TO_XTREMEPUSH_SCHEDULE", "@hourly")


with DAG(
    PIPELINE_NAME,
    schedule=SCHEDULE or None,
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,  # a run sends all that is new, however long ago the last one was
    max_active_runs=1,  # two at once would start from the same cursors and send everything twice
    # A second try of the task starts from the ledger and sends the events of a load that failed
    # midway once more. The task group's own retry goes on from the last confirmed request.
    default_args={"retries": 0},
):
    tasks = PipelineTasksGroup(
        "xtremepush",
        retry_policy=DEFAULT_RETRY_BACKOFF,
        save_load_info=True,
        save_trace_info=True,
    )
    tasks.add_run(
        # after the task group, which decides where dlt works
        dlt.pipeline(PIPELINE_NAME, destination="xtremepush"),
        # not called here: only the task may ask the warehouse, and for its credentials
        warehouse,
        # one task for all tables: events leave after the profiles of their load package
        decompose="none",
    )
