"""The Segment route against a slow server: `python -m tests.benchmarks.segment --rows 8000`.

One call a request, so what counts is how full the lanes are: 16 of them at 100 ms carry 160 calls
a second and no more. The sandbox is a process of its own; only `pipeline.run()` is timed.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dlt
import requests

from tests.benchmarks.contender import make_row
from xtremepush_dlt import column, delivery_report, track, xtremepush, xtremepush_adapter

ROOT = Path(__file__).resolve().parents[2]
LANES = 16
LATENCY = 0.1
"""Seconds that the server takes for each request."""

IDEAL = LANES / LATENCY
LEAST = 0.9
"""Share of the ideal that is to be reached."""


@contextmanager
def slow_sandbox() -> Iterator[str]:
    """A sandbox in a process of its own; gives its URL."""
    command = [sys.executable, "-m", "xtremepush_dlt.sandbox", "--port", "0", "--quiet"]
    command += ["--faults", f"latency={LATENCY}", "--settings", "keep_bodies=false"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().split()[-1]
        finally:
            server.terminate()


def run(rows: int, url: str, folder: str) -> float:
    """Delivers events and checks that each arrived once; gives the seconds.

    Raises:
        RuntimeError: If the server has not received what it should have.
    """
    resource = dlt.resource(
        (make_row(number) for number in range(rows)), name="events", primary_key="row_id"
    )
    pipeline = dlt.pipeline(
        "bench_segment",
        pipelines_dir=folder,
        destination=xtremepush(
            api_endpoint=url,
            credentials={"segment_api_key": "sandbox-segment-key"},
            max_connections=LANES,
        ),
    )
    calls = xtremepush_adapter(
        resource, track(column("event"), user_id="user_id", timestamp="occurred_at")
    )
    began = time.perf_counter()
    pipeline.run(calls)
    seconds = time.perf_counter() - began
    state = requests.get(f"{url}/_sandbox/state", timeout=10).json()
    told = delivery_report(pipeline).count("delivered")
    if not rows == told == state["events"] == state["requests"]:
        raise RuntimeError(
            f"{rows} rows, but {state['events']} events arrived in {state['requests']} requests, "
            f"and the report tells of {told}."
        )
    return seconds


def verdict(rows: int, seconds: float) -> str:
    """Whether the target is reached, in one line."""
    rate = rows / seconds
    word = "reached" if rate >= LEAST * IDEAL else "MISSED"
    return (
        f"{word}: Segment route, {rows:,} rows on {LANES} lanes at {LATENCY * 1000:.0f} ms, "
        f"{rate:.0f} rows/s, {rate / IDEAL:.1%} of {IDEAL:.0f}/s "
        f"(target: at least {LEAST:.0%} of {IDEAL:.0f}/s)"
    )


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=8000)
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory(prefix="xtremepush-bench-") as folder, slow_sandbox() as url:
        os.environ |= {
            "DLT_DATA_DIR": folder,
            "DLT_LOCAL_DIR": folder,
            "RUNTIME__DLTHUB_TELEMETRY": "false",
        }
        seconds = run(rows, url, folder)
    print(verdict(rows, seconds))


if __name__ == "__main__":
    main()
