"""Lanes: a user's lane is the same everywhere, and each lane keeps the order of the rows."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xtremepush_dlt.delivery.lanes import Lanes, Load, Made, lane_of
from xtremepush_dlt.mapping.actions import identify, track
from xtremepush_dlt.mapping.calls import make_calls
from xtremepush_dlt.mapping.columns import ColumnBatch
from xtremepush_dlt.mapping.plan import ActionPlan, TrackPlan
from xtremepush_dlt.mapping.planner import TableColumns, plan_table

quick = settings(max_examples=100, deadline=None)


@quick
@given(user=st.text(), lanes=st.integers(min_value=1, max_value=64))
def test_a_user_always_has_the_same_one_of_the_lanes(user: str, lanes: int) -> None:
    assert lane_of(user, lanes) == lane_of(user, lanes)
    assert 0 <= lane_of(user, lanes) < lanes


def test_the_lane_of_a_user_is_the_same_in_another_process_with_another_hash_seed() -> None:
    users = ["1", "u-1", "ünï", "babble-player:lefty"]
    command = (
        "from xtremepush_dlt.delivery.lanes import lane_of;"
        f"print([lane_of(user, 8) for user in {users!r}])"
    )
    there = subprocess.run(
        [sys.executable, "-c", command],
        env={"PYTHONHASHSEED": "4711", "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert there.stdout.strip() == str([lane_of(user, 8) for user in users])


def test_the_lane_of_a_user_never_changes_between_versions_because_a_resume_relies_on_it() -> None:
    assert [lane_of(user, 8) for user in ("1", "2", "u-1", "ünï")] == [7, 5, 4, 2]


def test_users_spread_over_all_lanes() -> None:
    counts = Counter(lane_of(str(number), 8) for number in range(8000))
    assert set(counts) == set(range(8))
    assert max(counts.values()) < 2 * min(counts.values())


@pytest.mark.parametrize("user", [None, ""])
def test_a_row_without_a_user_has_a_lane_as_well(user: str | None) -> None:
    assert lane_of(user, 8) == 0


COLUMNS = TableColumns(
    "orders", dict.fromkeys(("user_id", "at", "status", "no"), "text"), primary_key=("no",)
)
PLAN = plan_table(
    COLUMNS,
    [
        track("paid", timestamp="at", when={"status": "paid"}, properties=[]),
        identify(attributes=["status"]),
        track("seen", timestamp="at", properties=[]),
    ],
)
PAID, SEEN = PLAN.tracks
STAMP = "2024-01-01 00:00:00 +00:00"


def batch(start: int, users: list[str | None], status: list[str] | None = None) -> ColumnBatch:
    return ColumnBatch(
        start,
        len(users),
        {
            "user_id": [*users],
            "at": ["2024-01-01"] * len(users),
            "status": status or ["paid"] * len(users),
            "no": [start + index for index in range(len(users))],
        },
    )


def put(lanes: Lanes, rows: ColumnBatch, *actions: ActionPlan) -> None:
    """Makes the calls of a batch and puts them on the lanes."""
    made = []
    for action in actions:
        calls = make_calls(rows, action, reject_invalid=False)
        ids = [(number,) for number in rows.column("no")] if isinstance(action, TrackPlan) else []
        made.append(Made(action.index, calls, [*calls.payloads], ids))
    lanes.put(rows.start, made)


def on_one_lane(rows: ColumnBatch, *actions: ActionPlan) -> Load:
    lanes = Lanes(1, len(actions), None)
    put(lanes, rows, *actions)
    return lanes.loads[0]


def numbers_of(load: Load) -> list[int]:
    """Sequence numbers of all rows of a load, whatever became of them."""
    return sorted(
        [
            *load.sequences,
            *(number for number, _ in load.skipped),
            *(refused.sequence for refused in load.refused),
        ]
    )


def test_each_row_is_offered_to_each_action_in_the_order_of_rows_and_actions() -> None:
    load = on_one_lane(batch(10, ["a", None, "c"], ["paid", "lost", "lost"]), PAID, SEEN)
    assert list(zip(load.sequences, load.actions, load.users, strict=True)) == [
        (20, PAID.index, "a"),
        (21, SEEN.index, "a"),
        (25, SEEN.index, "c"),
    ]
    assert load.skipped == [(22, PAID.index), (24, PAID.index)]
    assert [(row.sequence, row.action, row.user) for row in load.refused] == [
        (23, SEEN.index, None)
    ]


def test_a_call_carries_what_is_sent_and_the_id_of_its_event() -> None:
    load = on_one_lane(batch(5, ["a", "b"]), PAID)
    assert load.records == [
        {"event": "paid", "user_id": "a", "timestamp": STAMP},
        {"event": "paid", "user_id": "b", "timestamp": STAMP},
    ]
    assert load.event_ids == [(5,), (6,)]
    assert (load.skipped, load.refused, load.omitted) == ([], [], {})


def test_an_identify_call_has_no_event_id() -> None:
    load = on_one_lane(batch(0, ["a", "b"]), *PLAN.identifies)
    assert load.event_ids == [None, None]
    assert load.records == [
        {"user_id": "a", "status": "paid"},
        {"user_id": "b", "status": "paid"},
    ]


def test_a_refused_row_keeps_its_problems_and_what_names_it() -> None:
    (refused,) = on_one_lane(batch(7, [None]), SEEN).refused
    assert [problem.column for problem in refused.problems] == ["user_id"]
    assert refused.event_id == (7,)
    assert refused.payload["timestamp"] == STAMP


def test_an_omission_is_kept_under_the_number_of_its_call() -> None:
    (plan,) = plan_table(COLUMNS, [identify(language="status", attributes=[])]).identifies
    load = on_one_lane(batch(3, ["a", "b"], ["en", "english"]), plan)
    assert {number: found[0].column for number, found in load.omitted.items()} == {4: "status"}
    assert load.records == [{"user_id": "a", "language": "en"}, {"user_id": "b"}]


some_users = st.lists(st.none() | st.sampled_from("abcdefgh"), max_size=12)
some_batches = st.lists(some_users, max_size=4)
lane_counts = st.integers(min_value=1, max_value=5)
selections = st.sampled_from([(PAID,), (SEEN,), (PAID, SEEN), PLAN.identifies])


def filled(
    batches: list[list[str | None]], count: int, actions: tuple[ActionPlan, ...]
) -> tuple[Lanes, int]:
    lanes = Lanes(count, len(actions), None)
    start = 0
    for users in batches:
        status = ["paid" if index % 3 else "lost" for index in range(len(users))]
        put(lanes, batch(start, users, status), *actions)
        start += len(users)
    return lanes, start * len(actions)


@quick
@given(batches=some_batches, count=lane_counts, actions=selections)
def test_every_row_is_on_exactly_one_lane_that_of_its_user(
    batches: list[list[str | None]], count: int, actions: tuple[ActionPlan, ...]
) -> None:
    lanes, end = filled(batches, count, actions)
    numbers = sorted(number for load in lanes.loads for number in numbers_of(load))
    assert numbers == list(range(end))
    for lane, load in enumerate(lanes.loads):
        assert all(lane_of(user, count) == lane for user in load.users)
        assert all(lane_of(row.user, count) == lane for row in load.refused)


@quick
@given(batches=some_batches, count=lane_counts, actions=selections)
def test_the_calls_of_a_lane_are_in_the_order_of_their_rows(
    batches: list[list[str | None]], count: int, actions: tuple[ActionPlan, ...]
) -> None:
    lanes, _ = filled(batches, count, actions)
    for load in lanes.loads:
        assert load.sequences == sorted(load.sequences)
        payloads: list[Any] = [*load.records]
        assert [payload["user_id"] for payload in payloads] == load.users
        sides = (load.actions, load.users, load.records, load.event_ids)
        assert {len(side) for side in sides} == {len(load.sequences)}


@quick
@given(users=st.lists(st.sampled_from("abcdefgh"), max_size=20), count=lane_counts)
def test_the_quick_way_for_rows_without_problems_is_the_slow_way_but_quicker(
    users: list[str | None], count: int
) -> None:
    quickly, slowly = Lanes(count, 1, None), Lanes(count, 1, lambda number, user: False)
    for lanes in (quickly, slowly):
        put(lanes, batch(0, users), SEEN)
        put(lanes, batch(len(users), users), SEEN)
    assert quickly.loads == slowly.loads


@quick
@given(users=some_users, settled=st.sets(st.integers(0, 30)), count=lane_counts)
def test_what_is_settled_is_not_put_on_a_lane_again(
    users: list[str | None], settled: set[int], count: int
) -> None:
    lanes = Lanes(count, 2, lambda number, user: number in settled)
    put(lanes, batch(0, users), PAID, SEEN)
    numbers = {number for load in lanes.loads for number in numbers_of(load)}
    assert numbers == set(range(2 * len(users))) - settled


@quick
@given(batches=some_batches, cuts=st.lists(st.integers(0, 100), max_size=4), actions=selections)
def test_a_load_cut_by_number_is_the_same_load_in_pieces(
    batches: list[list[str | None]], cuts: list[int], actions: tuple[ActionPlan, ...]
) -> None:
    (load,) = filled(batches, 1, actions)[0].loads
    edges = [0, *sorted(cuts), 10_000]
    pieces = [load.between(first, end) for first, end in pairwise(edges)]
    for piece, (first, end) in zip(pieces, pairwise(edges), strict=True):
        assert all(first <= number < end for number in numbers_of(piece))
        assert bool(piece) == bool(numbers_of(piece))
    for side in ("sequences", "actions", "users", "records", "event_ids", "skipped", "refused"):
        assert [each for piece in pieces for each in getattr(piece, side)] == getattr(load, side)
    assert {k: v for piece in pieces for k, v in piece.omitted.items()} == load.omitted
