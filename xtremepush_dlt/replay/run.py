"""The run of a replay: a dlt pipeline of its own, so that nothing is sent in another way.

Journal, lanes, order, throttle, verdicts, report and crash safety are those of every run. What is
special stands here: that no two replays send the same row, on whatever machines they run.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dlt
from dlt.common.destination.client import JobClientBase

from xtremepush_dlt.delivery.outcomes import UNDELIVERED, Outcome
from xtremepush_dlt.exceptions import ReplayRefusedError
from xtremepush_dlt.ledger.job import writing
from xtremepush_dlt.ledger.reading import companion_of_pipeline
from xtremepush_dlt.ledger.rows import OpenLedger, read_rows, reading
from xtremepush_dlt.ledger.tables import REPLAYS
from xtremepush_dlt.replay.choice import Choice, choose, rows_
from xtremepush_dlt.replay.lock import locked
from xtremepush_dlt.replay.marks import Mark, Marks
from xtremepush_dlt.replay.source import replay_name, replay_resources
from xtremepush_dlt.replay.undelivered import read_undelivered

_OWN_REPLAY = "xtremepush_replay_id"
"""Key of the pipeline's local state: the replay that began on this machine and has not ended."""


@dataclass(frozen=True)
class ReplayReport:
    """What a replay did. `print` it; it carries no customer's value.

    Attributes:
        choice: The rows it took, and those it did not; empty for one that was resumed.
        outcomes: Rows by their new outcome; empty if nothing was sent.
        reasons: Rows that were not delivered this time either, by outcome and reason.
        resumed: Whether it went on with a replay that was cut short.
        dry_run: Whether it only looked.
    """

    choice: Choice = field(default_factory=Choice)
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    reasons: Counter[tuple[Outcome, str]] = field(default_factory=Counter)
    resumed: bool = False
    dry_run: bool = False

    def __str__(self) -> str:
        tables = Counter((row.table_name, row.action) for row in self.choice.rows)
        lines = [f"  {count:>6} {table} ({action})" for (table, action), count in tables.items()]
        if self.resumed:
            head = "A replay that was cut short was resumed"
            head += " now." if not self.dry_run else " would be resumed."
        elif not self.choice.rows:
            head = "There is nothing to replay."
        elif self.dry_run:
            head = f"{rows_(len(self.choice.rows))} would be replayed; nothing was sent:"
        else:
            head = f"{rows_(len(self.choice.rows))} replayed:"
        ended = ", ".join(f"{count:,} {outcome.value}" for outcome, count in self.outcomes.items())
        if ended:
            lines.append(f"Outcome: {ended}.")
        for (outcome, reason), count in self.reasons.most_common():
            lines.append(f"  {count:>6} {outcome.value}: {reason}")
        if self.outcomes[Outcome.REJECTED] or self.outcomes[Outcome.INVALID]:
            lines.append("Those not delivered stay open: mend the cause and replay again.")
        return "\n".join([head, *lines, *self.choice.remarks])


def replay(
    pipeline: dlt.Pipeline,
    *,
    table: str | None = None,
    unknown: bool = False,
    take_over: bool = False,
    dry_run: bool = False,
) -> ReplayReport:
    """Sends rows again that were rejected, after the cause is mended.

    A profile value that was delivered since (by this pipeline, or by another one after the row
    stood in the ledger that they share) is left out, and a row of which nothing else is left ends
    as `merged`. Each row that is delivered is never replayed again.

    Args:
        pipeline: The pipeline whose rows they are.
        table: Replay rows of this table only.
        unknown: Whether events that may have arrived are sent again.
        take_over: Whether a replay that began elsewhere and will never go on is given up. Events
            that it may have sent are then `unknown` instead of being sent.
        dry_run: Whether only to tell what would be sent.

    Raises:
        ReplayRefusedError: If another replay is under way, or rows of the pipeline wait to be
            delivered, which come first.
        ConfigurationError: If the pipeline has no ledger.
        LedgerError: If the ledger cannot be read.
    """
    name = pipeline.pipeline_name
    if pipeline.has_pending_data:
        raise ReplayRefusedError(
            f"Pipeline `{name}` has rows in a pending load package, which come first. Run the "
            "pipeline, so that they are delivered, and replay then. Nothing was sent."
        )
    with locked(Path(pipeline.pipelines_dir) / f".{replay_name(name)}.lock") as held:
        if not held:
            raise ReplayRefusedError(
                f"Rows of `{name}` are being replayed by another process of this machine. Wait "
                "until it has ended. Nothing was sent."
            )
        companion, schema = companion_of_pipeline(pipeline)

        def open_ledger() -> JobClientBase:
            return companion.for_tables(schema)

        with _sibling(pipeline) as sibling:
            _refuse_other_place(pipeline, sibling)
            marks = Marks(open_ledger, name)
            own = _settle_own(sibling, marks, open_ledger, name)
            if own is not None:
                return _resume(sibling, open_ledger, marks, own, dry_run)
            if take_over and not dry_run:
                _take_over(open_ledger, name, marks)
            choice = choose(read_undelivered(open_ledger, name), table, unknown)
            if dry_run or not choice.rows:
                return ReplayReport(choice, dry_run=dry_run)
            with writing(REPLAYS):
                companion.make_tables(schema)
            _refuse_others(name, marks, None)
            own = secrets.token_hex(8)
            sibling.set_local_state_val(_OWN_REPLAY, own)
            marks.begin(own, table, unknown)
            try:
                _refuse_others(name, marks, own)
                # another one may have ended since the first look
                choice = choose(read_undelivered(open_ledger, name), table, unknown)
                if choice.rows:
                    sibling.run(replay_resources(choice.rows, own))
            except BaseException:
                _end(sibling, marks, own)
                raise
            _end(sibling, marks, own)
            return ReplayReport(choice, *_outcomes(open_ledger, own))


