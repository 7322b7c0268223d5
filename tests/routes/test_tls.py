"""TLS over real sockets: a connection that is lost before the request, and one lost after it."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from http.server import HTTPServer
from pathlib import Path

import pytest

from tests.tls import Authority
from xtremepush_dlt.routes.http import HttpSession
from xtremepush_dlt.routes.verdict import Answer, Verdict


def lost_in_the_handshake(connection: ssl.SSLSocket) -> None:
    with socket.socket(fileno=connection.detach()) as bare:
        bare.recv(65536)


def lost_after_the_request(connection: ssl.SSLSocket) -> None:
    connection.do_handshake()
    while b"{}" not in connection.recv(65536):
        pass


def said_good_bye_after_the_request(connection: ssl.SSLSocket) -> None:
    lost_after_the_request(connection)
    connection.unwrap()


def garbled_after_the_request(connection: ssl.SSLSocket) -> None:
    lost_after_the_request(connection)
    with socket.socket(fileno=connection.detach()) as bare:
        bare.sendall(b"HTTP/1.1 200 OK\r\n\r\n")


@pytest.mark.parametrize(
    ("behaviour", "answer"),
    [
        (lost_in_the_handshake, Answer.BUSY),
        (lost_after_the_request, Answer.UNANSWERED),
        (said_good_bye_after_the_request, Answer.UNANSWERED),
        (garbled_after_the_request, Answer.UNANSWERED),
    ],
)
def test_a_request_is_in_doubt_exactly_when_it_was_sent(
    behaviour: Callable[[ssl.SSLSocket], None],
    answer: Answer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    authority = Authority(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.file))

    class Server(HTTPServer):
        def finish_request(self, request: object, client_address: object) -> None:
            assert isinstance(request, ssl.SSLSocket)
            request.settimeout(5)
            behaviour(request)

        def shutdown_request(self, request: object) -> None:
            assert isinstance(request, socket.socket)
            request.close()

        def handle_error(self, request: object, client_address: object) -> None:
            """What the client does of its own is judged by the test."""

    with Server(("127.0.0.1", 0), None) as server:  # type: ignore[arg-type]  # no handler is made
        url = authority.secure(server)
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        http = HttpSession(2, 2)
        got = http.post(url, b"{}", {})
        http.close()
        thread.join()
    assert isinstance(got, Verdict)
    assert got.answer is answer
