"""The wire formats: the table "From row to call", line by line, by examples and properties."""

from __future__ import annotations

import json
import re
import time as clock
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
import pendulum
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from xtremepush_dlt.mapping import data_formats, formats, wire
from xtremepush_dlt.mapping.wire import Format

quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])

FORMATS: dict[str, Format] = {
    "user_id": formats.user_id,
    "event_name": formats.event_name,
    "email": formats.email,
    "mobile_number": formats.mobile_number,
    "subscription": formats.subscription,
    "language": formats.language,
    "timezone_name": formats.timezone_name,
    "timestamp": data_formats.timestamp,
    "attribute": data_formats.attribute,
    "json_value": data_formats.json_value,
}
every_format = pytest.mark.parametrize("write", FORMATS.values(), ids=FORMATS)

# some 4,300 digits are the most that Python writes as text without complaint
huge_integers = st.integers(min_value=4000, max_value=6000).map(lambda digits: 10**digits)
odd_decimals = st.sampled_from(
    [Decimal(text) for text in ("NaN", "-NaN", "sNaN", "Infinity", "1E+5000", "1E-5000", "-0")]
)
offsets = st.integers(min_value=-1439, max_value=1439).map(
    lambda minutes: timezone(timedelta(minutes=minutes))
)
moments = st.datetimes(timezones=st.none() | offsets | st.timezones())
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    huge_integers,
    st.floats(),
    st.decimals(),
    odd_decimals,
    st.text(),
    st.text(alphabet="0123456789-+:.TZWP/ @eE", max_size=30),
    st.binary(),
    st.binary().map(bytearray),
    st.uuids(),
    st.dates(),
    moments,
    st.times(),
    st.timedeltas(),
    st.complex_numbers(),
)
anything = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=5) | st.integers() | st.none(), inner, max_size=3)
        | st.frozensets(st.integers(), max_size=2)
    ),
    max_leaves=6,
)


def one(write: Format, value: Any) -> tuple[Any, str | None]:
    """The wire value of a single value, and the reason if it is refused."""
    formatted = write([value])
    assert len(formatted.values) == 1
    return formatted.values[0], formatted.problems.get(0)


def accepted(write: Format, value: Any) -> Any:
    """The wire value of a value that must be taken."""
    wire, reason = one(write, value)
    assert reason is None
    return wire


def refused(write: Format, value: Any) -> str:
    """The reason why a value is refused."""
    wire, reason = one(write, value)
    assert wire is None
    assert reason
    return reason


def encoded(value: Any) -> str:
    """A wire value as it stands in a request's body."""
    return orjson.dumps(value, default=wire.encode_number).decode()


# --- what holds for every format -----------------------------------------------------------------


@every_format
@quick
@given(values=st.lists(anything, max_size=6))
def test_no_value_whatever_makes_a_format_raise_or_lose_its_row(
    write: Format, values: list[Any]
) -> None:
    result, problems = write(values)
    assert len(result) == len(values)
    assert all(0 <= index < len(values) for index in problems)


@every_format
@quick
@given(values=st.lists(anything, max_size=6))
def test_a_refused_value_is_none_on_the_wire_and_has_a_reason(
    write: Format, values: list[Any]
) -> None:
    result, problems = write(values)
    for index, reason in problems.items():
        assert result[index] is None
        assert reason


@every_format
@quick
@given(values=st.lists(st.none() | anything, min_size=1, max_size=6))
def test_a_null_stays_none_and_is_no_problem(write: Format, values: list[Any]) -> None:
    result, problems = write([None, *values, None])
    assert result[0] is None
    assert result[-1] is None
    assert not {0, len(values) + 1} & set(problems)


@every_format
@quick
@given(values=st.lists(st.none() | st.integers() | st.text(max_size=5) | st.booleans(), max_size=8))
def test_the_fast_path_for_a_uniform_column_gives_what_each_value_gives_alone(
    write: Format, values: list[Any]
) -> None:
    for kind in (int, str, bool):
        column = [value for value in values if value is None or type(value) is kind]
        formatted = write(column)
        alone = [one(write, value) for value in column]
        assert formatted.values == [wire for wire, _ in alone]
        assert [formatted.problems.get(index) for index in range(len(column))] == [
            reason for _, reason in alone
        ]


