"""`max_undelivered` stops a run that is going wrong, and loses nothing."""

from __future__ import annotations

import dlt
import pytest
from dlt.extract import DltResource
from dlt.pipeline.exceptions import PipelineStepFailed

from tests.conftest import Desk, MakeDesk
from xtremepush_dlt import delivery_report, track, xtremepush_adapter
from xtremepush_dlt.sandbox import Faults


def hits(good: int, bad: int) -> DltResource:
    rows = [{"id": i, "user_id": f"u{i}", "at": "2024-01-01T00:00:00Z"} for i in range(good)]
    rows += [{"id": i, "user_id": " ", "at": "2024-01-01T00:00:00Z"} for i in range(bad)]
    return xtremepush_adapter(dlt.resource(rows, name="hits"), track("hit", timestamp="at"))


def test_a_run_in_which_more_than_the_share_fails_is_stopped_with_counts_and_reasons(
    desk: Desk,
) -> None:
    pipeline = desk.pipeline(max_undelivered=0.1)
    with pytest.raises(PipelineStepFailed, match=r"\d+ of the \d+ rows settled") as raised:
        pipeline.run(hits(200, 30))
    assert "user_id: blank" in str(raised.value)
    assert "max_undelivered" in str(raised.value)
    # the package is pending, and what was delivered stays so
    report = delivery_report(pipeline)
    assert not report.complete


def test_the_run_after_a_stopped_one_goes_on_and_loses_nothing(desk: Desk) -> None:
    with pytest.raises(PipelineStepFailed):
        desk.pipeline(max_undelivered=0.1).run(hits(200, 30))
    pipeline = desk.pipeline(max_undelivered=1.0)
    pipeline.run()
    report = delivery_report(pipeline)
    assert report.complete
    assert (report.count("delivered"), report.count("invalid")) == (200, 30)
    assert len(desk.events) == 200
    assert len(desk.undelivered()) == 30


def test_fewer_than_100_rows_are_not_judged(desk: Desk) -> None:
    report = desk.deliver(hits(0, 99), max_undelivered=0.1)
    assert report.count("invalid") == 99


def test_a_refusal_of_everything_is_found_out_long_before_every_row_was_asked(
    make_desk: MakeDesk,
) -> None:
    desk = make_desk(faults=Faults(success_false=1.0))
    with pytest.raises(PipelineStepFailed, match="rejected"):
        desk.pipeline(max_undelivered=0.1, max_connections=1).run(hits(1000, 0))
    assert len(desk.posts("hit")) < 250