@contextmanager
def _sibling(pipeline: dlt.Pipeline) -> Iterator[dlt.Pipeline]:
    """The pipeline that replays the rows of another, which is the active one again afterwards."""
    sibling = dlt.pipeline(
        replay_name(pipeline.pipeline_name),
        pipelines_dir=pipeline.pipelines_dir,
        destination=pipeline.destination,
    )
    # it has no cursors: all it must remember stands in its load package and in the ledger
    sibling.config.restore_from_destination = False
    try:
        yield sibling
    finally:
        pipeline.activate()


def _refuse_other_place(pipeline: dlt.Pipeline, sibling: dlt.Pipeline) -> None:
    """Settings of a section of the pipeline's own are not those of the one that replays."""
    places = []
    for each in (pipeline, sibling):
        config: Any = each.destination_client().config
        companion, schema = companion_of_pipeline(each)
        places.append(
            (config.fingerprint(), config.credentials.digest(), companion.location(schema))
        )
    if places[0] != places[1]:
        name = pipeline.pipeline_name
        raise ReplayRefusedError(
            f"The settings of `{name}` stand in a section of its own, such as "
            f"[{name}.destination.xtremepush], which the pipeline that replays does not read: its "
            f"rows would go elsewhere. Put them into [{replay_name(name)}.destination.xtremepush] "
            "too, or into the general section. Nothing was sent."
        )


def _settle_own(
    sibling: dlt.Pipeline, marks: Marks, open_ledger: OpenLedger, name: str
) -> str | None:
    """The replay of this machine that has to be gone on with; None if there is none."""
    own = _own_replay(sibling)
    if own is None:
        if sibling.has_pending_data:
            raise ReplayRefusedError(
                f"Pipeline `{sibling.pipeline_name}` has a pending load package that is no "
                "replay of this machine. Look at it with `dlt pipeline "
                f"{sibling.pipeline_name} info`, and take it back with `dlt pipeline "
                f"{sibling.pipeline_name} abort-packages`. Nothing was sent."
            )
        return None
    mark = marks.read().get(own)
    if mark is not None and not mark.ended and sibling.has_pending_data:
        return own
    if sibling.has_pending_data:
        # another machine took it over: what is left of it is no longer ours to send
        sibling.abort_packages()
    if mark is not None and not mark.ended:
        if _was_taken_back(sibling, mark):
            # what it had sent by then is told by no receipt
            marks.give_up(own, _may_have_been_sent(open_ledger, name, mark))
        marks.end(own)
    sibling.set_local_state_val(_OWN_REPLAY, None)
    return None


def _was_taken_back(sibling: dlt.Pipeline, mark: Mark) -> bool:
    """Whether the load package of a replay was aborted; ids of packages are seconds."""
    return any(
        float(load_id) >= mark.at.timestamp()
        and sibling.get_load_package_info(load_id).state == "aborted"
        for load_id in sibling.list_completed_load_packages()
    )


def _own_replay(sibling: dlt.Pipeline) -> str | None:
    try:
        own: str | None = sibling.get_local_state_val(_OWN_REPLAY)
    except KeyError:
        return None
    return own


def _resume(
    sibling: dlt.Pipeline, open_ledger: OpenLedger, marks: Marks, own: str, dry_run: bool
) -> ReplayReport:
    if dry_run:
        return ReplayReport(resumed=True, dry_run=True)
    sibling.run()
    _end(sibling, marks, own)
    outcomes, reasons = _outcomes(open_ledger, own)
    return ReplayReport(outcomes=outcomes, reasons=reasons, resumed=True)


def _end(sibling: dlt.Pipeline, marks: Marks, own: str) -> None:
    """Marks the end of a replay, unless it left something to go on with."""
    if not sibling.has_pending_data:
        marks.end(own)
        sibling.set_local_state_val(_OWN_REPLAY, None)


def _refuse_others(name: str, marks: Marks, own: str | None) -> None:
    if others := marks.under_way(own):
        raise ReplayRefusedError(
            f"A replay of `{name}` began {others[0]} and has not ended. If it was cut short, run "
            "`dlt xtremepush replay` on that machine: it goes on where it was. If that machine is "
            "gone, add --take-over: events that it may have sent are then not sent again but "
            "listed as unknown. Nothing was sent."
        )


def _take_over(open_ledger: OpenLedger, name: str, marks: Marks) -> None:
    """Gives up the replays that nobody goes on with."""
    for dead in marks.under_way():
        marks.give_up(dead.replay_id, _may_have_been_sent(open_ledger, name, dead))
        marks.end(dead.replay_id)


def _may_have_been_sent(open_ledger: OpenLedger, name: str, dead: Mark) -> list[str]:
    rows = choose(read_undelivered(open_ledger, name), dead.table, dead.unknown).rows
    return [row.undelivered_id for row in rows if row.call == "track" and row.settled_at <= dead.at]


def _outcomes(
    open_ledger: OpenLedger, replay_id: str
) -> tuple[Counter[Outcome], Counter[tuple[Outcome, str]]]:
    """What became of the rows of a replay, and why some were not delivered."""
    with reading(open_ledger) as client:
        rows = read_rows(client, REPLAYS, {"replay_id": [replay_id]})
    ended = [
        (Outcome(row["outcome"]), row["reason"])
        for row in rows
        if row["undelivered_id"] is not None
    ]
    return Counter(outcome for outcome, _ in ended), Counter(
        (outcome, reason) for outcome, reason in ended if outcome in UNDELIVERED and reason
    )
