"""Whole runs side by side: `python -m tests.benchmarks --rows 200000 --rounds 5`.

Every run is a process of its own, and the contenders take turns, so that what else the machine
does falls on all of them. The figures are medians; ratios matter more than rows per second.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("dict", "arrow")
CONTENDERS = ("no-op sink", "plain requests", "xtremepush", "without ledger")


class Entry(NamedTuple):
    """A contender with one kind of source."""

    source: str
    contender: str


class Target(NamedTuple):
    """How fast this destination has to be beside another contender."""

    source: str
    other: str
    least: float


TARGETS = (
    Target("dict", "no-op sink", 0.9),
    Target("arrow", "plain requests", 2.5),
    # the ledger may cost 15 % more time
    Target("dict", "without ledger", 1 / 1.15),
    Target("arrow", "without ledger", 1 / 1.15),
)

Figures = Mapping[Entry, Sequence[float]]


def measure(rows: int, rounds: int) -> Figures:
    """Rows per second of each run of each contender."""
    entries = [Entry(*pair) for pair in product(SOURCES, CONTENDERS)]
    figures: dict[Entry, list[float]] = {entry: [] for entry in entries}
    with bare_server() as url:
        for turn in range(1, rounds + 1):
            for entry in entries:
                # a folder of its own: a ledger remembers
                with tempfile.TemporaryDirectory(prefix="xtremepush-bench-") as folder:
                    seconds = _run(entry, rows, url, folder)
                figures[entry].append(rows / seconds)
                print(
                    f"round {turn}/{rounds}  {entry.source:5}  {entry.contender:14}  "
                    f"{rows / seconds:9,.0f} rows/s",
                    file=sys.stderr,
                )
    return figures


@contextmanager
def bare_server() -> Iterator[str]:
    """The bare server in a process of its own; gives its URL."""
    command = [sys.executable, "-m", "tests.benchmarks.bare_server"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().strip()
        finally:
            server.terminate()


def _run(entry: Entry, rows: int, url: str, folder: str) -> float:
    command = [sys.executable, "-m", "tests.benchmarks.contender", entry.contender, entry.source]
    result = subprocess.run(
        [*command, "--rows", str(rows), "--url", url],
        cwd=ROOT,
        env={
            **os.environ,
            "DLT_DATA_DIR": folder,
            "DLT_LOCAL_DIR": folder,
            "RUNTIME__DLTHUB_TELEMETRY": "false",
        },
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    seconds: float = json.loads(result.stdout.splitlines()[-1])["seconds"]
    return seconds


def table(figures: Figures) -> str:
    """The medians and ratios as a Markdown table."""
    medians = {entry: statistics.median(values) for entry, values in figures.items()}
    lines = [
        "| source | contender | rows/s, median | lowest to highest | no-op = 1 | plain = 1 |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for entry, values in figures.items():
        against = [
            medians[entry] / medians[Entry(entry.source, other)]
            for other in ("no-op sink", "plain requests")
        ]
        lines.append(
            f"| {entry.source} | {entry.contender} | {medians[entry]:,.0f} "
            f"| {min(values):,.0f} to {max(values):,.0f} | {against[0]:.2f} | {against[1]:.2f} |"
        )
    return "\n".join(lines)


def verdicts(figures: Figures) -> Iterator[str]:
    """One line for each target."""
    for target in TARGETS:
        ours = statistics.median(figures[Entry(target.source, "xtremepush")])
        theirs = statistics.median(figures[Entry(target.source, target.other)])
        word = "reached" if ours / theirs >= target.least else "MISSED"
        yield (
            f"{word}: {target.source} source, {ours / theirs:.2f} of the {target.other} "
            f"(target: at least {target.least:.2f})"
        )


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    figures = measure(options.rows, options.rounds)
    print(
        f"{options.rows:,} rows of 10 columns, medians of {options.rounds} rounds; dlt "
        f"{version('dlt')}, Python {platform.python_version()}, {os.cpu_count()} cores\n"
    )
    print(table(figures), "\n")
    print("\n".join(verdicts(figures)))


if __name__ == "__main__":
    main()