SECRET = "S3CR3T-4711-0815"
GUARDED: Sequence[Any] = (
    SECRET,
    SECRET * 10,
    f"{SECRET}@nowhere",
    f"+49 {SECRET}",
    SECRET.encode(),
    {SECRET: SECRET.encode()},
    [SECRET.encode()],
    {SECRET},
)


@every_format
@pytest.mark.parametrize("value", GUARDED, ids=lambda value: type(value).__name__)
def test_a_reason_never_quotes_the_value(write: Format, value: Any) -> None:
    for reason in write([value]).problems.values():
        assert SECRET not in reason
        assert "4711" not in reason


@every_format
@quick
@given(number=st.integers(min_value=10**8, max_value=10**16))
def test_a_reason_never_quotes_a_number(write: Format, number: int) -> None:
    for value in (number, number + 0.5, Decimal(number) + Decimal("0.5"), str(number), [number]):
        assert all(str(number) not in reason for reason in write([value]).problems.values())


@pytest.mark.parametrize("write", [data_formats.attribute, data_formats.json_value])
@quick
@given(values=st.lists(anything, max_size=5))
def test_whatever_an_attribute_or_property_lets_through_can_be_encoded(
    write: Format, values: list[Any]
) -> None:
    parsed = json.loads(encoded(write(values).values), parse_int=str)
    assert len(parsed) == len(values)


# --- user_id -------------------------------------------------------------------------------------


@quick
@given(number=st.integers(min_value=-(10**300), max_value=10**300))
def test_an_integer_becomes_its_digits(number: int) -> None:
    assert accepted(formats.user_id, number) == str(number)


@quick
@given(number=st.integers(min_value=-(2**53), max_value=2**53))
@example(number=123)
@example(number=0)
def test_an_integral_float_becomes_digits_without_a_fraction(number: int) -> None:
    assert accepted(formats.user_id, float(number)) == str(number)


@quick
@given(number=st.integers(min_value=-(10**30), max_value=10**30), zeros=st.integers(0, 9))
def test_an_integral_decimal_becomes_digits_however_it_is_scaled(number: int, zeros: int) -> None:
    with_zeros = Decimal(f"{number}.{'0' * zeros}") if zeros else Decimal(number)
    assert accepted(formats.user_id, with_zeros) == str(number)
    exponent = Decimal(f"{number}E+{zeros}")
    assert accepted(formats.user_id, exponent) == str(number * 10**zeros)


@pytest.mark.parametrize("value", [1.5, -0.1, Decimal("7.25"), 1e-300])
def test_a_number_with_a_fraction_is_no_identifier(value: Any) -> None:
    assert "fraction" in refused(formats.user_id, value)


@pytest.mark.parametrize("value", ["", " ", "\t\n", "\u00a0"])
def test_a_blank_text_is_no_identifier(value: str) -> None:
    assert refused(formats.user_id, value) == "blank"
    assert formats.user_id([value, "u-1"]).values == [None, "u-1"]


def test_a_text_identifier_is_kept_but_for_blanks_around_it() -> None:
    assert accepted(formats.user_id, " babble-player:lefty ") == "babble-player:lefty"
    assert accepted(formats.user_id, "007") == "007"
    assert accepted(formats.user_id, "Ünï çödé") == "Ünï çödé"


@pytest.mark.parametrize(
    "value", [True, False, b"u-1", [1], {"id": 1}, date(2024, 1, 1), datetime(2024, 1, 1)]
)
def test_what_is_neither_text_nor_number_is_no_identifier(value: Any) -> None:
    assert refused(formats.user_id, value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), Decimal("NaN"), Decimal("sNaN")])
def test_a_number_that_is_none_gives_no_identifier(value: Any) -> None:
    assert one(formats.user_id, value)[0] is None


def test_a_uuid_identifies_by_its_text() -> None:
    ident = UUID("12345678-1234-5678-1234-567812345678")
    assert accepted(formats.user_id, ident) == "12345678-1234-5678-1234-567812345678"


