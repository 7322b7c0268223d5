"""Promises about `messageId`: a row that is sent again carries the same one, wherever and when."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import dlt
import pyarrow as pa
import pytest

from tests.ledger.conftest import wipe
from tests.pipelines.access import SEGMENT
from xtremepush_dlt import delete, identify, track, xtremepush_adapter
from xtremepush_dlt.routes import segment
from xtremepush_dlt.sandbox import Faults, SandboxSettings

if TYPE_CHECKING:
    from tests.conftest import Desk, MakeDesk

pytestmark = pytest.mark.usefixtures("dlt_home")

AT = datetime(2026, 7, 1, 10, 0, 0, 123456, tzinfo=timezone.utc)
ROWS: list[dict[str, Any]] = [
    {
        "user_id": f"u{n % 7}",
        "at": AT + timedelta(microseconds=n),
        "n": n,
        "price": Decimal(n) / 4,
        "share": n / 7,
        "city": "Cork" if n % 3 else None,
        "day": AT.date(),
        "vip": n % 2 == 0,
    }
    for n in range(60)
]

ACTIONS = {
    "by its key": track("order", timestamp="at", event_id="n"),
    "by a moment": track("order", timestamp="at", event_id=["user_id", "at"]),
    "by a decimal": track("order", timestamp="at", event_id="price"),
    "by its content": track("order", timestamp="at"),
    "a profile": identify(),
    "a version of a profile": identify(version="at"),
}
actions = pytest.mark.parametrize("action", ACTIONS.values(), ids=[*ACTIONS])


def ids(desk: Desk, action: Any, rows: Any = None, **settings: Any) -> dict[int, str]:
    """The ids of the rows, by number, of a run in an empty sandbox."""
    desk.sandbox.reset()
    resource = dlt.resource(
        rows if rows is not None else ROWS,
        name=settings.pop("table", "orders"),
        columns={"price": {"data_type": "decimal"}},
    )
    file_format = settings.pop("file_format", "typed-jsonl")
    pipeline = desk.pipeline(settings.pop("name", "crm_sync"), credentials=SEGMENT, **settings)
    pipeline.run(xtremepush_adapter(resource, action), loader_file_format=file_format)
    found = {}
    for request in desk.sandbox.requests:
        body: Any = request.body
        found[body.get("properties", body.get("traits"))["n"]] = body["messageId"]
    assert len(found) == len(ROWS)
    return found


@actions
def test_it_is_the_same_on_another_machine_and_another_day(
    action: Any, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = ids(desk, action, ledger="none")
    assert len({*first.values()}) == len(ROWS)
    wipe(desk)
    desk.pipelines_dir = desk.home / "another" / "machine"
    monkeypatch.setattr(segment, "wall_clock", lambda: 2_000_000_000.0)
    assert ids(desk, action, ledger="none") == first


@actions
def test_it_is_the_same_from_jsonl_from_parquet_and_from_arrow(action: Any, desk: Desk) -> None:
    from_jsonl = ids(desk, action)
    wipe(desk)
    assert ids(desk, action, file_format="parquet") == from_jsonl
    wipe(desk)
    arrow = pa.Table.from_pylist(ROWS)
    arrow = arrow.set_column(
        arrow.schema.get_field_index("price"),
        "price",
        arrow["price"].cast(pa.decimal128(20, 6)),
    )
    assert ids(desk, action, arrow, file_format="parquet") == from_jsonl


@actions
def test_it_does_not_depend_on_batches_lanes_files_and_pages(
    action: Any, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = ids(desk, action, max_connections=1)
    wipe(desk)
    monkeypatch.setenv("NORMALIZE__DATA_WRITER__FILE_MAX_ITEMS", "11")
    monkeypatch.setenv("NORMALIZE__DATA_WRITER__BUFFER_MAX_ITEMS", "4")

    def pages() -> Iterator[Any]:
        for start in range(0, len(ROWS), 17):
            yield ROWS[start : start + 17]

    assert ids(desk, action, pages, max_connections=16, event_batch_size=3) == first


@actions
def test_another_table_or_pipeline_has_other_ids(action: Any, desk: Desk) -> None:
    first = ids(desk, action)
    for other in ({"table": "orders2"}, {"name": "shop_sync"}):
        assert not {*first.values()} & {*ids(desk, action, **other).values()}


def test_each_action_of_a_table_has_ids_of_its_own(desk: Desk) -> None:
    resource = dlt.resource([{"user_id": "u1", "at": AT}], name="orders", primary_key="user_id")
    todo: list[Any] = [
        track("order", timestamp="at"),
        track("order_again", timestamp="at"),
        identify(),
        delete(user_id="user_id"),
    ]
    desk.deliver(xtremepush_adapter(resource, *todo), credentials=SEGMENT)
    found = [(one.body or {})["messageId"] for one in desk.sandbox.requests]
    assert len({*found}) == len(found) == 4


def test_a_row_that_changed_has_another_id_unless_its_event_id_tells_it(desk: Desk) -> None:
    changed = [{**row, "share": row["share"] + 1} for row in ROWS]
    by_key, by_content = ACTIONS["by its key"], ACTIONS["by its content"]
    assert ids(desk, by_key, changed) == ids(desk, by_key)
    assert not {*ids(desk, by_content, changed).values()} & {*ids(desk, by_content).values()}


def test_a_server_that_knows_ids_stores_each_event_once_whatever_goes_wrong(
    make_desk: MakeDesk,
) -> None:
    desk = make_desk(
        SandboxSettings(segment_dedup=True),
        Faults(reset_after=0.1, truncated=0.05, statuses={503: 0.05}, seed=3),
    )
    rows = [{**row, "n": n} for n, row in enumerate(ROWS * 3)]
    resource = dlt.resource(rows, name="orders")
    report = desk.deliver(
        xtremepush_adapter(resource, track("order", timestamp="at", event_id="n")),
        credentials=SEGMENT,
        retry_patience=60,
    )
    assert report.count("delivered") == 180
    assert report.retries > 0
    assert sorted(event.value["n"] for event in desk.events) == [*range(180)]
