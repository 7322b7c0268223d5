"""A trial: one pipeline against one sandbox with faults, killed again and again."""

from __future__ import annotations

import json
import os
import queue
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import orjson

from tests.chaos.data import POISON, Data, Expected, Sizes
from tests.chaos.verify import Figures, Run, is_of_profiles, verify
from tests.chaos.worker import Job
from xtremepush_dlt.sandbox import Faults, Sandbox, SandboxSettings

ROOT = Path(__file__).resolve().parents[2]
RUN_SECONDS = 120.0
"""A run that takes longer hangs."""

RUNS_MOST = 60


@dataclass(frozen=True)
class Trial:
    """What a trial is made of; all of it follows from the seed and the number.

    Attributes:
        seed: Seed of the whole session.
        number: Number of the trial in it.
        kills: Kills to make, if the work lasts for so many.
        sizes: Rows of the tables.
    """

    seed: int
    number: int
    kills: int
    sizes: Sizes = field(default_factory=Sizes)


@dataclass
class Report:
    """What came of a trial."""

    trial: Trial
    on_unknown: str
    route: str
    figures: Figures
    violations: list[str]
    kills: int
    kills_in_delivery: int
    failures: int
    seconds: float
    folder: str | None = None


class TrialError(Exception):
    """The trial did not come to an end that could be looked at."""


class Nursery:
    """Forks workers that have imported everything; see `worker.serve`."""

    def __init__(self, folder: Path) -> None:
        self._heard: queue.Queue[dict[str, Any]] = queue.Queue()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.worker"],
            cwd=folder,
            env=_environment(folder),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin: IO[str] = self._process.stdin
        self._listener = threading.Thread(
            target=self._listen, args=(self._process.stdout,), daemon=True
        )
        self._listener.start()

    def __enter__(self) -> Nursery:  # noqa: PYI034  # typing.Self needs Python 3.11
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with suppress(BrokenPipeError):
            self._stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._listener.join(10)

    def start(self, job: Job) -> int:
        """Starts a worker; gives its process id."""
        self._stdin.write(job.to_json() + "\n")
        self._stdin.flush()
        told = self.hear(60.0)
        if told["k"] != "forked":
            raise TrialError(f"the nursery tells {told} instead of the start of a worker")
        return int(told["pid"])

    def hear(self, seconds: float) -> dict[str, Any]:
        """The next thing told by the nursery or the worker.

        Raises:
            queue.Empty: If nothing is told in time.
        """
        return self._heard.get(timeout=seconds)

    def _listen(self, stdout: IO[str]) -> None:
        with stdout:
            for line in stdout:
                self._heard.put(json.loads(line))
        self._heard.put({"k": "gone"})


@dataclass(frozen=True)
class Moment:
    """When to kill: `kind` is what is counted, `delay` are seconds that follow."""

    kind: str
    at: float = 0.0
    delay: float = 0.0


