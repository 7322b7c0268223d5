"""The External API: profiles through `import/profile`, events through `hit/event`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import orjson

from xtremepush_dlt.mapping.payloads import Payload
from xtremepush_dlt.mapping.wire import encode_number
from xtremepush_dlt.routes.assumptions import ExternalApiAssumptions
from xtremepush_dlt.routes.auth import Auth, Proof
from xtremepush_dlt.routes.calls import Call, CallSource
from xtremepush_dlt.routes.http import HttpSession, wall_clock
from xtremepush_dlt.routes.verdict import Answer, Verdict, count, find, judge

_NAMES: Mapping[Call, str] = {
    "identify": "import/profile",
    "track": "hit/event",
    "delete": "the deletion of profiles",
}
"""Method and model of a call, as the user knows them."""

_HEADERS: Mapping[str, str] = {"Content-Type": "application/json", "Accept": "application/json"}


class ExternalRoute:
    """Sends calls to the External API.

    Args:
        base_url: Scheme and host, without a trailing slash.
        auth: Who is calling.
        assumptions: What is assumed about the API.
    """

    imports = True

    def __init__(self, base_url: str, auth: Auth, assumptions: ExternalApiAssumptions) -> None:
        self._base_url = base_url
        self._auth = auth
        self._paths: Mapping[Call, str] = {
            "identify": assumptions.profile_path,
            "track": assumptions.event_path,
            "delete": assumptions.delete_path,
        }
        self._task_endpoint = base_url + assumptions.task_path
        self._assumptions = assumptions
        self._http = HttpSession(
            assumptions.connect_timeout_seconds, assumptions.read_timeout_seconds
        )
        # the frame of a body: who is calling, names of members, brackets
        self.frame_bytes = auth.member_bytes + 64

    def __repr__(self) -> str:
        """Without the token."""
        return f"ExternalRoute({self._base_url!r})"

    def encode_profile(self, payload: Payload) -> bytes:
        """A row of an import; its values stand in the order of the payload's members."""
        return orjson.dumps([*payload.values()], default=encode_number)

    def encode_calls(
        self,
        source: CallSource,  # noqa: ARG002  # the protocol's
        payloads: Iterable[Payload],
        ids: Sequence[object],  # noqa: ARG002  # the External API has no field for them
    ) -> list[bytes]:
        """Items of `events`, or deletions."""
        return list(map(partial(orjson.dumps, default=encode_number), payloads))

    def endpoint(self, call: Call) -> str:
        """Address that a kind of call is sent to."""
        return self._base_url + self._paths[call]

    def body(self, call: Call, columns: Sequence[str], records: Sequence[bytes]) -> bytes:
        """The body of a request, without the credential (reference, sections 4, 5.2 and 9.3).

        Args:
            call: The kind of the calls.
            columns: For an import, names of the columns, `user_id` among them.
            records: What `encode_profile` or `encode_calls` made.
        """
        if call == "identify":
            return b'{"columns":%b,"rows":[%b]}' % (orjson.dumps(columns), b",".join(records))
        if call == "track":
            return b'{"events":[%b]}' % b",".join(records)
        (record,) = records
        return record

    def send(self, call: Call, body: bytes) -> Verdict:
        """Sends a body once.

        Args:
            call: The kind of its calls.
            body: What `body` made.
        """
        verdict = self._post(self.endpoint(call), body, _NAMES[call])[0]
        if call == "delete" and verdict.answer is Answer.MISDIRECTED and verdict.told == 404:
            # nobody to delete says the same as nobody who deletes (reference, section 10)
            return replace(verdict, answer=Answer.REFUSED)
        return verdict

    def look_up_task(self, task_id: str) -> Verdict:
        """Asks how an import task is doing (reference, section 6).

        Returns:
            `ACCEPTED` while it runs, `DELIVERED` when all its rows are in, `REFUSED` when it
            failed or some of its rows did; otherwise what hindered the question.
        """
        question = {"condition": [["id", "=", _task_id(task_id)]], "limit": 1}
        verdict, envelope = self._ask(question)
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
        verdict, envelope = self._ask(question)
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

    def _ask(self, question: Mapping[str, Any]) -> tuple[Verdict, Mapping[str, Any]]:
        return self._post(self._task_endpoint, orjson.dumps(question), "list/task")

    def _post(self, endpoint: str, body: bytes, call: str) -> tuple[Verdict, Mapping[str, Any]]:
        """Sends a body, and once more with a new proof where the first was refused.

        Args:
            endpoint: Address of the call.
            body: The body without the credential.
            call: Method and model, as the user knows them.
        """
        for again in (True, False):
            proof = self._auth.proof()
            if isinstance(proof, Verdict):
                return proof, {}
            verdict, envelope = self._send(endpoint, body, proof)
            denied = verdict.answer is Answer.DENIED
            if not (again and denied and verdict.told == 401 and self._auth.renew(proof)):
                break
        if denied:
            verdict = replace(verdict, advice=self._auth.advice(verdict.told, call))
        return verdict, envelope

    def _send(self, endpoint: str, body: bytes, proof: Proof) -> tuple[Verdict, Mapping[str, Any]]:
        headers = {**_HEADERS, **proof.headers}
        signed = b"".join((b"{", proof.members, memoryview(body)[1:])) if proof.members else body
        reply = self._http.post(endpoint, signed, headers)
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
