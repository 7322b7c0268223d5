"""Where the default ledger stands, and where it refuses to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dlt
import pytest
from dlt.common.configuration.container import Container
from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext

from tests.conftest import Desk
from xtremepush_dlt import identify, xtremepush_adapter
from xtremepush_dlt.exceptions import ConfigurationError

Cause = Callable[[pytest.ExceptionInfo[BaseException], type[BaseException]], Any]


@pytest.fixture
def thrown_away(dlt_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that dlt's Airflow helper makes for a task, as dlt's only one."""
    folder = dlt_home / "dlt_0123456789abcdef"
    monkeypatch.setenv("DLT_DATA_DIR", str(folder))
    monkeypatch.setenv("DLT_LOCAL_DIR", str(folder))
    Container()[PluggableRunContext].reload()
    return folder


def customers() -> Any:
    rows = [{"user_id": "u1", "n": 1}]
    return xtremepush_adapter(dlt.resource(rows, name="customers"), identify())


def test_a_default_ledger_that_would_be_lost_after_the_run_is_refused_before_anything_is_sent(
    desk: Desk, thrown_away: Path, cause: Cause
) -> None:
    with pytest.raises(Exception, match="ledger") as raised:
        desk.deliver(customers())
    assert "bucket_url" in str(cause(raised, ConfigurationError))
    assert desk.sandbox.requests == []


def test_a_ledger_that_lasts_is_welcome_where_the_default_one_would_be_lost(
    desk: Desk, thrown_away: Path
) -> None:
    lasting = dlt.destinations.filesystem(str(desk.home / "lasting"))
    assert desk.deliver(customers(), ledger=lasting).count("delivered") == 1
    assert (desk.home / "lasting" / "xtremepush_ledger").is_dir()


def test_a_run_may_do_without_a_ledger_where_the_default_one_would_be_lost(
    desk: Desk, thrown_away: Path
) -> None:
    assert desk.deliver(customers(), ledger="none").count("delivered") == 1