def test_a_column_of_mixed_identifiers_keeps_the_rows_apart() -> None:
    values, problems = formats.user_id([1, "a", None, 2.0, 2.5, " ", Decimal("3")])
    assert values == ["1", "a", None, "2", None, None, "3"]
    assert set(problems) == {4, 5}


@pytest.mark.parametrize("write", [formats.user_id, formats.mobile_number, formats.subscription])
def test_a_decimal_with_a_huge_exponent_is_refused_without_being_written_out(
    write: Format,
) -> None:
    # a row may hold 1E+999999999, whose digits would fill the memory
    before = clock.process_time()
    assert refused(write, Decimal("1E+200000"))
    assert clock.process_time() - before < 0.3


# --- event name ----------------------------------------------------------------------------------


@quick
@given(name=st.text())
def test_an_event_name_is_trimmed_and_never_blank(name: str) -> None:
    wire, reason = one(formats.event_name, name)
    if name.strip():
        assert (wire, reason) == (name.strip(), None)
    else:
        assert (wire, reason) == (None, "blank")


@pytest.mark.parametrize("value", [5, 1.0, True, b"paid", ["paid"], {"a": 1}, date(2024, 1, 1)])
def test_an_event_name_is_text(value: Any) -> None:
    assert refused(formats.event_name, value)


# --- email ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    ["ann@example.com", "ann.b+c@mail.example.co.uk", "o'neil@example.ie", "ünï@exämple.de"],
)
def test_an_address_is_taken_and_trimmed(value: str) -> None:
    assert accepted(formats.email, f"  {value}\n") == value


@pytest.mark.parametrize(
    "value",
    [
        "ann",
        "ann@",
        "@example.com",
        "ann@example",
        "ann@@example.com",
        "ann@b@example.com",
        "ann b@example.com",
        "ann@exam ple.com",
        "ann@example.com,bob@example.com",
        "ann@.com",
        "ann@example.",
        "ann@example..com",
        5,
        True,
        b"ann@example.com",
        ["ann@example.com"],
    ],
)
def test_what_is_no_address_is_refused(value: Any) -> None:
    assert refused(formats.email, value)


@quick
@given(text=st.text(alphabet="ab@. \t\u00a0+,", max_size=14) | st.emails())
def test_an_address_on_the_wire_has_one_at_a_dot_in_the_domain_and_no_blanks(text: str) -> None:
    wire, _ = one(formats.email, text)
    if wire is not None:
        assert wire == text.strip()
        name, domain = wire.split("@")
        assert name
        assert "." in domain
        assert not re.search(r"\s", wire)


@quick
@given(address=st.emails())
def test_every_address_of_the_standard_with_a_dot_in_its_domain_is_taken(address: str) -> None:
    assert accepted(formats.email, address) == address


# --- mobile_number -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        "353850123456",
        "+353850123456",
        "00353850123456",
        " +353 85 012 3456 ",
        "+353-85-012-3456",
        "+353.85.012.3456",
        "(+353) 85 012 3456",
        "00 353 (85) 012-34.56",
        "+353\u00a085\u00a00123456",
        "+353\t850123456",
        353850123456,
        353850123456.0,
        Decimal("353850123456"),
        Decimal("353850123456.00"),
    ],
)
def test_a_number_in_any_usual_writing_becomes_e164_digits_without_a_plus(value: Any) -> None:
    assert accepted(formats.mobile_number, value) == "353850123456"


@pytest.mark.parametrize("value", ["0850123456", "(085) 012 3456", "+0850123456", "0-85-0123456"])
def test_a_national_number_is_invalid_and_the_reason_says_what_is_missing(value: str) -> None:
    assert "country code" in refused(formats.mobile_number, value)


@pytest.mark.parametrize(
    "value",
    [
        "123456",
        "+123456",
        "1234567890123456",
        "++353850123456",
        "353+850123456",
        "+353 85 CALL ME",
        "353850123456 ext 5",
        "\uff13\uff15\uff13\uff18\uff15\uff10\uff11\uff12",
        "٣٥٣٨٥٠١٢٣٤٥٦",
        "n/a",
        -353850123456,
        353850123456.5,
        10**16,
        True,
        b"353850123456",
        ["353850123456"],
    ],
)
def test_what_is_no_international_number_is_refused(value: Any) -> None:
    assert refused(formats.mobile_number, value)


