"""The External API: which call a path is, and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from xtremepush_dlt.sandbox.access import Access
from xtremepush_dlt.sandbox.calls import EXTERNAL_PREFIX, Body, Call
from xtremepush_dlt.sandbox.envelope import Refused, Reply, error_members, success
from xtremepush_dlt.sandbox.profiles import Profiles, normal_user_id
from xtremepush_dlt.sandbox.query import Item, select
from xtremepush_dlt.sandbox.settings import SandboxSettings
from xtremepush_dlt.sandbox.tasks import PROFILE_IMPORT, Task, TaskBoard

Handler = Callable[[Body, int], Reply]


class ExternalApi:
    """The calls under `/api/external/`.

    Args:
        settings: How it behaves.
        access: Lets requests in.
        profiles: What `list/profile` and `info/profile` read.
        board: What `list/task` and `info/task` read.
        writers: The calls that write, by name, e.g. `hit/event`.
    """

    def __init__(
        self,
        settings: SandboxSettings,
        access: Access,
        profiles: Profiles,
        board: TaskBoard,
        writers: Mapping[str, Handler],
    ) -> None:
        self._settings = settings
        self._access = access
        self._profiles = profiles
        self._board = board
        self._handlers: dict[str, Handler] = {
            **writers,
            "list/task": self._list_tasks,
            "list/profile": self._list_profiles,
            "info/task": self._info_task,
            "info/profile": self._info_profile,
        }
        self._methods = {name.partition("/")[0] for name in self._handlers}

    def handle(self, call: Call) -> Reply:
        """Answer one request.

        Raises:
            Refused: The request is refused.
        """
        name = call.path.removeprefix(EXTERNAL_PREFIX)
        handler = self._handler(call.method, name)
        if call.body is None:
            raise Refused(400, "The body is not a JSON object.")
        if not self._access.external(name, call.headers, call.token):
            return success()
        return handler(call.body, call.number)

    def known(self, path: str) -> bool:
        """Whether a path is one of the calls served here."""
        return path.removeprefix(EXTERNAL_PREFIX) in self._handlers

    def _handler(self, method: str, name: str) -> Handler:
        if name.partition("/")[0] not in self._methods:
            raise Refused(405, "The API method is not allowed.")
        handler = self._handlers.get(name)
        if handler is None:
            raise Refused(404, "The model does not exist.")
        if name in self._settings.endpoints_off:
            raise Refused(410, "The endpoint is switched off.")
        if method != "POST":
            raise Refused(405, "The HTTP method is not allowed.")
        return handler

    def _list_tasks(self, body: Body, _request: int) -> Reply:
        return success({"data": select(map(self._task_item, self._board.tasks.values()), body)})

    def _info_task(self, body: Body, _request: int) -> Reply:
        wanted = str(body.get("id"))
        task = self._board.tasks.get(int(wanted)) if wanted.isdecimal() else None
        if task is None:
            raise Refused(404, "The task does not exist.")
        item = self._task_item(task)
        if task.counts.errors:
            item["errors"] = error_members(
                task.counts.errors,
                self._settings.errors_as,
                named=self._settings.errors_name_items,
            )
        return success({self._settings.task_info_at: item})

    def _task_item(self, task: Task) -> Item:
        codes = self._settings.task_state_codes or {}
        return {
            "id": task.id,
            "identifier": task.identifier,
            "status": codes.get(task.state, task.state),
            "create_time": int(task.created_at),
            "start_time": None if task.started_at is None else int(task.started_at),
            "finish_time": None if task.finished_at is None else int(task.finished_at),
            **(task.counts.members() if task.identifier == PROFILE_IMPORT else {}),
        }

    def _list_profiles(self, body: Body, _request: int) -> Reply:
        profiles = self._profiles.attributes.items()
        items: Iterator[Item] = ({"user_id": user, **values} for user, values in profiles)
        return success({"data": select(items, body)})

    def _info_profile(self, body: Body, _request: int) -> Reply:
        user_id = normal_user_id(body.get("user_id"))
        values = None if user_id is None else self._profiles.attributes.get(user_id)
        if values is None:
            raise Refused(404, "The profile does not exist.")
        return success({"model": {"user_id": user_id, **values}})
