"""The plan of a table: every name resolved and every mistake found before the first request."""

from __future__ import annotations

from typing import Any

import pytest
from dlt.common.normalizers.naming.direct import NamingConvention as Direct
from dlt.common.normalizers.naming.naming import NamingConvention
from dlt.common.normalizers.naming.snake_case import NamingConvention as SnakeCase

from xtremepush_dlt.exceptions import MappingError
from xtremepush_dlt.mapping import data_formats, formats
from xtremepush_dlt.mapping.actions import Action, column, identify, track
from xtremepush_dlt.mapping.plan import Binding, Condition, IdentifyPlan, TrackPlan, columns_of
from xtremepush_dlt.mapping.planner import TableColumns, plan_table, require_consent

SNAKE_CASE, DIRECT = SnakeCase(), Direct()


def table(
    *names: str,
    naming: NamingConvention = DIRECT,
    variants: dict[str, list[str]] | None = None,
    empty: tuple[str, ...] = (),
    primary_key: tuple[str, ...] = (),
) -> TableColumns:
    """A table with text columns; `_dlt_` columns are dlt's own, `empty` ones never had a value."""
    kinds = {name: None if name in empty else "text" for name in (*names, *empty)}
    return TableColumns(
        "customers",
        kinds,
        variants=variants or {},
        internal=frozenset(name for name in kinds if name.startswith("_dlt_")),
        primary_key=primary_key,
        normalize=lambda name: (naming.normalize_identifier(name), naming.normalize_path(name)),
    )


def plan_identify(columns: TableColumns, action: Action) -> IdentifyPlan:
    (plan,) = plan_table(columns, [action]).identifies
    return plan


def plan_track(columns: TableColumns, action: Action) -> TrackPlan:
    (plan,) = plan_table(columns, [action]).tracks
    return plan


def mapped(bindings: tuple[Binding, ...]) -> dict[str, str | None]:
    """Column by name on the wire."""
    return {binding.target: binding.column for binding in bindings}


USUAL = (
    "user_id",
    "email",
    "email_subscription",
    "mobile_number",
    "sms_subscription",
    "language",
    "timezone",
)


def test_identify_without_arguments_maps_the_usual_names_and_makes_attributes_of_the_rest() -> None:
    plan = plan_identify(table(*USUAL, "tier", "birthday"), identify())
    assert plan.user.column == "user_id"
    assert mapped(plan.profile) == {name: name for name in (*USUAL[1:], "tier", "birthday")}


def test_each_system_name_is_written_in_its_own_format() -> None:
    plan = plan_identify(table(*USUAL, "tier"), identify())
    assert plan.user.write is formats.user_id
    assert {binding.target: binding.write for binding in plan.profile} == {
        "email": formats.email,
        "email_subscription": formats.subscription,
        "mobile_number": formats.mobile_number,
        "sms_subscription": formats.subscription,
        "language": formats.language,
        "timezone": formats.timezone_name,
        "tier": data_formats.attribute,
    }


def test_segments_phone_becomes_mobile_number_and_no_attribute() -> None:
    plan = plan_identify(table("user_id", "phone", "sms_subscription"), identify())
    assert mapped(plan.profile) == {
        "mobile_number": "phone",
        "sms_subscription": "sms_subscription",
    }


def test_mobile_number_goes_before_phone() -> None:
    plan = plan_identify(table("user_id", "phone", "mobile_number"), identify())
    assert mapped(plan.profile)["mobile_number"] == "mobile_number"


def test_columns_of_the_usual_names_that_are_missing_are_simply_not_sent() -> None:
    plan = plan_identify(table("user_id", "tier"), identify())
    assert mapped(plan.profile) == {"tier": "tier"}


def test_dlts_own_columns_and_columns_that_never_had_a_value_are_no_attributes() -> None:
    columns = table("user_id", "tier", "_dlt_id", "_dlt_load_id", empty=("later",))
    assert mapped(plan_identify(columns, identify()).profile) == {"tier": "tier"}
    plan = plan_track(columns, track("seen", timestamp="tier"))
    assert mapped(plan.properties) == {}


