"""SIGTERM and Ctrl-C end a run in an orderly way; the next run resumes without a doubt."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from tests.conftest import MakeDesk
from xtremepush_dlt.delivery.journal import PassKey, Progress
from xtremepush_dlt.sandbox import Faults

SCRIPT = """
    import sys
    import dlt
    from xtremepush_dlt import track, xtremepush, xtremepush_adapter

    hits = [{"user_id": f"u{n % 13}", "at": "2026-01-01", "n": n} for n in range(400)]
    table = xtremepush_adapter(dlt.resource(hits, name="orders"), track("order", timestamp="at"))
    destination = xtremepush(
        sys.argv[1],
        {"app_token": "sandbox-token"},
        event_batch_size=5,
        max_connections=3,
        on_unknown="hold",
    )
    pipeline = dlt.pipeline("crm_sync", destination=destination, pipelines_dir="pipelines")
    pipeline.run([table] if sys.argv[2] == "first" else None)
"""


def run(script: Path, url: str, which: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(script), url, which],
        cwd=script.parent,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("workers", ["1", "20"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_run_with_dlts_exception_and_the_next_sends_nothing_twice(
    number: signal.Signals, workers: str, make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOAD__WORKERS", workers)
    desk = make_desk(faults=Faults(latency=0.1))
    script = desk.home / "sync.py"
    script.write_text(textwrap.dedent(SCRIPT), encoding="utf-8")
    with run(script, desk.sandbox.url, "first") as process:
        patience = time.monotonic() + 30
        while len(desk.posts("hit")) < 6 and time.monotonic() < patience:
            time.sleep(0.01)
        sent = time.monotonic()
        process.send_signal(number)
        _, errors = process.communicate(timeout=30)
    assert time.monotonic() - sent < 5
    assert process.returncode != 0
    assert "SignalReceivedException" in errors
    assert 0 < len(desk.events) < 400
    # every request that left has its answer on record
    progress: dict[PassKey, Progress] = {}
    for record in desk.journal():
        if "file" in record:
            key = PassKey(record["file"], record["phase"])
            progress.setdefault(key, Progress()).apply(record)
    assert not any(spans for each in progress.values() for spans in each.intents.values())

    desk.sandbox.set_faults()
    with run(script, desk.sandbox.url, "second") as process:
        process.communicate(timeout=60)
    assert process.returncode == 0
    assert sorted(event.value["n"] for event in desk.events) == list(range(400))
