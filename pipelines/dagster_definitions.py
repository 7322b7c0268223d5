"""The sync of `warehouse_pipeline.py` as Dagster assets, one for each table that is sent.

Try it from the root of the project: ``dagster dev -m pipelines.dagster_definitions``. What it works
with is said in dlt's settings: ``.dlt/config.toml`` and ``.dlt/secrets.toml`` there, or environment
variables.

Dagster's dlt resource drops dlt's local state before each run, so the ledger alone knows what was
sent. On workers that come and go it must stand where the next one finds it: ``ledger =
"postgres"``, for example, with the credentials in ``[destination.postgres]``, or a
``[destination.filesystem]`` with a bucket.
"""

import os
from collections.abc import Iterator

import dlt
from dagster import (
    AssetExecutionContext,
    AssetKey,
    AssetSpec,
    Definitions,
    MaterializeResult,
    MetadataValue,
    ScheduleDefinition,
    define_asset_job,
)
from dagster_dlt import DagsterDltResource, DagsterDltTranslator, dlt_assets
from dagster_dlt.translator import DltResourceTranslatorData
from dlt.pipeline.exceptions import PipelineStepFailed

from pipelines.warehouse_pipeline import PIPELINE_NAME, warehouse
from xtremepush_dlt import delivery_report

SCHEDULE = os.environ.get("WAREHOUSE_TO_XTREMEPUSH_SCHEDULE", "@hourly")


class TableKeys(DagsterDltTranslator):
    """Gives an asset the name of its table."""

    def get_asset_spec(self, data: DltResourceTranslatorData) -> AssetSpec:
        """The asset of a dlt resource."""
        key = AssetKey(["xtremepush", data.resource.name])
        return super().get_asset_spec(data).replace_attributes(key=key)


pipeline = dlt.pipeline(PIPELINE_NAME, destination="xtremepush")


@dlt_assets(
    dlt_source=warehouse(),
    dlt_pipeline=pipeline,
    name=PIPELINE_NAME,
    dagster_dlt_translator=TableKeys(),
    # limit this pool to 1: two runs at once start from the same cursors and send everything twice
    pool=PIPELINE_NAME,
)
def synced_tables(
    context: AssetExecutionContext, dlt_resource: DagsterDltResource
) -> Iterator[MaterializeResult]:
    """Sends what is new or has changed; each asset tells what became of its rows."""
    try:
        # a new source each time: Dagster's dlt resource takes the schema of the old one apart
        results = list(dlt_resource.run(context=context, dlt_source=warehouse()))
    except PipelineStepFailed:
        context.log.info("Until it failed:\n%s", delivery_report(pipeline))
        raise
    report = delivery_report(pipeline)
    for result in results:
        # numbers, so that Dagster draws them over time
        outcomes = report.outcomes(table=result.asset_key.path[-1])
        text = MetadataValue.md(f"```\n{report}\n```")
        yield MaterializeResult(
            asset_key=result.asset_key,
            metadata={**result.metadata, **outcomes, "delivery_report": text},
        )


sync_job = define_asset_job(f"{PIPELINE_NAME}_job", selection=[synced_tables])

defs = Definitions(
    assets=[synced_tables],
    jobs=[sync_job],
    schedules=[ScheduleDefinition(job=sync_job, cron_schedule=SCHEDULE)],
    resources={"dlt_resource": DagsterDltResource()},
)
