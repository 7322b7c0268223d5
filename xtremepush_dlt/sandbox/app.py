"""The ASGI application: every request is recorded, meets its fate, and is answered or not."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import struct
from collections.abc import Callable
from typing import Any

import orjson
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from xtremepush_dlt.sandbox.calls import Call, read_call
from xtremepush_dlt.sandbox.control import CONTROL_PREFIX, control_app
from xtremepush_dlt.sandbox.envelope import Reply, failure
from xtremepush_dlt.sandbox.faults import Fate, FaultEngine, Faults
from xtremepush_dlt.sandbox.oauth import TokenOffice
from xtremepush_dlt.sandbox.project import Project
from xtremepush_dlt.sandbox.recorder import Recorder, RequestRecord
from xtremepush_dlt.sandbox.settings import SandboxSettings
from xtremepush_dlt.sandbox.tasks import Timer

_log = logging.getLogger("xtremepush_dlt.sandbox")

_REASONS = {
    429: "Too many requests.",
    500: "Internal server error.",
    503: "The service is unavailable.",
}
_HTML = b"<html><head><title>Bad gateway</title></head><body><h1>Bad gateway</h1></body></html>"


class SandboxApp:
    """One Xtremepush project over HTTP. Belongs to the event loop that serves it."""

    def __init__(self, settings: SandboxSettings, faults: Faults) -> None:
        self.settings = settings
        self.faults = FaultEngine(faults)
        self.recorder = Recorder()
        self.office = TokenOffice(settings)
        self.api = Project(settings, self.faults, _call_later, self.office)
        self._closing = asyncio.Event()
        self._control = control_app(self)

    def close(self) -> None:
        """End all waiting; requests that wait are dropped."""
        self._closing.set()
        self.api.board.stop()

    async def closed(self) -> None:
        """Return when the sandbox closes."""
        await self._closing.wait()

    def reset(self) -> None:
        """Forget everything that was sent. Settings, faults and access tokens stay."""
        self.api.board.stop()
        self.api = Project(self.settings, self.faults, _call_later, self.office)
        self.office.issued = 0
        self.recorder.reset()
        self.faults.injected.clear()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        if scope["path"].startswith(CONTROL_PREFIX):
            await self._control(scope, receive, send)
            return
        headers = Headers(scope=scope)
        record = self.recorder.arrive(scope["method"], scope["path"], dict(headers))
        try:
            await self._serve(record, scope, receive, send)
        finally:
            self.recorder.finish(record, None)  # no effect when it was answered
            self._log_line(record)

    async def _serve(
        self, record: RequestRecord, scope: Scope, receive: Receive, send: Send
    ) -> None:
        raw = await _read(receive)
        if raw is None:
            return
        record.size = len(raw)
        limit = self.settings.max_body_bytes
        if limit is not None and len(raw) > limit:
            reply = failure(413, f"The body is larger than {limit} bytes.")
            await self._send(record, _response(reply), scope, receive, send)
            return
        call = read_call(record.method, record.path, record.number, Headers(scope=scope), raw)
        record.credentials = call.credentials
        if self.settings.keep_bodies:
            record.body = call.shown
        fate = self.faults.fate(record.path, record.in_flight)
        record.fault = None if fate.kind == "ok" else fate.kind
        response = await self._meet(fate, call)
        if response is None:
            self.recorder.finish(record, None)
            await _abort(scope, receive)
        else:
            await self._send(record, response, scope, receive, send)

    async def _meet(self, fate: Fate, call: Call) -> Response | None:
        """Let the fate happen; None means that the connection is reset."""
        if fate.delay and await self._wait(fate.delay):
            return None
        kind = fate.kind
        if kind == "reset_before":
            return None
        if kind in ("status", "html", "success_false"):
            return self._unprocessed(fate)
        held, seconds = kind == "hang", self.faults.faults.hang_seconds
        if held and not self.faults.faults.hang_commits:
            if await self._wait(seconds):
                return None
            return _response(failure(504, "The request took too long."))
        reply = self.api.handle(call)
        if kind == "reset_after" or (held and await self._wait(seconds)):
            return None
        response = _response(reply)
        if kind == "empty":
            return Response(b"", reply.status, media_type="application/json")
        if kind == "truncated":
            cut = response.body[: len(response.body) // 2]
            return Response(bytes(cut), reply.status, media_type="application/json")
        return response

    def _unprocessed(self, fate: Fate) -> Response:
        """The answer to a request that is not processed."""
        if fate.kind == "html":
            return Response(_HTML, self.faults.faults.html_status, media_type="text/html")
        if fate.kind == "success_false":
            envelope = {"code": 200, "success": False, "status": "failure", "error": "Failed"}
            return _response(Reply(200, envelope))
        headers = {} if fate.retry_after is None else {"Retry-After": fate.retry_after}
        message = _REASONS.get(fate.status, "The request failed.")
        return _response(Reply(fate.status, failure(fate.status, message).envelope, headers))

    async def _wait(self, seconds: float) -> bool:
        """Wait; answers True when the sandbox closes meanwhile."""
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._closing.wait(), seconds)
        return self._closing.is_set()

    async def _send(
        self, record: RequestRecord, response: Response, scope: Scope, receive: Receive, send: Send
    ) -> None:
        # Closed before the answer leaves, so that a client that has it also finds it recorded.
        self.recorder.finish(record, response.status_code)
        await response(scope, receive, send)

    def _log_line(self, record: RequestRecord) -> None:
        # A path that is not served may hold anything, so only known ones are shown.
        path = record.path if self.api.known(record.path) else "(another path)"
        _log.info(
            "#%d %s %s %s%s, %d bytes, %.1f ms, %d in flight",
            record.number,
            record.method,
            path,
            record.status or "no answer",
            "" if record.fault is None else f" ({record.fault})",
            record.size,
            1000 * (record.seconds or 0.0),
            record.in_flight,
        )


def _call_later(seconds: float, call: Callable[[], None]) -> Timer:
    return asyncio.get_running_loop().call_later(seconds, call)


def _response(reply: Reply) -> Response:
    return Response(
        orjson.dumps(reply.envelope), reply.status, reply.headers, media_type="application/json"
    )


async def _read(receive: Receive) -> bytes | None:
    """The whole body, None when the client went away before its end."""
    parts = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


async def _abort(scope: Scope, receive: Receive) -> None:
    """Reset the TCP connection, so that the client gets a connection error and no answer."""
    transport: Any = scope["state"]["transport"]  # put there by server.TransportProtocol
    connection = transport.get_extra_info("socket")
    if connection is not None and connection.fileno() != -1:
        # Lingering for 0 seconds makes the close a reset (RST) instead of an orderly end (FIN).
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
    # The server must have seen the end before this returns; it would send a 500 otherwise.
    while (await receive())["type"] != "http.disconnect":
        pass