@pytest.mark.parametrize("name", USUAL[1:])
def test_a_system_name_mapped_from_another_column_never_becomes_an_attribute_too(
    name: str,
) -> None:
    keywords: dict[str, Any] = {name: "other"}
    plan = plan_identify(table("user_id", name, "other"), identify(**keywords))
    assert mapped(plan.profile) == {name: "other"}


@pytest.mark.parametrize("name", ["email", "mobile_number", "language", "timezone"])
def test_an_address_that_was_left_out_on_purpose_does_not_come_back_as_an_attribute(
    name: str,
) -> None:
    keywords: dict[str, Any] = {name: None}
    plan = plan_identify(table("user_id", name, "tier"), identify(**keywords))
    assert mapped(plan.profile) == {"tier": "tier"}


def test_a_phone_that_was_left_out_on_purpose_does_not_come_back_as_an_attribute() -> None:
    plan = plan_identify(table("user_id", "phone", "tier"), identify(mobile_number=None))
    assert mapped(plan.profile) == {"tier": "tier"}


@pytest.mark.parametrize("name", USUAL)
def test_a_system_name_in_the_list_of_attributes_is_an_error_that_names_the_keyword(
    name: str,
) -> None:
    with pytest.raises(MappingError, match=rf"identify\({name}=\.\.\.\)"):
        plan_identify(table("id", name), identify(user_id="id", attributes=[name]))


def test_attributes_can_be_chosen_by_a_list_and_renamed_by_a_dict() -> None:
    columns = table("user_id", "tier", "city", "secret")
    assert mapped(plan_identify(columns, identify(attributes=["tier"])).profile) == {"tier": "tier"}
    assert mapped(plan_identify(columns, identify(attributes={"town": "city"})).profile) == {
        "town": "city"
    }
    assert mapped(plan_identify(columns, identify(attributes=[])).profile) == {}


@pytest.mark.parametrize(("constant", "wire"), [(1, 1), (0, 0), (True, 1), (False, 0)])
def test_a_constant_consent_is_the_same_1_or_0_for_all_rows(constant: int, wire: int) -> None:
    plan = plan_identify(table("user_id", "email"), identify(email_subscription=constant))
    (binding,) = [each for each in plan.profile if each.target == "email_subscription"]
    assert binding.column is None
    assert binding.constant == wire
    assert type(binding.constant) is int


@pytest.mark.parametrize(
    "action",
    [
        identify(user_id="custmer_id"),
        identify(user_id="customer_id", email="custmer_id"),
        identify(user_id="customer_id", email_subscription="custmer_id"),
        identify(user_id="customer_id", attributes=["custmer_id"]),
        identify(user_id="customer_id", attributes={"a": "custmer_id"}),
        identify(user_id="customer_id", when={"custmer_id": 1}),
        track("paid", timestamp="at", user_id="custmer_id"),
        track("paid", timestamp="custmer_id", user_id="customer_id"),
        track(column("custmer_id"), timestamp="at", user_id="customer_id"),
        track("paid", timestamp="at", user_id="customer_id", event_id="custmer_id"),
        track("paid", timestamp="at", user_id="customer_id", properties=["custmer_id"]),
        track("paid", timestamp="at", user_id="customer_id", user_attributes=["custmer_id"]),
        track("paid", timestamp="at", user_id="customer_id", when={"custmer_id": None}),
    ],
)
def test_a_column_that_is_missing_is_an_error_that_names_the_table_and_suggests_the_right_one(
    action: Action,
) -> None:
    with pytest.raises(MappingError) as caught:
        plan_table(table("customer_id", "at", "_dlt_id"), [action])
    assert "Table `customers`" in str(caught.value)
    assert "`custmer_id`" in str(caught.value)
    assert "Did you mean `customer_id`?" in str(caught.value)


def test_where_nothing_is_alike_the_error_lists_the_columns_but_not_dlts() -> None:
    with pytest.raises(MappingError, match="`id`, `at`") as caught:
        plan_table(table("id", "at", "_dlt_id"), [identify(user_id="customer_number")])
    assert "_dlt_id" not in str(caught.value)