class Runner:
    """Runs one trial."""

    def __init__(self, trial: Trial, folder: Path) -> None:
        self._trial = trial
        self._folder = folder
        self._chance = random.Random(f"{trial.seed}/{trial.number}")
        self._data_seed = self._chance.randrange(2**32)
        data = Data(self._data_seed, trial.sizes)
        self._expected = Expected(data)
        self._parts = trial.sizes.parts
        # trials take turns, so that each policy has its share
        self.on_unknown = ("resend", "hold")[trial.number % 2]
        self.route = ("external", "segment")[trial.number // 2 % 2]
        # without it, what is sent again arrives twice, which is judged as well
        self._dedup = self.route == "segment" and trial.number % 8 == 2
        self._format = self._chance.choice(["typed-jsonl", "typed-jsonl", "parquet"])
        self._runs: list[Run] = []
        self._violations: list[str] = []
        self._failures = 0

    def run(self) -> Report:
        """Runs the trial and looks at what the sandbox has recorded."""
        began = time.monotonic()
        figures = Figures()
        with self.sandbox() as sandbox:
            try:
                self.deliver(sandbox)
            except TrialError as error:
                self._violations.append(f"the trial failed: {error}")
            else:
                figures, found = self.judge(sandbox)
                self._violations += found
            if self._violations:
                self._write_record(sandbox)
        kills = [run for run in self._runs if run.killed_at is not None]
        return Report(
            self._trial,
            self.on_unknown,
            self.route,
            figures,
            self._violations,
            len(kills),
            sum(run.killed_in_delivery for run in kills),
            self._failures,
            time.monotonic() - began,
        )

    def sandbox(self) -> Sandbox:
        """The trial's sandbox, not yet started."""
        return Sandbox(self._settings(), self._faults())

    def deliver(self, sandbox: Sandbox) -> None:
        """Kills and starts the worker until everything is delivered.

        Raises:
            TrialError: If it does not come to that.
        """
        with Nursery(self._folder) as nursery:
            self._until_done(sandbox, nursery)
            sandbox.wait_for_tasks()

    def judge(self, sandbox: Sandbox) -> tuple[Figures, list[str]]:
        """The figures, and a line for each kind of violation.

        Args:
            sandbox: The one of this trial; it may have been stopped.
        """
        pipelines, hold = self._folder / "pipelines", self.on_unknown == "hold"
        return verify(sandbox, self._expected, self._runs, pipelines, hold=hold)

    def _write_record(self, sandbox: Sandbox) -> None:
        """Writes what the sandbox kept into the trial's folder, for whoever looks for the cause."""
        record = {
            "runs": self._runs,
            "requests": sandbox.requests,
            "tasks": sandbox.tasks,
            "overlaps": sandbox.overlaps,
            "faults": sandbox.faults,
        }
        lines = (
            orjson.dumps({kind: one}, default=list, option=orjson.OPT_NON_STR_KEYS)
            for kind, kept in record.items()
            for one in (kept if isinstance(kept, list) else [kept])
        )
        (self._folder / "sandbox.jsonl").write_bytes(b"\n".join(lines))

    def _settings(self) -> SandboxSettings:
        chance = self._chance
        return SandboxSettings(
            segment_dedup=self._dedup,
            # 2 at least: a single profile whose task fails at random would count as refused
            async_from_rows=chance.choice([5, 10, 20, 100]),
            task_start_seconds=chance.choice([0.0, 0.02]),
            task_seconds=chance.choice([0.01, 0.05]),
        )

    def _faults(self) -> Faults:
        chance = self._chance
        return Faults(
            seed=chance.randrange(2**32),
            statuses={429: 0.006, 500: 0.005, 503: 0.006, 502: 0.002, 504: 0.001},
            retry_after=chance.choice([None, 0.02]),
            latency=0.001,
            jitter=chance.choice([0.002, 0.01, 0.02]),
            reset_before=0.01,
            reset_after=0.01,
            truncated=0.002,
            empty=0.002,
            html=0.002,
            poison_marker=POISON,
            poison_named=chance.random() < 0.3,
            poison_tasks=chance.random() < 0.5,
            task_failures=0.05,
            slow_tasks=0.1,
            slow_task_seconds=chance.choice([0.2, 0.5, 1.5]),
        )

    def _job(self, sandbox: Sandbox) -> Job:
        chance = self._chance
        return Job(
            url=sandbox.url,
            folder=str(self._folder),
            seed=self._data_seed,
            sizes=asdict(self._trial.sizes),
            workers=chance.choice([1, 2, 5, 20]),
            lanes=chance.choice([1, 2, 3, 4, 8]),
            event_batch=chance.choice([5, 20, 30, 50, 1000]),
            profile_batch=chance.choice([7, 20, 50, 1000]),
            on_unknown=self.on_unknown,
            # with little patience dlt's own retry takes over
            retry_patience=chance.choice([0.05, 20.0, 20.0]),
            file_format=self._format,
            route=self.route,
        )

    def _until_done(self, sandbox: Sandbox, nursery: Nursery) -> None:
        left, done = self._trial.kills, False
        while not done and left:
            if len(self._runs) > RUNS_MOST:
                raise TrialError(f"not done after {len(self._runs)} runs")
            done = self._once(sandbox, nursery, self._moment(sandbox, left))
            left -= self._runs[-1].killed_at is not None
        sandbox.set_faults(Faults(poison_marker=POISON))
        if not done and not self._once(sandbox, nursery, None):
            raise TrialError("the run without faults and kills did not end well")
        before = _numbers(sandbox)
        if not self._once(sandbox, nursery, None):
            raise TrialError("a run without new data did not end well")
        if _numbers(sandbox) != before:
            raise TrialError("a run without new data sent requests")

    def _moment(self, sandbox: Sandbox, left: int) -> Moment:
        chance = self._chance
        stored = len(sandbox._app.api.log.events)
        every = self._expected.events(self._parts)
        delay = chance.random() * 0.01
        kinds = ["events", "imports", "requests", "early", "late"]
        kind = chance.choices(kinds, [40, 20, 20, 10, 10])[0]
        if kind == "events":
            step = 2.0 * max(0, every - stored) / (left + 1)
            return Moment(kind, stored + chance.random() * step, delay)
        if kind == "requests":
            return Moment(kind, len(sandbox._app.recorder.requests) + chance.randint(1, 40), delay)
        if kind == "imports":
            return Moment(kind, _imports(sandbox) + chance.randint(1, 12), delay)
        if kind == "early":
            return Moment(kind, 0.0, chance.random() * 0.5)
        ends = [self._expected.events(part) for part in range(self._parts)]
        end = next((end for end in ends if end - 20 > stored), every)
        return Moment(kind, end - chance.randint(0, 15), chance.random() * 0.15)

    def _once(self, sandbox: Sandbox, nursery: Nursery, moment: Moment | None) -> bool:
        """One run of the worker; answers whether all its work is done."""
        run = Run(self._job(sandbox), _numbers(sandbox))
        self._runs.append(run)
        process = nursery.start(run.job)
        reached = _reached(sandbox, moment)
        told: dict[str, str] = {}
        strike: float | None = None
        end = time.monotonic() + RUN_SECONDS
        while "ended" not in told:
            self._listen(nursery, told, 0.001 if moment and "began" in told else 0.05)
            now = time.monotonic()
            if strike is None and "began" in told and reached():
                strike = now + (moment.delay if moment else 0.0)
            if strike is not None and now >= strike and not (run.killed_at or "done" in told):
                run.killed_in_delivery = _numbers(sandbox) > run.first
                os.kill(process, signal.SIGKILL)
                run.killed_at = time.monotonic()
            if now > end or "gone" in told:
                os.kill(process, signal.SIGKILL)
                raise TrialError("a run hangs, or its nursery is gone: see worker.log")
        if "failed" in told:
            self._failures += 1
            if "XtremepushUnavailableError" not in told["failed"]:
                raise TrialError(f"the worker failed: {told['failed']}")
        # what the process had sent may still be worked on: it belongs to this run
        patience = time.monotonic() + 5
        while sandbox._app.recorder.in_flight and time.monotonic() < patience:
            time.sleep(0.002)
        run.end = _numbers(sandbox)
        return "done" in told

    def _listen(self, nursery: Nursery, told: dict[str, str], seconds: float) -> None:
        with suppress(queue.Empty):
            heard = nursery.hear(seconds)
            told[heard["k"]] = " < ".join(heard.get("causes", ()))


def run_trial(trial: Trial, keep: bool = False) -> Report:
    """Runs a trial in a folder of its own, which stays only if something was wrong.

    Args:
        trial: The trial.
        keep: Whether to keep the folder of a trial with violations.
    """
    with _folder(keep) as (folder, stays):
        runner = Runner(trial, folder)
        report = runner.run()
        if keep and report.violations:
            report.folder = str(folder)
            stays.append(folder)
        return report


@contextmanager
def _folder(keep: bool) -> Iterator[tuple[Path, list[Path]]]:
    folder = Path(tempfile.mkdtemp(prefix="xtremepush-chaos-"))
    stays: list[Path] = []
    try:
        yield folder, stays
    finally:
        if not stays:
            shutil.rmtree(folder, ignore_errors=True)


def _environment(folder: Path) -> dict[str, str]:
    """The environment of the workers: nothing in it that dlt would take for a setting."""
    kept = {name: value for name, value in os.environ.items() if "__" not in name}
    return {
        **kept,
        "HOME": str(folder),
        "DLT_DATA_DIR": str(folder / "data"),
        "DLT_LOCAL_DIR": str(folder),
        "RUNTIME__DLTHUB_TELEMETRY": "false",
        "RUNTIME__LOG_LEVEL": "ERROR",
        "PYTHONPATH": str(ROOT),
    }


def _numbers(sandbox: Sandbox) -> int:
    """How many requests there were so far; read without asking the server's loop."""
    return len(sandbox._app.recorder.requests)


def _imports(sandbox: Sandbox) -> int:
    return sum(map(is_of_profiles, list(sandbox._app.recorder.requests)))


def _reached(sandbox: Sandbox, moment: Moment | None) -> Callable[[], bool]:
    if moment is None:
        return lambda: False
    at = moment.at
    if moment.kind == "requests":
        return lambda: _numbers(sandbox) >= at
    if moment.kind == "imports":
        return lambda: _imports(sandbox) >= at
    if moment.kind == "early":
        return lambda: True
    return lambda: len(sandbox._app.api.log.events) >= at
