"""A dlt destination that delivers rows to Xtremepush as identify and track calls."""

from xtremepush_dlt.adapter import xtremepush_adapter
from xtremepush_dlt.delivery.report import DeliveryReport, delivery_report
from xtremepush_dlt.factory import xtremepush
from xtremepush_dlt.ledger.reading import ledger
from xtremepush_dlt.mapping.actions import (
    Column,
    Delete,
    Identify,
    Track,
    column,
    delete,
    identify,
    track,
)

__all__ = [
    "Column",
    "Delete",
    "DeliveryReport",
    "Identify",
    "Track",
    "column",
    "delete",
    "delivery_report",
    "identify",
    "ledger",
    "track",
    "xtremepush",
    "xtremepush_adapter",
]
