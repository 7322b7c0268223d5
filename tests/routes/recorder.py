"""A server that keeps what it is asked, byte by byte, and answers what it was told."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

Answer = Callable[["Asked"], "tuple[int, Any] | None"]


class Asked(NamedTuple):
    """A request."""

    path: str
    body: bytes
    headers: dict[str, str]


class Recorder(ThreadingHTTPServer):
    """Keeps what it is asked and answers what it was told."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.forget()

    def forget(self) -> None:
        """Forgets everything, and answers with success from now on."""
        self.asked: list[Asked] = []
        self.reply: tuple[int, Any] = (200, {"success": True, "code": 200})
        self.reply_headers: dict[str, str] = {}
        self.answer: Answer = lambda asked: None  # goes before `reply`

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def bodies(self) -> list[Any]:
        return [json.loads(asked.body, parse_float=Decimal) for asked in self.asked]

    def paths(self) -> list[str]:
        return [asked.path for asked in self.asked]


class _Handler(BaseHTTPRequestHandler):
    server: Recorder
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        asked = Asked(self.path, body, {k.lower(): v for k, v in self.headers.items()})
        self.server.asked.append(asked)
        status, reply = self.server.answer(asked) or self.server.reply
        data = reply if isinstance(reply, bytes) else json.dumps(reply).encode()
        # head and body in one packet: two would wait for each other
        lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(data)}"]
        lines += [f"{name}: {value}" for name, value in self.server.reply_headers.items()]
        self.wfile.write("\r\n".join([*lines, "", ""]).encode() + data)

    def log_message(self, *args: object) -> None:
        """Nothing: the test's output is for tests."""


@contextmanager
def running() -> Iterator[Recorder]:
    """A recorder that listens."""
    with Recorder() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()
