"""The External API: profiles through `import/profile`, events through `hit/event`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import orjson

from xtremepush_dlt.mapping.payloads import Payload
from xtremepush_dlt.mapping.wire import encode_number
from xtremepush_dlt.routes.assumptions import ExternalApiAssumptions
from xtremepush_dlt.routes.http import HttpSession, wall_clock
from xtremepush_dlt.routes.verdict import Answer, Verdict, count, find, judge

_HEADERS: Mapping[str, str] = {"Content-Type": "application/json", "Accept": "application/json"}


class ExternalRoute:
    """Sends calls to the External API with the project's app token.

    Args:
        base_url: Scheme and host, without a trailing slash.
        app_token: The project's token; it travels in the body (reference, section 2.1).
        assumptions: What is assumed about the API.
    """

    def __init__(self, base_url: str, app_token: str, assumptions: ExternalApiAssumptions) -> None:
        self._base_url = base_url
        self._app_token = orjson.dumps(app_token)
        self.profile_endpoint = base_url + assumptions.profile_path
        self.event_endpoint = base_url + assumptions.event_path
        self._task_endpoint = base_url + assumptions.task_path
        self._assumptions = assumptions
        self._http = HttpSession(
            assumptions.connect_timeout_seconds, assumptions.read_timeout_seconds
        )
        # the frame of a body: token, names of members, brackets
        self.frame_bytes = len(self._app_token) + 64

    def __repr__(self) -> str:
        """Without the token."""
        return f"ExternalRoute({self._base_url!r})"

    def encode_profile(self, payload: Payload) -> bytes:
        """A row of an import; its values stand in the order of the payload's members."""
        return orjson.dumps([*payload.values()], default=encode_number)

    def encode_events(self, payloads: Iterable[Payload]) -> list[bytes]:
        """Items of `events`."""
        return list(map(partial(orjson.dumps, default=encode_number), payloads))

    def profile_body(self, columns: Sequence[str], records: Sequence[bytes]) -> bytes:
        """The body of an import, without the credential.

        Args:
            columns: Names of the columns, `user_id` among them.
            records: What `encode_profile` made.
        """
        return b'{"columns":%b,"rows":[%b]}' % (orjson.dumps(columns), b",".join(records))

    def event_body(self, records: Sequence[bytes]) -> bytes:
        """The body of a batch of events, without the credential.

        Args:
            records: What `encode_events` made.
        """
        return b'{"events":[%b]}' % b",".join(records)

    def send_profiles(self, columns: Sequence[str], records: Sequence[bytes]) -> Verdict:
        """Imports profiles that carry the same columns (reference, section 4).

        Args:
            columns: Names of the columns, `user_id` among them.
            records: What `encode_profile` made.
        """
        return self._post(self.profile_endpoint, self.profile_body(columns, records))[0]

    def send_events(self, records: Sequence[bytes]) -> Verdict:
        """Hits events in one batch (reference, section 5.2).

        Args:
            records: What `encode_events` made.
        """
        return self._post(self.event_endpoint, self.event_body(records))[0]

    def look_up_task(self, task_id: str) -> Verdict:
        """Asks how an import task is doing (reference, section 6).

        Returns:
            `ACCEPTED` while it runs, `DELIVERED` when all its rows are in, `REFUSED` when it
            failed or some of its rows did; otherwise what hindered the question.
        """
        question = {"condition": [["id", "=", _task_id(task_id)]], "limit": 1}
        verdict, envelope = self._post(self._task_endpoint, orjson.dumps(question))
        if verdict.answer is not Answer.DELIVERED:
            return verdict
        found = envelope.get("data")
        task = found[0] if isinstance(found, list) and found else None
        if not isinstance(task, dict):
            message = "Xtremepush does not know the task"
            return Verdict(Answer.REFUSED, verdict.status, verdict.code, message, task_id=task_id)
        status = str(find(task, self._assumptions.task_status_places) or "").lower()
        if status in self._assumptions.task_running:
            answer = Answer.ACCEPTED
        elif status in self._assumptions.task_finished:
            failed = count(find(task, self._assumptions.task_failed_rows_places))
            answer = Answer.REFUSED if failed else Answer.DELIVERED
        elif status in self._assumptions.task_failed:
            answer = Answer.REFUSED
        else:
            return Verdict(
                Answer.UNANSWERED,
                status=verdict.status,
                task_id=task_id,
                unanswered_why="the task has a state that is not known",
            )
        message = f"task {status}" + (f": {verdict.message}" if verdict.message else "")
        return Verdict(answer, verdict.status, verdict.code, message, task_id=task_id)

    def other_imports_run(self, known: Collection[str]) -> Verdict:
        """Asks for import tasks that run and whose ids are not known here.

        Returns:
            `ACCEPTED` while one runs, `DELIVERED` when none does; otherwise what hindered it.
        """
        question = {
            "condition": [["identifier", "=", "profile_import"]],
            "order": ["id DESC"],
            "limit": 100,
        }
        verdict, envelope = self._post(self._task_endpoint, orjson.dumps(question))
        if verdict.answer is not Answer.DELIVERED:
            return verdict
        tasks = envelope.get("data")
        running = self._assumptions.task_running
        for task in tasks if isinstance(tasks, list) else []:
            status = str(find(task, self._assumptions.task_status_places) or "").lower()
            if status in running and str(task.get("id")) not in known:
                return Verdict(Answer.ACCEPTED, verdict.status)
        return verdict

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def _post(self, endpoint: str, body: bytes) -> tuple[Verdict, Mapping[str, Any]]:
        body = b'{"apptoken":%b,%b' % (self._app_token, body[1:])
        reply = self._http.post(endpoint, body, _HEADERS)
        if isinstance(reply, Verdict):
            return reply, {}
        return judge(
            reply.status,
            reply.headers,
            reply.body,
            wall_clock(),
            self._assumptions.task_id_places,
            self._assumptions.failed_rows_places,
            self._assumptions.error_place_members,
        )


def _task_id(task_id: str) -> int | str:
    """Ids of other models are numbers in the reference's samples."""
    if task_id.isascii() and task_id.isdigit() and int(task_id) < 2**63:
        return int(task_id)
    return task_id
