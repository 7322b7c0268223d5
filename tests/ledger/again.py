"""A replay in a process of its own, to be killed or to run beside another."""

from __future__ import annotations

import sys
from pathlib import Path

import dlt

from xtremepush_dlt import xtremepush
from xtremepush_dlt.exceptions import LedgerError, ReplayRefusedError
from xtremepush_dlt.replay import replay

REFUSED = 3
"""Exit status of one that was not safe."""


def main(url: str, token: str, pipelines_dir: str, ledger: str, on_unknown: str) -> int:
    """Replays in small requests, slowly enough to be killed in the middle."""
    destination = xtremepush(
        url,
        {"app_token": token},
        ledger=ledger,
        event_batch_size=5,
        max_connections=2,
        max_undelivered=1.0,
        on_unknown="hold" if on_unknown == "hold" else "resend",
    )
    pipeline = dlt.pipeline("crm_sync", destination=destination, pipelines_dir=pipelines_dir)
    try:
        replay(pipeline)
    except (ReplayRefusedError, LedgerError):
        return REFUSED
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))
    sys.exit(main(*sys.argv[1:]))
