"""Replay: rows that were not delivered are sent again, after the cause is mended."""

from xtremepush_dlt.replay.run import ReplayReport, replay

__all__ = ["ReplayReport", "replay"]
