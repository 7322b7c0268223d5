"""A setting with a slip is refused by name, also where dlt itself does not look."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tests.conftest import Desk
from xtremepush_dlt import identify, xtremepush, xtremepush_adapter
from xtremepush_dlt.exceptions import ConfigurationError


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("on_unknown", "hld"),
        ("on_invalid_value", "rejct"),
        ("ledger_payloads", "nothing"),
        ("unknown_attributes", "ignore"),
        ("max_connections", "8"),
        ("event_batch_size", "ten"),
        ("profile_batch_size", 0),
        ("retry_patience", "x"),
        ("retry_patience", math.inf),
        ("requests_per_second", math.nan),
        ("max_undelivered", 1.5),
        ("known_attributes", ["tier"]),
        ("assumptions", "event_path"),
    ],
)
def test_a_keyword_with_a_slip_is_refused_by_its_name(desk: Desk, setting: str, value: Any) -> None:
    import dlt

    rows = xtremepush_adapter(dlt.resource([{"user_id": "u1"}], name="people"), identify())
    with pytest.raises(Exception, match=f"`{setting}`"):
        desk.deliver(rows, **{setting: value})
    assert not desk.sandbox.requests


def test_a_text_as_credentials_is_refused_and_never_printed() -> None:
    with pytest.raises(TypeError, match="takes a dict") as raised:
        xtremepush("eu", credentials="hush-hush")  # type: ignore[arg-type]  # the slip
    assert "hush" not in str(raised.value)


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://exa mple.com",
        "https://[abc",
        "http://127.0.0.1:99999",
        "https://api.example.com?x=1",
        "ftp://api.example.com",
    ],
)
def test_an_endpoint_that_no_call_can_be_added_to_is_refused(desk: Desk, endpoint: str) -> None:
    with pytest.raises(ConfigurationError, match="`api_endpoint`"):
        desk.destination(api_endpoint=endpoint).configuration(None)  # type: ignore[arg-type]  # dlt's way


def test_an_endpoint_with_a_password_is_refused_without_saying_it(desk: Desk) -> None:
    with pytest.raises(ConfigurationError, match="user name or a password") as raised:
        desk.destination(api_endpoint="https://me:hush@api.example.com").configuration(None)  # type: ignore[arg-type]  # dlt's way
    assert "hush" not in str(raised.value)


def test_the_scheme_may_be_written_in_upper_case(desk: Desk) -> None:
    config = desk.destination(api_endpoint="HTTPS://api.example.com/").configuration(None)  # type: ignore[arg-type]  # dlt's way
    assert config.fingerprint() == "https://api.example.com"


def test_a_path_without_its_slash_is_refused(desk: Desk) -> None:
    with pytest.raises(ConfigurationError, match=r"`delete_path`.*must begin with"):
        desk.destination(assumptions={"delete_path": "api/x"}).configuration(None)  # type: ignore[arg-type]  # dlt's way


def test_the_line_feed_of_a_mounted_secret_is_no_part_of_it(desk: Desk) -> None:
    import dlt

    rows = xtremepush_adapter(dlt.resource([{"user_id": "u1"}], name="people"), identify())
    token = desk.sandbox.app_token + "\n"
    assert desk.deliver(rows, credentials={"app_token": token}).count("delivered") == 1
