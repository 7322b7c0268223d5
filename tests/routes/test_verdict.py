"""The verdict on a reply: every status of the reference, and replies nobody would expect."""

from __future__ import annotations

import json
from email.utils import formatdate
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from requests.structures import CaseInsensitiveDict

from xtremepush_dlt.routes.assumptions import ExternalApiAssumptions
from xtremepush_dlt.routes.verdict import Answer, Verdict, find, judge

quick = settings(max_examples=150, deadline=None)

NOW = 1_700_000_000.0
PLACES = ExternalApiAssumptions().task_id_places


def verdict_on(status: int, body: Any, headers: dict[str, str] | None = None) -> Verdict:
    """The verdict on a reply; a body that is no bytes is sent as JSON."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return judge(status, CaseInsensitiveDict(headers or {}), raw, NOW, PLACES)[0]


def envelope(status: int, **members: Any) -> dict[str, Any]:
    return {"code": status, "success": 200 <= status < 300, **members}


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (200, Answer.DELIVERED),
        (400, Answer.REFUSED),
        (401, Answer.DENIED),
        (403, Answer.DENIED),
        (404, Answer.MISDIRECTED),
        (405, Answer.MISDIRECTED),
        (408, Answer.UNANSWERED),
        (410, Answer.MISDIRECTED),
        (413, Answer.TOO_LARGE),
        (422, Answer.REFUSED),
        (429, Answer.BUSY),
        (500, Answer.BUSY),
        (502, Answer.UNANSWERED),
        (503, Answer.BUSY),
        (504, Answer.UNANSWERED),
    ],
)
def test_each_status_of_the_reference_has_its_answer(status: int, answer: Answer) -> None:
    verdict = verdict_on(status, envelope(status))
    assert (verdict.answer, verdict.status, verdict.code) == (answer, status, status)


@pytest.mark.parametrize(
    "status", [400, 401, 403, 404, 405, 408, 410, 413, 429, 500, 502, 503, 504]
)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>Bad gateway</html>",
        b"[]",
        b"null",
        {"success": True, "code": 200, "data": {"task_id": 1}},
    ],
)
def test_a_status_that_says_no_is_believed_whatever_the_body_says(status: int, body: Any) -> None:
    verdict = verdict_on(status, body)
    assert verdict.answer is verdict_on(status, envelope(status)).answer
    assert verdict.answer not in (Answer.DELIVERED, Answer.ACCEPTED)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_misdirected_because_a_post_must_not_become_a_get(status: int) -> None:
    assert verdict_on(status, b"", {"Location": "https://elsewhere"}).answer is Answer.MISDIRECTED


def test_200_with_success_false_is_a_refusal_with_its_message() -> None:
    verdict = verdict_on(
        200, {"success": False, "code": 200, "status": "failure", "error": "Incorrect"}
    )
    assert verdict.answer is Answer.REFUSED
    assert verdict.message == "Incorrect"
    assert "HTTP 200" in verdict.described
    assert "success" in verdict.described


@pytest.mark.parametrize("status", [200, 201, 202])
def test_success_false_is_a_refusal_under_any_status_that_says_yes(status: int) -> None:
    body = {"success": False, "data": {"task_id": 5}}
    assert verdict_on(status, body).answer is Answer.REFUSED


@pytest.mark.parametrize("value", [0, "false", "0"])
def test_a_success_that_is_false_in_another_writing_is_never_taken_for_delivered(
    value: Any,
) -> None:
    assert verdict_on(200, {"success": value, "code": 200}).answer is not Answer.DELIVERED


def test_a_missing_success_counts_as_success_as_clients_in_the_field_have_it() -> None:
    assert verdict_on(200, {"code": 200}).answer is Answer.DELIVERED


def test_the_asynchronous_reply_to_a_hit_is_delivered() -> None:
    assert verdict_on(200, envelope(200, **{"async": True})).answer is Answer.DELIVERED


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"<html><body>Welcome</body></html>",
        b'{"success": tr',
        b'{"success": true, "code": 200',
        b"\xff\xfe\x00",
        b"[]",
        b'[{"success": true}]',
        b"true",
        b"200",
        b'"OK"',
        b"null",
        b"[" * 5000,
    ],
)
def test_200_without_a_readable_object_is_unanswered_because_the_rows_may_have_arrived(
    body: bytes,
) -> None:
    verdict, parsed = judge(200, {}, body, NOW)
    assert verdict.answer is Answer.UNANSWERED
    assert parsed == {}


# --- 202 -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "place",
    [
        {"data": {"task_id": 77}},
        {"data": {"id": 77}},
        {"model": {"id": 77}},
        {"task_id": 77},
        {"id": 77},
        {"data": [], "task_id": 77},
        {"data": None, "model": {"id": "77"}},
        {"data": {"task_id": None, "id": "77"}},
    ],
)
def test_an_accepted_import_names_its_task_wherever_the_id_stands(place: dict[str, Any]) -> None:
    verdict = verdict_on(202, envelope(202, **place))
    assert (verdict.answer, verdict.task_id) == (Answer.ACCEPTED, "77")


def test_the_places_of_a_task_id_are_tried_in_their_order() -> None:
    body = envelope(202, data={"task_id": 1, "id": 2}, task_id=3, id=4)
    assert verdict_on(202, body).task_id == "1"


def test_202_in_the_code_alone_is_accepted_as_well() -> None:
    verdict = verdict_on(200, {"success": True, "code": 202, "data": {"task_id": "t-1"}})
    assert (verdict.answer, verdict.task_id) == (Answer.ACCEPTED, "t-1")


@pytest.mark.parametrize("body", [{"success": True, "code": 202}, {"success": True, "data": []}])
def test_an_accepted_import_without_a_task_id_is_unanswered(body: dict[str, Any]) -> None:
    verdict = verdict_on(202, body)
    assert (verdict.answer, verdict.task_id) == (Answer.UNANSWERED, None)


@pytest.mark.parametrize("value", ["", {}, {"id": 1}, [], [1], True, False])
def test_what_cannot_be_the_id_of_a_task_is_passed_over(value: Any) -> None:
    assert verdict_on(202, envelope(202, task_id=value)).answer is Answer.UNANSWERED
    assert verdict_on(202, envelope(202, data={"task_id": value}, id=9)).task_id == "9"


def test_a_place_is_a_dotted_path_and_nothing_in_its_way_raises() -> None:
    assert find({"a": {"b": {"c": 1}}}, ["x.y", "a.b.c.d", "a.b.c"]) == 1
    assert find({"a": [1], "b": "text"}, ["a.0", "b.c", ""]) is None
    assert find({"n": 0}, ["n"]) == 0


# --- Retry-After ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("0", 0.0), ("120", 120.0), (" 7 ", 7.0), ("1.5", 1.5), ("-3", 0.0)],
)
def test_retry_after_in_seconds_is_read(value: str, seconds: float) -> None:
    assert verdict_on(429, b"", {"Retry-After": value}).retry_after == seconds
    assert verdict_on(503, b"", {"retry-after": value}).retry_after == seconds


@quick
@given(offset=st.integers(min_value=-10_000, max_value=10**6))
def test_retry_after_as_a_date_is_read_and_a_past_date_means_at_once(offset: int) -> None:
    date = formatdate(NOW + offset, usegmt=True)
    assert verdict_on(429, b"", {"Retry-After": date}).retry_after == max(0.0, offset)


@quick
@given(value=st.text(max_size=20) | st.text(alphabet="0123456789.-+eE_ :,GMTOctWed", max_size=30))
@example(value="nan")
@example(value="inf")
@example(value="1e999")
@example(value="soon")
@example(value="")
@example(value="Wed, 21 Oct 99999999999 07:28:00 GMT")
@example(value="Wed, 21 Oct 2015 07:28:00 +99999999")
@example(value="Wed, 21 Oct 0001 07:28:00 -0000")
def test_a_garbled_retry_after_never_raises_and_never_means_for_ever(value: str) -> None:
    seconds = verdict_on(429, b"", {"Retry-After": value}).retry_after
    assert seconds is None or 0 <= seconds < float("inf")


def test_without_the_header_nothing_is_asked_for() -> None:
    assert verdict_on(429, b"").retry_after is None


# --- code, message -------------------------------------------------------------------------------


@pytest.mark.parametrize("code", ["200", None, 2.5, [], {}, [200], True, 1e300, "x" * 1000])
def test_a_code_of_a_strange_type_is_no_code_and_does_no_harm(code: Any) -> None:
    verdict = verdict_on(400, {"success": False, "code": code})
    assert verdict.answer is Answer.REFUSED
    assert verdict.code is None
    assert verdict.described == "HTTP 400"


def test_a_code_that_differs_from_the_status_is_named() -> None:
    assert verdict_on(400, {"success": False, "code": 1042}).described == "HTTP 400, code 1042"


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"message": "No user"}, "No user"),
        ({"error": "No user"}, "No user"),
        ({"errors": ["a", {"row": 1}]}, '["a",{"row":1}]'),
        ({"message": "No user", "errors": {"user_id": ["x"]}}, 'No user; {"user_id":["x"]}'),
        ({"message": "", "errors": []}, ""),
        ({"message": {"en": "No"}}, '{"en":"No"}'),
        ({"message": 5}, "5"),
    ],
)
def test_what_xtremepush_says_is_kept_in_whichever_member_it_says_it(
    members: dict[str, Any], message: str
) -> None:
    assert verdict_on(400, {"success": False, **members}).message == message


def test_a_message_without_end_is_cut() -> None:
    assert len(verdict_on(400, {"message": "x" * 10**6}).message) <= 2000


@pytest.mark.parametrize("depth", [10, 300, 900])
def test_errors_nested_however_deeply_do_not_raise(depth: int) -> None:
    body = b'{"success":false,"errors":' + b"[" * depth + b'"x"' + b"]" * depth + b"}"
    assert verdict_on(400, body).answer is Answer.REFUSED


json_bodies = st.recursive(
    st.none() | st.booleans() | st.integers(-10, 600) | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["success", "code", "message", "error", "errors", "data", "id", "model"]
            ),
            inner,
        )
    ),
)


@settings(quick, max_examples=150)
@given(
    status=st.integers(200, 599),
    body=st.binary(max_size=40) | json_bodies.map(lambda value: json.dumps(value).encode()),
)
def test_no_reply_whatever_makes_the_judge_raise(status: int, body: bytes) -> None:
    verdict = verdict_on(status, body)
    assert verdict.status == status
    if verdict.answer in (Answer.DELIVERED, Answer.ACCEPTED):
        assert status < 300
        assert json.loads(body).get("success", True) is not False
    assert (verdict.answer is Answer.ACCEPTED) == (verdict.task_id is not None)


@quick
@given(
    status=st.integers(200, 599),
    members=st.fixed_dictionaries(
        {},
        optional={name: st.just("S3CR3T-4711") for name in ("message", "error", "errors", "code")},
    ),
)
def test_a_reply_is_described_without_what_it_quotes(status: int, members: dict[str, Any]) -> None:
    assert "S3CR3T" not in verdict_on(status, members).described


def test_a_missing_answer_is_described_by_what_went_wrong() -> None:
    assert Verdict(Answer.BUSY, unanswered_why="no connection").described == "no connection"
    assert Verdict(Answer.UNANSWERED).described == "no answer"
