"""Each companion, and what can happen to it and the machine: nothing twice, nothing forgotten."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import dlt
import pytest

from tests.conftest import Desk, MakeDesk
from tests.ledger.conftest import Home, leave, rows_of, wipe
from tests.ledger.shop import REJECTED, orders, resources
from xtremepush_dlt import ledger
from xtremepush_dlt.sandbox import Faults

ROOT = Path(__file__).parents[2]
BEFORE, AFTER = 40, 50
"""Orders in the first run, and orders there are by the next one."""


@pytest.fixture
def shop(make_desk: MakeDesk) -> Desk:
    return make_desk(faults=Faults(poison_users=frozenset({REJECTED})))


def sync(desk: Desk, home: Home, count: int, **settings: Any) -> dlt.Pipeline:
    """One run over all orders there are; the cursors say which of them are new."""
    pipeline = desk.pipeline(ledger=home.name, event_batch_size=5, **settings)
    pipeline.run(resources(orders(count)))
    return pipeline


def sent(desk: Desk) -> Counter[str]:
    """How often each user's event was stored."""
    return Counter(event.user_id for event in desk.sandbox.events)


def good(count: int) -> set[str]:
    """Users whose events can be delivered."""
    return {row["user_id"] for row in orders(count)} - {None, REJECTED}


def check_all_once(desk: Desk, pipeline: dlt.Pipeline, count: int) -> None:
    """Every event once, every row that was not delivered once in the ledger, cursors at the end."""
    assert sent(desk) == dict.fromkeys(good(count), 1)
    not_sent = rows_of(ledger(pipeline).undelivered)
    found = Counter((row["table_name"], row["outcome"], row["user_id"]) for row in not_sent)
    assert found == {
        ("buyers", "invalid", None): 1,
        ("buyers", "rejected", REJECTED): 1,
        ("orders", "invalid", None): 1,
        ("orders", "rejected", REJECTED): 1,
    }
    assert {row["event_id"] for row in not_sent if row["outcome"] == "rejected"} == {None, "3"}
    source = pipeline.state["sources"]["crm_sync"]["resources"]
    for resource in ("buyers", "orders"):
        assert source[resource]["incremental"]["order_id"]["last_value"] == count - 1


def test_after_the_pipeline_was_dropped_only_what_is_new_is_sent(
    shop: Desk, ledger_home: Home
) -> None:
    sync(shop, ledger_home, BEFORE).drop()
    leave(shop)
    before = len(shop.imported())
    pipeline = sync(shop, ledger_home, AFTER)
    check_all_once(shop, pipeline, AFTER)
    assert [row["user_id"] for row in shop.imported()[before:]] == [
        f"u{number}" for number in range(BEFORE, AFTER)
    ]


def test_on_a_new_machine_only_what_is_new_is_sent(shop: Desk, ledger_home: Home) -> None:
    sync(shop, ledger_home, BEFORE)
    wipe(shop)
    pipeline = sync(shop, ledger_home, AFTER)
    check_all_once(shop, pipeline, AFTER)
    wipe(shop)
    requests = len(shop.sandbox.requests)
    sync(shop, ledger_home, AFTER)
    assert len(shop.sandbox.requests) == requests


def test_a_run_that_was_killed_goes_on_where_it_was(
    make_desk: MakeDesk, ledger_home: Home, dlt_home: Path
) -> None:
    slow = Faults(poison_users=frozenset({REJECTED}), latency=0.15)
    shop = make_desk(faults=slow)
    arguments = [shop.sandbox.url, shop.sandbox.app_token, str(shop.pipelines_dir)]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.ledger.shop", *arguments, ledger_home.name, str(BEFORE)],
        cwd=dlt_home,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    deadline = time.monotonic() + 60
    while len(shop.posts("hit")) < 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert 4 <= len(shop.posts("hit")) < BEFORE / 5
    time.sleep(0.3)  # the sandbox finishes what it has begun
    in_doubt = sent(shop)

    pipeline = shop.pipeline(ledger=ledger_home.name, event_batch_size=5)
    pipeline.run()  # goes on with what is pending
    pipeline.run(resources(orders(AFTER)))

    twice = {user for user, times in sent(shop).items() if times > 1}
    assert set(sent(shop)) == good(AFTER)
    assert len(twice) <= 5, "only the request that was in flight is in doubt"
    assert twice <= set(in_doubt)
    outcomes = Counter(row["outcome"] for row in rows_of(ledger(pipeline).undelivered))
    assert outcomes == {"invalid": 2, "rejected": 2}
    wipe(shop)
    requests = len(shop.sandbox.requests)
    sync(shop, ledger_home, AFTER)
    assert len(shop.sandbox.requests) == requests


def test_nothing_is_sent_while_the_ledger_cannot_be_reached(
    shop: Desk, ledger_home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync(shop, ledger_home, BEFORE)
    requests = len(shop.sandbox.requests)
    ledger_home.go_away()
    monkeypatch.setenv("LOAD__RAISE_ON_MAX_RETRIES", "2")
    with pytest.raises(Exception, match="step=sync"):
        sync(shop, ledger_home, AFTER)
    assert len(shop.sandbox.requests) == requests
    ledger_home.come_back()
    check_all_once(shop, sync(shop, ledger_home, AFTER), AFTER)


def test_a_run_whose_account_cannot_be_kept_is_not_complete_and_the_next_one_mends_it(
    make_desk: MakeDesk, ledger_home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Faults(poison_users=frozenset({REJECTED}), latency=0.1)
    shop = make_desk(faults=slow)
    monkeypatch.setenv("LOAD__RAISE_ON_MAX_RETRIES", "2")

    def take_the_ledger_away() -> None:
        # the receipts of the profiles are in the ledger by then, and those of the events are not
        while len(shop.posts("hit")) < 3:
            time.sleep(0.01)
        ledger_home.go_away()

    watcher = threading.Thread(target=take_the_ledger_away)
    watcher.start()
    with pytest.raises(Exception, match="The ledger's table"):
        sync(shop, ledger_home, BEFORE, max_connections=1)
    watcher.join()
    ledger_home.come_back()
    assert set(sent(shop)) == good(BEFORE)

    sync(shop, ledger_home, BEFORE)  # goes on with what is pending
    check_all_once(shop, sync(shop, ledger_home, AFTER), AFTER)
    wipe(shop)
    requests = len(shop.sandbox.requests)
    sync(shop, ledger_home, AFTER)
    assert len(shop.sandbox.requests) == requests
