"""The courier: takes the load files of one package, in the order that the promises ask for.

Identify calls of the whole package are settled before the first track call leaves. dlt's job order
is arbitrary and with one worker its jobs run one after the other, so a job that waited for another
might wait for ever. A track job therefore delivers the identify files of its package itself, and a
job with deletions all other calls as well; their own jobs then find the work done in the journal.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import Union

from dlt.common.storages.load_package import ParsedLoadJobFileName

from xtremepush_dlt.delivery.book import Book
from xtremepush_dlt.delivery.breaker import Breaker
from xtremepush_dlt.delivery.crew import Consignment, Crew
from xtremepush_dlt.delivery.dispatch import Dispatcher
from xtremepush_dlt.delivery.journal import Journal, PassKey, Progress, pipeline_name_of
from xtremepush_dlt.delivery.lanes import Lanes
from xtremepush_dlt.delivery.maker import Maker
from xtremepush_dlt.delivery.package_files import PackageFiles, ReadFile, peek
from xtremepush_dlt.delivery.route import Route
from xtremepush_dlt.delivery.sender import Sender
from xtremepush_dlt.delivery.settings import DeliverySettings
from xtremepush_dlt.delivery.throttle import Throttle
from xtremepush_dlt.delivery.versions import Versions
from xtremepush_dlt.delivery.watch import Watch
from xtremepush_dlt.exceptions import RowsUnaccountedError
from xtremepush_dlt.mapping.columns import ColumnBatch
from xtremepush_dlt.mapping.plan import (
    ActionPlan,
    TablePlan,
    columns_of,
)
from xtremepush_dlt.mapping.stored import StoredPlan, StoredTable
from xtremepush_dlt.routes.calls import Call
from xtremepush_dlt.routes.verdict import Answer

_LANES_A_THREAD = 32
"""Lanes for each thread where a request carries one call: the more there are, the less the last
one keeps the others waiting. Where calls are joined in batches, they would be joined by fewer."""

_SINGLES_AT_A_TIME = 20
"""Calls of a lane that are handed over together where each is a request of its own."""

AnyTable = Union[TablePlan, StoredTable]  # noqa: UP007  # evaluated at run time, also on Python 3.10
PlanOf = Callable[[str], "AnyTable | None"]


class Courier:
    """Delivers the files of one load package.

    Args:
        package: Folder of the load package.
        route: The way into Xtremepush.
        throttle: Bounds the requests under way.
        settings: What the user set.
        plan_of: The plan of a table; None for tables that are none of our business.
        read_file: Reads a load file.
        versions: The newest versions seen in this run, by table and action.
        watch: Users some of whose rows were not delivered.
    """

    def __init__(
        self,
        package: Path,
        route: Route,
        throttle: Throttle,
        settings: DeliverySettings,
        plan_of: PlanOf,
        read_file: ReadFile,
        versions: dict[tuple[str, int], Versions],
        watch: Watch,
    ) -> None:
        self._files = PackageFiles(package, read_file)
        self._maker = Maker(
            route, settings.reject_invalid, pipeline_name_of(package), versions, watch
        )
        self._route = route
        self._throttle = throttle
        self._settings = settings
        self._plan_of = plan_of
        self._journal = Journal(package)
        self._breaker = Breaker(settings.undelivered_most)
        self._watch = watch
        for call, row in self._journal.open_calls:
            watch.add(call, [row])
        self._journal.open_calls.clear()
        self._identifying = threading.Lock()
        self._tables: dict[str, threading.Lock] = {}

    def deliver(self, file_name: str) -> None:
        """Delivers a load file, and before its track calls all identify calls of the package.

        Args:
            file_name: Name of the file; dlt may move it between folders meanwhile.
        """
        file = ParsedLoadJobFileName.parse(file_name)
        plan = self._plan_of(file.table_name)
        if plan is None:
            return
        if plan.tracks or plan.deletes:
            for other in self._files.unfinished():
                self._identify(other)
        self._identify(file)
        if plan.deletes:
            for other in self._files.unfinished():
                self._track(other)
        self._track(file)
        if plan.deletes:
            with self._lock_of(file.table_name):
                self._pass(file, plan, "delete", plan.deletes)

    def close(self) -> None:
        """Closes the journal."""
        self._journal.close()

    def _identify(self, file: ParsedLoadJobFileName) -> None:
        plan = self._plan_of(file.table_name)
        if plan is not None and plan.identifies:
            # one file at a time: two tables may hold the same user
            with self._identifying:
                if self._route.imports:
                    self._settle_tasks(PassKey(file.job_id(), "identify"))
                self._pass(file, plan, "identify", plan.identifies)

    def _track(self, file: ParsedLoadJobFileName) -> None:
        plan = self._plan_of(file.table_name)
        if plan is not None and plan.tracks:
            with self._lock_of(file.table_name):
                self._pass(file, plan, "track", plan.tracks)

    def _lock_of(self, table: str) -> threading.Lock:
        return self._tables.setdefault(table, threading.Lock())

    def _pass(
        self,
        file: ParsedLoadJobFileName,
        plan: AnyTable,
        call: Call,
        actions: Sequence[ActionPlan | StoredPlan],
    ) -> None:
        key = PassKey(file.job_id(), call)
        progress = self._journal.progress(key)
        if progress.ended:
            return
        self._watch.begin(actions)
        labels = {action.index: action.label for action in actions}
        self._journal.write({"k": "began", "table": plan.table, "actions": [*labels.items()]}, key)
        imports = call == "identify" and self._route.imports
        size = self._settings.profile_batch_size if imports else self._settings.event_batch_size
        most = size if self._route.imports and call != "delete" else 1
        batches = self._files.batches(file, _columns_of(actions), plan.types)
        first, fits = peek(batches, most)
        # a file that fits one request need not be spread over lanes
        threads = 1 if fits else self._settings.lanes
        lanes = threads if most > 1 else threads * _LANES_A_THREAD
        size = min(size, _SINGLES_AT_A_TIME) if most == 1 else size
        dispatcher = Dispatcher(
            key,
            call,
            lanes,
            most,
            self._route,
            self._sender(key),
            self._journal,
            self._breaker,
            self._settings,
            Book(
                key,
                call,
                lanes,
                self._journal,
                self._breaker,
                self._watch,
                keep_payloads=self._settings.keep_payloads != "none",
                name_merged=any(isinstance(action, StoredPlan) for action in actions),
            ),
        )
        deliver = dispatcher.deliver_profiles if imports else dispatcher.deliver_calls
        on_lanes = Lanes(
            lanes,
            len(actions),
            None if progress.fresh else progress.is_settled,
            progress.doubts() if self._settings.hold_unknown else None,
        )
        rows: int | None = None
        with Crew(lanes, threads, size, deliver) as crew:
            rows = self._load(crew, on_lanes, size, chain(first, batches), plan.table, actions)
        if rows is None:
            return
        self._check_counts(plan.table, call, progress, rows, len(actions))
        self._journal.write({"k": "ended", "rows": rows}, key)

    def _load(
        self,
        crew: Crew,
        on_lanes: Lanes,
        size: int,
        batches: Iterable[ColumnBatch],
        table: str,
        actions: Sequence[ActionPlan | StoredPlan],
    ) -> int | None:
        """Puts the rows on their lanes.

        Returns:
            Rows in the file, or None when a lane failed before its end.
        """
        rows = 0
        for batch in batches:
            rows = batch.start + batch.length
            on_lanes.put(
                batch.start, [self._maker.make(batch, table, action) for action in actions]
            )
            end = rows * len(actions)
            for lane in range(len(on_lanes.loads)):
                for load, upto in on_lanes.take(lane, size, end):
                    if not crew.hand_over(Consignment(lane, load, upto)):
                        return None
        end = rows * len(actions)
        # the longest first, so that no thread is left with it at the end
        longest = sorted(enumerate(on_lanes.loads), key=lambda each: -len(each[1].sequences))
        for lane, load in longest:
            if load and not crew.hand_over(Consignment(lane, load, end)):
                return None
        return rows

    def _settle_tasks(self, waiting: PassKey) -> None:
        """Looks up the imports that a crash left behind, instead of sending them again.

        Those of all tables: no user is imported again while a task that holds him runs.

        Args:
            waiting: The pass that cannot begin before.
        """
        if self._journal.imports_in_doubt:
            self._sender(waiting).await_other_imports()
            self._journal.write({"k": "no_imports"})
        for key, task_id, task in self._journal.tasks():
            verdict = self._sender(key).follow(task_id)
            if verdict.answer is Answer.DELIVERED:
                named = {what: task[what] for what in ("superseding", "merged") if what in task}
                self._journal.write(
                    {"k": "settled", "task": task_id, "tally": task["tally"], **named}, key
                )
            else:
                # its rows are sent again: identify is idempotent
                self._journal.write({"k": "task_failed", "task": task_id}, key)

    def _sender(self, key: PassKey) -> Sender:
        return Sender(key, self._route, self._journal, self._throttle, self._settings)

    def _check_counts(
        self, table: str, call: Call, progress: Progress, rows: int, actions: int
    ) -> None:
        counted = progress.tally.rows()
        if counted != rows * actions:
            raise RowsUnaccountedError(
                f"Table `{table}`: the {call} outcomes add up to {counted}, but {rows} rows were "
                f"offered to {actions} action(s). This is a fault of xtremepush_dlt; please "
                "report it with the log. The load package stays pending."
            )


def _columns_of(actions: Sequence[ActionPlan | StoredPlan]) -> list[str]:
    if isinstance(actions[0], StoredPlan):
        return actions[0].columns
    return columns_of(action for action in actions if not isinstance(action, StoredPlan))
