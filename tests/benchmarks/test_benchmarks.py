"""The measure itself: it must not be bent, and it must run."""

import json
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.benchmarks import contender, segment
from tests.benchmarks.__main__ import (
    CONTENDERS,
    SOURCES,
    TARGETS,
    Entry,
    bare_server,
    table,
    verdicts,
)

ROOT = Path(__file__).resolve().parents[2]


def test_every_contender_runs_with_both_sources_and_its_figures_stand_in_the_table() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks", "--rows", "1500", "--rounds", "1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert result.returncode == 0, result.stderr
    for source in SOURCES:
        for name in CONTENDERS:
            assert f"| {source} | {name} |" in result.stdout
    assert result.stdout.count(" source, ") == len(TARGETS)


def test_the_bare_server_counts_rows_bytes_and_requests_however_they_are_cut() -> None:
    body = json.dumps({"events": [{"row_id": 1}, {"row_id": 2}]}).encode()
    request = b"POST /x HTTP/1.1\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    with bare_server() as url:
        host, _, port = url.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            reply = connection.makefile("rb")
            for piece in (request[:10], request[10:-5], request[-5:] + request):
                connection.sendall(piece)
            for _ in range(2):
                assert reply.readline() == b"HTTP/1.1 200 OK\r\n"
                while reply.readline() != b"\r\n":
                    pass
                assert json.loads(reply.read(27)) == {"code": 200, "success": True}
        with urllib.request.urlopen(url, timeout=10) as counted:  # noqa: S310  # this machine
            assert json.load(counted) == {"requests": 2, "rows": 4, "bytes": 2 * len(body)}
        with urllib.request.urlopen(url, timeout=10) as counted:  # noqa: S310  # this machine
            assert json.load(counted)["rows"] == 0


@pytest.mark.parametrize("kind", SOURCES)
def test_a_contender_whose_rows_do_not_all_arrive_fails(
    kind: str, dlt_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(contender.CONTENDERS, "plain requests", contender.no_op)
    with bare_server() as url, pytest.raises(RuntimeError, match="0 rows arrived instead of 10"):
        contender.run("plain requests", kind, 10, url)


def test_dict_and_arrow_source_hold_the_same_rows_of_ten_columns() -> None:
    rows = [row for page in contender.source("dict", 25) for row in [page]]
    assert {len(row) for row in rows} == {10}
    tables = list(contender.source("arrow", 25))
    assert [row for part in tables for row in part.to_pylist()] == rows


def test_a_target_counts_as_reached_from_its_ratio_on_and_not_below() -> None:
    def figures(
        ours_dict: float, ours_arrow: float, without: float = 1.0
    ) -> dict[Entry, list[float]]:
        return {
            Entry("dict", "without ledger"): [ours_dict * without],
            Entry("arrow", "without ledger"): [ours_arrow * without],
            Entry("dict", "no-op sink"): [100.0, 90.0, 999.0],
            Entry("dict", "plain requests"): [50.0],
            Entry("dict", "xtremepush"): [ours_dict],
            Entry("arrow", "no-op sink"): [400.0],
            Entry("arrow", "plain requests"): [100.0],
            Entry("arrow", "xtremepush"): [ours_arrow],
        }

    def words(*of: float) -> list[str]:
        return [line.split(":")[0] for line in verdicts(figures(*of))]

    assert words(90.0, 250.0) == ["reached"] * 4
    assert words(89.0, 249.0) == ["MISSED"] * 2 + ["reached"] * 2
    assert words(90.0, 250.0, 1.14) == ["reached"] * 4
    assert words(90.0, 250.0, 1.16) == ["reached"] * 2 + ["MISSED"] * 2
    assert "| dict | xtremepush | 90 | 90 to 90 | 0.90 | 1.80 |" in table(figures(90.0, 250.0))


def test_the_segment_route_is_measured_and_judged_on_one_line() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.segment", "--rows", "60"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1].startswith(("reached: Segment", "MISSED: Segment"))


def test_nine_tenths_of_what_the_lanes_can_carry_is_enough_and_less_is_not() -> None:
    assert segment.IDEAL == 160
    assert segment.verdict(1440, 10.0).startswith("reached: ")
    assert segment.verdict(1439, 10.0).startswith("MISSED: ")
    assert "144 rows/s, 90.0% of 160/s" in segment.verdict(1440, 10.0)
