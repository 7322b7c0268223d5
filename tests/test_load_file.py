"""Load files: typed JSON, plain or gzip, and parquet give the same rows, or an error of ours."""

from __future__ import annotations

import gzip
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import dlt
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dlt.common.json import json as dlt_json
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from xtremepush_dlt.exceptions import UnreadableFileError
from xtremepush_dlt.load_file import ROWS_IN_BATCH, read_load_file
from xtremepush_dlt.mapping import segment_formats
from xtremepush_dlt.mapping.actions import Action, column, identify, track
from xtremepush_dlt.mapping.calls import make_calls
from xtremepush_dlt.mapping.columns import WITH_FRACTION, ColumnBatch
from xtremepush_dlt.mapping.plan import columns_of
from xtremepush_dlt.mapping.planner import TableColumns, plan_table
from xtremepush_dlt.mapping.wire import encode_number

# without the phase that explains a failure: it would write thousands of files
quick = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
)

Row = Mapping[str, Any]

TYPES: dict[str, str | None] = {
    "user_id": "bigint",
    "name": "text",
    "amount": "decimal",
    "score": "double",
    "vip": "bool",
    "born": "date",
    "at": "timestamp",
    "seen": "timestamp",
    "local": "timestamp",
    "ref": "text",
    "doc": "json",
}
SCHEMA = pa.schema(
    [
        ("user_id", pa.int64()),
        ("name", pa.string()),
        ("amount", pa.decimal128(38, 4)),
        ("score", pa.float64()),
        ("vip", pa.bool_()),
        ("born", pa.date32()),
        ("at", pa.timestamp("us", "UTC")),
        ("seen", pa.timestamp("us", "Europe/Dublin")),
        ("local", pa.timestamp("us")),
        ("ref", pa.string()),
        ("doc", pa.string()),
    ]
)


def write_jsonl(path: Path, rows: Sequence[Row], *, compress: bool = False, buffer: int = 7) -> str:
    """As dlt does: nulls left out, a buffer of rows as one list a line."""
    full = [{name: value for name, value in row.items() if value is not None} for row in rows]
    lines = [
        dlt_json.typed_dumpb(full[start : start + buffer]) + b"\n"
        for start in range(0, len(full), buffer)
    ]
    data = b"".join(lines)
    file = path / ("t.abc.0.typed-jsonl.gz" if compress else "t.abc.0.typed-jsonl")
    file.write_bytes(gzip.compress(data) if compress else data)
    return str(file)


def write_parquet(path: Path, rows: Sequence[Row], schema: pa.Schema = SCHEMA) -> str:
    """As dlt does: JSON as text."""
    file = path / "t.abc.0.parquet"
    cells = [
        {
            name: json.dumps(value) if name == "doc" and value is not None else value
            for name, value in row.items()
        }
        for row in rows
    ]
    pq.write_table(pa.Table.from_pylist(cells, schema=schema), file)
    return str(file)


def read(
    path: str, names: Sequence[str], types: Mapping[str, str | None] = TYPES
) -> list[ColumnBatch]:
    return list(read_load_file(path, names, types))


def values_of(batches: Sequence[ColumnBatch], name: str) -> list[Any]:
    return [value for batch in batches for value in batch.column(name)]


def calls_of(
    path: str, action: Action, types: Mapping[str, str | None] = TYPES
) -> list[tuple[Any, ...]]:
    """What an action makes of each row of a file: user, fate, encoded payload, problems."""
    (plan,) = plan_table(TableColumns("t", types), [action]).actions
    out: list[tuple[Any, ...]] = []
    for batch in read_load_file(path, columns_of([plan]), types):
        made = make_calls(batch, plan, reject_invalid=False)
        for index, payload in enumerate(made.payloads):
            fate = (
                "skipped" if index in made.skipped else "invalid" if index in made.invalid else ""
            )
            text = orjson.dumps(payload, default=encode_number, option=orjson.OPT_SORT_KEYS)
            problems = made.invalid.get(index) or made.omitted.get(index)
            out.append((made.users[index], fate, fate or text.decode(), problems))
    return out


