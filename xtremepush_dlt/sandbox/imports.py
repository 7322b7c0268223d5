"""`import/profile`: rows into profiles, at once or as a task (reference 4, 6)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from xtremepush_dlt.sandbox.envelope import (
    ItemError,
    Refused,
    Reply,
    error_members,
    success,
)
from xtremepush_dlt.sandbox.faults import FaultEngine
from xtremepush_dlt.sandbox.poison import refuse_poison
from xtremepush_dlt.sandbox.profiles import (
    SUBSCRIPTION_OF,
    InvalidRow,
    Profiles,
    normal_user_id,
)
from xtremepush_dlt.sandbox.settings import SandboxSettings
from xtremepush_dlt.sandbox.tasks import ImportCounts, Task, TaskBoard

Rows = list[list[object]]


class Importer:
    """Answers import requests."""

    def __init__(
        self, settings: SandboxSettings, profiles: Profiles, board: TaskBoard, faults: FaultEngine
    ) -> None:
        self._settings = settings
        self._profiles = profiles
        self._board = board
        self._faults = faults

    def handle(self, body: Mapping[str, object], request: int) -> Reply:
        """Import, or make a task that will.

        Raises:
            Refused: Nothing was imported.
        """
        columns = self._columns(body.get("columns"))
        rows = self._rows(body.get("rows"))
        flag = body.get("async")
        by_task = flag if isinstance(flag, bool) else len(rows) >= self._settings.async_from_rows

        place = columns.index("user_id")
        ids = [normal_user_id(row[place]) if len(row) > place else None for row in rows]
        named = self._settings.errors_name_items
        poison = refuse_poison(self._faults.faults, ids, rows)
        if poison is not None and not (by_task and self._faults.faults.poison_tasks):
            raise poison

        users = frozenset(user for user in ids if user is not None)
        self._board.note_overlaps(request, users)
        if by_task:
            return self._task(columns, rows, ids, users, request, fatal=poison is not None)
        if self._settings.sync_row_failures == "refuse":
            self._refuse_failing(columns, rows, ids)
        counts = self._import(columns, rows, ids)
        form = self._settings.sync_row_failures
        reply = success({"data": counts.members()})
        if counts.errors and form in ("errors", "success_false"):
            reply.envelope["errors"] = error_members(
                counts.errors, self._settings.errors_as, named=named
            )
            if form == "success_false":
                reply.envelope["success"] = False
        return reply

    def _columns(self, columns: object) -> list[str]:
        if (
            not isinstance(columns, list)
            or not columns
            or not all(isinstance(name, str) and name for name in columns)
        ):
            raise Refused(400, "columns must be a list of attribute names.")
        if "user_id" not in columns:
            raise Refused(400, "columns must have user_id.")
        if len(set(columns)) < len(columns):
            raise Refused(400, "columns has a name twice.")
        settings = self._settings
        if settings.missing_subscription == "refuse":
            for name, flag in SUBSCRIPTION_OF.items():
                if name in columns and flag not in columns:
                    raise Refused(400, f"columns has {name} but not {flag}.")
        if settings.unknown_attributes == "refuse":
            unknown = self._profiles.unknown(name for name in columns if name != "user_id")
            if unknown:
                raise Refused(400, f"attributes do not exist: {', '.join(unknown)}.")
        return columns

    def _rows(self, rows: object) -> Rows:
        if not isinstance(rows, list) or not rows:
            raise Refused(400, "rows must be a list of rows.")
        if not all(isinstance(row, list) for row in rows):
            raise Refused(400, "each of the rows must be a list of values.")
        limit = self._settings.max_import_rows
        if limit is not None and len(rows) > limit:
            raise Refused(400, f"an import takes at most {limit} rows.")
        return rows

    def _task(
        self,
        columns: list[str],
        rows: Rows,
        ids: list[str | None],
        users: frozenset[str],
        request: int,
        *,
        fatal: bool,
    ) -> Reply:
        settings = self._settings
        fate = self._faults.task_fate()

        def work(task: Task) -> str:
            if fatal or fate.fatal:
                return "Fatal"
            task.counts = self._import(columns, rows, ids)
            return settings.failed_rows_state if task.counts.failed else "Completed"

        task = self._board.add(
            request,
            users,
            len(rows),
            wait=settings.task_start_seconds,
            seconds=settings.task_seconds if fate.seconds is None else fate.seconds,
            work=work,
        )
        return success(settings.task_id_members(task.id), 202)

    def _refuse_failing(self, columns: list[str], rows: Rows, ids: list[str | None]) -> None:
        """Raise when a row would fail, leaving the profiles as they are."""
        # A rehearsal on profiles of its own finds the failures by the very same rules.
        counts = self._import(columns, rows, ids, Profiles(self._settings))
        if counts.errors:
            raise Refused(400, "Rows cannot be imported.", counts.errors)

    def _import(
        self,
        columns: list[str],
        rows: Rows,
        ids: list[str | None],
        profiles: Profiles | None = None,
    ) -> ImportCounts:
        profiles = self._profiles if profiles is None else profiles
        counts = ImportCounts(total=len(rows))
        if self._settings.missing_subscription == "warn":
            for name, flag in SUBSCRIPTION_OF.items():
                if name in columns and flag not in columns:
                    counts.warnings[f"columns has {name} but not {flag}"] += 1
        width, place = len(columns), columns.index("user_id")
        names = columns[:place] + columns[place + 1 :]
        kept = self._kept(rows, ids, width)
        errors = counts.errors
        for index, (row, user_id) in enumerate(zip(rows, ids, strict=True)):
            if len(row) != width:
                counts.failed_wrong_columns += 1
                errors.append(ItemError("wrong number of columns", index))
            elif user_id is None:
                counts.failed_empty_identifier += 1
                errors.append(ItemError("empty identifier", index))
            elif kept.get(user_id) != index:
                counts.failed_duplicated_rows += 1
                errors.append(ItemError("duplicated row", index))
            else:
                try:
                    profiles.import_row(
                        user_id, names, row[:place] + row[place + 1 :], counts.warnings
                    )
                except InvalidRow as invalid:
                    counts.failed_saving += 1
                    errors.append(ItemError(str(invalid), index))
                else:
                    counts.imported += 1
        return counts

    def _kept(self, rows: Rows, ids: list[str | None], width: int) -> dict[str, int]:
        """For each user the position of the row that is kept."""
        sound = [
            (user, index)
            for index, (row, user) in enumerate(zip(rows, ids, strict=True))
            if user is not None and len(row) == width
        ]
        rule = self._settings.duplicate_kept
        # A dict keeps the last of equal keys, so the first wins when they come in reverse.
        kept = dict(sound if rule == "last" else reversed(sound))
        if rule == "none" and len(kept) < len(sound):
            often = {user for user, n in Counter(user for user, _ in sound).items() if n > 1}
            kept = {user: index for user, index in kept.items() if user not in often}
        return kept
