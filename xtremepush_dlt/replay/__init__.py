"""Replay: rows that were not delivered are sent again, after the cause is mended."""
