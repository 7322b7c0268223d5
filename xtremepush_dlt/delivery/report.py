"""The delivery report: what became of every row, read from the journals of a run's packages."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from xtremepush_dlt.delivery.journal import read_records
from xtremepush_dlt.delivery.outcomes import Outcome
from xtremepush_dlt.delivery.summary import ActionReport, Summary

if TYPE_CHECKING:
    import dlt

_REASONS_SHOWN = 5


@dataclass(frozen=True)
class DeliveryReport:
    """What became of every row of a run, and how its requests went.

    `print` it for a table. It carries no customer's value.

    Attributes:
        load_ids: The load packages that it covers.
        actions: One entry for each table and action.
        complete: Whether every row of the packages has its outcome.
        requests: Requests sent, questions about tasks not counted.
        retries: Requests among them that repeated one without a usable answer.
        seconds: Seconds in which rows were being delivered.
        latencies: Seconds from request to answer, sorted.
    """

    load_ids: tuple[str, ...] = ()
    actions: tuple[ActionReport, ...] = ()
    complete: bool = True
    requests: int = 0
    retries: int = 0
    seconds: float = 0.0
    latencies: Sequence[float] = field(default=(), repr=False)

    @property
    def offered(self) -> int:
        """Rows offered to actions so far."""
        return sum(action.offered for action in self.actions)

    def count(self, outcome: Outcome | str, table: str | None = None) -> int:
        """Rows with an outcome, of one table or of all."""
        return sum(
            action.counts[Outcome(outcome)]
            for action in self.actions
            if table in (None, action.table)
        )

    def outcomes(self, table: str | None = None) -> dict[str, int]:
        """Rows by the name of their outcome, all six of them, of one table or of all."""
        return {outcome.value: self.count(outcome, table) for outcome in Outcome}

    def latency(self, share: float) -> float:
        """Seconds within which a share of the requests was answered; 0 if there were none."""
        if not self.latencies:
            return 0.0
        return self.latencies[max(0, math.ceil(share * len(self.latencies)) - 1)]

    def __str__(self) -> str:
        if not self.load_ids:
            return "Nothing was delivered: the run had no rows for Xtremepush."
        heads = ["table", "action", "offered", *(outcome.value for outcome in Outcome)]
        rows = [
            [of.table, of.action, str(of.offered), *(str(of.counts[each]) for each in Outcome)]
            for of in self.actions
        ]
        lines = text_table([heads, *rows], left=2)
        if not self.complete:
            lines.append("Not complete: the load package is pending, the next run goes on with it.")
        rate = self.offered / self.seconds if self.seconds else 0.0
        lines.append(
            f"{self.requests} requests, {self.retries} retries, {rate:,.0f} rows/s, "
            f"p50 {self.latency(0.5) * 1000:.0f} ms, p95 {self.latency(0.95) * 1000:.0f} ms"
        )
        reasons = Counter(
            {
                (f"{outcome.value} {of.table}", of.action, column, reason): count
                for of in self.actions
                for (outcome, column, reason), count in of.reasons.items()
            }
        )
        omissions = Counter(
            {
                (_what_was_done(reason, of.table), of.action, column, reason): count
                for of in self.actions
                for (column, reason), count in of.omissions.items()
            }
        )
        for commonest in (reasons, omissions):
            for (what, action, column, reason), count in commonest.most_common(_REASONS_SHOWN):
                where = f"{what}.{column}" if column else what
                lines.append(f"  {count} {where} ({action}): {reason}")
            if (rest := len(commonest) - _REASONS_SHOWN) > 0:
                lines.append(f"  ... and {rest} more, in `reasons` and `omissions` of the report")
        return "\n".join(lines)


def delivery_report(pipeline: dlt.Pipeline) -> DeliveryReport:
    """Tells what became of the rows of a pipeline's last run.

    Args:
        pipeline: The pipeline, after `run()` or after it failed; also in another process, as long
            as dlt's working folder is there.

    Returns:
        The report over the load packages of the last run; an empty one when it had none.
    """
    load_ids = _load_ids_of_last_run(pipeline)
    folders = [Path(pipeline.get_load_package_info(load_id).package_path) for load_id in load_ids]
    return _report(folders)


def report_of_package(package: Path, loaded: bool = False) -> DeliveryReport:
    """The report over one load package.

    Args:
        package: Folder of the load package.
        loaded: Whether its jobs are known to be done, though dlt has not put it away yet.
    """
    return _report([package], loaded)


def _load_ids_of_last_run(pipeline: dlt.Pipeline) -> list[str]:
    trace = pipeline.last_trace
    steps = [step for step in trace.steps if step.step == "load"] if trace else []
    ids = [load_id for step in steps if step.step_info for load_id in step.step_info.loads_ids]
    # a run that was killed leaves no trace, but its packages
    pending = pipeline.list_normalized_load_packages()
    known = {*pending, *pipeline.list_completed_load_packages()}
    return [load_id for load_id in dict.fromkeys([*ids, *pending]) if load_id in known]


def _report(folders: Iterable[Path], all_loaded: bool = False) -> DeliveryReport:
    actions: dict[tuple[str, str], ActionReport] = {}
    latencies: list[float] = []
    load_ids: list[str] = []
    retries, seconds, complete = 0, 0.0, True
    for folder in folders:
        summary = Summary(actions, latencies)
        for record in read_records(folder):
            summary.add(record)
        loaded = all_loaded or folder.parent.name == "loaded"
        if not summary.records and loaded:
            continue  # a package that held nothing for Xtremepush
        load_ids.append(folder.name)
        retries += summary.retries
        seconds += summary.seconds
        complete = complete and summary.passes.keys() == summary.ended and loaded
    return DeliveryReport(
        tuple(load_ids),
        tuple(actions.values()),
        complete,
        len(latencies),
        retries,
        seconds,
        sorted(latencies),
    )


def _what_was_done(reason: str, table: str) -> str:
    return f"doubtful {table}" if reason.startswith("sent, but") else f"left out {table}"


def text_table(rows: Sequence[Sequence[str]], left: int) -> list[str]:
    """Rows as lines of aligned text.

    Args:
        rows: The rows, the heads first.
        left: Columns from the left that are text; the others are numbers.
    """
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(
            cell.ljust(width) if column < left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return [lines[0], "-" * len(lines[0]), *lines[1:]]