ACTIONS = {
    "identify": identify(email_subscription=1, language="name", attributes=None),
    "clearing": identify(nulls="clear", attributes=["at", "seen", "local", "doc", "amount"]),
    "track": track("paid", timestamp="at", user_attributes=["born", "local"]),
    "named": track(column("name"), timestamp="local", when={"vip": [True, None]}),
}
every_action = pytest.mark.parametrize("action", ACTIONS.values(), ids=ACTIONS)

zones: st.SearchStrategy[tzinfo] = st.one_of(
    st.just(timezone.utc), st.just(timezone(timedelta(hours=5, minutes=30))), st.timezones()
)
# a day less at either end, so that each moment has a form in UTC
aware = st.builds(
    datetime.replace, st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30)), tzinfo=zones
)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)
rows_of_all_types = st.lists(
    st.fixed_dictionaries(
        {
            "user_id": st.none() | st.integers(-(2**63), 2**63 - 1),
            "name": st.none() | st.text(max_size=6) | st.sampled_from(["en", " ", "\uf026x"]),
            "amount": st.none() | st.decimals(-(10**30), 10**30, places=4),
            "score": st.none() | st.floats(allow_nan=False, allow_infinity=False),
            "vip": st.none() | st.booleans(),
            "born": st.none() | st.dates(),
            "at": st.none() | aware,
            "seen": st.none() | aware,
            "local": st.none() | st.datetimes(),
            "ref": st.none() | st.uuids().map(str),
            "doc": st.none()
            | st.lists(json_values, max_size=3)
            | st.dictionaries(st.text(max_size=3), json_values, max_size=3),
        }
    ),
    min_size=1,
    max_size=9,
)


@every_action
@quick
@given(rows=rows_of_all_types)
def test_the_same_rows_make_the_same_calls_from_every_file_format(
    action: Action, rows: list[dict[str, Any]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        plain = calls_of(write_jsonl(path, rows), action)
        assert len(plain) == len(rows)
        assert calls_of(write_jsonl(path, rows, compress=True), action) == plain
        assert calls_of(write_parquet(path, rows), action) == plain


@quick
@given(moments=st.lists(aware | st.datetimes(), min_size=1, max_size=6))
@example(moments=[datetime(2024, 1, 1, tzinfo=timezone.utc)] * 2)
@example(moments=[datetime(2024, 1, 1), datetime(2024, 1, 1, tzinfo=timezone.utc)])
@example(moments=[datetime(2024, 1, 1, 0, 0, 0, 999999, tzinfo=timezone.utc)])
def test_a_moment_in_a_text_file_is_the_same_whatever_stands_beside_it(
    moments: list[datetime],
) -> None:
    rows = [{"user_id": index, "at": moment} for index, moment in enumerate(moments)]
    action = track("seen", timestamp="at", properties=[])
    with tempfile.TemporaryDirectory() as folder:
        together = calls_of(write_jsonl(Path(folder), rows), action)
        alone = [calls_of(write_jsonl(Path(folder), [row]), action)[0] for row in rows]
    assert together == alone
    for call, moment in zip(together, moments, strict=True):
        at = moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
        expected = at.astimezone(timezone.utc).replace(tzinfo=None, microsecond=0)
        assert json.loads(call[2])["timestamp"] == f"{expected.isoformat(' ')} +00:00"


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "Europe/Dublin", "+05:30"])
def test_an_arrow_timestamp_of_any_unit_and_zone_is_its_second_in_utc(
    tmp_path: Path, unit: str, zone: str | None
) -> None:
    seconds = [0, 1, -1, 1_720_000_000, None]
    factor = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    # one tick short of the next second: nothing may be rounded up, before 1970 neither
    ticks = [None if value is None else value * factor + factor - 1 for value in seconds]
    table = pa.table({"at": pa.array(ticks, pa.timestamp(unit, zone))})
    pq.write_table(table, tmp_path / "t.abc.0.parquet")
    (batch,) = read(str(tmp_path / "t.abc.0.parquet"), ["at"])
    start = datetime(1970, 1, 1)
    assert batch.column("at") == [
        None if value is None else f"{start + timedelta(seconds=value)} +00:00" for value in seconds
    ]


