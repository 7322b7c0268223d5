"""`identify(version=...)` keeps an older row from overwriting a newer one."""

from __future__ import annotations

from collections.abc import Iterator

import dlt
import pytest

from tests.conftest import Desk
from xtremepush_dlt import identify, xtremepush_adapter


@dlt.resource(name="people")
def people() -> Iterator[list[dict[str, object]]]:
    for day, tier in ((3, "gold"), (1, "none"), (2, "silver")):
        yield [{"user_id": "a", "tier": tier, "updated_at": f"2024-01-0{day}T00:00:00Z"}]


def test_an_older_row_that_comes_later_is_skipped(desk: Desk) -> None:
    report = desk.deliver(xtremepush_adapter(people, identify(version="updated_at")))
    assert desk.sandbox.profiles["a"]["tier"] == "gold"
    assert (report.count("delivered"), report.count("skipped")) == (1, 2)


def test_the_version_is_no_attribute_unless_it_is_named(desk: Desk) -> None:
    desk.deliver(xtremepush_adapter(people, identify(version="updated_at")))
    assert "updated_at" not in desk.sandbox.profiles["a"]


def test_without_a_version_the_later_row_wins(desk: Desk) -> None:
    desk.deliver(xtremepush_adapter(people, identify(attributes=["tier"])))
    assert desk.sandbox.profiles["a"]["tier"] == "silver"


def test_it_holds_over_the_files_of_a_table_whatever_their_order(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NORMALIZE__DATA_WRITER__FILE_MAX_ITEMS", "1")
    monkeypatch.setenv("NORMALIZE__DATA_WRITER__BUFFER_MAX_ITEMS", "1")
    report = desk.deliver(xtremepush_adapter(people, identify(version="updated_at")))
    assert len({record["file"] for record in desk.journal() if "file" in record}) == 3
    assert desk.sandbox.profiles["a"]["tier"] == "gold"
    assert report.offered == 3
