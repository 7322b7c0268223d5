"""dlt's state in the ledger: what is remembered, for whom, and until when."""

from __future__ import annotations

import logging

import dlt
import pytest

from tests.conftest import Configure, Desk
from tests.ledger.conftest import Home, leave, rows_of, wipe
from tests.ledger.shop import orders, resources
from xtremepush_dlt import ledger, xtremepush
from xtremepush_dlt.exceptions import ConfigurationError


def stored(desk: Desk) -> int:
    """Events that arrived."""
    return len(desk.sandbox.events)


def test_two_pipelines_share_a_ledger_and_each_keeps_its_own_cursors(
    desk: Desk, ledger_home: Home
) -> None:
    for name, count in (("shop_a", 10), ("shop_b", 7)):
        desk.deliver(*resources(orders(count)), name=name, ledger=ledger_home.name)
    assert stored(desk) == 9 + 6
    wipe(desk)
    for name, count in (("shop_a", 11), ("shop_b", 9)):
        desk.deliver(*resources(orders(count)), name=name, ledger=ledger_home.name)
    assert stored(desk) == 9 + 6 + 1 + 2
    pipeline = desk.pipeline("shop_b", ledger=ledger_home.name)
    names = {row["pipeline_name"] for row in rows_of(ledger(pipeline).deliveries)}
    assert names == {"shop_a", "shop_b"}


def test_a_reset_sends_everything_again_and_is_remembered_like_any_other_run(
    desk: Desk, ledger_home: Home
) -> None:
    desk.deliver(*resources(orders(10)), ledger=ledger_home.name)
    pipeline = desk.pipeline(ledger=ledger_home.name)
    pipeline.run(resources(orders(10)), refresh="drop_sources")
    assert stored(desk) == 18
    wipe(desk)
    desk.deliver(*resources(orders(12)), ledger=ledger_home.name)
    assert stored(desk) == 20


@pytest.mark.parametrize("mode", ["drop_resources", "drop_data"])
def test_the_other_resets_of_dlt_work_as_well(desk: Desk, ledger_home: Home, mode: str) -> None:
    desk.deliver(*resources(orders(5)), ledger=ledger_home.name)
    pipeline = desk.pipeline(ledger=ledger_home.name)
    pipeline.run(resources(orders(5)), refresh=mode)  # type: ignore[arg-type]  # one of its literals
    assert stored(desk) == 8


def test_a_ledger_that_is_new_does_not_make_dlt_forget_what_this_machine_knows(
    desk: Desk, ledger_home: Home
) -> None:
    desk.deliver(*resources(orders(10)), ledger="none")
    desk.deliver(*resources(orders(10)), ledger=ledger_home.name)
    assert stored(desk) == 9
    desk.deliver(*resources(orders(11)), ledger=ledger_home.name)
    wipe(desk)
    desk.deliver(*resources(orders(12)), ledger=ledger_home.name)
    assert stored(desk) == 11


def test_without_a_ledger_nothing_outlives_the_machine_and_a_run_says_so(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    logger = logging.getLogger("dlt")
    logger.addHandler(caplog.handler)
    try:
        desk.deliver(*resources(orders(4)), ledger="none")
    finally:
        logger.removeHandler(caplog.handler)
    told = [record.message for record in caplog.records if "`ledger` is" in record.message]
    assert len(told) == 2
    assert "`order_id`" in told[0]
    assert "all its rows are sent again" in told[0]
    with pytest.raises(ConfigurationError, match="has no ledger"):
        ledger(desk.pipeline(ledger="none"))
    wipe(desk)
    desk.deliver(*resources(orders(4)), ledger="none")
    assert stored(desk) == 6


def test_a_destination_may_be_handed_over_as_an_object_and_is_printed_without_its_secret(
    desk: Desk,
) -> None:
    companion = dlt.destinations.duckdb(str(desk.home / "own.duckdb"))
    desk.deliver(*resources(orders(4)), ledger=companion)
    wipe(desk)
    desk.deliver(*resources(orders(5)), ledger=companion)
    assert stored(desk) == 4
    secretive = dlt.destinations.postgres("postgresql://loader:hush-hush@localhost/ledger")
    assert "hush" not in repr(desk.destination(ledger=secretive))
    assert "postgres" in repr(desk.destination(ledger=secretive))


def test_a_named_destination_with_its_own_section_can_hold_the_ledger(
    desk: Desk, configure: Configure
) -> None:
    configure(
        f"""
[destination.memory]
destination_type = "duckdb"
credentials = "{desk.home / "memory.duckdb"}"
"""
    )
    desk.deliver(*resources(orders(4)), ledger="memory")
    assert (desk.home / "memory.duckdb").exists()


def test_the_default_ledger_goes_to_the_bucket_that_is_configured_for_the_filesystem(
    desk: Desk, configure: Configure
) -> None:
    bucket = desk.home / "bucket"
    configure(f'[destination.filesystem]\nbucket_url = "{bucket}"\n')
    desk.deliver(*resources(orders(4)))
    assert (bucket / "xtremepush_ledger").is_dir()
    assert not (desk.home / "xtremepush_ledger").exists()


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("duckdbb", "is no dlt destination here"),
        ("xtremepush_dlt.xtremepush", "keeps no state"),
        ("dlt.destinations.dummy", "keeps no state"),
        ("", "is no name of a dlt destination"),
    ],
)
def test_a_ledger_that_cannot_be_one_is_named_before_the_first_request(
    desk: Desk, name: str, told: str
) -> None:
    with pytest.raises(Exception, match=told):
        desk.deliver(*resources(orders(4)), ledger=name)
    assert not desk.sandbox.requests


def test_the_ledger_of_a_pipeline_with_another_destination_is_refused(desk: Desk) -> None:
    pipeline = dlt.pipeline("other", destination="duckdb", pipelines_dir=str(desk.pipelines_dir))
    with pytest.raises(ConfigurationError, match="not Xtremepush"):
        ledger(pipeline)


def test_dropping_the_storage_drops_the_ledger_and_nothing_in_xtremepush(
    desk: Desk, ledger_home: Home
) -> None:
    desk.deliver(*resources(orders(4)), ledger=ledger_home.name)
    pipeline = desk.pipeline(ledger=ledger_home.name)
    profiles = dict(desk.sandbox.profiles)
    with pipeline.destination_client() as client:
        client.drop_storage()
        assert not client.is_storage_initialized()
    assert dict(desk.sandbox.profiles) == profiles
    leave(desk)


def test_the_setting_is_checked() -> None:
    with pytest.raises(ConfigurationError, match="`ledger` of the Xtremepush destination"):
        xtremepush("eu", {"app_token": "t"}, ledger=7).configuration(None)  # type: ignore[arg-type]  # the slip