def test_moments_keep_their_fraction_where_that_is_asked_for_whatever_the_format(
    tmp_path: Path,
) -> None:
    moment = datetime(2026, 7, 1, 12, 0, 0, 123456, tzinfo=timezone.utc)
    rows: list[Row] = [{"at": moment}, {"at": None}, {"at": moment}]
    schema = pa.schema([("at", pa.timestamp("us", "UTC"))])
    for name in (write_jsonl(tmp_path, rows), write_parquet(tmp_path, rows, schema)):
        (batch,) = read_load_file(name, ["at"], {"at": WITH_FRACTION})
        assert not batch.wire_datetimes
        assert batch.columns["at"] == [moment, None, moment]
        values, _ = segment_formats.timestamp(batch.columns["at"])
        assert values == ["2026-07-01T12:00:00.123Z", None, "2026-07-01T12:00:00.123Z"]
    (batch,) = read_load_file(write_parquet(tmp_path, rows, schema), ["at"], {"at": "timestamp"})
    assert batch.columns["at"][0] == "2026-07-01 12:00:00 +00:00"


def test_nanoseconds_inside_a_nested_arrow_column_can_be_read(tmp_path: Path) -> None:
    kind = pa.struct([("at", pa.timestamp("ns")), ("n", pa.int64())])
    table = pa.table({"user_id": ["a"], "doc": pa.array([{"at": 1, "n": 2}], kind)})
    pq.write_table(table, tmp_path / "t.abc.0.parquet")
    (call,) = calls_of(
        str(tmp_path / "t.abc.0.parquet"), identify(), {"user_id": "text", "doc": "json"}
    )
    assert json.loads(json.loads(call[2])["doc"])["n"] == 2


def test_a_time_of_day_with_nanoseconds_can_be_read(tmp_path: Path) -> None:
    table = pa.table({"user_id": ["a"], "opens": pa.array([9 * 3600 * 10**9 + 1], pa.time64("ns"))})
    pq.write_table(table, tmp_path / "t.abc.0.parquet")
    (call,) = calls_of(
        str(tmp_path / "t.abc.0.parquet"), identify(), {"user_id": "text", "opens": "time"}
    )
    assert json.loads(call[2])["opens"].startswith("09:00:00")


@pytest.mark.parametrize("ticks", [10**18, -(10**18), 2**63 - 1])
def test_an_arrow_moment_that_no_calendar_holds_is_refused_and_never_sent_as_it_is(
    tmp_path: Path, ticks: int
) -> None:
    # PostgreSQL's `infinity` arrives like this
    table = pa.table({"user_id": ["a", "b"], "at": pa.array([ticks, 0], pa.timestamp("us"))})
    pq.write_table(table, tmp_path / "t.abc.0.parquet")
    path, types = str(tmp_path / "t.abc.0.parquet"), {"user_id": "text", "at": "timestamp"}
    broken, sound = calls_of(path, track("paid", timestamp="at"), types)
    assert broken[1] == "invalid"
    assert sound[1] == ""
    broken, sound = calls_of(path, identify(), types)
    assert json.loads(broken[2]) == {"user_id": "a"}
    assert [problem.column for problem in broken[3]] == ["at"]
    assert json.loads(sound[2])["at"] == "1970-01-01 00:00:00 +00:00"


def test_an_arrow_date_that_no_calendar_holds_does_not_stop_the_file(tmp_path: Path) -> None:
    table = pa.table({"user_id": ["a", "b"], "born": pa.array([10**7, 0], pa.date32())})
    pq.write_table(table, tmp_path / "t.abc.0.parquet")
    types = {"user_id": "text", "born": "date"}
    made = calls_of(str(tmp_path / "t.abc.0.parquet"), identify(), types)
    assert [call[0] for call in made] == ["a", "b"]
    assert json.loads(made[1][2]) == {"user_id": "b", "born": "1970-01-01"}


def test_a_uuid_of_either_format_is_the_same_text(tmp_path: Path) -> None:
    ident = UUID("12345678-1234-5678-1234-567812345678")
    types = {"user_id": "text", "ref": "text"}
    table = pa.table({"user_id": ["a"], "ref": pa.array([ident.bytes], pa.uuid())})
    pq.write_table(table, tmp_path / "t.abc.0.parquet")
    parquet = calls_of(str(tmp_path / "t.abc.0.parquet"), identify(), types)
    jsonl = calls_of(write_jsonl(tmp_path, [{"user_id": "a", "ref": ident}]), identify(), types)
    assert parquet == jsonl
    assert json.loads(parquet[0][2])["ref"] == str(ident)


