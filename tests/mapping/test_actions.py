"""Actions: what a user may write, what is an error at once, and the hint that dlt stores."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from xtremepush_dlt.exceptions import InvalidActionError
from xtremepush_dlt.mapping.actions import (
    SYSTEM_ATTRIBUTES,
    Action,
    Column,
    Delete,
    Identify,
    Track,
    action_from_hint,
    column,
    delete,
    identify,
    track,
)

quick = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])

# names that the hint itself uses must be free to be names of columns as well
names = st.text(min_size=1, max_size=8).filter(lambda name: bool(name.strip())) | st.sampled_from(
    ["column", "type", "event", "identify", "user_id", "name"]
)
sources = names | names.map(Column)
flags = sources | st.sampled_from([0, 1, True, False, None])
scalars = (
    st.none()
    | st.booleans()
    | st.integers(min_value=-(2**53), max_value=2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=6)
)
conditions = st.dictionaries(names, scalars | st.lists(scalars, max_size=3), min_size=1, max_size=3)
free_names = names.filter(lambda name: name not in SYSTEM_ATTRIBUTES)
attributes = st.lists(names, max_size=3) | st.dictionaries(free_names, sources, max_size=3)
nulls = st.sampled_from(["skip", "clear"])
identify_keywords: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "user_id": sources,
        "anonymous_id": sources | st.none(),
        "timestamp": sources | st.none(),
        "email": sources | st.none(),
        "email_subscription": flags,
        "mobile_number": sources | st.none(),
        "sms_subscription": flags,
        "language": sources | st.none(),
        "timezone": sources | st.none(),
        "attributes": attributes,
        "when": conditions,
        "nulls": nulls,
    },
)
identifies = identify_keywords.map(lambda keywords: identify(**keywords))
selections = st.lists(names, max_size=3) | st.dictionaries(names, sources, max_size=3)
tracks = st.builds(
    lambda event, timestamp, keywords: track(event, timestamp=timestamp, **keywords),
    sources,
    sources,
    st.fixed_dictionaries(
        {},
        optional={
            "user_id": sources,
            "anonymous_id": sources | st.none(),
            "consent_preferences": sources | st.none(),
            "event_id": names | st.lists(names, min_size=1, max_size=3),
            "properties": selections,
            "user_attributes": selections,
            "when": conditions,
            "nulls": nulls,
        },
    ),
)

delete_keywords: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "user_id": sources,
        "anonymous_id": sources | st.none(),
        "when": conditions,
    },
)
deletes = delete_keywords.map(lambda keywords: delete(**keywords))
actions = identifies | tracks | deletes


@quick
@given(action=actions)
@example(action=identify(attributes={"column": "tier"}))
@example(action=track("a", timestamp="t", properties={"column": "b"}))
@example(action=track(column("name"), timestamp=column("t"), user_attributes=["tier"]))
@example(action=identify(when={"column": "x"}))
def test_an_action_comes_back_from_its_hint_as_it_was(action: Action) -> None:
    text = json.dumps(action.to_hint())
    back = action_from_hint(json.loads(text))
    assert back == action
    assert json.dumps(back.to_hint()) == text


@quick
@given(action=actions)
def test_making_an_action_from_its_own_parts_makes_the_same_hint(action: Action) -> None:
    assert action_from_hint(action.to_hint()).to_hint() == action.to_hint()


def test_a_hint_holds_only_what_differs_from_the_default() -> None:
    assert identify().to_hint() == {"type": "identify"}
    assert track("paid", timestamp="at").to_hint() == {
        "type": "track",
        "event": "paid",
        "timestamp": "at",
    }


def test_a_hint_of_the_first_version_is_still_read() -> None:
    # as 0.1 wrote them into the schemas of users
    assert action_from_hint(
        {
            "type": "identify",
            "user_id": {"column": "id"},
            "email": None,
            "sms_subscription": 0,
            "attributes": {"tier": "level"},
            "version": "updated_at",
            "when": {"status": ["paid", None]},
            "nulls": "clear",
        }
    ) == identify(
        user_id=column("id"),
        email=None,
        sms_subscription=0,
        attributes={"tier": "level"},
        version="updated_at",
        when={"status": ["paid", None]},
        nulls="clear",
    )
    assert action_from_hint(
        {
            "type": "track",
            "event": {"column": "name"},
            "timestamp": "at",
            "event_id": ["id"],
            "properties": ["price"],
            "user_attributes": ["tier"],
        }
    ) == track(
        column("name"),
        timestamp="at",
        event_id="id",
        properties=["price"],
        user_attributes=["tier"],
    )


def test_delete_is_a_third_action_with_a_label_of_its_own() -> None:
    assert delete(user_id="id", when={"status": "gone"}).to_hint() == {
        "type": "delete",
        "user_id": "id",
        "when": {"status": ["gone"]},
    }
    assert delete() == Delete()
    assert delete().label == "delete"


@pytest.mark.parametrize(
    "call",
    [
        lambda: delete(user_id=""),
        lambda: delete(user_id=None),  # type: ignore[arg-type]  # the slip to catch
        lambda: delete(anonymous_id=5),  # type: ignore[arg-type]  # the same
        lambda: delete(when={}),
        lambda: identify(anonymous_id=1),
        lambda: identify(timestamp=" "),
        lambda: track("e", timestamp="at", anonymous_id=""),
        lambda: track("e", timestamp="at", consent_preferences={"email": {}}),  # type: ignore[arg-type]  # the same
    ],
)
def test_an_identifier_moment_or_consent_that_names_no_column_is_an_error_at_once(
    call: Callable[[], object],
) -> None:
    with pytest.raises(InvalidActionError, match="takes"):
        call()


def test_no_consent_and_false_stay_what_they_are_in_the_hint() -> None:
    back = action_from_hint(
        json.loads(json.dumps(identify(email=None, sms_subscription=0).to_hint()))
    )
    assert isinstance(back, Identify)
    assert back.email is None
    assert back.sms_subscription == 0


@pytest.mark.parametrize("pair", [[(8, 0), (0, 8)]])
def test_a_condition_given_as_a_set_makes_the_same_hint_whatever_the_order_of_the_set(
    pair: list[tuple[int, int]],
) -> None:
    # the order of a set of texts differs from process to process: the schema would change each run
    hints = [identify(when={"level": set(values)}).to_hint() for values in pair]
    assert json.dumps(hints[0]) == json.dumps(hints[1])


@pytest.mark.parametrize(
    "hint",
    [
        {},
        {"type": "group"},
        {"type": "track"},
        {"type": "track", "event": "a"},
        {"type": "identify", "user": "id"},
        {"type": "track", "event": "a", "timestamp": "t", "traits": []},
    ],
)
def test_a_hint_of_another_version_is_an_error_that_names_the_remedy(hint: dict[str, Any]) -> None:
    with pytest.raises(InvalidActionError, match="Run the pipeline's script again"):
        action_from_hint(hint)


@pytest.mark.parametrize(
    ("make", "positional", "keywords"),
    [
        (identify, (), {"userid": "id"}),
        (identify, (), {"e_mail": "mail"}),
        (identify, (), {"atributes": ["tier"]}),
        (identify, (), {"When": {"a": 1}}),
        (identify, ("id",), {}),
        (track, ("paid",), {"timestamp": "at", "propertys": ["a"]}),
        (track, ("paid",), {"timstamp": "at"}),
        (track, ("paid", "at"), {}),
        (track, (), {"timestamp": "at"}),
    ],
)
def test_a_misspelled_keyword_or_a_stray_argument_is_an_error(
    make: Callable[..., Action], positional: tuple[Any, ...], keywords: dict[str, Any]
) -> None:
    with pytest.raises(TypeError):
        make(*positional, **keywords)


def test_track_needs_a_timestamp_because_an_old_event_must_not_be_stamped_now() -> None:
    with pytest.raises(TypeError, match="timestamp"):
        track("paid")  # type: ignore[call-arg]


@pytest.mark.parametrize("event", ["", "  ", None, 5, ["paid"]])
def test_an_event_without_a_name_is_an_error(event: Any) -> None:
    with pytest.raises(InvalidActionError, match="name"):
        track(event, timestamp="at")


@pytest.mark.parametrize("source", ["", " ", 5, 1.5, True, None, ["id"], Column(" ")])
@pytest.mark.parametrize(
    ("keyword", "make"),
    [
        ("user_id", lambda source: identify(user_id=source)),
        ("user_id", lambda source: track("paid", timestamp="at", user_id=source)),
        ("timestamp", lambda source: track("paid", timestamp=source)),
    ],
)
def test_an_identifier_and_a_timestamp_are_columns_and_nothing_else(
    source: Any, keyword: str, make: Callable[[Any], Action]
) -> None:
    with pytest.raises(InvalidActionError, match=keyword):
        make(source)


@pytest.mark.parametrize("keyword", ["email", "mobile_number", "language", "timezone"])
@pytest.mark.parametrize("source", ["", 5, True, ["mail"]])
def test_an_address_is_a_column_or_none(keyword: str, source: Any) -> None:
    with pytest.raises(InvalidActionError, match=keyword):
        identify(**{keyword: source})
    nothing: dict[str, Any] = {keyword: None}
    assert getattr(identify(**nothing), keyword) is None


@pytest.mark.parametrize("keyword", ["email_subscription", "sms_subscription"])
@pytest.mark.parametrize("value", [2, -1, 0.5, [1], {"a": 1}, Decimal("0.5")])
def test_a_constant_consent_is_1_or_0(keyword: str, value: Any) -> None:
    with pytest.raises(InvalidActionError, match=keyword):
        identify(**{keyword: value})


@pytest.mark.parametrize(
    "when",
    [
        {},
        [],
        "status",
        5,
        True,
        {"": 1},
        {" ": 1},
        {5: 1},
        {"status": date(2024, 1, 1)},
        {"status": [date(2024, 1, 1)]},
        {"status": [["paid"]]},
        {"status": object()},
        {"status": lambda value: True},
    ],
)
def test_a_condition_that_can_never_work_is_an_error(when: Any) -> None:
    for make in (lambda: identify(when=when), lambda: track("paid", timestamp="at", when=when)):
        with pytest.raises(InvalidActionError, match="when"):
            make()


@pytest.mark.parametrize("wanted", [{"gt": 5}, {}, b"paid"])
def test_a_condition_that_would_silently_take_no_row_is_an_error(wanted: Any) -> None:
    # {"amount": {"gt": 5}} is how other tools write it; its keys are no values to compare with
    with pytest.raises(InvalidActionError, match="add_filter"):
        identify(when={"amount": wanted})


@pytest.mark.parametrize(
    "wanted", [["paid", "shipped"], ("paid", "shipped"), iter(["paid", "shipped"])]
)
def test_several_wanted_values_come_as_any_list(wanted: Any) -> None:
    assert identify(when={"status": wanted}) == identify(when={"status": ["paid", "shipped"]})


@pytest.mark.parametrize("selection", ["tier", 5, True, [5], [""], [None], {"a": 5}, {"": "a"}])
def test_a_selection_that_is_no_list_or_dict_of_columns_is_an_error(selection: Any) -> None:
    with pytest.raises(InvalidActionError, match="attributes"):
        identify(attributes=selection)
    with pytest.raises(InvalidActionError, match="properties"):
        track("paid", timestamp="at", properties=selection)
    with pytest.raises(InvalidActionError, match="user_attributes"):
        track("paid", timestamp="at", user_attributes=selection)


@pytest.mark.parametrize("name", SYSTEM_ATTRIBUTES)
def test_an_attribute_cannot_take_a_name_that_xtremepush_reserves(name: str) -> None:
    with pytest.raises(InvalidActionError, match=rf"identify\({name}=\.\.\.\)"):
        identify(attributes={name: "some_column"})


@pytest.mark.parametrize("event_id", [5, [5], [""], "", [None], True])
def test_an_event_id_that_is_no_column_is_an_error_of_ours(event_id: Any) -> None:
    with pytest.raises(InvalidActionError, match="event_id"):
        track("paid", timestamp="at", event_id=event_id)


@pytest.mark.parametrize("event_id", [column("order_no"), [column("order_no")]])
def test_an_event_id_may_be_named_with_column_like_everything_else(event_id: Any) -> None:
    assert track("paid", timestamp="at", event_id=event_id) == track(
        "paid", timestamp="at", event_id="order_no"
    )


@pytest.mark.parametrize("value", ["keep", "", None, True, "Clear"])
def test_nulls_are_skipped_or_cleared(value: Any) -> None:
    for make in (lambda: identify(nulls=value), lambda: track("paid", timestamp="at", nulls=value)):
        with pytest.raises(InvalidActionError, match=r'"skip" or "clear"'):
            make()


def test_an_action_cannot_be_changed_after_it_was_checked() -> None:
    action = identify()
    with pytest.raises(AttributeError):
        action.user_id = ""  # type: ignore[misc]


def test_a_report_names_the_action_and_its_event() -> None:
    assert identify().label == "identify"
    assert track("order placed", timestamp="at").label == "track order placed"
    assert track(column("kind"), timestamp="at").label == "track {kind}"


def test_identify_and_track_are_the_names_of_the_values() -> None:
    assert isinstance(identify(), Identify)
    assert isinstance(track("paid", timestamp="at"), Track)
    assert column("a") == Column("a")