@pytest.mark.parametrize("length", [7, 15])
def test_a_number_of_7_and_of_15_digits_is_taken(length: int) -> None:
    assert accepted(formats.mobile_number, "+" + "9" * length) == "9" * length


@quick
@given(value=st.text(alphabet="+0123456789 .-()\u00a0", max_size=24) | anything)
def test_a_number_on_the_wire_is_always_e164_digits(value: Any) -> None:
    wire, _ = one(formats.mobile_number, value)
    assert wire is None or re.fullmatch("[1-9][0-9]{6,14}", wire)


@quick
@given(
    digits=st.from_regex("[1-9][0-9]{6,14}", fullmatch=True),
    prefix=st.sampled_from(["", "+", "00"]),
    data=st.data(),
)
def test_filling_between_the_digits_never_changes_the_number(
    digits: str, prefix: str, data: st.DataObject
) -> None:
    filling = st.text(alphabet=" .-()", max_size=2)
    text = prefix + "".join(digit + data.draw(filling) for digit in digits)
    assume("(0)" not in text)  # that zero has a meaning: see the next test
    assert accepted(formats.mobile_number, text) == digits


def test_the_zero_in_parentheses_that_is_not_dialled_from_abroad_goes() -> None:
    assert accepted(formats.mobile_number, "+44 (0)20 7946 0958") == "442079460958"
    assert accepted(formats.mobile_number, "+353 (85) 0123456") == "353850123456"


# --- subscriptions -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value", [True, 1, 1.0, Decimal(1), "1", "true", "TRUE", " True ", "t", "yes", "Y", "on"]
)
def test_every_usual_yes_becomes_1(value: Any) -> None:
    wire = accepted(formats.subscription, value)
    assert wire == 1
    assert type(wire) is int


@pytest.mark.parametrize(
    "value", [False, 0, 0.0, Decimal(0), "0", "false", "FALSE", " False ", "f", "no", "N", "off"]
)
def test_every_usual_no_becomes_0(value: Any) -> None:
    wire = accepted(formats.subscription, value)
    assert wire == 0
    assert type(wire) is int


@pytest.mark.parametrize(
    "value", ["maybe", "2", 2, -1, 0.5, Decimal("0.1"), "subscribed?", b"1", [1], {"a": 1}]
)
def test_a_consent_that_is_neither_yes_nor_no_is_refused_and_never_guessed(value: Any) -> None:
    assert refused(formats.subscription, value)


@quick
@given(value=anything)
def test_a_subscription_on_the_wire_is_the_integer_1_or_0(value: Any) -> None:
    wire, _ = one(formats.subscription, value)
    assert wire is None or (type(wire) is int and wire in (0, 1))


# --- language, timezone --------------------------------------------------------------------------


@pytest.mark.parametrize(("value", "wire"), [("en", "en"), ("DE", "de"), (" Fr ", "fr")])
def test_a_language_is_two_letters_in_lower_case(value: str, wire: str) -> None:
    assert accepted(formats.language, value) == wire


@pytest.mark.parametrize("value", ["eng", "en-GB", "e", "e1", "éa", "12", 5, True, b"en", ["en"]])
def test_what_is_no_two_letter_language_is_refused(value: Any) -> None:
    assert refused(formats.language, value)


@quick
@given(text=st.text(max_size=4))
def test_a_language_on_the_wire_is_always_two_small_ascii_letters(text: str) -> None:
    wire, _ = one(formats.language, text)
    assert wire is None or re.fullmatch("[a-z]{2}", wire)


@pytest.mark.parametrize("value", ["Europe/Dublin", "America/Argentina/Buenos_Aires", "UTC"])
def test_an_iana_timezone_is_taken(value: str) -> None:
    assert accepted(formats.timezone_name, f" {value} ") == value


@pytest.mark.parametrize("value", ["Dublin", "GMT+1", "+01:00", "Europe/Atlantis", 1, b"UTC"])
def test_what_is_no_iana_timezone_is_refused(value: Any) -> None:
    assert refused(formats.timezone_name, value)


# --- timestamp -----------------------------------------------------------------------------------


