"""The HTTP session over real sockets: what went wrong decides whether rows may have arrived."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from xtremepush_dlt.routes.http import HttpSession, Reply
from xtremepush_dlt.routes.verdict import Answer, Verdict

BODY = b'{"apptoken":"S3CR3T"}'
HEADERS = {"Content-Type": "application/json"}

Behaviour = Callable[[socket.socket], None]


def request_of(connection: socket.socket) -> bytes:
    """Reads a whole request: head and body."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(65536)
    head, body = received.split(b"\r\n\r\n", 1)
    (length,) = [
        int(line.split(b":")[1])
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"content-length:")
    ]
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def answer(status: str, body: bytes, *headers: str, length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    head = "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {size}", *headers])
    return head.encode() + b"\r\n\r\n" + body


class Served:
    """A server that treats each connection as it was told."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.connections = 0


@contextmanager
def served(behaviour: Behaviour) -> Iterator[Served]:
    """A server on a free port of this machine."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(5)
    server = Served(f"http://127.0.0.1:{listener.getsockname()[1]}/api")
    stopping = threading.Event()

    def serve() -> None:
        while not stopping.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            server.connections += 1
            with connection:
                connection.settimeout(5)
                if not stopping.is_set():
                    behaviour(connection)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        stopping.set()
        with socket.socket() as knock:
            knock.connect(listener.getsockname())
        thread.join(6)
        listener.close()


@pytest.fixture
def session() -> Iterator[HttpSession]:
    http = HttpSession(connect_timeout=2, read_timeout=0.3)
    yield http
    http.close()


def post(http: HttpSession, url: str) -> Reply | Verdict:
    return http.post(url, BODY, HEADERS)


def verdict(http: HttpSession, behaviour: Behaviour) -> Verdict:
    """The verdict where no reply comes."""
    with served(behaviour) as server:
        got = post(http, server.url)
    assert isinstance(got, Verdict)
    assert got.status is None
    assert "S3CR3T" not in repr(got)
    return got


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def close_at_once(connection: socket.socket) -> None:
    """Says good-bye before it says anything."""


def close_after_the_request(connection: socket.socket) -> None:
    request_of(connection)


def reset_after_the_request(connection: socket.socket) -> None:
    request_of(connection)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def hang(connection: socket.socket) -> None:
    request_of(connection)
    time.sleep(0.6)


def hang_within_the_answer(connection: socket.socket) -> None:
    request_of(connection)
    connection.sendall(answer("200 OK", b'{"success":', length=100))
    time.sleep(0.6)


def cut_the_answer_short(connection: socket.socket) -> None:
    request_of(connection)
    connection.sendall(answer("200 OK", b'{"success":', length=100))


