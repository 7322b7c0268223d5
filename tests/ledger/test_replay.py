"""Replay: rows that were not delivered are sent again, each once, and undo nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import dlt
import pytest
from dlt.extract import DltResource

from tests.conftest import BareServer, Desk, MakeDesk
from tests.ledger.again import REFUSED
from tests.ledger.conftest import Home, leave, rows_of, wipe
from xtremepush_dlt import identify, ledger, track, xtremepush_adapter
from xtremepush_dlt.exceptions import LedgerError, ReplayRefusedError
from xtremepush_dlt.ledger.reading import companion_of_pipeline
from xtremepush_dlt.replay import ReplayReport, replay
from xtremepush_dlt.replay.marks import Marks
from xtremepush_dlt.sandbox import Faults

ROOT = Path(__file__).parents[2]
BAD = "u-bad"
POISON = Faults(poison_users=frozenset({BAD}))


@pytest.fixture
def shop(make_desk: MakeDesk) -> Desk:
    return make_desk(faults=POISON)


def people(*rows: dict[str, Any]) -> DltResource:
    return xtremepush_adapter(dlt.resource([*rows], name="people"), identify())


def visits(ids: Iterable[int], user: str = BAD, **more: Any) -> DltResource:
    rows = [{"id": n, "user_id": user, "at": "2026-01-01T00:00:00Z", **more} for n in ids]
    action = track("visit", timestamp="at", event_id="id", user_attributes=[*more])
    return xtremepush_adapter(dlt.resource(rows, name="visits"), action)


def sync(desk: Desk, *data: Any, name: str = "crm_sync", **settings: Any) -> dlt.Pipeline:
    pipeline = desk.pipeline(name, **settings)
    pipeline.run([*data])
    return pipeline


def arrived(desk: Desk) -> Counter[int]:
    """How often each visit was stored."""
    return Counter(event.value["id"] for event in desk.events)


def calls(desk: Desk) -> int:
    return len(desk.posts("import")) + len(desk.posts("hit"))


def outcomes(report: ReplayReport) -> dict[str, int]:
    return {outcome.value: count for outcome, count in report.outcomes.items()}


def profile(desk: Desk, user: str = BAD) -> dict[str, Any]:
    return dict(desk.sandbox.profiles[user])


def test_rows_are_delivered_once_when_the_cause_is_mended(shop: Desk, ledger_home: Home) -> None:
    good = {"user_id": "u-good", "tier": "gold"}
    pipeline = sync(
        shop,
        people(good, {"user_id": BAD, "tier": "gold"}),
        visits([1, 2, 3]),
        ledger=ledger_home.name,
    )
    assert not shop.events
    shop.sandbox.set_faults(Faults())

    assert outcomes(replay(pipeline)) == {"delivered": 4}
    assert profile(shop)["tier"] == "gold"
    assert arrived(shop) == {1: 1, 2: 1, 3: 1}
    assert [hit["value"]["id"] for hit in shop.hits()[-3:]] == [1, 2, 3]

    before = calls(shop)
    report = replay(pipeline)
    assert calls(shop) == before
    assert not report.outcomes
    assert "nothing to replay" in str(report)
    # the account says both what happened then and what happened since
    assert len(rows_of(ledger(pipeline).undelivered)) == 4
    found = Counter(row["outcome"] for row in rows_of(ledger(pipeline).replays))
    assert found == {"began": 1, "ended": 1, "delivered": 4}


def test_rows_are_replayed_on_a_machine_that_has_never_seen_the_pipeline(
    shop: Desk, ledger_home: Home
) -> None:
    sync(shop, people({"user_id": BAD, "tier": "gold"}), visits([1]), ledger=ledger_home.name)
    wipe(shop)
    shop.sandbox.set_faults(Faults())
    pipeline = shop.pipeline(ledger=ledger_home.name)
    assert outcomes(replay(pipeline)) == {"delivered": 2}
    assert arrived(shop) == {1: 1}


def test_rows_that_are_rejected_again_stay_open_and_are_listed_once(shop: Desk) -> None:
    pipeline = sync(shop, people({"user_id": BAD, "tier": "gold"}), visits([1]))
    assert outcomes(replay(pipeline)) == {"rejected": 2}
    assert outcomes(replay(pipeline)) == {"rejected": 2}
    assert len(rows_of(ledger(pipeline).undelivered)) == 2
    shop.sandbox.set_faults(Faults())
    assert outcomes(replay(pipeline)) == {"delivered": 2}


def test_a_value_delivered_since_is_not_overwritten_and_the_others_are_delivered(
    shop: Desk, ledger_home: Home
) -> None:
    pipeline = sync(
        shop, people({"user_id": BAD, "tier": "silver", "city": "Cork"}), ledger=ledger_home.name
    )
    shop.sandbox.set_faults(Faults())
    sync(shop, people({"user_id": BAD, "tier": "gold"}), ledger=ledger_home.name)
    assert profile(shop) == {"tier": "gold"}

    assert outcomes(replay(pipeline)) == {"delivered": 1}
    assert profile(shop) == {"tier": "gold", "city": "Cork"}
    assert "tier" not in shop.imported()[-1]


def test_a_value_that_another_pipeline_of_the_ledger_delivered_is_not_overwritten(
    shop: Desk,
) -> None:
    pipeline = sync(shop, people({"user_id": BAD, "tier": "silver", "city": "Cork"}))
    shop.sandbox.set_faults(Faults())
    sync(shop, people({"user_id": BAD, "tier": "gold"}), name="loyalty")
    replay(pipeline)
    assert profile(shop) == {"tier": "gold", "city": "Cork"}


def test_a_value_delivered_by_the_user_attributes_of_an_event_is_not_overwritten(
    shop: Desk,
) -> None:
    pipeline = sync(shop, people({"user_id": BAD, "tier": "silver", "city": "Cork"}))
    shop.sandbox.set_faults(Faults())
    sync(shop, visits([1], tier="gold"))
    replay(pipeline)
    assert profile(shop) == {"tier": "gold", "city": "Cork"}


def test_user_attributes_of_a_replayed_event_do_not_overwrite_and_the_event_is_sent(
    shop: Desk,
) -> None:
    pipeline = sync(shop, visits([1], tier="silver", city="Cork"))
    shop.sandbox.set_faults(Faults())
    sync(shop, people({"user_id": BAD, "tier": "gold"}))
    assert outcomes(replay(pipeline)) == {"delivered": 1}
    assert arrived(shop) == {1: 1}
    assert profile(shop) == {"tier": "gold", "city": "Cork"}


def test_a_row_of_which_later_rows_delivered_everything_is_merged_without_a_request(
    shop: Desk,
) -> None:
    pipeline = sync(shop, people({"user_id": BAD, "tier": "silver"}))
    shop.sandbox.set_faults(Faults())
    sync(shop, people({"user_id": BAD, "tier": "gold", "city": "Cork"}))
    before = calls(shop)
    assert outcomes(replay(pipeline)) == {"merged": 1}
    assert calls(shop) == before
    assert "nothing to replay" in str(replay(pipeline))


def test_a_later_row_of_the_same_request_counts_and_an_earlier_one_does_not(
    make_desk: MakeDesk,
) -> None:
    # the three rows of the user are merged, refused, and then tried one by one
    desk = make_desk(faults=Faults(plan=(400, "ok", 400, "ok")))
    rows: list[dict[str, Any]] = [
        {"user_id": "u", "tier": "old", "city": "Cork"},
        {"user_id": "u", "tier": "mid", "city": "Dublin", "age": 30},
        {"user_id": "u", "tier": "new"},
    ]
    pipeline = sync(desk, people(*rows))
    assert profile(desk, "u") == {"tier": "new", "city": "Cork"}
    assert len(rows_of(ledger(pipeline).undelivered)) == 1

    assert outcomes(replay(pipeline)) == {"delivered": 1}
    assert profile(desk, "u") == {"tier": "new", "city": "Dublin", "age": 30}


def test_two_open_rows_of_a_user_are_replayed_in_their_order(shop: Desk) -> None:
    sync(shop, people({"user_id": BAD, "tier": "silver", "city": "Cork"}))
    pipeline = sync(shop, people({"user_id": BAD, "tier": "gold"}))
    shop.sandbox.set_faults(Faults())
    assert outcomes(replay(pipeline)) == {"merged": 1, "delivered": 1}
    assert profile(shop) == {"tier": "gold", "city": "Cork"}


def test_an_older_row_that_is_replayed_after_a_newer_one_does_not_undo_it(shop: Desk) -> None:
    older = people({"user_id": BAD, "tier": "silver", "city": "Cork"}).with_name("older")
    sync(shop, older)
    pipeline = sync(shop, people({"user_id": BAD, "tier": "gold"}))
    shop.sandbox.set_faults(Faults())
    assert outcomes(replay(pipeline, table="people")) == {"delivered": 1}
    assert outcomes(replay(pipeline, table="older")) == {"delivered": 1}
    assert profile(shop) == {"tier": "gold", "city": "Cork"}


def test_an_address_is_not_sent_without_the_consent_that_was_delivered_since(shop: Desk) -> None:
    pipeline = sync(
        shop,
        people({"user_id": BAD, "email": "a@b.ie", "email_subscription": 1, "city": "Cork"}),
    )
    shop.sandbox.set_faults(Faults())
    sync(shop, people({"user_id": BAD, "email_subscription": 0}))
    assert outcomes(replay(pipeline)) == {"delivered": 1}
    assert shop.imported()[-1] == {"user_id": BAD, "city": "Cork"}


def test_events_that_may_have_arrived_are_replayed_only_when_the_user_says_so(
    make_desk: MakeDesk,
) -> None:
    desk = make_desk(faults=Faults(plan=("reset_after",)))
    pipeline = sync(desk, visits([1, 2], "u"), on_unknown="hold", retry_patience=30.0)
    assert arrived(desk) == {1: 1, 2: 1}
    report = replay(pipeline)
    assert not report.outcomes
    assert "--unknown: 2 rows" in str(report)
    assert arrived(desk) == {1: 1, 2: 1}

    assert outcomes(replay(pipeline, unknown=True)) == {"delivered": 2}
    assert arrived(desk) == {1: 2, 2: 2}
    assert not replay(pipeline, unknown=True).outcomes


def test_invalid_rows_and_rows_without_payload_are_counted_and_not_sent(shop: Desk) -> None:
    pipeline = sync(
        shop, people({"user_id": BAD, "tier": "gold"}, {"tier": "lost"}), ledger_payloads="none"
    )
    shop.sandbox.set_faults(Faults())
    before = calls(shop)
    report = str(replay(pipeline))
    assert calls(shop) == before
    assert "Invalid, and cannot be replayed: 1 row." in report
    assert "the ledger keeps no payload of them: 1 row." in report


def test_every_digit_of_a_number_is_sent_again(bare_server: BareServer, desk: Desk) -> None:
    bare_server.answer = lambda path, body: (400, b'{"success":false,"code":400}')
    digits = ["1.2345678901234567890123456789", "0.10", "123456789012345678901234567890", "-1E-7"]
    rows = [{"user_id": f"u{n}", "amount": Decimal(text)} for n, text in enumerate(digits)]
    hits = [
        {"id": n, "user_id": "u", "at": "2026-01-01", "amount": Decimal(text), "whole": 2**53 + n}
        for n, text in enumerate(digits)
    ]
    pipeline = desk.pipeline(api_endpoint=bare_server.url)
    columns: Any = {"amount": {"data_type": "decimal", "precision": 38, "scale": 28}}
    pipeline.run(
        [
            xtremepush_adapter(dlt.resource(rows, name="people", columns=columns), identify()),
            xtremepush_adapter(
                dlt.resource(hits, name="visits", columns=columns),
                track("visit", timestamp="at", event_id="id"),
            ),
        ]
    )

    def numbers(bodies: Sequence[bytes]) -> list[str]:
        found = []
        for body in bodies:
            parsed = json.loads(body, parse_float=str, parse_int=str)
            found += [value for row in parsed.get("rows", ()) for value in row[1:]]
            for event in parsed.get("events", ()):
                found += [event["value"]["amount"], event["value"]["whole"]]
        return found

    # the first request with profiles and the first with events
    first = [next(b for b in bare_server.bodies if kind in b) for kind in (b'"rows"', b'"events"')]
    bare_server.answer = lambda path, body: (200, b'{"success":true,"code":200}')
    bare_server.bodies.clear()
    assert outcomes(replay(pipeline)) == {"delivered": 8}
    assert sorted(numbers(bare_server.bodies)) == sorted(numbers(first))
    assert "1.2345678901234567890123456789" in numbers(bare_server.bodies)


def test_a_replay_waits_until_the_rows_of_the_pipeline_itself_are_delivered(shop: Desk) -> None:
    pipeline = sync(shop, visits([1]))
    shop.sandbox.set_faults(Faults(plan=(401,)))
    with pytest.raises(Exception, match="401"):
        sync(shop, visits([2], "u"))
    before = calls(shop)
    with pytest.raises(ReplayRefusedError, match="pending load package"):
        replay(pipeline)
    assert calls(shop) == before
    pipeline.run()
    assert outcomes(replay(pipeline)) == {"delivered": 1}
    assert arrived(shop) == {1: 1, 2: 1}


def test_only_the_rows_of_a_table_are_replayed_if_it_is_named(shop: Desk) -> None:
    pipeline = sync(shop, people({"user_id": BAD, "tier": "gold"}), visits([1]))
    shop.sandbox.set_faults(Faults())
    assert outcomes(replay(pipeline, table="visits")) == {"delivered": 1}
    assert arrived(shop) == {1: 1}
    assert not shop.sandbox.profiles.get(BAD, {}).get("tier")
    assert outcomes(replay(pipeline)) == {"delivered": 1}


def test_a_dry_run_tells_what_would_be_sent_and_sends_nothing(shop: Desk) -> None:
    pipeline = sync(shop, visits([1, 2]))
    shop.sandbox.set_faults(Faults())
    before = calls(shop)
    report = str(replay(pipeline, dry_run=True))
    assert calls(shop) == before
    assert "2 rows would be replayed" in report
    assert rows_of(ledger(pipeline).replays) == []
    assert outcomes(replay(pipeline)) == {"delivered": 2}


def test_neither_reports_nor_refusals_carry_a_value_of_a_customer(
    shop: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    pipeline = sync(shop, people({"user_id": BAD, "city": "Ballybofey"}), visits([1]))
    told = [str(replay(pipeline, dry_run=True)), str(replay(pipeline))]
    shop.sandbox.set_faults(Faults(plan=(401,)))
    with pytest.raises(Exception, match="401") as raised:
        replay(pipeline)
    told += [str(raised.value), caplog.text]
    assert not any(BAD in text or "Ballybofey" in text for text in told)
    # nothing was lost, and the next one goes on
    assert replay(pipeline).resumed


COUNT = 60
"""Events in the trials with several processes."""


def start(desk: Desk, home: Home, pipelines_dir: Path, on_unknown: str = "hold") -> Any:
    arguments = [desk.sandbox.url, desk.sandbox.app_token, str(pipelines_dir), home.name]
    return subprocess.Popen(
        [sys.executable, "-m", "tests.ledger.again", *arguments, on_unknown],
        cwd=desk.home,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def rejected_visits(desk: Desk, home: Home) -> dlt.Pipeline:
    """A profile and many events wait for a replay, and the sandbox is slow from here on."""
    users = [f"u{n % 7}" for n in range(COUNT)]
    desk.sandbox.set_faults(Faults(poison_users=frozenset(users)))
    rows = [
        {"id": n, "user_id": user, "at": "2026-01-01T00:00:00Z"} for n, user in enumerate(users)
    ]
    action = track("visit", timestamp="at", event_id="id")
    pipeline = sync(
        desk,
        people({"user_id": "u0", "tier": "gold"}),
        xtremepush_adapter(dlt.resource(rows, name="visits"), action),
        ledger=home.name,
    )
    assert not desk.events
    desk.sandbox.set_faults(Faults(latency=0.15))
    leave(desk)
    return pipeline


@pytest.mark.parametrize("machines", [1, 2], ids=["one machine", "two machines"])
def test_two_replays_at_once_send_each_event_once(
    make_desk: MakeDesk, ledger_home: Home, machines: int
) -> None:
    desk = make_desk()
    rejected_visits(desk, ledger_home)
    folders = [desk.pipelines_dir, desk.home / "elsewhere"][:machines]
    processes = [start(desk, ledger_home, folder) for folder in (folders * 2)[:2]]
    for process in processes:
        process.wait(120)
    for folder in folders:  # where one was refused or could not reach the ledger, it goes on
        assert start(desk, ledger_home, folder).wait(120) in (0, REFUSED)
    assert arrived(desk) == dict.fromkeys(range(COUNT), 1)
    assert len([row for row in desk.imported() if row["user_id"] == "u0"][1:]) == 1


def killed_in_the_middle(desk: Desk, home: Home, on_unknown: str) -> Counter[int]:
    """Starts a replay and kills it while it sends events; tells what had arrived by then."""
    before = len(desk.posts("hit"))
    process = start(desk, home, desk.pipelines_dir, on_unknown)
    deadline = time.monotonic() + 60
    while len(desk.posts("hit")) < before + 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    process.wait()
    time.sleep(0.4)  # the sandbox finishes what it has begun
    stored = arrived(desk)
    assert 0 < len(stored) < COUNT
    return stored


@pytest.mark.parametrize("on_unknown", ["hold", "resend"])
def test_a_replay_that_was_killed_is_resumed_and_repeats_at_most_what_was_in_flight(
    make_desk: MakeDesk, ledger_home: Home, on_unknown: str
) -> None:
    desk = make_desk()
    rejected_visits(desk, ledger_home)
    killed_in_the_middle(desk, ledger_home, on_unknown)
    pipeline = desk.pipeline(ledger=ledger_home.name, on_unknown=on_unknown, max_connections=2)
    report = replay(pipeline)
    assert report.resumed
    assert sum(report.outcomes.values()) == COUNT + 1
    twice = {number for number, times in arrived(desk).items() if times > 1}
    if on_unknown == "hold":
        assert not twice
        held = outcomes(report)["unknown"]
        assert 0 < held <= 10
        assert len(arrived(desk)) >= COUNT - held
    else:
        assert len(twice) <= 10
        assert set(arrived(desk)) == set(range(COUNT))
    assert not replay(pipeline).outcomes
    marks = Counter(row["outcome"] for row in rows_of(ledger(pipeline).replays))
    assert (marks["began"], marks["ended"]) == (1, 1)


def test_a_resumed_replay_does_not_overwrite_what_was_delivered_while_it_lay(
    shop: Desk,
) -> None:
    pipeline = sync(shop, people({"user_id": BAD, "tier": "silver", "city": "Cork"}))
    shop.sandbox.set_faults(Faults(plan=(401,)))
    with pytest.raises(Exception, match="401"):
        replay(pipeline)
    sync(shop, people({"user_id": BAD, "tier": "gold"}))
    assert replay(pipeline).resumed
    assert profile(shop) == {"tier": "gold", "city": "Cork"}


def test_a_replay_of_a_machine_that_is_gone_can_be_taken_over(
    make_desk: MakeDesk, ledger_home: Home
) -> None:
    desk = make_desk()
    rejected_visits(desk, ledger_home)
    stored = killed_in_the_middle(desk, ledger_home, "hold")
    gone, desk.pipelines_dir = desk.pipelines_dir, desk.home / "elsewhere"
    pipeline = desk.pipeline(ledger=ledger_home.name)
    before = calls(desk)
    with pytest.raises(ReplayRefusedError, match=r"began on `.+` at .+--take-over"):
        replay(pipeline)
    assert calls(desk) == before

    replay(pipeline, take_over=True)
    assert arrived(desk) == stored, "an event of the replay that died was sent again"
    found = Counter(
        row["outcome"]
        for row in rows_of(ledger(pipeline).replays)
        if row["undelivered_id"] is not None
    )
    assert found == {"unknown": COUNT, "delivered": 1}

    # and should the machine come back, what is left there is not sent either
    leave(desk)
    desk.pipelines_dir = gone
    assert not replay(desk.pipeline(ledger=ledger_home.name)).outcomes
    assert arrived(desk) == stored


def test_taking_over_sends_profiles_and_rows_that_the_dead_replay_was_not_about(
    shop: Desk,
) -> None:
    pipeline = sync(shop, people({"user_id": BAD, "tier": "gold"}), visits([1, 2]))
    companion, schema = companion_of_pipeline(pipeline)
    Marks(lambda: companion.for_tables(schema), "crm_sync").begin("dead", None, unknown=False)
    sync(shop, visits([3]))
    shop.sandbox.set_faults(Faults())
    with pytest.raises(ReplayRefusedError, match="--take-over"):
        replay(pipeline)
    assert outcomes(replay(pipeline, take_over=True)) == {"delivered": 2}
    assert profile(shop)["tier"] == "gold"
    assert arrived(shop) == {3: 1}


def test_a_ledger_that_cannot_be_read_stops_a_replay_before_the_first_request(
    shop: Desk, ledger_home: Home
) -> None:
    pipeline = sync(shop, visits([1]), ledger=ledger_home.name)
    before = calls(shop)
    ledger_home.go_away()
    with pytest.raises(LedgerError, match="could not be read"):
        replay(pipeline)
    assert calls(shop) == before
    ledger_home.come_back()
    shop.sandbox.set_faults(Faults())
    assert outcomes(replay(pipeline)) == {"delivered": 1}