def in_utc(moment: datetime) -> datetime:
    """The moment in UTC, by the standard library alone; naive means UTC."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
    return aware.astimezone(timezone.utc)


@settings(quick, max_examples=300)
@given(moment=moments)
@example(moment=datetime.max)
@example(moment=datetime.min)
@example(moment=datetime.max.replace(tzinfo=timezone(timedelta(hours=-1))))
@example(moment=datetime.min.replace(tzinfo=timezone(timedelta(hours=1))))
@example(moment=datetime(1969, 12, 31, 23, 59, 59, 999999))
def test_a_timestamp_reads_back_as_the_same_second_in_utc(moment: datetime) -> None:
    wire, reason = one(data_formats.timestamp, moment)
    try:
        expected = in_utc(moment).replace(microsecond=0)
    except OverflowError:
        assert wire is None
        assert reason
        return
    assert reason is None
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \+00:00", wire)
    assert datetime.fromisoformat(wire.replace(" +", "+")) == expected


@quick
@given(moment=st.datetimes(timezones=st.none() | offsets), separator=st.sampled_from("T "))
def test_iso_text_gives_the_same_timestamp_as_the_date_time_it_names(
    moment: datetime, separator: str
) -> None:
    assert one(data_formats.timestamp, moment.isoformat(separator)) == one(
        data_formats.timestamp, moment
    )


@pytest.mark.parametrize(
    ("text", "wire"),
    [
        ("2024-12-13 11:36:00 +01:00", "2024-12-13 10:36:00 +00:00"),
        ("2024-12-13T11:36:00Z", "2024-12-13 11:36:00 +00:00"),
        ("2024-12-13T11:36:00.999Z", "2024-12-13 11:36:00 +00:00"),
        ("2024-12-13T11:36:00.123456789+05:30", "2024-12-13 06:06:00 +00:00"),
        ("2024-12-13T11:36:00-0530", "2024-12-13 17:06:00 +00:00"),
        ("20241213T113600Z", "2024-12-13 11:36:00 +00:00"),
        ("2024-12-13T11:36", "2024-12-13 11:36:00 +00:00"),
        ("2024-12-13", "2024-12-13 00:00:00 +00:00"),
        ("  2024-12-13 11:36:00  ", "2024-12-13 11:36:00 +00:00"),
        ("2024-W50-5", "2024-12-13 00:00:00 +00:00"),
        ("2024-348", "2024-12-13 00:00:00 +00:00"),
    ],
)
def test_iso_8601_text_in_its_many_forms_becomes_a_timestamp(text: str, wire: str) -> None:
    assert accepted(data_formats.timestamp, text) == wire


def test_a_date_is_the_beginning_of_its_day() -> None:
    assert accepted(data_formats.timestamp, date(2024, 2, 29)) == "2024-02-29 00:00:00 +00:00"


def test_a_pendulum_date_time_is_a_date_time() -> None:
    moment = pendulum.datetime(2024, 7, 1, 12, 0, 0, tz="Europe/Dublin")
    assert accepted(data_formats.timestamp, moment) == "2024-07-01 11:00:00 +00:00"


@pytest.mark.parametrize(
    "value",
    [
        "",
        "  ",
        "yesterday",
        "12:30",
        "0:",
        "12:24/8896220",
        "P1D",
        "2024-01-01/2024-02-01",
        "2024-02-30",
        "01/02/2024",
        1_700_000_000,
        1.7e9,
        Decimal(1_700_000_000),
        "1700000000",
        True,
        time(12, 30),
        b"2024-01-01",
        ["2024-01-01"],
    ],
)
def test_what_is_no_moment_is_refused(value: Any) -> None:
    assert refused(data_formats.timestamp, value)


def test_the_word_now_is_no_moment_because_an_old_event_must_not_be_stamped_with_the_sending() -> (
    None
):
    assert refused(data_formats.timestamp, "now")
    assert refused(data_formats.timestamp, " now ")


def test_one_moment_out_of_range_does_not_harm_the_moments_beside_it() -> None:
    late = datetime.max.replace(tzinfo=timezone(timedelta(hours=-5)))
    values, problems = data_formats.timestamp([datetime(2024, 1, 1), late, datetime(2024, 1, 2)])
    assert values == ["2024-01-01 00:00:00 +00:00", None, "2024-01-02 00:00:00 +00:00"]
    assert set(problems) == {1}


# --- attribute -----------------------------------------------------------------------------------


@quick
@given(text=st.text(max_size=101))
@example(text="x" * 101)
@example(text="é" * 101)
@example(text="\U0001f600" * 101)
def test_a_text_of_at_most_101_characters_is_an_attribute_as_it_is(text: str) -> None:
    assert accepted(data_formats.attribute, text) == text


@quick
@given(text=st.text(min_size=102, max_size=110))
def test_a_text_of_102_characters_is_refused_and_never_cut(text: str) -> None:
    assert "101" in refused(data_formats.attribute, text)
    assert data_formats.attribute(["short", text]).values == ["short", None]


@pytest.mark.parametrize("write", [data_formats.attribute, data_formats.json_value])
@pytest.mark.parametrize("value", [True, False])
def test_a_boolean_stays_a_boolean(write: Format, value: bool) -> None:
    assert accepted(write, value) is value
    assert encoded(accepted(write, value)) in ("true", "false")


@pytest.mark.parametrize("write", [data_formats.attribute, data_formats.json_value])
@quick
@given(number=st.integers(min_value=-(10**60), max_value=10**60))
def test_an_integer_of_any_size_reaches_the_wire_with_all_its_digits(
    write: Format, number: int
) -> None:
    assert encoded(accepted(write, number)) == str(number)
    assert encoded(write([number, None, 1]).values) == f"[{number},null,1]"


@pytest.mark.parametrize("write", [data_formats.attribute, data_formats.json_value])
@pytest.mark.parametrize(
    "text", ["19.90", "0.1", "1.00000000000000000000000000001", "-12345678901234567890.123456789"]
)
def test_a_decimal_reaches_the_wire_with_every_digit(write: Format, text: str) -> None:
    assert encoded(accepted(write, Decimal(text))) == text


@pytest.mark.parametrize("write", [data_formats.attribute, data_formats.json_value])
@quick
@given(number=st.decimals(allow_nan=False, allow_infinity=False))
def test_any_finite_decimal_reaches_the_wire_as_a_json_number_of_its_value(
    write: Format, number: Decimal
) -> None:
    on_wire = json.loads(encoded(accepted(write, number)), parse_float=str, parse_int=str)
    assert Decimal(on_wire) == number


@pytest.mark.parametrize("write", [data_formats.attribute, data_formats.json_value])
def test_a_decimal_with_a_huge_exponent_does_not_swell_on_the_wire(write: Format) -> None:
    wire, reason = one(write, Decimal("1E+1000000"))
    assert reason or len(encoded(wire)) < 10_000


@pytest.mark.parametrize("write", [data_formats.attribute, data_formats.json_value])
@pytest.mark.parametrize(
    "value",
    [float("nan"), float("inf"), float("-inf"), Decimal("NaN"), Decimal("sNaN"), Decimal("-Inf")],
)
def test_nan_and_infinities_count_as_null(write: Format, value: Any) -> None:
    assert one(write, value) == (None, None)
    assert write([1.5, value]).values == [1.5, None]


@pytest.mark.parametrize("write", [data_formats.attribute, data_formats.json_value])
@quick
@given(day=st.dates())
def test_a_date_is_written_as_year_month_day(write: Format, day: date) -> None:
    assert accepted(write, day) == f"{day.year:04}-{day.month:02}-{day.day:02}"


@pytest.mark.parametrize("write", [data_formats.attribute, data_formats.json_value])
@quick
@given(moment=st.datetimes(timezones=st.none() | offsets))
def test_a_date_time_attribute_has_the_same_form_as_a_timestamp(
    write: Format, moment: datetime
) -> None:
    assert one(write, moment) == one(data_formats.timestamp, moment)


@pytest.mark.parametrize("write", [data_formats.attribute, data_formats.json_value])
def test_a_uuid_is_sent_as_text(write: Format) -> None:
    ident = UUID("12345678-1234-5678-1234-567812345678")
    assert accepted(write, ident) == "12345678-1234-5678-1234-567812345678"


@pytest.mark.parametrize("write", [data_formats.attribute, data_formats.json_value])
@pytest.mark.parametrize("value", [b"", b"abc", bytearray(b"abc"), memoryview(b"abc"), [b"abc"]])
def test_bytes_are_invalid(write: Format, value: Any) -> None:
    assert "bytes" in refused(write, value)


class Digits(str):
    """A JSON number as it is written."""

    __slots__ = ()


finite_decimals = st.decimals(allow_nan=False, allow_infinity=False).filter(
    lambda number: int(number.as_tuple().exponent) <= 0
)
json_leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | finite_decimals
)
nested_values = st.recursive(
    json_leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
).filter(lambda value: isinstance(value, (list, dict)))


def assert_same(parsed: Any, original: Any) -> None:
    """Parsed JSON says what the original says, every digit of a number included."""
    if isinstance(original, dict):
        assert isinstance(parsed, dict)
        assert list(parsed) == list(original)
        for key, value in original.items():
            assert_same(parsed[key], value)
    elif isinstance(original, (list, tuple)):
        assert isinstance(parsed, list)
        assert len(parsed) == len(original)
        for item, value in zip(parsed, original, strict=True):
            assert_same(item, value)
    elif original is None or isinstance(original, (bool, str)):
        assert parsed == original
        assert type(parsed) is type(original)
    elif isinstance(original, float):
        assert type(parsed) is Digits
        assert float(parsed) == original
    else:
        assert type(parsed) is Digits
        expected = format(original, "f") if isinstance(original, Decimal) else str(original)
        assert str(parsed) == expected


def parse(text: str) -> Any:
    return json.loads(text, parse_float=Digits, parse_int=Digits)


@settings(quick, max_examples=200)
@given(value=nested_values)
def test_a_nested_property_keeps_its_json_types_and_every_digit(value: Any) -> None:
    assert_same(parse(encoded(accepted(data_formats.json_value, value))), value)


@settings(quick, max_examples=200)
@given(value=nested_values)
def test_a_list_or_object_attribute_is_a_json_string_with_every_digit(value: Any) -> None:
    wire = accepted(data_formats.attribute, value)
    assert isinstance(wire, str)
    assert_same(parse(wire), value)


def test_what_json_cannot_hold_is_written_as_text_inside_an_object_as_well() -> None:
    value = {
        "at": datetime(2024, 7, 1, 12, tzinfo=timezone(timedelta(hours=1))),
        "day": date(2024, 7, 1),
        "ref": UUID(int=1),
        "ratio": float("nan"),
        "most": Decimal("Infinity"),
        "pair": (1, "two"),
        3: None,
    }
    assert accepted(data_formats.json_value, value) == {
        "at": "2024-07-01 11:00:00 +00:00",
        "day": "2024-07-01",
        "ref": str(UUID(int=1)),
        "ratio": None,
        "most": None,
        "pair": [1, "two"],
        "3": None,
    }


def test_a_json_attribute_may_be_longer_than_a_text() -> None:
    value = ["x" * 60, "y" * 60]
    assert json.loads(accepted(data_formats.attribute, value)) == value


@pytest.mark.parametrize("write", [data_formats.attribute, data_formats.json_value])
@pytest.mark.parametrize("depth", [1, 50, 199])
def test_deep_nesting_reaches_the_wire(write: Format, depth: int) -> None:
    value: Any = {"end": Decimal("1.10")}
    for _ in range(depth):
        value = [value]
    wire = accepted(write, value)
    text = wire if isinstance(wire, str) else encoded({"events": [{"value": {"p": wire}}]})
    assert text.count("[") >= depth
    assert "1.10" in text


@pytest.mark.parametrize("write", [data_formats.attribute, data_formats.json_value])
def test_nesting_without_end_is_refused_and_does_not_raise(write: Format) -> None:
    value: list[Any] = []
    value.append(value)
    assert "nested" in refused(write, value)


def test_a_property_of_text_may_be_long() -> None:
    assert accepted(data_formats.json_value, "x" * 5000) == "x" * 5000


def test_the_encoder_refuses_what_is_no_number() -> None:
    with pytest.raises(TypeError):
        orjson.dumps({1, 2}, default=wire.encode_number)
