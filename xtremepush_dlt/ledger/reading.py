"""Reading the ledger: what was sent, and what was not, as a dlt dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dlt
from dlt.common.schema import Schema

from xtremepush_dlt.exceptions import ConfigurationError
from xtremepush_dlt.ledger.companion import Companion
from xtremepush_dlt.ledger.tables import LEDGER, ledger_schema

if TYPE_CHECKING:
    from dlt.dataset import Dataset


def ledger(pipeline: dlt.Pipeline) -> Dataset:
    """The ledger of a pipeline, and of others that share it.

    It has the tables `deliveries`, `undelivered`, `replays` and `superseding`, beside dlt's own.
    Where the ledger is a `filesystem`, dlt reads it through DuckDB, which then has to be
    installed.

    Args:
        pipeline: A pipeline whose destination is Xtremepush.

    Returns:
        dlt's dataset, to be read with SQL, as Arrow or with pandas.

    Raises:
        ConfigurationError: If the pipeline has no ledger.
    """
    companion, schema = companion_of_pipeline(pipeline)
    return dlt.dataset(companion.destination, LEDGER, ledger_schema(schema))


def companion_of_pipeline(pipeline: dlt.Pipeline) -> tuple[Companion, Schema]:
    """The companion of a pipeline, and the schema that its clients are made with.

    Args:
        pipeline: A pipeline whose destination is Xtremepush.

    Raises:
        ConfigurationError: If the pipeline has no ledger.
    """
    client = pipeline.destination_client()
    # the configuration of this destination knows one; that of any other destination does not
    find = getattr(client.config, "companion", None)
    companion: Companion | None = find() if find is not None else None
    if companion is None:
        raise ConfigurationError(
            f"Pipeline `{pipeline.pipeline_name}` has no ledger: its destination is not "
            'Xtremepush, or `ledger` in [destination.xtremepush] is "none".'
        )
    return companion, client.schema
