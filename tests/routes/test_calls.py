"""The id of a message: the same whenever the same row is sent, another for anything else."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xtremepush_dlt.mapping.actions import Action, identify, track
from xtremepush_dlt.mapping.calls import make_calls
from xtremepush_dlt.mapping.columns import ColumnBatch
from xtremepush_dlt.mapping.dialect import SEGMENT
from xtremepush_dlt.mapping.planner import TableColumns, plan_table
from xtremepush_dlt.routes.calls import CallSource, message_ids

SOURCE = CallSource("track", "crm_sync", "orders", "track order_placed")
NOON = datetime(2026, 7, 1, 12, 0, 0, 123456, tzinfo=timezone.utc)
PAYLOAD = {"userId": "u1", "event": "order_placed", "properties": {"n": 1}}


def id_of(
    payload: dict[str, Any] | None = None, event_id: object = (), source: CallSource = SOURCE
) -> str:
    """The id of one call; without an event id where none is given."""
    ids = [] if event_id == () else [event_id]
    (found,) = message_ids(source, [PAYLOAD if payload is None else payload], ids)
    return found


def test_an_id_never_changes_between_versions_because_a_resend_relies_on_it() -> None:
    assert id_of(event_id=7) == "783c271e-8a1c-5de2-9802-cc1590428ebc"
    assert id_of() == "78d70286-639b-5c21-88ee-381d353558fc"


def test_an_id_is_the_same_in_another_process_with_another_hash_seed() -> None:
    program = (
        "from tests.routes.test_calls import id_of\n"
        "print(id_of(), id_of({'b': {'y': 1, 'x': 2}, 'a': 1}, (1, 'a')))"
    )
    for seed in ("1", "2"):
        told = subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        expected = (id_of(), id_of({"a": 1, "b": {"x": 2, "y": 1}}, (1, "a")))
        assert tuple(told.stdout.split()) == expected


@pytest.mark.parametrize(
    "other",
    [
        SOURCE._replace(call="identify"),
        SOURCE._replace(call="delete"),
        SOURCE._replace(pipeline_name="crm_sync2"),
        SOURCE._replace(table="orders2"),
        SOURCE._replace(action="track order_refunded"),
        # what stands in one part must not pass for a part of the next
        SOURCE._replace(pipeline_name="crm_syncorders", table=""),
    ],
)
def test_another_call_pipeline_table_or_action_has_another_id(other: CallSource) -> None:
    assert id_of(event_id=7) != id_of(event_id=7, source=other)
    assert id_of() != id_of(source=other)


def test_an_event_is_told_by_its_event_id_whatever_else_it_holds() -> None:
    event = {"event": "placed"}
    assert id_of(event, 7) == id_of({**event, "userId": "u2"}, 7)
    assert id_of(event_id=7) != id_of(event_id=8)


@pytest.mark.parametrize(
    "pair",
    [
        (1, "1"),
        (0, None),
        ("", None),
        (False, None),
        (0, False),
        ((0, None), (None, 0)),
        ((None, 0), None),
        (("a", "bc"), ("ab", "c")),
        (NOON, NOON + timedelta(microseconds=1)),
        ((1, NOON), (1, NOON + timedelta(microseconds=1))),
        (Decimal("1.5"), Decimal("1.51")),
        (10, 1),
        (Decimal(10), Decimal(1)),
    ],
)
def test_event_ids_that_differ_make_ids_that_differ(pair: tuple[object, object]) -> None:
    first, second = pair
    assert id_of(event_id=first) != id_of(event_id=second)


@pytest.mark.parametrize(
    "pair",
    [
        # jsonl and parquet hold a decimal with other zeros, and a moment in another timezone
        (Decimal("1.5"), Decimal("1.500000000")),
        (Decimal(10), Decimal("10.000")),
        (Decimal(0), Decimal("-0.00")),
        (NOON, NOON.astimezone(timezone(timedelta(hours=2)))),
        (NOON, NOON.replace(tzinfo=None)),
        ((7,), 7),
        ((None, None), None),
    ],
)
def test_event_ids_that_mean_the_same_make_the_same_id(pair: tuple[object, object]) -> None:
    first, second = pair
    assert id_of(event_id=first) == id_of(event_id=second)


def test_an_event_without_an_event_id_is_told_by_its_content() -> None:
    assert id_of() == id_of(event_id=None) == id_of(event_id=(None, None))
    assert id_of() != id_of({**PAYLOAD, "userId": "u2"})
    assert id_of() != id_of({**PAYLOAD, "properties": {"n": 2}})


def test_content_is_the_same_in_any_order_and_with_any_zeros() -> None:
    first = {"userId": "u", "traits": {"a": Decimal("1.50"), "b": {"x": 1, "y": 2}}}
    second = {"traits": {"b": {"y": 2, "x": 1}, "a": Decimal("1.5000")}, "userId": "u"}
    assert id_of(first) == id_of(second)


@pytest.mark.parametrize("call", ["identify", "delete"])
def test_other_calls_are_told_by_content_and_by_what_tells_versions_apart(call: Any) -> None:
    source = SOURCE._replace(call=call)
    assert id_of(event_id=1, source=source) != id_of(event_id=2, source=source)
    other = {**PAYLOAD, "userId": "u2"}
    assert id_of(event_id=1, source=source) != id_of(other, event_id=1, source=source)


def test_two_events_of_one_row_have_ids_of_their_own() -> None:
    assert id_of({"event": "placed"}, 7) != id_of({"event": "shipped"}, 7)


def test_a_row_without_event_id_among_others_does_not_shift_them() -> None:
    payloads = [{"userId": str(n)} for n in range(3)]
    ids = [*message_ids(SOURCE, payloads, [1, None, 3])]
    assert ids == [id_of(payloads[0], 1), id_of(payloads[1]), id_of(payloads[2], 3)]


# --- whatever the rows hold ----------------------------------------------------------------------

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-1e6, max_value=1e6),
    st.text(st.characters(codec="utf-8"), max_size=4),
    st.datetimes(timezones=st.sampled_from([timezone.utc, timezone(timedelta(hours=5))])),
    st.dates(),
)
values = scalars | st.lists(scalars, max_size=2) | st.dictionaries(st.text("ab"), scalars)
rows_of = st.lists(st.tuples(st.sampled_from("uvw"), scalars, values, values), min_size=1)


def ids_of(rows: Sequence[Any], action: Action, key: tuple[str, ...]) -> list[str]:
    """The ids of the calls of some rows, which are one batch."""
    names = ("user_id", "key", "a", "b")
    table = TableColumns("orders", {**dict.fromkeys(names, "text"), "at": "text"}, primary_key=key)
    (of,) = plan_table(table, [action], SEGMENT).actions
    columns = {name: [row[place] for row in rows] for place, name in enumerate(names)}
    columns["at"] = ["2026-07-01"] * len(rows)
    batch = ColumnBatch(0, len(rows), columns)
    ids = batch.column("key") if of.event_id else []
    return [*message_ids(SOURCE, make_calls(batch, of, False).payloads, ids)]


@given(rows=rows_of, cuts=st.sets(st.integers(0, 8)), keyed=st.booleans(), tracks=st.booleans())
@settings(max_examples=200, deadline=None)
def test_ids_do_not_depend_on_where_batches_begin(
    rows: list[Any], cuts: set[int], keyed: bool, tracks: bool
) -> None:
    action: Action = track("seen", timestamp="at") if tracks else identify()
    key = ("key",) if keyed else ()
    ends = sorted({0, len(rows), *(cut for cut in cuts if cut < len(rows))})
    in_pieces = [
        each for first, end in pairwise(ends) for each in ids_of(rows[first:end], action, key)
    ]
    assert in_pieces == ids_of(rows, action, key)


@given(numbers=st.sets(st.integers() | st.text("ab1", max_size=3), min_size=2))
@settings(max_examples=100, deadline=None)
def test_no_two_event_ids_share_an_id(numbers: set[Any]) -> None:
    ids = [*message_ids(SOURCE, [PAYLOAD] * len(numbers), [*numbers])]
    assert len({*ids}) == len(numbers)
