"""Consent preferences on events: the shape that the reference shows, and nothing guessed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xtremepush_dlt.exceptions import MappingError
from xtremepush_dlt.mapping import consent
from xtremepush_dlt.mapping.actions import track
from xtremepush_dlt.mapping.calls import Calls, Problem, make_calls
from xtremepush_dlt.mapping.columns import ColumnBatch
from xtremepush_dlt.mapping.plan import columns_of
from xtremepush_dlt.mapping.planner import TableColumns, plan_table

quick = settings(max_examples=100, deadline=None)

SAMPLE = {
    "email": {"Group Marketing": 1},
    "metadata": {"location": "Dublin", "department": "Marketing"},
}
names = st.text(min_size=1, max_size=6).filter(lambda name: bool(name.strip()))
channels = st.dictionaries(
    names.filter(lambda name: name != "metadata"),
    st.dictionaries(names, st.sampled_from([0, 1]), max_size=3),
    max_size=3,
)


def calls(consents: list[Any], reject: bool = False, **keywords: Any) -> Calls:
    columns: dict[str, list[Any]] = {
        "user_id": ["a"] * len(consents),
        "at": ["2026-07-01"] * len(consents),
        "price": [5] * len(consents),
        "consents": consents,
    }
    action = track("seen", timestamp="at", consent_preferences="consents", **keywords)
    (plan,) = plan_table(TableColumns("t", dict.fromkeys(columns, "text")), [action]).tracks
    made = make_calls(ColumnBatch(0, len(consents), columns), plan, reject)
    assert list(made.payloads) == [made.payloads[i] for i in range(len(consents))]
    return made


def test_they_stand_beside_the_event_and_not_among_its_properties() -> None:
    made = calls([SAMPLE, None, json.dumps(SAMPLE), " "])
    event = {
        "event": "seen",
        "user_id": "a",
        "timestamp": "2026-07-01 00:00:00 +00:00",
        "value": {"price": 5},
    }
    full = {**event, "consent_preferences": SAMPLE}
    assert list(made.payloads) == [full, event, full, event]
    assert made.plain


def test_they_go_together_with_user_attributes() -> None:
    (call,) = calls([SAMPLE], user_attributes=["price"], properties=[]).payloads
    assert call["user_attributes"] == {"price": 5}
    assert call["consent_preferences"] == SAMPLE
    assert "value" not in call


@quick
@given(value=channels)
def test_every_object_of_that_shape_is_taken_as_it_is_as_object_or_as_text(
    value: dict[str, Any],
) -> None:
    assert consent.preferences([value, json.dumps(value)]) == ([value or None] * 2, {})


def test_true_and_false_become_1_and_0() -> None:
    ((value,), _) = consent.preferences([{"sms": {"News": True, "Offers": False}}])
    assert json.dumps(value) == '{"sms": {"News": 1, "Offers": 0}}'


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("{secret", "not JSON"),
        ('["secret"]', "not an object"),
        (5, "not an object"),
        ({"email": "secret"}, "a channel does not hold"),
        ({"email": {"secret": 2}}, "neither 0 nor 1"),
        ({"email": {"secret": "1"}}, "neither 0 nor 1"),
        ({"email": {"secret": 1.0}}, "neither 0 nor 1"),
        ({"email": {"secret": None}}, "neither 0 nor 1"),
        ({" ": {"secret": 1}}, "without a name"),
        ({"email": {"": 1}}, "without a name"),
        ({"metadata": "secret"}, "metadata is not an object"),
    ],
)
def test_what_breaks_the_shape_is_left_out_or_rejects_the_row_and_is_never_quoted(
    value: Any, reason: str
) -> None:
    made = calls([value])
    ((problem,),) = made.omitted.values()
    assert problem.column == "consents"
    assert reason in problem.reason
    assert "secret" not in problem.reason
    assert "consent_preferences" not in made.payloads[0]
    assert calls([value], reject=True).invalid == {0: [problem]}


def test_a_column_that_does_not_exist_is_an_error() -> None:
    columns = TableColumns("t", dict.fromkeys(("user_id", "at", "consent"), "text"))
    action = track("seen", timestamp="at", consent_preferences="consents")
    with pytest.raises(MappingError, match="consent_preferences names the column `consents`"):
        plan_table(columns, [action])


def test_values_that_drifted_are_read_and_reported() -> None:
    columns = TableColumns(
        "t",
        dict.fromkeys(("user_id", "at", "c", "c__v_text"), "text"),
        variants={"c": ["c__v_text"]},
    )
    plan = plan_table(columns, [track("seen", timestamp="at", consent_preferences="c")])
    assert {"c", "c__v_text"} <= {*columns_of(plan.actions)}
    rows: dict[str, list[Any]] = {
        "user_id": ["a"],
        "at": ["2026-07-01"],
        "c": [None],
        "c__v_text": ["x"],
    }
    made = make_calls(ColumnBatch(0, 1, rows), plan.tracks[0], reject_invalid=False)
    assert made.omitted == {0: [Problem("c", "its type drifted: arrived in `c__v_text`")]}
