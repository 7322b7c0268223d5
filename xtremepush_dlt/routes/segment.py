"""The Segment route: the endpoint that Segment's own Xtremepush integration calls."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

import orjson

from xtremepush_dlt.mapping import segment_formats
from xtremepush_dlt.mapping.payloads import Payload
from xtremepush_dlt.mapping.wire import encode_number
from xtremepush_dlt.routes.assumptions import SegmentAssumptions
from xtremepush_dlt.routes.auth import Auth, Proof
from xtremepush_dlt.routes.calls import Call, CallSource, message_ids
from xtremepush_dlt.routes.http import HttpSession, wall_clock
from xtremepush_dlt.routes.verdict import Answer, Verdict, denies, judge

_HEADERS: Mapping[str, str] = {"Content-Type": "application/json", "Accept": "application/json"}
_STAMPED = b'{"timestamp":'


class SegmentRoute:
    """Sends calls to the Segment endpoint of a project, one a request (reference, section 3).

    Args:
        base_url: Scheme and host, without a trailing slash.
        auth: Who is calling.
        assumptions: What is assumed about the endpoint.
    """

    imports = False
    frame_bytes = 64

    def __init__(self, base_url: str, auth: Auth, assumptions: SegmentAssumptions) -> None:
        self._base_url = base_url
        self._auth = auth
        self._handle = base_url + assumptions.segment_handle_path
        self._delete = base_url + assumptions.segment_delete_path
        self._http = HttpSession(
            assumptions.segment_connect_timeout_seconds, assumptions.segment_read_timeout_seconds
        )

    def __repr__(self) -> str:
        """Without the key."""
        return f"SegmentRoute({self._base_url!r})"

    def encode_profile(self, payload: Payload) -> bytes:
        """There are no imports on this route.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError

    def encode_calls(
        self, source: CallSource, payloads: Iterable[Payload], ids: Sequence[object]
    ) -> list[bytes]:
        """Calls as they are sent, but for the moment of sending where they carry none.

        Args:
            source: Where they come from.
            payloads: What the mapping made of the rows; a `messageId` of their own is kept.
            ids: Event ids of the rows.
        """
        calls = list(payloads)
        return [
            orjson.dumps(_whole(source.call, payload, message_id), default=encode_number)
            for payload, message_id in zip(calls, message_ids(source, calls, ids), strict=True)
        ]

    def endpoint(self, call: Call) -> str:
        """Address that a kind of call is sent to."""
        return self._delete if call == "delete" else self._handle

    def body(self, call: Call, columns: Sequence[str], records: Sequence[bytes]) -> bytes:  # noqa: ARG002  # the protocol's
        """The one record, stamped with this moment if it has none of its own."""
        (record,) = records
        if record.startswith(_STAMPED):
            return record
        now = datetime.fromtimestamp(wall_clock(), timezone.utc)
        stamp = segment_formats.timestamp([now]).values[0]
        return b"%b%b,%b" % (_STAMPED, orjson.dumps(stamp), record[1:])

    def send(self, call: Call, body: bytes) -> Verdict:
        """Sends a call once.

        Args:
            call: Its kind.
            body: What `body` made.
        """
        proof = self._auth.proof()
        if isinstance(proof, Verdict):
            return proof
        verdict = self._post(self.endpoint(call), body, proof)
        if verdict.answer is Answer.DENIED:
            return replace(verdict, advice=self._auth.advice(verdict.told, f"segment {call}"))
        if verdict.answer is Answer.MISDIRECTED:
            if call == "delete" and verdict.code == 404:
                # the API itself, not a proxy: it knows nobody whom it could delete
                return replace(verdict, answer=Answer.REFUSED)
            return replace(
                verdict,
                advice="Nobody serves the Segment integration at that address. Check "
                "`api_endpoint` in [destination.xtremepush]: it is the API Endpoint that "
                "Xtremepush shows beside the key under Settings > Integrations > Segment, "
                "without a path.",
            )
        return verdict

    def look_up_task(self, task_id: str) -> Verdict:
        """No call of this route becomes a task.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError(task_id)

    def other_imports_run(self, known: Collection[str]) -> Verdict:
        """There are no imports on this route.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError(len(known))

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def _post(self, endpoint: str, body: bytes, proof: Proof) -> Verdict:
        reply = self._http.post(endpoint, body, {**_HEADERS, **proof.headers})
        if isinstance(reply, Verdict):
            return reply
        verdict, envelope = judge(reply.status, reply.headers, reply.body, wall_clock())
        if verdict.answer is Answer.PARTLY:
            # an error beside one call is an error of that call
            return replace(verdict, answer=Answer.REFUSED)
        # `{}` is the whole answer; a page of a proxy is none
        answered = 200 <= reply.status < 300 and (envelope or reply.body.strip() in (b"", b"{}"))
        if answered and not denies(envelope):
            return replace(verdict, answer=Answer.DELIVERED)
        return verdict


def _whole(call: Call, payload: Payload, message_id: str) -> dict[str, Any]:
    """The body of a call; a moment of its own comes first, where `body` looks for it.

    A call that is replayed carries the id that it had.
    """
    stamp = {"timestamp": payload["timestamp"]} if "timestamp" in payload else {}
    return {**stamp, "type": call, **payload, "messageId": payload.get("messageId", message_id)}