def test_typed_values_of_a_text_file_are_decoded_nested_ones_too(tmp_path: Path) -> None:
    ident = UUID(int=7)
    row = {
        "amount": Decimal("1.10"),
        "born": date(2024, 2, 29),
        "opens": time(9, 30),
        "ref": ident,
        "doc": {"price": Decimal("2.50"), "days": [date(2024, 1, 1)], "text": "x"},
    }
    (batch,) = read(write_jsonl(tmp_path, [row]), [*row])
    assert batch.columns == {
        "amount": [Decimal("1.10")],
        "born": [date(2024, 2, 29)],
        "opens": [time(9, 30)],
        "ref": [str(ident)],
        "doc": [{"price": Decimal("2.50"), "days": [date(2024, 1, 1)], "text": "x"}],
    }


@pytest.mark.parametrize(
    "text", ["\uf026", "\uf026not a number", "\uf027", "\uf02fx", "\U0001f600"]
)
def test_a_text_that_only_looks_like_one_of_dlts_marks_stays_a_text(
    tmp_path: Path, text: str
) -> None:
    path = write_jsonl(tmp_path, [{"name": text}, {"name": "plain"}])
    assert values_of(read(path, ["name"]), "name") == [text, "plain"]


def test_marks_are_found_wherever_in_a_column_they_stand(tmp_path: Path) -> None:
    values: list[Any] = ["zzz", 5, Decimal("1.5"), "\U0001f600", None, ["x", Decimal(2)]]
    path = write_jsonl(tmp_path, [{"a": value, "b": 1} for value in values])
    assert values_of(read(path, ["a", "b"]), "a") == values


def test_a_json_column_of_parquet_is_parsed_and_plain_text_in_it_kept(tmp_path: Path) -> None:
    texts = ['{"a":[1,2.5]}', "[]", "not json", None, '"text"']
    pq.write_table(pa.table({"doc": texts, "name": texts}), tmp_path / "t.abc.0.parquet")
    (batch,) = read(str(tmp_path / "t.abc.0.parquet"), ["doc", "name"])
    assert batch.column("doc") == [{"a": [1, 2.5]}, [], "not json", None, "text"]
    assert batch.column("name") == texts


@pytest.mark.parametrize("write", [write_jsonl, write_parquet])
def test_batches_are_consecutive_and_bounded_whatever_the_format(
    tmp_path: Path, write: Callable[[Path, Sequence[Row]], str]
) -> None:
    count = 2 * ROWS_IN_BATCH + 3
    path = write(tmp_path, [{"user_id": number} for number in range(count)])
    batches = read(path, ["user_id"])
    assert [(batch.start, batch.length) for batch in batches] == [
        (0, ROWS_IN_BATCH),
        (ROWS_IN_BATCH, ROWS_IN_BATCH),
        (2 * ROWS_IN_BATCH, 3),
    ]
    assert values_of(batches, "user_id") == list(range(count))


@pytest.mark.parametrize("write", [write_jsonl, write_parquet])
def test_a_file_that_has_none_of_the_columns_still_has_its_rows(
    tmp_path: Path, write: Callable[[Path, Sequence[Row]], str]
) -> None:
    path = write(tmp_path, [{"name": "x"}] * 3)
    batches = read(path, ["missing", "other"])
    assert sum(batch.length for batch in batches) == 3
    assert values_of(batches, "missing") == [None] * 3
    assert sum(batch.length for batch in read(path, [])) == 3


@pytest.mark.parametrize("write", [write_jsonl, write_parquet])
def test_only_the_columns_that_are_asked_for_are_read(
    tmp_path: Path, write: Callable[[Path, Sequence[Row]], str]
) -> None:
    path = write(tmp_path, [{"name": "x", "user_id": 1, "score": 0.5}])
    (batch,) = read(path, ["user_id"])
    assert [*batch.columns] == ["user_id"]


