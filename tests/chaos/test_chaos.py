"""Promises under SIGKILL: a short session of `python -m tests.chaos`, and its judge on trial."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import replace
from typing import NamedTuple

import pytest

from tests.chaos.__main__ import session, table
from tests.chaos.data import Sizes
from tests.chaos.trial import Report, Runner, Trial
from xtremepush_dlt.sandbox import Sandbox, SandboxSettings
from xtremepush_dlt.sandbox.tasks import Overlap

KILLS = 20


@pytest.fixture(scope="module")
def reports() -> list[Report]:
    """Four trials or more, with twenty kills or more."""
    return list(session(seed=20, trials=4, kills=KILLS, jobs=2))


def assert_none(reports: list[Report], *kinds: str) -> None:
    found = [
        f"seed {report.trial.seed}, trial {report.trial.number}: {line} ({report.folder})"
        for report in reports
        for line in report.violations
        if line.split(":")[0] in kinds
    ]
    assert not found, "\n".join(found)


def test_twenty_kills_are_made_and_most_of_them_amid_the_delivery(reports: list[Report]) -> None:
    assert sum(report.kills for report in reports) >= KILLS
    assert sum(report.kills_in_delivery for report in reports) >= KILLS * 0.6
    tried = {(report.route, report.on_unknown) for report in reports}
    assert tried == {(r, p) for r in ("external", "segment") for p in ("resend", "hold")}


def test_no_row_is_lost_and_profiles_end_as_the_rows_say(reports: list[Report]) -> None:
    assert_none(reports, "lost", "wrong profile", "arrived though it should not")


def test_one_users_calls_arrive_in_row_order(reports: list[Report]) -> None:
    assert_none(reports, "out of order", "import out of order")


def test_no_event_arrives_before_the_profiles_of_its_package(reports: list[Report]) -> None:
    assert_none(reports, "barrier")


def test_no_user_is_imported_while_a_task_of_theirs_runs(reports: list[Report]) -> None:
    assert_none(reports, "overlap", "overlap with an untold task")


def test_with_hold_no_event_arrives_twice_and_with_resend_only_what_was_in_doubt(
    reports: list[Report],
) -> None:
    assert sum(report.figures.duplicates_hold for report in reports) == 0
    assert_none(
        reports,
        "sent twice with hold",
        "held though answered",
        "repeated though confirmed",
        "repeated though a later one was confirmed",
        "repeated more than was in flight",
    )


def test_on_the_segment_route_a_row_has_one_id_however_often_it_is_sent(
    reports: list[Report],
) -> None:
    assert_none(reports, "several ids", "shared id", "duplicates though ids are known")
    sent_again = [r.figures.sent_again for r in reports if r.route == "segment"]
    assert sum(sent_again) > 0, "nothing was sent again, so nothing was proved"


def test_who_is_deleted_stays_deleted(reports: list[Report]) -> None:
    assert_none(reports, "call after deletion", "deleted though it should not")


def test_every_row_has_one_outcome_however_often_the_run_was_killed(reports: list[Report]) -> None:
    everything = [line for report in reports for line in report.violations]
    kinds = {line.split(":")[0] for line in everything}
    others = kinds - {"overlap", "overlap with an untold task", "barrier", "wrong profile"}
    assert not others, table(reports, 0.0) + "\n" + "\n".join(everything)


def _lose(sandbox: Sandbox) -> None:
    del sandbox._app.api.log.events[100]


def _repeat(sandbox: Sandbox) -> None:
    events = sandbox._app.api.log.events
    events.append(events[100])


def _swap(sandbox: Sandbox) -> None:
    events = sandbox._app.api.log.events
    places: dict[tuple[str, str], list[int]] = defaultdict(list)
    for place, event in enumerate(events):
        places[event.user_id, event.event].append(place)
    first, second = next(all_ for all_ in places.values() if len(all_) > 1)[:2]
    events[first], events[second] = events[second], events[first]


def _forget(sandbox: Sandbox) -> None:
    events = sandbox._app.api.log.events
    imported = sandbox._app.api.profiles.imported
    place = next(place for place, event in enumerate(events) if event.user_id in imported)
    events[place] = replace(events[place], profile_known=False)


def _spoil(sandbox: Sandbox) -> None:
    profiles = sandbox._app.api.profiles
    profiles.attributes[min(profiles.imported)]["version"] = 0


def _overlap(sandbox: Sandbox) -> None:
    board = sandbox._app.api.board
    task = next(iter(board.tasks.values()))
    board.overlaps.append(Overlap(task.id, task.request + 1, tuple(task.users)))


def _delay_task(sandbox: Sandbox) -> None:
    task = next(iter(sandbox._app.api.board.tasks.values()))
    task.finished_at = time.time()


def _revive(sandbox: Sandbox) -> None:
    api = sandbox._app.api
    api.profiles.attributes[str(api.deletions.done[0].user_id)] = {}


def _rename(sandbox: Sandbox) -> None:
    tracked = [r for r in sandbox._app.recorder.requests if (r.body or {}).get("type") == "track"]
    again = copy(tracked[0])
    again.body = {**(again.body or {}), "messageId": "another"}
    sandbox._app.recorder.requests.append(again)


def _share(sandbox: Sandbox) -> None:
    tracked = [r for r in sandbox._app.recorder.requests if (r.body or {}).get("type") == "track"]
    again = copy(tracked[0])
    again.body = {**(again.body or {}), "messageId": (tracked[1].body or {})["messageId"]}
    sandbox._app.recorder.requests.append(again)


def _nothing(sandbox: Sandbox) -> None:
    pass


class Delivered(NamedTuple):
    """A trial without kills, whose record can be spoiled."""

    runner: Runner
    sandbox: Sandbox


@pytest.fixture(scope="module")
def delivered(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Delivered]:
    """Delivered once on each route; each test puts the record back."""
    number = {"external": 1, "segment": 3}[request.param]
    trial = Trial(5, number, 0, Sizes(40, 150, 60, 150, 90))
    runner = Runner(trial, tmp_path_factory.mktemp("chaos"))
    with Sandbox(SandboxSettings(async_from_rows=2)) as sandbox:
        runner.deliver(sandbox)
        yield Delivered(runner, sandbox)


EITHER = [
    (_lose, "lost"),
    (_repeat, "sent twice with hold"),
    (_swap, "out of order"),
    (_forget, "barrier"),
    (_spoil, "wrong profile"),
    (_revive, "call after deletion"),
    (_nothing, None),
]
TASKS = [(_overlap, "overlap"), (_delay_task, "barrier")]
IDS = [(_rename, "several ids"), (_share, "shared id")]


@pytest.mark.parametrize(
    ("delivered", "spoil", "kind"),
    [
        *(("external", *case) for case in (*EITHER, *TASKS)),
        *(("segment", *case) for case in (*EITHER, *IDS)),
    ],
    indirect=["delivered"],
)
def test_the_judge_finds_what_is_wrong_and_nothing_else(
    spoil: Callable[[Sandbox], None], kind: str | None, delivered: Delivered
) -> None:
    api = delivered.sandbox._app.api
    requests = list(delivered.sandbox._app.recorder.requests)
    events = list(api.log.events)
    finished = {task.id: task.finished_at for task in api.board.tasks.values()}
    attributes = {user: dict(kept) for user, kept in api.profiles.attributes.items()}
    try:
        spoil(delivered.sandbox)
        _, found = delivered.runner.judge(delivered.sandbox)
    finally:
        api.log.events[:] = events
        api.profiles.attributes.clear()
        api.profiles.attributes.update(attributes)
        delivered.sandbox._app.recorder.requests[:] = requests
        api.board.overlaps.clear()
        for number, moment in finished.items():
            api.board.tasks[number].finished_at = moment
    kinds = {line.split(":")[0] for line in found}
    assert kind in kinds if kind else not kinds, found
