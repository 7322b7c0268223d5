"""The types of profile attributes (reference 7)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.client import Caller
from xtremepush_dlt.sandbox import SandboxSettings
from xtremepush_dlt.sandbox.attributes import fits
from xtremepush_dlt.sandbox.pytest_plugin import MakeSandbox

VALUES: dict[Any, tuple[list[object], list[object]]] = {
    "string": (["x", 1, 1.5, True], [["x"], {"a": 1}]),
    "number": ([1, -1.5, "1.5", "1e3"], ["x", "1,5", True, [1]]),
    "integer": ([1, 2.0, "-17"], [1.5, "1.5", "x", True, [1]]),
    "date": (
        [
            "2026-07-01",
            "2026-07-01 10:00:00",
            "2026-07-01 10:00:00 +01:00",
            "2026-07-01T10:00:00.000Z",
        ],
        ["01/07/2026", "2026-07", 1_782_900_000, True],
    ),
    "array": ([["a"], {"a": 1}, '["a"]', '{"a": 1}'], ["a", 1, True]),
    "boolean": ([True, False, 0, 1, "true", "0"], [2, "yes", [True], None]),
}


@pytest.mark.parametrize("kind", VALUES)
def test_each_type_takes_the_values_of_the_reference_and_no_others(kind: Any) -> None:
    good, bad = VALUES[kind]

    assert [value for value in good if not fits(kind, value)] == []
    assert [value for value in bad if fits(kind, value)] == []


@pytest.mark.parametrize(
    ("rule", "failed", "kept"), [("fail", 1, {}), ("warn", 0, {"plan": "gold"})]
)
def test_a_value_that_does_not_fit_fails_its_row_or_is_left_out(
    make_xtremepush_sandbox: MakeSandbox, rule: Any, failed: int, kept: dict[str, str]
) -> None:
    sandbox = make_xtremepush_sandbox(
        SandboxSettings(known_attributes={"plan": None, "seats": "integer"}, invalid_values=rule)
    )

    reply = Caller(sandbox).rows(["user_id", "plan", "seats"], ["1", "gold", "two"])
    Caller(sandbox).rows(["user_id", "seats"], ["2", 2])

    assert reply.json()["data"]["failed"] == failed
    assert reply.json()["data"]["warnings"] == 1 - failed
    assert sandbox.profiles.get("1", {}) == kept
    assert sandbox.profiles["2"] == {"seats": 2}


def test_a_long_string_is_cut_whether_or_not_its_attribute_has_a_type(
    make_xtremepush_sandbox: MakeSandbox,
) -> None:
    sandbox = make_xtremepush_sandbox(
        SandboxSettings(known_attributes={"typed": "string", "untyped": None, "list": "array"})
    )
    long = '["' + "x" * 200 + '"]'
    Caller(sandbox).rows(["user_id", "typed", "untyped", "list"], ["1", "x" * 200, "x" * 200, long])

    assert sandbox.profiles["1"] == {"typed": "x" * 101, "untyped": "x" * 101, "list": long}