def cut_a_chunk_short(connection: socket.socket) -> None:
    request_of(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\n{")


def garble_the_compression(connection: socket.socket) -> None:
    request_of(connection)
    connection.sendall(answer("200 OK", b"no gzip at all", "Content-Encoding: gzip"))


def speak_another_protocol(connection: socket.socket) -> None:
    request_of(connection)
    connection.sendall(b"220 mail.example.com ESMTP\r\n")


def test_a_refused_port_is_busy_because_nothing_was_sent(session: HttpSession) -> None:
    got = post(session, f"http://127.0.0.1:{free_port()}/api")
    assert isinstance(got, Verdict)
    assert (got.answer, got.unanswered_why) == (Answer.BUSY, "no connection")


def test_a_host_that_does_not_exist_is_busy_because_nothing_was_sent(session: HttpSession) -> None:
    got = post(session, "http://nobody.invalid/api")
    assert isinstance(got, Verdict)
    assert got.answer is Answer.BUSY


@pytest.mark.parametrize(
    ("behaviour", "why"),
    [
        (close_at_once, "connection lost before the answer"),
        (close_after_the_request, "connection lost before the answer"),
        (reset_after_the_request, "connection lost before the answer"),
        (hang, "no answer within the time limit"),
        (speak_another_protocol, "connection lost before the answer"),
        (cut_the_answer_short, "answer cut short"),
        (cut_a_chunk_short, "answer cut short"),
        (garble_the_compression, "answer cut short"),
    ],
)
def test_a_request_that_may_have_arrived_is_unanswered_and_never_busy(
    session: HttpSession, behaviour: Behaviour, why: str
) -> None:
    got = verdict(session, behaviour)
    assert (got.answer, got.unanswered_why) == (Answer.UNANSWERED, why)


def test_an_answer_that_stops_half_way_is_unanswered(session: HttpSession) -> None:
    assert verdict(session, hang_within_the_answer).answer is Answer.UNANSWERED


def test_a_server_that_hangs_is_left_after_the_read_timeout(session: HttpSession) -> None:
    with served(hang) as server:
        start = time.monotonic()
        post(session, server.url)
        assert 0.25 <= time.monotonic() - start < 0.55


def test_a_server_without_tls_is_busy_when_tls_is_asked_for(session: HttpSession) -> None:
    def plain(connection: socket.socket) -> None:
        connection.recv(1000)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    with served(plain) as server:
        got = post(session, server.url.replace("http://", "https://"))
    assert isinstance(got, Verdict)
    assert (got.answer, got.status) == (Answer.BUSY, None)


def test_a_reply_is_read_whole_with_status_headers_and_body(session: HttpSession) -> None:
    received: list[bytes] = []

    def reply(connection: socket.socket) -> None:
        received.append(request_of(connection))
        connection.sendall(answer("429 Slow down", b'{"code":429}', "retry-after: 7"))

    with served(reply) as server:
        got = post(session, server.url)
    assert isinstance(got, Reply)
    assert (got.status, got.body, got.headers["Retry-After"]) == (429, b'{"code":429}', "7")
    head, body = received[0].split(b"\r\n\r\n", 1)
    assert head.startswith(b"POST /api HTTP/1.1\r\n")
    assert b"content-type: application/json" in head.lower()
    assert body == BODY


def test_a_redirect_is_reported_and_not_followed(session: HttpSession) -> None:
    def redirect(connection: socket.socket) -> None:
        request_of(connection)
        connection.sendall(answer("302 Found", b"", "Location: /elsewhere", "Connection: close"))

    with served(redirect) as server:
        got = post(session, server.url)
        assert server.connections == 1
    assert isinstance(got, Reply)
    assert got.status == 302


def test_a_request_is_sent_once_and_never_repeated_behind_our_back(session: HttpSession) -> None:
    with served(close_after_the_request) as server:
        post(session, server.url)
        assert server.connections == 1


def test_one_connection_serves_the_requests_of_a_thread(session: HttpSession) -> None:
    def keep(connection: socket.socket) -> None:
        for _ in range(3):
            request_of(connection)
            connection.sendall(answer("200 OK", b"{}"))

    with served(keep) as server:
        for _ in range(3):
            assert isinstance(post(session, server.url), Reply)
        assert server.connections == 1


def test_after_a_lost_connection_the_next_request_goes_over_a_new_one(session: HttpSession) -> None:
    def once(connection: socket.socket) -> None:
        request_of(connection)
        connection.sendall(answer("200 OK", b"{}"))

    with served(once) as server:
        first = post(session, server.url)
        time.sleep(0.05)
        second = post(session, server.url)
    assert isinstance(first, Reply)
    assert isinstance(second, Reply)


def test_a_netrc_entry_for_the_host_adds_no_credential(
    session: HttpSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    received: list[bytes] = []

    def reply(connection: socket.socket) -> None:
        received.append(request_of(connection))
        connection.sendall(answer("200 OK", b"{}"))

    with served(reply) as server:
        post(session, server.url)
    assert b"authorization" not in received[0].lower()
