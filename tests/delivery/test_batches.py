"""Batches: bounded by count and by bytes, in order, and a user once among profiles."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from xtremepush_dlt.delivery.batches import (
    Batch,
    call_batches,
    cut,
    profile_batches,
    unmerged,
)
from xtremepush_dlt.delivery.lanes import Load

quick = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])

Payload = dict[str, Any]


def encode(payload: Payload) -> bytes:
    """One row of an import: its values in the order of the payload."""
    return json.dumps([*payload.values()]).encode()


def load_of(payloads: list[Payload], *, events: bool = False) -> Load:
    """A load with one call for each payload; events are encoded already."""
    count = len(payloads)
    return Load(
        sequences=list(range(count)),
        actions=[0] * count,
        users=[payload["user_id"] for payload in payloads],
        records=[json.dumps(payload).encode() if events else payload for payload in payloads],
        event_ids=[()] * count,
    )


def batch_of(sizes: list[int]) -> Batch:
    """Records of some sizes, each different from its neighbours."""
    records = [bytes([65 + place % 26]) * size for place, size in enumerate(sizes)]
    return Batch(records, range(len(records)), ("user_id", "x"))


def body_size(batch: Batch) -> int:
    """Bytes of the records as they stand in a body, commas between them."""
    return len(b",".join(batch.records))


def rows_of(batches: list[Batch]) -> list[int]:
    return [row for batch in batches for row in batch.rows]


sizes_of_records = st.lists(st.integers(min_value=1, max_value=60), max_size=40)
most_records_of = st.integers(min_value=1, max_value=9)
most_bytes_of = st.integers(min_value=1, max_value=150)


@settings(quick, max_examples=120)
@given(sizes=sizes_of_records, most_records=most_records_of, most_bytes=most_bytes_of)
def test_no_batch_is_over_its_bounds_unless_a_single_record_alone_is_larger(
    sizes: list[int], most_records: int, most_bytes: int
) -> None:
    for batch in cut(batch_of(sizes), most_records, most_bytes):
        assert 1 <= len(batch) <= most_records
        assert body_size(batch) <= most_bytes or len(batch) == 1


@settings(quick, max_examples=120)
@given(sizes=sizes_of_records, most_records=most_records_of, most_bytes=most_bytes_of)
def test_the_batches_laid_end_to_end_are_the_calls_in_their_order(
    sizes: list[int], most_records: int, most_bytes: int
) -> None:
    whole = batch_of(sizes)
    batches = list(cut(whole, most_records, most_bytes))
    assert [record for batch in batches for record in batch.records] == whole.records
    assert rows_of(batches) == list(whole.rows)
    assert all(batch.columns == whole.columns for batch in batches)


def test_calls_are_cut_by_count_and_by_bytes() -> None:
    assert [len(batch) for batch in cut(batch_of([5] * 7), 3, 10**6)] == [3, 3, 1]
    assert [len(batch) for batch in cut(batch_of([9] * 6), 100, 30)] == [3, 3]
    assert [len(batch) for batch in cut(batch_of([9, 500, 9]), 100, 30)] == [1, 1, 1]
    assert list(cut(batch_of([]), 3, 30)) == []


def test_a_batch_that_fits_to_the_byte_is_not_cut() -> None:
    assert [len(batch) for batch in cut(batch_of([9, 9, 9]), 100, 30)] == [3]


@quick
@given(size=st.integers(1, 50), count=st.integers(1, 60), most_bytes=st.integers(60, 400))
def test_calls_of_one_size_fill_their_batches_at_least_half(
    size: int, count: int, most_bytes: int
) -> None:
    batches = list(cut(batch_of([size] * count), 1000, most_bytes))
    for batch in batches[:-1]:
        assert body_size(batch) + size >= most_bytes / 2 - size


# --- events --------------------------------------------------------------------------------------

users = st.sampled_from(["a", "b", "c", "d"])
some_payloads = st.lists(
    st.fixed_dictionaries(
        {"user_id": users},
        optional={name: st.none() | st.integers(0, 99) | st.text(max_size=20) for name in "xyz"},
    ),
    max_size=30,
)


@quick
@given(payloads=some_payloads, most_records=most_records_of, most_bytes=most_bytes_of)
def test_every_event_is_sent_on_its_own_and_in_its_place_even_of_the_same_user(
    payloads: list[Payload], most_records: int, most_bytes: int
) -> None:
    batches = list(call_batches(load_of(payloads, events=True), most_records, most_bytes))
    assert [json.loads(record) for batch in batches for record in batch.records] == payloads
    assert rows_of(batches) == list(range(len(payloads)))
    assert [row for batch in batches for row in batch.all_rows()] == list(range(len(payloads)))
    for batch in batches:
        assert batch.columns == ()
        assert 1 <= len(batch) <= most_records
        assert body_size(batch) <= most_bytes or len(batch) == 1


# --- profiles ------------------------------------------------------------------------------------


@settings(quick, max_examples=120)
@given(payloads=some_payloads, most_records=most_records_of, most_bytes=most_bytes_of)
def test_no_import_is_over_its_bounds_unless_a_single_row_alone_is_larger(
    payloads: list[Payload], most_records: int, most_bytes: int
) -> None:
    for batch in profile_batches(load_of(payloads), encode, most_records, most_bytes):
        assert 1 <= len(batch) <= most_records
        assert body_size(batch) <= most_bytes or len(batch) == 1


@settings(quick, max_examples=120)
@given(payloads=some_payloads, most_records=most_records_of, most_bytes=most_bytes_of)
@example(
    payloads=[{"user_id": "a", "x": 1, "y": 1}, {"user_id": "a", "x": 2, "z": None}],
    most_records=9,
    most_bytes=150,
)
def test_a_user_appears_once_with_the_later_value_of_each_column(
    payloads: list[Payload], most_records: int, most_bytes: int
) -> None:
    expected: dict[str, Payload] = {}
    for payload in payloads:
        expected.setdefault(payload["user_id"], {}).update(payload)
    sent = [
        dict(zip(batch.columns, json.loads(record), strict=True))
        for batch in profile_batches(load_of(payloads), encode, most_records, most_bytes)
        for record in batch.records
    ]
    assert len(sent) == len(expected)
    assert {profile["user_id"]: profile for profile in sent} == expected


@quick
@given(payloads=some_payloads, most_records=most_records_of, most_bytes=most_bytes_of)
def test_every_row_is_carried_by_exactly_one_profile_after_the_rows_merged_into_it(
    payloads: list[Payload], most_records: int, most_bytes: int
) -> None:
    batches = list(profile_batches(load_of(payloads), encode, most_records, most_bytes))
    carried = [row for batch in batches for row in batch.all_rows()]
    assert sorted(carried) == list(range(len(payloads)))
    for batch in batches:
        for place, record in enumerate(batch.records):
            rows = list(batch.part(place, place + 1).all_rows())
            assert rows == sorted(rows)
            sent = dict(zip(batch.columns, json.loads(record), strict=True))
            assert {payloads[row]["user_id"] for row in rows} == {sent["user_id"]}


def test_rows_are_grouped_by_the_columns_they_carry_so_that_no_null_is_sent() -> None:
    payloads: list[Payload] = [
        {"user_id": "a", "x": 1},
        {"user_id": "b", "y": 2},
        {"user_id": "c", "x": 3},
        {"user_id": "d"},
    ]
    batches = list(profile_batches(load_of(payloads), encode, 100, 10**6))
    assert [
        (batch.columns, [json.loads(record) for record in batch.records]) for batch in batches
    ] == [
        (("user_id", "x"), [["a", 1], ["c", 3]]),
        (("user_id", "y"), [["b", 2]]),
        (("user_id",), [["d"]]),
    ]


def test_a_null_that_clears_wins_over_an_earlier_value() -> None:
    payloads: list[Payload] = [{"user_id": "a", "x": 1}, {"user_id": "a", "x": None}]
    (batch,) = profile_batches(load_of(payloads), encode, 100, 10**6)
    assert json.loads(batch.records[0]) == ["a", None]


def test_merging_leaves_the_calls_as_they_were() -> None:
    load = load_of([{"user_id": "a", "x": 1}, {"user_id": "a", "y": 2}])
    list(profile_batches(load, encode, 100, 10**6))
    assert load.records == [{"user_id": "a", "x": 1}, {"user_id": "a", "y": 2}]


def test_a_merged_call_can_be_taken_apart_into_its_rows() -> None:
    load = load_of([{"user_id": "a", "x": 1}, {"user_id": "b"}, {"user_id": "a", "y": 2}])
    merged = next(iter(profile_batches(load, encode, 1, 10**6)))
    assert list(merged.all_rows()) == [0, 2]
    parts = list(unmerged(merged, load, encode))
    assert [(list(part.all_rows()), part.columns) for part in parts] == [
        ([0], ("user_id", "x")),
        ([2], ("user_id", "y")),
    ]
    assert [json.loads(part.records[0]) for part in parts] == [["a", 1], ["a", 2]]


# --- halves --------------------------------------------------------------------------------------


@quick
@given(sizes=st.lists(st.integers(min_value=1, max_value=500), min_size=2, max_size=30))
def test_two_halves_are_never_empty_and_are_the_whole_in_its_order(sizes: list[int]) -> None:
    whole = batch_of(sizes)
    first, second = whole.halves()
    assert len(first) >= 1
    assert len(second) >= 1
    assert abs(len(first) - len(second)) <= 1
    assert [*first.records, *second.records] == whole.records
    assert [*first.rows, *second.rows] == list(whole.rows)
    assert first.columns == second.columns == whole.columns


@quick
@given(payloads=some_payloads)
def test_halves_of_profiles_share_out_the_merged_rows_without_loss(payloads: list[Payload]) -> None:
    for batch in profile_batches(load_of(payloads), encode, 100, 10**6):
        if len(batch) > 1:
            first, second = batch.halves()
            assert [*first.all_rows(), *second.all_rows()] == list(batch.all_rows())
