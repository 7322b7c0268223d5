"""The HTTP session: sends a body, answers with a status or with the name of what went wrong."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Mapping
from traceback import walk_tb
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter

from xtremepush_dlt.routes.verdict import Answer, Verdict

_OUT_OF_TIME = {9: "is not valid yet", 10: "has expired"}
_OF_ANOTHER_HOST = (62, 64)
"""Numbers of OpenSSL: X509_V_ERR_CERT_NOT_YET_VALID, _CERT_HAS_EXPIRED, _HOSTNAME_MISMATCH and
_IP_ADDRESS_MISMATCH."""


class Reply(NamedTuple):
    """An HTTP reply, read whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class HttpSession:
    """One keep-alive connection for each thread that sends.

    Args:
        connect_timeout: Seconds to wait for a connection.
        read_timeout: Seconds to wait for an answer.
    """

    def __init__(self, connect_timeout: float, read_timeout: float) -> None:
        self._timeout = (connect_timeout, read_timeout)
        self._local = threading.local()
        self._sessions: list[requests.Session] = []
        self._lock = threading.Lock()

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Reply | Verdict:
        """Sends a body once, without retries and without following redirects.

        Returns:
            The reply, or the verdict on its absence.
        """
        session = self._session(url)
        try:
            response = session.post(
                url,
                data=body,
                headers=headers,
                timeout=self._timeout,
                # a followed redirect would turn the POST into a GET
                allow_redirects=False,
            )
        except requests.ConnectTimeout:
            return Verdict(Answer.BUSY, unanswered_why="no connection within the time limit")
        except requests.ReadTimeout:
            return Verdict(Answer.UNANSWERED, unanswered_why="no answer within the time limit")
        except requests.exceptions.SSLError as error:
            fault = _fault_of_tls(error)
            if isinstance(fault, ssl.SSLCertVerificationError):
                return _untrusted(fault, url)
            if fault is not None and _while_connecting(fault):
                return Verdict(Answer.BUSY, unanswered_why="no secure connection")
            return Verdict(Answer.UNANSWERED, unanswered_why="connection lost before the answer")
        except requests.ConnectionError as error:
            if _never_sent(error):
                return Verdict(Answer.BUSY, unanswered_why="no connection")
            return Verdict(Answer.UNANSWERED, unanswered_why="connection lost before the answer")
        except (requests.exceptions.ChunkedEncodingError, requests.exceptions.ContentDecodingError):
            return Verdict(Answer.UNANSWERED, unanswered_why="answer cut short")
        return Reply(response.status_code, response.headers, response.content)

    def close(self) -> None:
        """Closes the connections of all threads."""
        with self._lock:
            for session in self._sessions:
                session.close()
            self._sessions.clear()

    def _session(self, url: str) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = requests.Session()
            adapter = HTTPAdapter(pool_connections=1, pool_maxsize=1, max_retries=0)
            session.mount("https://", adapter)
            session.mount("http://", adapter)
            # proxies and certificates of the environment, looked up once and not at each request;
            # a ~/.netrc entry for the host must not add a credential of its own
            found = session.merge_environment_settings(url, {}, None, None, None)
            session.proxies, session.verify, session.cert = (
                found["proxies"],
                found["verify"],
                found["cert"],
            )
            session.trust_env = False
            self._local.session = session
            with self._lock:
                self._sessions.append(session)
        return session


def _never_sent(error: requests.ConnectionError) -> bool:
    """Whether the connection could not even be made, so that nothing can have been processed."""
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return type(reason).__name__ in ("NewConnectionError", "NameResolutionError", "ProxyError")


def _fault_of_tls(error: requests.ConnectionError) -> ssl.SSLError | None:
    """What Python's `ssl` raised; requests and urllib3 wrap it more than once."""
    link: Any = error
    while isinstance(link, BaseException):
        if isinstance(link, ssl.SSLError):
            return link
        link = getattr(link, "reason", None) or (link.args[0] if link.args else None)
    return None


def _while_connecting(fault: ssl.SSLError) -> bool:
    """Whether it was raised before the request: TLS also tells of connections lost after it."""
    frames = walk_tb(fault.__traceback__)
    return any(frame.f_code.co_name == "connect" for frame, _ in frames)


def _untrusted(refused: ssl.SSLCertVerificationError, url: str) -> Verdict:
    host = urlsplit(url).netloc.rpartition("@")[2]
    code = refused.verify_code
    if code in _OUT_OF_TIME:
        why = f"the certificate of `{host}`, or one that it rests on, {_OUT_OF_TIME[code]}"
        advice = (
            "Check the clock of this machine. If it is right, whoever runs that server has to "
            "renew the certificate."
        )
    elif code in _OF_ANOTHER_HOST:
        why = f"the certificate of `{host}` is not trusted: it is for another host name"
        advice = (
            "Check the host in `api_endpoint` in [destination.xtremepush], and that no proxy "
            "answers in its place."
        )
    else:
        why = f"the certificate of `{host}` is not trusted ({refused.verify_message})"
        advice = (
            "Check the host in `api_endpoint` in [destination.xtremepush]. Behind a proxy or a "
            "test server with a certificate authority of its own, name the authority's PEM file "
            "in the environment variable REQUESTS_CA_BUNDLE."
        )
    return Verdict(Answer.UNTRUSTED, unanswered_why=why, advice=advice)


def wall_clock() -> float:
    """Seconds since the epoch; a function of its own so that tests can stand in."""
    return time.time()
