"""Crashes by the hundred: `python -m tests.chaos --trials 30 --kills 200 --seed 1`.

Each trial runs a real dlt pipeline against a sandbox with faults, kills it again and again at
random moments, starts it again with other workers, lanes and batches, and then judges from the
sandbox's own record whether every promise was kept. Data, faults and kinds of moments follow from
the seed; the moments themselves depend on the machine.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait

from tests.chaos.trial import Report, Trial, run_trial
from tests.chaos.verify import Figures

_COLUMNS = (
    "trial",
    "route",
    "policy",
    "kills",
    "restarts",
    "rows",
    "requests",
    "lost",
    "out of order",
    "barrier breaks",
    "overlaps",
    "overlaps untold",
    "duplicates resend",
    "duplicates hold",
    "unknown",
    "sent again",
    "seconds",
)


def session(
    seed: int, trials: int, kills: int, jobs: int, only: int | None = None
) -> Iterator[Report]:
    """Runs trials until there are enough of them and of kills.

    Args:
        seed: Everything but the exact moments follows from it.
        trials: Trials at least.
        kills: Kills at least.
        jobs: Trials that run side by side.
        only: Runs this trial alone.
    """
    each = -(-kills // trials) + 1
    made = 0
    numbers = iter(range(trials * 10) if only is None else [only])
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=spawn) as pool:
        under_way: set[Future[Report]] = set()
        count = 0
        while True:
            while len(under_way) < jobs and (count < trials or made < kills):
                number = next(numbers, None)
                if number is None:
                    break
                under_way.add(pool.submit(run_trial, Trial(seed, number, each), keep=True))
                count += 1
            if not under_way:
                return
            ended, under_way = wait(under_way, return_when=FIRST_COMPLETED)
            for future in ended:
                report = future.result()
                made += report.kills
                yield report


def table(reports: Sequence[Report], seconds: float) -> str:
    """The figures of each trial and of all, as a Markdown table."""
    whole = sum((report.figures for report in reports), Figures())
    kills = sum(report.kills for report in reports)
    failures = sum(report.failures for report in reports)
    lines = [
        f"| {' | '.join(_COLUMNS)} |",
        f"| ---: | --- | --- |{' ---: |' * (len(_COLUMNS) - 3)}",
        *(
            _line(
                str(report.trial.number),
                f"{report.route} | {report.on_unknown}",
                report.kills,
                report.failures,
                report.figures,
                report.seconds,
            )
            for report in sorted(reports, key=lambda one: one.trial.number)
        ),
        _line(f"all {len(reports)}", " | ", kills, failures, whole, seconds),
    ]
    return "\n".join(lines)


def _line(name: str, what: str, kills: int, restarts: int, figures: Figures, seconds: float) -> str:
    counts = [kills, restarts, figures.rows, figures.requests, figures.lost, figures.out_of_order]
    counts += [figures.barrier_breaks, figures.overlaps, figures.overlaps_untold]
    counts += [figures.duplicates_resend, figures.duplicates_hold, figures.unknown]
    counts += [figures.sent_again]
    cells = [name, what, *(f"{count:,}" for count in counts), f"{seconds:.0f}"]
    return f"| {' | '.join(cells)} |"


def main() -> int:
    """Runs and prints; 1 if a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--trials", type=int, default=30, help="at least so many (30)")
    parser.add_argument("--kills", type=int, default=200, help="at least so many (200)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--trial", type=int, help="run this trial of the session alone")
    parser.add_argument("--jobs", type=int, default=2, help="trials side by side (2)")
    options = parser.parse_args()
    began = time.monotonic()
    reports: list[Report] = []
    for report in session(options.seed, options.trials, options.kills, options.jobs, options.trial):
        reports.append(report)
        word = "VIOLATED" if report.violations else "kept"
        _say(
            f"trial {report.trial.number}: {report.kills} kills "
            f"({report.kills_in_delivery} after its first request), {word}",
            *(f"  {line}" for line in report.violations),
        )
    _say("", table(reports, time.monotonic() - began), "")
    kills = sum(report.kills for report in reports)
    violated = [report for report in reports if report.violations]
    for report in violated:
        _say(
            f"VIOLATED: seed {options.seed}, trial {report.trial.number}; again with: python -m "
            f"tests.chaos --seed {options.seed} --trials {options.trials} --kills "
            f"{options.kills} --trial {report.trial.number}; its folder: {report.folder}",
            *(f"  {line}" for line in report.violations),
        )
    if options.trial is None and kills < options.kills:
        _say(f"Only {kills} kills were made.")
        return 1
    return 1 if violated else 0


def _say(*lines: str) -> None:
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
