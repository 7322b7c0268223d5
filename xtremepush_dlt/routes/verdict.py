"""What a reply means: a value with few answers, so that no caller reads status codes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import Any

import orjson


class Answer(Enum):
    """What a caller can do after a request."""

    DELIVERED = "delivered"
    """Xtremepush confirmed the rows."""

    ACCEPTED = "accepted"
    """Xtremepush made a task of them (202), which has to be followed to its end."""

    PARTLY = "partly"
    """Xtremepush took some of the rows and refused others."""

    REFUSED = "refused"
    """Xtremepush refused the request because of what is in it; parts of it may pass."""

    TOO_LARGE = "too large"
    """The body has too many bytes; parts of it may pass."""

    BUSY = "busy"
    """Not processed, and may be sent again: 429, 500, 503, or no connection could be made."""

    UNANSWERED = "unanswered"
    """Sent, and nobody knows whether it was processed: no answer, or none that can be read."""

    DENIED = "denied"
    """The credential does not open this door: 401, 403."""

    MISDIRECTED = "misdirected"
    """Nobody serves that path there: 404, 405, 410, or a redirect."""

    UNTRUSTED = "untrusted"
    """Not sent: the server's certificate does not prove who answers there."""


@dataclass(frozen=True)
class Verdict:
    """The meaning of one reply.

    Attributes:
        answer: What it means for the rows of the request.
        status: HTTP status; None when there was no answer.
        code: `code` of the reply's envelope, when it has one.
        message: What Xtremepush says. It may quote a customer's value: for the undelivered rows
            only, never for a log or an exception.
        retry_after: Seconds that the server asks to wait, or None.
        task_id: The task that was made of the rows.
        failed_at: Places in the request of the rows that were refused, after `PARTLY`; empty where
            the reply does not name them.
        unanswered_why: Name of the fault when there was no answer.
        where: What answered, where it was not the API itself.
        advice: What a person can check, in full sentences, where the route knows it.
    """

    answer: Answer
    status: int | None = None
    code: int | None = None
    message: str = field(default="", repr=False)
    retry_after: float | None = None
    task_id: str | None = None
    failed_at: frozenset[int] = frozenset()
    unanswered_why: str = ""
    where: str = ""
    advice: str = ""

    @property
    def told(self) -> int | None:
        """The status that counts: under HTTP 200 it stands in `code`."""
        return self.code if self.status == 200 and self.code is not None else self.status

    @property
    def described(self) -> str:
        """The reply in words that carry no customer's value."""
        return self._said + (f" at {self.where}" if self.where else "")

    @property
    def _said(self) -> str:
        if self.status is None:
            return self.unanswered_why or "no answer"
        if self.code is not None and self.code != self.status:
            return f"HTTP {self.status}, code {self.code}"
        if self.answer is Answer.PARTLY or (self.status == 200 and self.answer is Answer.REFUSED):
            return f"HTTP {self.status} without success"
        return f"HTTP {self.status}"


_BY_STATUS: Mapping[int, Answer] = {
    401: Answer.DENIED,
    403: Answer.DENIED,
    404: Answer.MISDIRECTED,
    405: Answer.MISDIRECTED,
    408: Answer.UNANSWERED,
    410: Answer.MISDIRECTED,
    413: Answer.TOO_LARGE,
    429: Answer.BUSY,
    500: Answer.BUSY,
    # a gateway that lost the server behind it does not know what that server did
    502: Answer.UNANSWERED,
    503: Answer.BUSY,
    504: Answer.UNANSWERED,
}


_FALSE = (False, "false", "0")

_RETRY_AFTER_MOST = 30 * 86400.0
"""Seconds of waiting that are granted to a server; what asks for more is a slip."""