@pytest.mark.parametrize("action", [identify(), track("paid", timestamp="at")])
def test_a_table_without_a_user_id_needs_it_named(action: Action) -> None:
    with pytest.raises(MappingError, match="user_id names the column `user_id`"):
        plan_table(table("number", "at"), [action])


def test_a_table_without_an_action_is_an_error_that_names_the_adapter() -> None:
    with pytest.raises(MappingError, match=r"Table `customers`.*xtremepush_adapter\("):
        plan_table(table("id"), [])


@pytest.mark.parametrize("written", ["customer_id", "customerId", "CustomerId", "CustomerID"])
def test_a_name_as_the_source_writes_it_is_found_under_snake_case(written: str) -> None:
    plan = plan_identify(table("customer_id", naming=SNAKE_CASE), identify(user_id=written))
    assert plan.user.column == "customer_id"


def test_a_nested_name_is_found_under_snake_case() -> None:
    columns = table("id", "address__zip_code", naming=SNAKE_CASE)
    plan = plan_identify(columns, identify(user_id="id", attributes={"zip": "address__zipCode"}))
    assert mapped(plan.profile) == {"zip": "address__zip_code"}


@pytest.mark.parametrize("written", ["Customer Id", "käufer.nr", "customerId"])
def test_a_name_of_the_source_stands_as_it_is_under_direct(written: str) -> None:
    assert plan_identify(table(written), identify(user_id=written)).user.column == written


def test_the_exact_name_goes_before_its_normalised_form() -> None:
    columns = TableColumns("t", {"ID": "text", "id": "text"}, normalize=lambda n: (n.lower(),))
    assert columns.find("ID") == "ID"
    assert columns.find("Id") == "id"


def test_track_takes_all_remaining_columns_as_properties() -> None:
    columns = table("customer_id", "at", "status", "amount", "city", "_dlt_id")
    action = track("paid", user_id="customer_id", timestamp="at", user_attributes={"town": "city"})
    plan = plan_track(columns, action)
    assert mapped(plan.properties) == {"status": "status", "amount": "amount"}
    assert mapped(plan.user_attributes) == {"town": "city"}
    assert (plan.event.column, plan.event.constant) == (None, "paid")
    assert plan.timestamp.column == "at"


def test_the_column_of_the_events_name_is_no_property() -> None:
    plan = plan_track(table("user_id", "at", "kind"), track(column("kind"), timestamp="at"))
    assert plan.event.column == "kind"
    assert mapped(plan.properties) == {}


def test_a_literal_event_name_is_trimmed() -> None:
    plan = plan_track(table("user_id", "at"), track("  paid ", timestamp="at"))
    assert plan.event.constant == "paid"


def test_system_names_among_user_attributes_keep_their_formats() -> None:
    action = track("paid", timestamp="at", user_attributes={"mobile_number": "tel", "tier": "t"})
    plan = plan_track(table("user_id", "at", "tel", "t"), action)
    writes = {binding.target: binding.write for binding in plan.user_attributes}
    assert writes == {"mobile_number": formats.mobile_number, "tier": data_formats.attribute}


def test_the_event_id_is_the_primary_key_by_default() -> None:
    columns = table("user_id", "at", "order_no", "line", primary_key=("order_no", "line"))
    assert plan_track(columns, track("paid", timestamp="at")).event_id == ("order_no", "line")
    named = track("paid", timestamp="at", event_id="line")
    assert plan_track(columns, named).event_id == ("line",)


def test_without_a_primary_key_there_is_no_event_id() -> None:
    assert plan_track(table("user_id", "at"), track("paid", timestamp="at")).event_id == ()


def test_variant_columns_are_never_sent_under_their_own_name() -> None:
    columns = table(
        "user_id", "at", "amount", "amount▶v_text", variants={"amount": ["amount▶v_text"]}
    )
    (attribute,) = [
        each for each in plan_identify(columns, identify()).profile if each.target == "amount"
    ]
    assert attribute.variants == ("amount▶v_text",)
    assert "amount▶v_text" not in mapped(plan_identify(columns, identify()).profile)
    properties = plan_track(columns, track("paid", timestamp="at")).properties
    assert mapped(properties) == {"amount": "amount"}
    assert properties[0].variants == ("amount▶v_text",)


