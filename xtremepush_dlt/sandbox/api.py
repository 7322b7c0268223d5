"""The External API: which call a path is, who may make it, and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import orjson

from xtremepush_dlt.sandbox.envelope import Refused, Reply, error_members, failure, success
from xtremepush_dlt.sandbox.events import EventLog
from xtremepush_dlt.sandbox.faults import FaultEngine
from xtremepush_dlt.sandbox.imports import Importer
from xtremepush_dlt.sandbox.profiles import Profiles, normal_user_id
from xtremepush_dlt.sandbox.query import Item, select
from xtremepush_dlt.sandbox.settings import SandboxSettings
from xtremepush_dlt.sandbox.tasks import Schedule, Task, TaskBoard

PREFIX = "/api/external/"

Body = dict[str, object]
Handler = Callable[[Body, int], Reply]


class ExternalApi:
    """What one Xtremepush project knows, and the calls that read and write it."""

    def __init__(self, settings: SandboxSettings, faults: FaultEngine, schedule: Schedule) -> None:
        self._settings = settings
        self.profiles = Profiles(settings)
        self.board = TaskBoard(schedule)
        self.log = EventLog(settings, self.profiles, faults)
        importer = Importer(settings, self.profiles, self.board, faults)
        self._routes: dict[str, dict[str, Handler]] = {
            "import": {"profile": importer.handle},
            "hit": {"event": self.log.handle},
            "list": {"task": self._list_tasks, "profile": self._list_profiles},
            "info": {"task": self._info_task, "profile": self._info_profile},
        }

    def handle(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str],
        body: Body | None,
        token: object,
        request: int,
    ) -> Reply:
        """Answer one request.

        Args:
            method: The HTTP method.
            path: The path of the URL.
            headers: Header values by lower-case name.
            body: The parsed body without the token, None when it was not a JSON object.
            token: What stood in `apptoken`.
            request: The number of the request.
        """
        settings = self._settings
        try:
            handler = self._route(method, path)
            if not self._authorised(body, token, headers):
                return success()
            return handler(body or {}, request)
        except Refused as refused:
            errors = error_members(
                refused.errors, settings.errors_as, named=settings.errors_name_items
            )
            return failure(refused.status, refused.message, errors)

    def known(self, path: str) -> bool:
        """Whether a path is one of the calls served here."""
        call, _, model = path.removeprefix(PREFIX).partition("/")
        return path.startswith(PREFIX) and model in self._routes.get(call, {})

    def _route(self, method: str, path: str) -> Handler:
        if not path.startswith(PREFIX):
            raise Refused(404, "The URI is not valid.")
        name = path.removeprefix(PREFIX)
        call, _, model = name.partition("/")
        if call not in self._routes:
            raise Refused(405, "The API method is not allowed.")
        handler = self._routes[call].get(model)
        if handler is None:
            raise Refused(404, "The model does not exist.")
        if name in self._settings.endpoints_off:
            raise Refused(410, "The endpoint is switched off.")
        if method != "POST":
            raise Refused(405, "The HTTP method is not allowed.")
        return handler

    def _authorised(self, body: Body | None, token: object, headers: Mapping[str, str]) -> bool:
        """Whether to serve; False answers 200 and does nothing (13.1).

        Raises:
            Refused: 400 without a JSON object or credentials, 401 with wrong ones, 403 when the
                API is off.
        """
        settings = self._settings
        if body is None:
            raise Refused(400, "The body is not a JSON object.")
        if not token:
            # A bearer token would be an attempt, but OAuth is not served here.
            if headers.get("authorization"):
                raise Refused(401, "Authentication failed.")
            raise Refused(400, "The request has no authentication.")
        if token in settings.foreign_tokens and settings.foreign_token == "silent":
            return False
        if token != settings.app_token:
            raise Refused(401, "Authentication failed.")
        if not settings.api_enabled:
            raise Refused(403, "API access is not enabled for the account.")
        return True

    def _list_tasks(self, body: Body, _request: int) -> Reply:
        return success({"data": select(map(self._task_item, self.board.tasks.values()), body)})

    def _info_task(self, body: Body, _request: int) -> Reply:
        wanted = str(body.get("id"))
        task = self.board.tasks.get(int(wanted)) if wanted.isdecimal() else None
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
            **task.counts.members(),
        }

    def _list_profiles(self, body: Body, _request: int) -> Reply:
        profiles = self.profiles.attributes.items()
        items: Iterator[Item] = ({"user_id": user, **values} for user, values in profiles)
        return success({"data": select(items, body)})

    def _info_profile(self, body: Body, _request: int) -> Reply:
        user_id = normal_user_id(body.get("user_id"))
        values = None if user_id is None else self.profiles.attributes.get(user_id)
        if values is None:
            raise Refused(404, "The profile does not exist.")
        return success({"model": {"user_id": user_id, **values}})


def parse_body(raw: bytes) -> tuple[Body | None, object]:
    """The JSON object of a body without its token, and the token; None when it is no object."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None, None
    if not isinstance(body, dict):
        return None, None
    # The token leaves the body before anything can keep, log or show it.
    return body, body.pop("apptoken", None)
