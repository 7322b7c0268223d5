"""The deletion of profiles: through a task or at once, kept in order (reference 9.3)."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from xtremepush_dlt.sandbox.envelope import Refused, Reply, success
from xtremepush_dlt.sandbox.faults import FaultEngine
from xtremepush_dlt.sandbox.poison import refuse_poison
from xtremepush_dlt.sandbox.profiles import Profiles, normal_user_id
from xtremepush_dlt.sandbox.settings import SandboxSettings
from xtremepush_dlt.sandbox.tasks import Task, TaskBoard

IDENTIFIER = "profile_delete_personal_data"


@dataclass(frozen=True)
class Deletion:
    """A profile was deleted, or would have been if it had been there."""

    number: int  # 1 for the first deletion that was carried out
    request: int  # number of the request that asked for it
    user_id: str | None
    anonymous_id: str | None  # Segment route only
    existed: bool  # whether there was a profile
    deleted_at: float  # wall time, seconds
    task: int | None = None  # id of the task that did it


class Deletions:
    """Deletes profiles and keeps what was deleted. Events stay, for tests to look at."""

    def __init__(
        self, settings: SandboxSettings, profiles: Profiles, board: TaskBoard, faults: FaultEngine
    ) -> None:
        self._settings = settings
        self._profiles = profiles
        self._board = board
        self._faults = faults
        self.done: list[Deletion] = []

    def handle(self, body: Mapping[str, object], request: int) -> Reply:
        """Answer `delete/profile`: make a task that will delete; all of it is an assumption.

        Raises:
            Refused: Nothing was and nothing will be deleted.
        """
        settings = self._settings
        user_id = normal_user_id(body.get(settings.delete_by))
        if user_id is None:
            raise Refused(400, f"{settings.delete_by} is missing.")
        poison = refuse_poison(self._faults.faults, [user_id], [body])
        if poison is not None:
            raise poison
        if settings.delete_unknown == "refuse" and user_id not in self._profiles.attributes:
            raise Refused(404, "The profile does not exist.")
        users = frozenset({user_id})
        self._board.note_overlaps(request, users)
        if not settings.delete_by_task:
            self.delete(request, user_id)
            return success()
        fate = self._faults.task_fate()

        def work(task: Task) -> str:
            if fate.fatal:
                return "Fatal"
            self.delete(request, user_id, task=task.id)
            return "Completed"

        task = self._board.add(
            request,
            users,
            1,
            wait=settings.task_start_seconds,
            seconds=settings.task_seconds if fate.seconds is None else fate.seconds,
            work=work,
            identifier=IDENTIFIER,
        )
        return success(settings.task_id_members(task.id), 202)

    def delete(
        self,
        request: int,
        user_id: str | None,
        anonymous_id: str | None = None,
        *,
        task: int | None = None,
    ) -> None:
        """Delete the profiles of a user id, of an anonymous id or of both."""
        keys = [key for key in (user_id, anonymous_id) if key is not None]
        there = [self._profiles.forget(key) for key in keys]
        self.done.append(
            Deletion(
                number=len(self.done) + 1,
                request=request,
                user_id=user_id,
                anonymous_id=anonymous_id,
                existed=any(there),
                deleted_at=time.time(),
                task=task,
            )
        )
