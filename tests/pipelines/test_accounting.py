"""A run whose outcomes do not add up to its rows fails, and a damaged journal is not believed."""

from __future__ import annotations

import json
from pathlib import Path

import dlt
import pytest
from dlt.extract import DltResource
from dlt.pipeline.exceptions import PipelineStepFailed

from tests.conftest import JOURNAL, Desk
from xtremepush_dlt import track, xtremepush_adapter


def hits() -> DltResource:
    rows = [{"user_id": f"u{n}", "at": "2024-01-01"} for n in range(10)]
    return xtremepush_adapter(dlt.resource(rows, name="hits"), track("hit", timestamp="at"))


def pending_journal(desk: Desk) -> Path:
    """The journal of a package that a wrong token left pending."""
    with pytest.raises(PipelineStepFailed):
        desk.pipeline(credentials={"app_token": "wrong"}).run(hits())
    (journal,) = desk.pipelines_dir.rglob(JOURNAL)
    return journal


def test_outcomes_that_do_not_add_up_to_the_rows_fail_the_run(desk: Desk) -> None:
    journal = pending_journal(desk)
    records = [json.loads(line) for line in journal.read_text(encoding="utf-8").splitlines()]
    began = next(record for record in records if record["k"] == "began")
    false = {
        "k": "settled",
        "lanes": 1,
        "lane": 0,
        "upto": 0,
        "tally": {"outcomes": [[0, "delivered", 3]], "reasons": [], "omissions": []},
        "undelivered": [],
        "at": began["at"],
        "file": began["file"],
        "phase": began["phase"],
    }
    with journal.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(false) + "\n")
    with pytest.raises(PipelineStepFailed, match="add up to 13, but 10 rows"):
        desk.pipeline().run()


def test_a_line_that_a_crash_cut_short_is_dropped_and_the_run_goes_on(desk: Desk) -> None:
    journal = pending_journal(desk)
    with journal.open("a", encoding="utf-8") as lines:
        lines.write('{"k":"settled","lanes":1,"la')
    desk.pipeline().run()
    assert len(desk.events) == 10


def test_a_journal_that_is_damaged_in_the_middle_stops_the_run_before_anything_is_sent(
    desk: Desk,
) -> None:
    journal = pending_journal(desk)
    journal.write_text("not json\n" + journal.read_text(encoding="utf-8"), encoding="utf-8")
    asked = len(desk.posts("hit"))
    with pytest.raises(PipelineStepFailed, match="Line 1 of"):
        desk.pipeline().run()
    assert len(desk.posts("hit")) == asked
    assert desk.events == []
