"""The HTTP session: sends a body, answers with a status or with the name of what went wrong."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import requests
from requests.adapters import HTTPAdapter

from xtremepush_dlt.routes.certificates import NO_AUTHORITIES, judge_tls
from xtremepush_dlt.routes.verdict import Answer, Verdict


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
            return judge_tls(error, url)
        except requests.ConnectionError as error:
            if _never_sent(error):
                return Verdict(Answer.BUSY, unanswered_why="no connection")
            return Verdict(Answer.UNANSWERED, unanswered_why="connection lost before the answer")
        except (requests.exceptions.ChunkedEncodingError, requests.exceptions.ContentDecodingError):
            return Verdict(Answer.UNANSWERED, unanswered_why="answer cut short")
        except OSError:
            # requests looks for the file of the authorities before it connects
            if isinstance(session.verify, str) and not Path(session.verify).exists():
                return NO_AUTHORITIES
            raise
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


def wall_clock() -> float:
    """Seconds since the epoch; a function of its own so that tests can stand in."""
    return time.time()