def test_a_record_a_line_is_read_as_well_as_a_list_a_line(tmp_path: Path) -> None:
    path = tmp_path / "t.abc.0.typed-jsonl"
    path.write_bytes(b'{"a":1}\n[{"a":2},{"a":3}]\n[]\n{"b":4}\n')
    assert values_of(read(str(path), ["a"]), "a") == [1, 2, 3, None]


def without_reasons(calls: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Calls with the columns that have problems, however these are put into words."""
    return [(*call[:3], sorted({problem.column for problem in call[3] or ()})) for call in calls]


def test_when_and_identifiers_see_a_date_time_alike_in_both_formats(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"user_id": 1, "at": datetime(2024, 1, 1, tzinfo=timezone.utc)},
        {"user_id": 2},
    ]
    types: dict[str, str | None] = {"user_id": "bigint", "at": "timestamp"}
    schema = pa.schema([SCHEMA.field("user_id"), SCHEMA.field("at")])
    for action in (
        identify(user_id="at", attributes=[]),
        identify(when={"at": "2024-01-01 00:00:00 +00:00"}),
        track(column("at"), timestamp="at"),
    ):
        jsonl = without_reasons(calls_of(write_jsonl(tmp_path, rows), action, types))
        # a file in which all rows have the moment, and one in which only some do
        full = without_reasons(calls_of(write_jsonl(tmp_path, rows[:1]), action, types))
        assert jsonl[:1] == full
        parquet = calls_of(write_parquet(tmp_path, rows, schema), action, types)
        assert without_reasons(parquet) == jsonl


# --- files that dlt writes -----------------------------------------------------------------------


@pytest.mark.parametrize(("file_format", "arrow", "compress"), [
    ("typed-jsonl", False, True),
    ("typed-jsonl", False, False),
    ("parquet", False, False),
    (None, True, False),
])  # fmt: skip
def test_a_file_that_dlt_itself_writes_is_read(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    file_format: Any,
    arrow: bool,
    compress: bool,
) -> None:
    monkeypatch.setenv("NORMALIZE__DATA_WRITER__DISABLE_COMPRESSION", str(not compress))
    monkeypatch.setenv("RUNTIME__DLTHUB_TELEMETRY", "false")
    monkeypatch.chdir(tmp_path)
    rows: list[dict[str, Any]] = [
        {
            "user_id": 1,
            "amount": Decimal("19.9000"),
            "born": date(2000, 2, 29),
            "at": datetime(2024, 7, 1, 13, 0, 0, 5, tzinfo=timezone(timedelta(hours=1))),
            "vip": True,
        },
        {"user_id": 2, "amount": None, "born": None, "at": None, "vip": None},
    ]
    fields = ["user_id", "amount", "born", "at", "vip"]
    data = pa.Table.from_pylist(rows, pa.schema([SCHEMA.field(name) for name in fields]))
    pipeline = dlt.pipeline(
        "files", destination="xtremepush_dlt.xtremepush", pipelines_dir=str(tmp_path / "pipelines")
    )
    pipeline.extract([data] if arrow else rows, table_name="t", loader_file_format=file_format)
    pipeline.normalize()
    (load_id,) = pipeline.list_normalized_load_packages()
    (job,) = [
        job
        for job in pipeline.get_load_package_info(load_id).jobs["new_jobs"]
        if job.job_file_info.table_name == "t"
    ]
    assert job.job_file_info.is_compressed == compress
    types = {
        name: hints.get("data_type")
        for name, hints in pipeline.default_schema.get_table("t")["columns"].items()
        if not name.startswith("_dlt")
    }
    first, second = calls_of(job.file_path, identify(), types)
    assert first[0] == "1"
    assert '"amount":19.9000' in first[2] or '"amount":19.900000000' in first[2]
    sent = json.loads(first[2])
    assert (sent["born"], sent["at"], sent["vip"]) == (
        "2000-02-29",
        "2024-07-01 12:00:00 +00:00",
        True,
    )
    assert json.loads(second[2]) == {"user_id": "2"}
    pipeline.drop()


# --- damage --------------------------------------------------------------------------------------

SECRET = "S3CR3T-4711"
ROWS: list[dict[str, Any]] = [
    {"user_id": number, "name": f"{SECRET}-{number}", "amount": Decimal(number)}
    for number in range(300)
]


def unreadable(path: Path) -> str:
    """What the error of a file that must not be readable says."""
    with pytest.raises(UnreadableFileError) as caught:
        read(str(path), ["user_id", "name", "amount"])
    said = str(caught.value)
    assert "`t`" in said
    assert SECRET not in said
    assert caught.value.__cause__ is None
    return said


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.95, 0.999])
@pytest.mark.parametrize(
    "write",
    [
        lambda path: write_jsonl(path, ROWS),
        lambda path: write_jsonl(path, ROWS, compress=True),
        lambda path: write_parquet(path, ROWS),
    ],
    ids=["plain", "gzip", "parquet"],
)
def test_a_file_that_was_cut_short_is_an_error_that_says_so(
    tmp_path: Path, write: Callable[[Path], str], share: float
) -> None:
    path = Path(write(tmp_path))
    whole = path.read_bytes()
    kept = whole[: int(len(whole) * share)]
    path.write_bytes(kept.rstrip(b"\n"))
    assert "damaged" in unreadable(path)


@settings(quick, max_examples=80)
@given(data=st.data())
def test_no_cut_of_a_compressed_file_goes_unnoticed(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(write_jsonl(Path(folder), ROWS[:20], compress=True))
        whole = path.read_bytes()
        path.write_bytes(whole[: data.draw(st.integers(1, len(whole) - 1))])
        unreadable(path)


@settings(quick, max_examples=80)
@given(data=st.data())
def test_no_cut_of_a_parquet_file_goes_unnoticed(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(write_parquet(Path(folder), ROWS[:20]))
        whole = path.read_bytes()
        path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
        unreadable(path)


@pytest.mark.parametrize("place", [-1, -5, -8, 30, 200])
def test_a_compressed_file_with_a_wrong_byte_is_damaged(tmp_path: Path, place: int) -> None:
    path = Path(write_jsonl(tmp_path, ROWS, compress=True))
    whole = bytearray(path.read_bytes())
    whole[place] ^= 0xFF
    path.write_bytes(whole)
    assert "damaged" in unreadable(path)


def test_a_parquet_file_with_wrong_bytes_in_its_pages_is_damaged(tmp_path: Path) -> None:
    path = Path(write_parquet(tmp_path, ROWS))
    whole = bytearray(path.read_bytes())
    whole[4:200] = b"\xff" * 196
    path.write_bytes(whole)
    assert "damaged" in unreadable(path)


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"[{]",
        b'{"user_id": 1',
        b"\xff\xfe",
        b"\x00\x00",
        b"nonsense",
        b"5",
        b'"text"',
        b"null",
        b"[1, 2]",
        b"[null]",
        b'[["user_id", 1]]',
    ],
)
def test_a_line_that_is_no_row_is_damage(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "t.abc.0.typed-jsonl"
    path.write_bytes(b'[{"user_id":1,"name":"x","amount":2}]\n' + line + b"\n")
    assert "damaged" in unreadable(path)


@pytest.mark.parametrize("name", ["t.abc.0.parquet", "t.abc.0.typed-jsonl.gz"])
def test_a_file_of_another_kind_than_its_name_says_is_damaged(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"PAR1 but nothing else\x00\x01")
    assert "damaged" in unreadable(path)


@pytest.mark.parametrize("file_format", ["csv", "insert_values", "model"])
def test_a_format_that_is_not_taken_is_an_error_that_names_the_remedy(
    tmp_path: Path, file_format: str
) -> None:
    path = tmp_path / f"t.abc.0.{file_format}"
    path.write_bytes(b"user_id\n1\n")
    said = unreadable(path)
    assert f"`{file_format}`" in said
    assert "loader_file_format" in said


@pytest.mark.parametrize("name", ["t.a.0.parquet", "t.a.0.typed-jsonl", "t.a.0.typed-jsonl.gz"])
def test_a_file_that_dlt_has_moved_is_no_damage(tmp_path: Path, name: str) -> None:
    with pytest.raises(FileNotFoundError):
        read(str(tmp_path / name), ["user_id"])
