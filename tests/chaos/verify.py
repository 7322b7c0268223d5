"""What must hold after a trial, judged from the sandbox's own record."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from tests.chaos.data import CALLS_OF_PROFILES, FAMILY, LEAVERS, POISON, Expected, Key
from tests.chaos.worker import PIPELINE, Job
from xtremepush_dlt.delivery.journal import read_records
from xtremepush_dlt.delivery.outcomes import Outcome
from xtremepush_dlt.delivery.report import report_of_package
from xtremepush_dlt.sandbox import Sandbox
from xtremepush_dlt.sandbox.deletions import IDENTIFIER as DELETION
from xtremepush_dlt.sandbox.events import Event
from xtremepush_dlt.sandbox.recorder import RequestRecord
from xtremepush_dlt.sandbox.tasks import Task

SLACK = 0.25
"""Seconds between the end of an answer and the moment at which the worker has written it down."""

NO_ANSWER = frozenset({"reset_before", "reset_after", "truncated", "empty", "html"})
"""Faults after which the client cannot know whether the request was processed."""

PATIENT = 10.0
"""Seconds of patience from which a run does not hand a request over to dlt's own retry, which
begins the imports that are not settled anew."""

_SHOWN = 5


@dataclass
class Run:
    """One run of the worker.

    Attributes:
        job: What it was told.
        first: Requests before it.
        end: Requests when it had ended.
        killed_at: The moment of the kill, on the monotonic clock; None if it was not killed.
        killed_in_delivery: Whether it had sent requests by then.
    """

    job: Job
    first: int
    end: int = 0
    killed_at: float | None = None
    killed_in_delivery: bool = False


@dataclass
class Figures:
    """Counts of one trial, or of several that were added."""

    rows: int = 0
    requests: int = 0
    lost: int = 0
    out_of_order: int = 0
    barrier_breaks: int = 0
    overlaps: int = 0
    overlaps_untold: int = 0
    duplicates_resend: int = 0
    duplicates_hold: int = 0
    unknown: int = 0
    sent_again: int = 0

    def __add__(self, other: Figures) -> Figures:
        return Figures(
            *(getattr(self, one.name) + getattr(other, one.name) for one in fields(self))
        )


@dataclass
class Found:
    """Violations, those of one kind together."""

    kinds: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def add(self, kind: str, what: object) -> None:
        """Notes one."""
        self.kinds[kind].append(str(what))

    def count(self, kind: str) -> int:
        """How many of a kind."""
        return len(self.kinds.get(kind, ()))

    def lines(self) -> list[str]:
        """One line for each kind."""
        return [
            f"{kind}: {len(all_)} ({'; '.join(all_[:_SHOWN])}{'; ...' * (len(all_) > _SHOWN)})"
            for kind, all_ in self.kinds.items()
        ]


class Item(NamedTuple):
    """An event in a request."""

    key: Key
    part: int


def is_of_profiles(request: RequestRecord) -> bool:
    """Whether a request identifies, on either route."""
    return "/import/" in request.path or (request.body or {}).get("type") == "identify"


class Record:
    """What the sandbox kept, put in order."""

    def __init__(self, sandbox: Sandbox, runs: Sequence[Run]) -> None:
        self.requests = sandbox.requests
        self.events = sandbox.events
        self.tasks = sandbox.tasks
        self.overlaps = sandbox.overlaps
        self.profiles = sandbox.profiles
        self.deletions = sandbox.deletions
        self.on_segment = any(run.job.route == "segment" for run in runs)
        self.imports = [request for request in self.requests if is_of_profiles(request)]
        self.hits = [request for request in self.requests if any(self.items(request))]
        self.runs = runs
        self._by_number = {request.number: request for request in self.requests}
        self._task_of = {task.request: task for task in self.tasks}

    def request(self, number: int) -> RequestRecord:
        """A request by its number."""
        return self._by_number[number]

    def run_of(self, request: RequestRecord) -> int:
        """The index of the run that sent a request."""
        for index, run in enumerate(self.runs):
            if run.first < request.number <= run.end:
                return index
        raise LookupError(f"request {request.number} belongs to no run")

    def task_of(self, request: RequestRecord) -> Task | None:
        """The task that an import made."""
        return self._task_of.get(request.number)

    def items(self, request: RequestRecord) -> Iterator[Item]:
        """The events of a request, on either route."""
        body: Any = request.body or {}
        for event in [body] if body.get("type") == "track" else body.get("events", ()):
            value = event.get("properties", event.get("value"))
            yield Item(Key(TABLE_OF[event["event"]], event["event"], value["n"]), value["part"])

    def unanswered(self, request: RequestRecord) -> bool:
        """Whether the client got no answer that it could read, though it lived on."""
        return request.fault in NO_ANSWER or request.status in (None, 502, 504)

    def cut_off(self, request: RequestRecord) -> bool:
        """Whether the answer was under way, or not yet written down, when its run was killed."""
        killed_at = self.runs[self.run_of(request)].killed_at
        return killed_at is not None and (
            request.finished is None or request.finished > killed_at - SLACK
        )

    def in_doubt(self, request: RequestRecord) -> bool:
        """Whether the client cannot know what became of a request."""
        return self.unanswered(request) or self.cut_off(request)

    @cached_property
    def arrivals(self) -> Mapping[Key, list[Event]]:
        """The stored events of each row, in the order of their arrival."""
        arrivals: dict[Key, list[Event]] = defaultdict(list)
        for event in self.events:
            arrivals[key_of(event)].append(event)
        return arrivals

    def imported_rows(self, request: RequestRecord) -> Iterator[dict[str, Any]]:
        """The rows of an import, or that of an identify call."""
        body: Any = request.body or {}
        if body.get("type") == "identify":
            yield {"user_id": body["userId"], **body["traits"]}
        for row in body.get("rows", ()):
            yield dict(zip(body["columns"], row, strict=True))

    def took(self, request: RequestRecord) -> bool:
        """Whether the rows of an import were stored."""
        task = self.task_of(request)
        if task is not None:
            return task.state == "Completed"
        if request.status is None:
            # it may have been refused before the connection was lost
            poison = any(POISON in row.values() for row in self.imported_rows(request))
            return request.fault == "reset_after" and not poison
        return request.status == 200


TABLE_OF = {
    "order_paid": "orders",
    "order_refunded": "orders",
    "visit": "visits",
    "signed_up": "signups",
}
_ACTIONS = [*TABLE_OF]


def key_of(event: Event) -> Key:
    """The row that an event came from."""
    value: Any = event.value
    return Key(TABLE_OF[event.event], event.event, value["n"])


def _key_of_payload(table: str, payload: Mapping[str, Any], expected: Expected) -> Key:
    if "event" in payload:
        value = payload.get("properties", payload.get("value"))
        return Key(table, payload["event"], value["n"])
    if table == LEAVERS:
        return expected.leavers[payload.get("userId", payload.get("user_id"))]
    profile = payload.get("traits", payload)
    return Key(table, "identify", profile["signup_n" if table == "signups" else "n"])


def verify(
    sandbox: Sandbox, expected: Expected, runs: Sequence[Run], pipelines: Path, *, hold: bool
) -> tuple[Figures, list[str]]:
    """Looks for violations.

    Args:
        sandbox: After the last run, its tasks ended.
        expected: What had to become of the rows.
        runs: The runs of the worker.
        pipelines: dlt's working folder.
        hold: Whether `on_unknown` was `hold`.

    Returns:
        The figures, and a line for each kind of violation.
    """
    record, found, figures = Record(sandbox, runs), Found(), Figures()
    figures.rows = len(expected.sound) + len(expected.poison)
    figures.rows += len(expected.invalid) + len(expected.skipped)
    figures.requests = len(record.requests)
    if not record.tasks and any(request.status == 202 for request in record.requests):
        found.add("record", "the sandbox has forgotten its tasks, so nothing can be judged")
    failed = _users_whose_deletion_failed(record)
    undelivered = _check_journals(
        expected, pipelines, failed, found, hold=hold, segment=record.on_segment
    )
    unknown = undelivered[Outcome.UNKNOWN]
    figures.unknown = len(unknown)
    _check_loss(record, expected, unknown, found)
    _check_deletions(record, expected, failed, found)
    if record.on_segment:
        figures.sent_again = _check_message_ids(record, found)
    _check_order(record, found)
    _check_barrier(record, expected, found)
    figures.overlaps_untold = _check_overlaps(record, found)
    again = _check_duplicates(record, found, hold=hold)
    figures.lost = found.count("lost") + found.count("wrong profile")
    figures.out_of_order = found.count("out of order") + found.count("import out of order")
    figures.barrier_breaks = found.count("barrier")
    figures.overlaps = found.count("overlap")
    if again and sandbox.settings.segment_dedup:
        found.add("duplicates though ids are known", again)
    if hold:
        figures.duplicates_hold = again
        _check_unknown(record, unknown, found)
    else:
        figures.duplicates_resend = again
    return figures, found.lines()


def _packages(pipelines: Path) -> list[Path]:
    return sorted((pipelines / PIPELINE / "load" / "loaded").iterdir())


class Journals:
    """What the journals of a trial's packages say.

    Attributes:
        counts: Rows by table and kind of action, and outcome.
        named: Rows that were not delivered, by outcome; those that are invalid have no name.
        invalid: How many are invalid.
    """

    def __init__(self, packages: Iterable[Path], expected: Expected, found: Found) -> None:
        self._expected = expected
        self.counts: dict[tuple[str, str], Counter[Outcome]] = defaultdict(Counter)
        self.named: dict[Outcome, Counter[Key]] = {outcome: Counter() for outcome in Outcome}
        self.invalid = 0
        for package in packages:
            report = report_of_package(package)
            if not report.complete:
                found.add("report", f"{package.name} is not complete")
            for action in report.actions:
                kind = action.action.removeprefix("track ")
                self.counts[action.table, kind].update(action.counts)
            self._read(package)

    def _read(self, package: Path) -> None:
        tables: dict[tuple[str, str], str] = {}
        for line in read_records(package):
            if line["k"] == "began":
                tables[line["file"], line["phase"]] = line["table"]
            for row in line.get("undelivered", ()):
                outcome = Outcome(row["outcome"])
                if outcome is Outcome.INVALID:
                    self.invalid += 1
                    continue
                table = tables[line["file"], line["phase"]]
                payload = json.loads(row["payload"])
                self.named[outcome][_key_of_payload(table, payload, self._expected)] += 1


def _check_journals(
    expected: Expected,
    pipelines: Path,
    failed: Collection[str],
    found: Found,
    *,
    hold: bool,
    segment: bool,
) -> Mapping[Outcome, set[Key]]:
    """The outcomes add up, and what was not delivered is written down, each row once."""
    packages = _packages(pipelines)
    if len(packages) != len(expected.identified):
        found.add("packages", f"{len(packages)} instead of {len(expected.identified)}")
    normalized = pipelines / PIPELINE / "load" / "normalized"
    # a kill may leave an empty temporary file of dlt beside the packages
    if pending := [path for path in normalized.iterdir() if path.is_dir()]:
        found.add("packages", f"{len(pending)} left")
    journals = Journals(packages, expected, found)
    rejected, unknown = journals.named[Outcome.REJECTED], journals.named[Outcome.UNKNOWN]
    for key, times in (rejected + unknown).items():
        if times > 1:
            found.add("written down twice", key)
    excused = {expected.leavers[user] for user in failed}
    for key in rejected.keys() - expected.poison - excused:
        found.add("refused though sound", key)
    for key in expected.poison - rejected.keys() - (unknown.keys() if hold else set()):
        found.add("poison not written down", key)
    for key in unknown:
        if not hold or key.kind in CALLS_OF_PROFILES:
            found.add("unknown", key)
    if journals.invalid != len(expected.invalid):
        found.add("invalid", f"{journals.invalid} instead of {len(expected.invalid)}")
    _check_counts(expected, journals.counts, rejected, unknown, found, segment=segment)
    return {outcome: set(keys) for outcome, keys in journals.named.items()}


def _check_counts(
    expected: Expected,
    counts: Mapping[tuple[str, str], Counter[Outcome]],
    rejected: Iterable[Key],
    unknown: Iterable[Key],
    found: Found,
    *,
    segment: bool,
) -> None:
    offered = expected.offered()
    sure = {
        Outcome.SKIPPED: expected.skipped,
        Outcome.INVALID: expected.invalid,
        Outcome.REJECTED: rejected,
        Outcome.UNKNOWN: unknown,
    }
    for action in offered.keys() | counts.keys():
        seen = counts.get(action, Counter())
        wanted = {
            outcome: sum((key.table, key.kind) == action for key in keys)
            for outcome, keys in sure.items()
        }
        arrived = offered[action] - sum(wanted.values())
        if seen[Outcome.DELIVERED] + seen[Outcome.MERGED] != arrived:
            found.add("counts", f"{action} delivered: {dict(seen)} instead of {arrived}")
        if (action[1] != "identify" or segment) and seen[Outcome.MERGED]:
            found.add("counts", f"{action}: merged events")
        for outcome, number in wanted.items():
            if seen[outcome] != number:
                found.add("counts", f"{action} {outcome.value}: {seen[outcome]}, not {number}")


def _check_loss(record: Record, expected: Expected, unknown: Iterable[Key], found: Found) -> None:
    held = set(unknown)
    events = {key for key in expected.sound if key.kind not in CALLS_OF_PROFILES}
    for key in events - record.arrivals.keys() - held:
        found.add("lost", key)
    for key in record.arrivals:
        if key not in expected.sound:
            found.add("arrived though it should not", key)
    for user, wanted in expected.profiles.items():
        if user in expected.leavers:
            continue
        has = record.profiles.get(user)
        if has != wanted:
            found.add("wrong profile", f"{user}: {has} instead of {wanted}")
    for user in record.profiles.keys() - expected.profiles.keys() - expected.leavers.keys():
        if record.profiles[user]:
            found.add("wrong profile", f"{user} should have no attributes")


def _users_whose_deletion_failed(record: Record) -> set[str]:
    """Those whose task ended Fatal: the row is refused then, and says so."""
    deletions = [task for task in record.tasks if task.identifier == DELETION]
    return {user for task in deletions if task.state == "Fatal" for user in task.users}


def _check_deletions(
    record: Record, expected: Expected, failed: Collection[str], found: Found
) -> None:
    """Who is to be deleted is gone: a call that came later would have made a profile again."""
    done = {deletion.user_id for deletion in record.deletions}
    for user in expected.leavers.keys() - failed:
        if user not in done:
            found.add("lost", f"the deletion of {user}")
        if user in record.profiles:
            found.add("call after deletion", user)
    for stray in done - expected.leavers.keys():
        found.add("deleted though it should not", stray)


def _check_message_ids(record: Record, found: Found) -> int:
    """A row has one id however often it is sent, and no other has it; gives what was sent again."""
    ids: dict[Key, Counter[str]] = defaultdict(Counter)
    for request in record.hits:
        body: Any = request.body
        for item in record.items(request):
            ids[item.key][body["messageId"]] += 1
    rows: Counter[str] = Counter()
    for key, of in ids.items():
        if len(of) > 1:
            found.add("several ids", key)
        rows.update(of.keys())
    for message_id, keys in rows.items():
        if keys > 1:
            found.add("shared id", message_id)
    return sum(of.total() - 1 for of in ids.values())


def _check_order(record: Record, found: Found) -> None:
    """First arrivals of a user's events, and within a run all imports of a user, in row order.

    Imports are judged in runs whose patience lasts, so that no job of dlt begins anew in them.
    """
    last: dict[tuple[str, str], tuple[int, int]] = {}
    for key, events in record.arrivals.items():  # in the order of first arrivals
        who = (key.table, events[0].user_id)
        place = (key.n, _ACTIONS.index(key.kind))
        if place < last.get(who, place):
            found.add("out of order", f"{key} of {who[1]} after {last[who]}")
        last[who] = place
    newest: dict[tuple[int, str, str], int] = {}
    for request in record.imports:
        if not record.took(request):
            continue
        run = record.run_of(request)
        if record.runs[run].job.retry_patience < PATIENT:
            continue
        for row in record.imported_rows(request):
            for name in FAMILY.values():
                if name in row:
                    user = (run, name, str(row["user_id"]))
                    if row[name] < newest.get(user, row[name]):
                        found.add("import out of order", f"run {run}: {user[2]} {row[name]}")
                    newest[user] = row[name]


def _check_barrier(record: Record, expected: Expected, found: Found) -> None:
    """No event before its package's profiles are settled, no import of the package after it."""
    first_event: dict[int, RequestRecord] = {}
    for request in record.hits:
        for item in record.items(request):
            first_event.setdefault(item.part, request)
    for request in record.imports:
        for part in {
            int(row.get("part", row.get("signup_part", 0))) for row in record.imported_rows(request)
        } & first_event.keys():
            _check_import_before(record, request, first_event[part], found)
    for stored in record.events:
        value: Any = stored.value
        if not stored.profile_known and stored.user_id in expected.identified[value["part"]]:
            found.add("barrier", f"{stored.user_id} was not known at event {stored.number}")