def judge(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    now: float,
    task_id_places: Iterable[str] = (),
    failed_rows_places: Iterable[str] = (),
    error_place_members: Iterable[str] = (),
) -> tuple[Verdict, Mapping[str, Any]]:
    """Reads a reply (reference, section 10: `success` decides, never the status alone).

    Args:
        status: HTTP status.
        headers: Headers of the reply, looked up without regard to case.
        body: The reply as it came, whatever it is.
        now: Seconds since the epoch, to read a `Retry-After` that is a date.
        task_id_places: Where a 202 may carry its task's id, as dotted paths.
        failed_rows_places: Where a reply may carry the number of refused rows, as dotted paths.
        error_place_members: Members of an error that may name the place of its row.

    Returns:
        The verdict, and the reply as parsed (empty when it is no JSON object).
    """
    envelope = _parsed(body)
    code = envelope.get("code")
    shared: dict[str, Any] = {
        "status": status,
        "code": code if type(code) is int else None,
        "message": _message(envelope),
        "retry_after": _retry_after(headers.get("Retry-After"), now),
    }
    if not 200 <= status < 300:
        return Verdict(_by_status(status), **shared), envelope
    if not envelope:
        # a proxy's page, an empty or a cut reply: the rows may well have arrived
        return Verdict(Answer.UNANSWERED, **shared), envelope
    if denies(envelope):
        # a status of its own stands in `code` where the HTTP status says 200
        answer = _by_status(code) if type(code) is int and code >= 400 else Answer.REFUSED
        return Verdict(answer, **shared), envelope
    # rows that failed beside others are told by `errors` or a counter (an inference, section 4)
    failed = count(find(envelope, failed_rows_places))
    if envelope.get("errors") or failed:
        failed_at = _places(envelope.get("errors"), tuple(error_place_members))
        if failed and failed != len(failed_at):
            failed_at = frozenset()
        return Verdict(Answer.PARTLY, **shared, failed_at=failed_at), envelope
    if status == 202 or code == 202:
        task_id = next(
            (
                str(value)
                for place in task_id_places
                if (value := find(envelope, [place])) and type(value) in (int, str)
            ),
            None,
        )
        answer = Answer.UNANSWERED if task_id is None else Answer.ACCEPTED
        return Verdict(answer, **shared, task_id=task_id), envelope
    return Verdict(Answer.DELIVERED, **shared), envelope


def denies(envelope: Mapping[str, Any]) -> bool:
    """Whether a reply says that there was no success.

    One without `success` means success, unless it bears the marks of a failure (reference,
    section 10: `code` is that of the HTTP status, and `status` and `error` tell of a refusal).
    """
    if "success" in envelope:
        return envelope["success"] in _FALSE
    code = envelope.get("code")
    return (
        (type(code) is int and code >= 400)
        or envelope.get("status") == "failure"
        or bool(envelope.get("error"))
    )


def _by_status(status: int) -> Answer:
    if 300 <= status < 400:
        return Answer.MISDIRECTED
    return _BY_STATUS.get(status, Answer.BUSY if status >= 500 else Answer.REFUSED)


def _places(errors: Any, members: Sequence[str]) -> frozenset[int]:
    """Places of refused rows, from a list of errors or from errors keyed by place."""
    if isinstance(errors, Mapping):
        named: list[Any] = [*errors]
    elif isinstance(errors, list):
        named = [find(error, members) if isinstance(error, Mapping) else None for error in errors]
    else:
        return frozenset()
    texts = [str(place) for place in named]
    if not all(text.isascii() and text.isdigit() for text in texts):
        # if one of them cannot be placed, none of the others may be taken for delivered
        return frozenset()
    return frozenset(map(int, texts))


def count(value: Any) -> int:
    """A counter, which may be written as a number or as text."""
    try:
        return int(value or 0)
    except (TypeError, ValueError, OverflowError):
        return 1


def find(envelope: Mapping[str, Any], places: Iterable[str]) -> Any:
    """The first value that stands at one of some dotted paths; None if there is none."""
    for place in places:
        value: Any = envelope
        for key in place.split("."):
            value = value.get(key) if isinstance(value, Mapping) else None
        if value is not None:
            return value
    return None


def _parsed(body: bytes) -> Mapping[str, Any]:
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _message(envelope: Mapping[str, Any]) -> str:
    said = [envelope.get(key) for key in ("message", "error", "errors")]
    return "; ".join(_text(value) for value in said if value)[:2000]


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    try:
        return orjson.dumps(value).decode()
    except orjson.JSONEncodeError:
        return "(nested too deeply to be shown)"


def _retry_after(value: str | None, now: float) -> float | None:
    """Seconds from either form that HTTP allows: a number, or a date."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - now
        except (ValueError, OverflowError):
            return None
    if math.isnan(seconds):
        return None
    return min(max(0.0, seconds), _RETRY_AFTER_MOST)
