"""The cheapest server that can be trusted: reads each body, counts its rows, answers at once.

`python -m tests.benchmarks.bare_server` prints its URL and serves until it is terminated.
`GET` answers what has arrived since the last `GET`.
"""

import asyncio
import json

ROW_MARK = b'"row_id"'
"""Stands once in every row, in whatever envelope it is sent."""

_REPLY = b'{"code":200,"success":true}'


class Count:
    """What has arrived."""

    def __init__(self) -> None:
        self.requests = self.rows = self.bytes = 0

    def take(self) -> bytes:
        """The counts as JSON; they start anew."""
        taken = json.dumps(vars(self)).encode()
        self.__init__()  # type: ignore[misc]  # starts anew
        return taken


class BareProtocol(asyncio.Protocol):
    """HTTP/1.1 with keep-alive and Content-Length, which is all that the contenders send."""

    def __init__(self, count: Count) -> None:
        self._count = count
        self._buffer = bytearray()
        self._body_from = 0  # where the body begins; 0 while the head is being read
        self._ends = 0
        self._method = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while self._whole_request():
            body = bytes(memoryview(self._buffer)[self._body_from : self._ends])
            del self._buffer[: self._ends]
            self._body_from = 0
            if self._method == b"GET":
                self._answer(self._count.take())
                continue
            self._answer(_REPLY)
            self._count.requests += 1
            self._count.rows += body.count(ROW_MARK)
            self._count.bytes += len(body)

    def _whole_request(self) -> bool:
        if not self._body_from:
            head_ends = self._buffer.find(b"\r\n\r\n")
            if head_ends < 0:
                return False
            self._body_from = head_ends + 4
            head = bytes(self._buffer[:head_ends])
            self._method = head.partition(b" ")[0]
            self._ends = self._body_from + _content_length(head)
        return len(self._buffer) >= self._ends

    def _answer(self, body: bytes) -> None:
        self._transport.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
            % (len(body), body)
        )


def _content_length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name == b"content-length":
            return int(value)
        if name == b"transfer-encoding":
            raise ValueError("a body without Content-Length cannot be counted here")
    return 0


async def serve() -> None:
    """Serves on a free port of this machine."""
    count = Count()
    server = await asyncio.get_running_loop().create_server(
        lambda: BareProtocol(count), "127.0.0.1", 0
    )
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve())