def test_every_part_of_an_action_knows_where_its_values_drift_to() -> None:
    names = ("user_id", "at", "kind", "status")
    variants = {name: [f"{name}▶v_text"] for name in names}
    columns = table(*names, *(f"{name}▶v_text" for name in names), variants=variants)
    plan = plan_track(columns, track(column("kind"), timestamp="at", when={"status": 1}))
    parts: tuple[Binding | Condition, ...]
    parts = (plan.user, plan.timestamp, plan.event, *plan.properties, *plan.conditions)
    assert all(part.variants == (f"{part.column}▶v_text",) for part in parts)


def test_all_columns_that_an_action_needs_are_read_each_once() -> None:
    columns = table(
        "user_id",
        "at",
        "status",
        "amount",
        "amount▶v_text",
        "order_no",
        "unused",
        variants={"amount": ["amount▶v_text"]},
        primary_key=("order_no",),
    )
    plan = plan_table(
        columns,
        [
            track("a", timestamp="at", properties=["amount"], when={"status": "x"}),
            track("b", timestamp="at", properties=["amount"]),
        ],
    )
    assert sorted(columns_of(plan.actions)) == [
        "amount",
        "amount▶v_text",
        "at",
        "order_no",
        "status",
        "user_id",
    ]


def test_a_constant_needs_no_column() -> None:
    plan = plan_identify(table("user_id"), identify(email_subscription=1, attributes=[]))
    assert columns_of([plan]) == ["user_id"]


def test_actions_keep_the_order_in_which_the_user_wrote_them() -> None:
    plan = plan_table(
        table("user_id", "at"),
        [track("a", timestamp="at"), identify(), track("b", timestamp="at"), identify()],
    )
    assert [action.label for action in plan.actions] == [
        "track a",
        "identify",
        "track b",
        "identify",
    ]
    assert [action.index for action in plan.actions] == [0, 1, 2, 3]
    assert [action.index for action in plan.identifies] == [1, 3]


def test_json_columns_are_known_to_the_reader_of_parquet() -> None:
    columns = TableColumns("t", {"user_id": "text", "doc": "json", "tags": "json"})
    types = plan_table(columns, [identify()]).types
    assert {name for name, kind in types.items() if kind == "json"} == {"doc", "tags"}


@pytest.mark.parametrize(
    ("columns", "address", "flag"),
    [
        (("user_id", "email"), "email", "email_subscription"),
        (("user_id", "mobile_number"), "mobile_number", "sms_subscription"),
        (("user_id", "phone"), "mobile_number", "sms_subscription"),
        (("user_id", "email", "sms_subscription"), "email", "email_subscription"),
    ],
)
def test_an_address_without_its_consent_is_an_error_that_explains_the_choice(
    columns: tuple[str, ...], address: str, flag: str
) -> None:
    plan = plan_table(table(*columns), [identify()])
    with pytest.raises(MappingError) as caught:
        require_consent(plan)
    said = str(caught.value)
    assert "Table `customers`" in said
    assert f"`{address}` without `{flag}`" in said
    for remedy in (f'{flag}="..."', f"{flag}=1", f"{flag}=0", f"{address}=None"):
        assert remedy in said


@pytest.mark.parametrize(
    "action",
    [
        identify(email_subscription=1, sms_subscription=0),
        identify(email_subscription="opt_in", sms_subscription="opt_in"),
        identify(email=None, mobile_number=None),
        identify(email=None, sms_subscription=1),
    ],
)
def test_an_address_with_its_consent_or_none_at_all_passes(action: Action) -> None:
    require_consent(plan_table(table("user_id", "email", "mobile_number", "opt_in"), [action]))


def test_one_action_without_consent_is_enough_for_the_error() -> None:
    plan = plan_table(table("user_id", "email"), [identify(email=None), identify()])
    with pytest.raises(MappingError, match="email_subscription"):
        require_consent(plan)
