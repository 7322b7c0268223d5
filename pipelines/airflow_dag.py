"""The sync of `warehouse_pipeline.py` as an Airflow DAG.

Copy both scripts to the DAGs folder, under the same folder as here:

    mkdir -p "$DAGS_FOLDER/pipelines" "$DAGS_FOLDER/.dlt"
    cp pipelines/airflow_dag.py pipelines/warehouse_pipeline.py "$DAGS_FOLDER/pipelines"
    cp .dlt/config.toml "$DAGS_FOLDER/.dlt"

Credentials go to the Airflow Variable ``dlt_secrets_toml``, written as in ``secrets.toml``. What
differs between installations is said there, in ``.dlt/config.toml`` or in environment variables.

A ledger must be named, because each task starts with none of dlt's files: ``ledger = "postgres"``,
for example, with the credentials in ``[destination.postgres]``, or a ``[destination.filesystem]``
with a bucket.
"""

import os
from datetime import datetime, timezone

import dlt
from airflow.sdk import DAG
from dlt.helpers.airflow_helper import DEFAULT_RETRY_BACKOFF, PipelineTasksGroup

from pipelines.warehouse_pipeline import PIPELINE_NAME, warehouse

# read from the environment and not from a Variable, because Airflow parses this file all the time
SCHEDULE = os.environ.get("WAREHOUSE_TO_XTREMEPUSH_SCHEDULE", "@hourly")

with DAG(
    PIPELINE_NAME,
    schedule=SCHEDULE,
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,  # a run sends all that is new, however long ago the last one was
    max_active_runs=1,  # two at once would start from the same cursors and send everything twice
    # Airflow's retry would begin with none of dlt's files, and send what a load that failed midway
    # had delivered once more. The task group's own goes on from the last confirmed request.
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
        warehouse,  # not called here: credentials are for the task, and the warehouse too
        decompose="none",  # in one load package, where profiles are settled before events leave
    )
