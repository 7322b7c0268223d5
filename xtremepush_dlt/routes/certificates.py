"""What went wrong with TLS: the server's certificate, the handshake, or a request under way."""

from __future__ import annotations

import ssl
from traceback import walk_tb
from typing import Any
from urllib.parse import urlsplit

from xtremepush_dlt.routes.verdict import Answer, Verdict

_OUT_OF_TIME = {9: "is not valid yet", 10: "has expired"}
_OF_ANOTHER_HOST = (62, 64)
"""Numbers of OpenSSL: X509_V_ERR_CERT_NOT_YET_VALID, _CERT_HAS_EXPIRED, _HOSTNAME_MISMATCH and
_IP_ADDRESS_MISMATCH."""

NO_AUTHORITIES = Verdict(
    Answer.UNTRUSTED,
    unanswered_why="the file of trusted certificate authorities does not exist",
    advice="Check the path in the environment variable REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE.",
)


def judge_tls(error: Exception, url: str) -> Verdict:
    """The verdict on an error of TLS.

    Args:
        error: What `requests` raised.
        url: Where the request was to go.

    Returns:
        `UNTRUSTED` if the certificate is refused, which a person must mend; `BUSY` if the
        handshake failed otherwise; `UNANSWERED` if the request may have been sent.
    """
    fault = _fault(error)
    if isinstance(fault, ssl.SSLCertVerificationError):
        return _untrusted(fault, url)
    if fault is not None and _while_connecting(fault):
        return Verdict(Answer.BUSY, unanswered_why="no secure connection")
    return Verdict(Answer.UNANSWERED, unanswered_why="connection lost before the answer")


def _fault(error: Exception) -> ssl.SSLError | None:
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