def _check_import_before(
    record: Record, request: RequestRecord, event: RequestRecord, found: Found
) -> None:
    if request.number > event.number:
        found.add("barrier", f"import #{request.number} after event #{event.number}")
    task = record.task_of(request)
    if task is None:
        return
    if task.finished_at is None or task.finished_at > event.arrived_at:
        found.add("barrier", f"event #{event.number} before the end of task {task.id}")


def _check_overlaps(record: Record, found: Found) -> int:
    """No import of a user while a task of theirs runs; gives how often the client could not know.

    The id of a task whose 202 was lost, or was under way at a kill, never reached the client, which
    has to find out: such a task may end after a newer import and write older values over it.
    """
    untold = 0
    tasks = {task.id: task for task in record.tasks}
    for overlap in record.overlaps:
        if tasks[overlap.task].identifier == DELETION:
            continue  # a deletion that was in doubt is sent again, which changes nothing
        first = record.request(tasks[overlap.task].request)
        kind = "overlap with an untold task" if record.in_doubt(first) else "overlap"
        untold += record.in_doubt(first)
        found.add(kind, f"import #{overlap.request} while task {overlap.task} of #{first.number}")
    return untold


def _check_duplicates(record: Record, found: Found, *, hold: bool) -> int:
    """Only what was in doubt is repeated, and with `hold` nothing; gives how many events were."""
    # the last request of each run that held events of a user: what was before it was confirmed
    latest: dict[tuple[int, str, str], int] = {}
    for event in record.events:
        run = record.run_of(record.request(event.request))
        latest[run, TABLE_OF[event.event], event.user_id] = event.request
    repeated = 0
    at_kill: dict[int, set[int]] = defaultdict(set)
    for key, events in record.arrivals.items():
        repeated += len(events) - 1
        if hold and len(events) > 1:
            found.add("sent twice with hold", f"{key}: {[event.request for event in events]}")
        for event in events[:-1]:
            request = record.request(event.request)
            if record.unanswered(request):
                continue
            run = record.run_of(request)
            if not record.cut_off(request):
                found.add("repeated though confirmed", f"{key} of #{request.number}")
            elif latest[run, key.table, event.user_id] != request.number:
                found.add("repeated though a later one was confirmed", f"{key} #{request.number}")
            at_kill[run].add(request.number)
    for run, requests in at_kill.items():
        # a lane of a table has one request under way
        most = record.runs[run].job.lanes * len(set(TABLE_OF.values()))
        if len(requests) > most:
            found.add("repeated more than was in flight", f"run {run}: {len(requests)} requests")
    return repeated


def _check_unknown(record: Record, unknown: Iterable[Key], found: Found) -> None:
    """Only what was in doubt is held: no row that stands in nothing but answered requests."""
    doubtful: set[Key] = set()
    seen: dict[Key, int] = {}
    for request in record.hits:
        for key, _ in record.items(request):
            seen[key] = record.run_of(request)
            if record.in_doubt(request):
                doubtful.add(key)
    # requests that a kill kept from leaving: intended, and unknown to the sandbox
    unsent: Counter[int] = Counter()
    kills = [run for run in record.runs if run.killed_at is not None]
    for key in unknown:
        if key not in doubtful:
            unsent[seen.get(key, -1)] += 1
    most = sum(run.job.lanes * run.job.event_batch * len(set(TABLE_OF.values())) for run in kills)
    if unsent.total() > most:
        found.add("held though answered", dict(unsent))
