"""The crew: one thread a lane, so that lanes run side by side and each is in order."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

from dlt.common.exceptions import TerminalException

from xtremepush_dlt.delivery.lanes import Load

_WAITING_ROWS = 5000
"""Rows that may wait in a lane: enough to keep it busy, few enough to keep memory flat."""

_LOOK_UP_SECONDS = 0.2
"""How often a full lane looks up whether another lane has failed."""


@dataclass(frozen=True)
class Consignment:
    """Consecutive rows of one lane, handed over to be delivered.

    Attributes:
        lane: The lane.
        load: Its rows.
        upto: Sequence number behind the last row that was looked at for them.
    """

    lane: int
    load: Load
    upto: int


class Crew:
    """Delivers the consignments of several lanes.

    Args:
        lanes: Number of lanes.
        size: Rows in a consignment, about.
        deliver: Delivers one consignment; what it raises stops all lanes.
    """

    def __init__(self, lanes: int, size: int, deliver: Callable[[Consignment], None]) -> None:
        self._deliver = deliver
        self._stopped = threading.Event()
        self._errors: list[BaseException] = []
        self._queues: list[queue.Queue[Consignment | None]] = [
            queue.Queue(maxsize=max(1, _WAITING_ROWS // size)) for _ in range(lanes)
        ]
        self._threads = [
            threading.Thread(
                target=self._work, args=(waiting,), name=f"xtremepush-lane-{lane}", daemon=True
            )
            for lane, waiting in enumerate(self._queues)
        ]

    def __enter__(self) -> Crew:  # noqa: PYI034  # typing.Self needs Python 3.11
        for thread in self._threads:
            thread.start()
        return self

    def hand_over(self, consignment: Consignment) -> bool:
        """Gives a consignment to its lane; waits while the lane is full.

        Returns:
            Whether to go on; False when a lane has failed.
        """
        return self._put(self._queues[consignment.lane], consignment)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Waits for the lanes, then raises what stopped one of them.

        Where lanes failed for several reasons, one that a person must mend comes first.
        """
        if error is not None:
            self._stopped.set()
        for waiting in self._queues:
            self._put(waiting, None)
        for thread in self._threads:
            thread.join()
        if error is None and self._errors:
            terminal = [e for e in self._errors if isinstance(e, TerminalException)]
            raise (terminal or self._errors)[0]

    def _put(self, waiting: queue.Queue[Consignment | None], what: Consignment | None) -> bool:
        while not self._stopped.is_set():
            try:
                waiting.put(what, timeout=_LOOK_UP_SECONDS)
            except queue.Full:
                continue
            return True
        return False

    def _work(self, waiting: queue.Queue[Consignment | None]) -> None:
        while not self._stopped.is_set():
            try:
                consignment = waiting.get(timeout=_LOOK_UP_SECONDS)
            except queue.Empty:
                continue
            if consignment is None:
                return
            try:
                self._deliver(consignment)
            except BaseException as error:  # noqa: BLE001  # handed to the thread that waits for the lanes
                self._errors.append(error)
                self._stopped.set()
                return
